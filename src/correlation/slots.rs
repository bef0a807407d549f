//! Requests in flight by their keys, in a fixed number of slots that all workers can read.
//!
//! An outbound request may reach another worker than the inbound one that caused it. So every worker
//! writes each of its slots under a key of its own in Envoy's shared data, and reads those of the
//! others. Nobody else writes them: there is nothing to compare and swap, and no update is lost. A
//! slot that is empty is shared as no bytes, which Envoy gives without a way back into the module's
//! allocator: 1,700 instructions and not 11,000.

use super::origin::Context;
use super::workers::{SharedData, Workers};

/// How many slots a worker has; there is no delete in shared data.
const SLOTS: usize = 1024;

/// The most requests of a slot that are shared; beyond them it counts as contradictory.
const MOST_SHARED: usize = 16;

/// A request in flight under one of its keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) key: u64,
    /// The request's number in this worker.
    pub(super) number: u64,
    /// The second from which on it is taken for one that never ends.
    pub(super) expires: u32,
    pub(super) context: Context,
}

/// Key and second of expiry besides the context.
const ENTRY_BYTES: usize = 12 + Context::BYTES;

/// The slots of this worker.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Vec<Entry>>,
    /// What a slot is shared as, kept for the next.
    bytes: Vec<u8>,
}

/// What is in flight under a key in the whole pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The first that was found.
    pub(super) context: Option<Context>,
    /// There is another one.
    pub(super) is_shared: bool,
    /// There is another one, of another trace.
    pub(super) is_contradictory: bool,
}

impl Found {
    fn add(&mut self, context: Context) {
        match self.context {
            None => self.context = Some(context),
            Some(first) => {
                self.is_shared = true;
                self.is_contradictory |= first.trace_id != context.trace_id;
            }
        }
    }
}

impl Slots {
    /// A request is in flight.
    pub(super) fn insert(&mut self, entry: Entry, workers: &Workers, data: &impl SharedData) {
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, Vec::new);
        }
        let slot = slot_of(entry.key);
        if let Some(entries) = self.slots.get_mut(slot) {
            entries.push(entry);
            self.share(slot, workers, data);
        }
    }

    /// The request of that number is no longer in flight.
    pub(super) fn remove(
        &mut self,
        key: u64,
        number: u64,
        workers: &Workers,
        data: &impl SharedData,
    ) {
        let slot = slot_of(key);
        if let Some(entries) = self.slots.get_mut(slot) {
            entries.retain(|entry| (entry.key, entry.number) != (key, number));
            self.share(slot, workers, data);
        }
    }

    /// What is in flight under this key, at this second, in any worker.
    pub(super) fn find(
        &self,
        key: u64,
        now: u32,
        workers: &mut Workers,
        data: &impl SharedData,
    ) -> Found {
        let mut found = Found::default();
        let slot = slot_of(key);
        for entry in self.slots.get(slot).into_iter().flatten() {
            if entry.key == key && entry.expires > now {
                found.add(entry.context);
            }
        }
        workers.for_each_other(data, |worker| {
            if let Some((bytes, _)) = data.get(&name(worker, slot)) {
                read(&bytes, key, now, &mut found);
            }
        });
        found
    }

    fn share(&mut self, slot: usize, workers: &Workers, data: &impl SharedData) {
        let Some(worker) = workers.own() else { return };
        self.bytes.clear();
        let entries = self.slots.get(slot).into_iter().flatten();
        for Entry { key, expires, context, .. } in entries.take(MOST_SHARED + 1) {
            self.bytes.extend_from_slice(&key.to_le_bytes());
            self.bytes.extend_from_slice(&expires.to_le_bytes());
            context.write(&mut self.bytes);
        }
        data.set(&name(worker, slot), &self.bytes, 0);
    }
}

fn slot_of(key: u64) -> usize {
    (key % SLOTS as u64) as usize
}

/// `meshspan`, the worker and the slot in hex: short enough for Envoy not to allocate for it.
fn name(worker: u8, slot: usize) -> [u8; 13] {
    let mut name = *b"meshspan.....";
    if let Some((start, digits)) = name.split_first_chunk_mut() {
        *start = super::workers::name(worker);
        for (place, digit) in digits.iter_mut().enumerate() {
            *digit = super::workers::hex_digit(slot >> (8 - 4 * place));
        }
    }
    name
}

fn read(bytes: &[u8], key: u64, now: u32, found: &mut Found) {
    let is_overfull = bytes.len() > MOST_SHARED * ENTRY_BYTES;
    for entry in bytes.chunks_exact(ENTRY_BYTES) {
        let Some((found_key, rest)) = entry.split_first_chunk() else { return };
        let Some((expires, rest)) = rest.split_first_chunk() else { return };
        if u64::from_le_bytes(*found_key) == key
            && u32::from_le_bytes(*expires) > now
            && let Some(context) = Context::read(rest)
        {
            found.add(context);
        }
    }
    // What is beyond the end may be one more under this key.
    found.is_contradictory |= is_overfull;
}
