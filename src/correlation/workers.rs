//! What the workers of this proxy share of what is in flight.
//!
//! An outbound request may reach another worker than the inbound one that caused it. So every worker
//! takes a number, by compare and swap, writes each of its slots under a key of its own in Envoy's
//! shared data, and reads those of the others. Nobody else writes them, so that no update is lost. A
//! slot that is empty is shared as no bytes, which Envoy gives without a way back into the module's
//! allocator: 1,600 instructions and not 11,000.

use super::entry::Entry;
use super::origin::Context;
use super::table::{SLOTS, Table};
use crate::sampling::Surroundings;

/// The most workers that share; what is beyond keeps to itself.
const MAX_WORKERS: u8 = 64;

/// The most keys of a slot that are shared; beyond them it counts as contradictory.
const MOST_SHARED: usize = 16;

/// How long, beyond the age of the oldest request, nobody takes the number of a worker that is silent.
const SILENCE: u32 = 10;

/// After so many calls that no other worker was found at, as in a gateway, which receives nothing
/// for an application, it is looked for workers once a second only.
const IN_VAIN: u16 = 4096;

/// So many virtual machines tick in a proxy of one worker: its own, and one on the main thread.
const LEAST_MACHINES: u8 = 2;

/// As many are counted.
const MOST_MACHINES: u8 = MAX_WORKERS + 1;

/// Ticks after which all machines that began with this one have ticked.
const SETTLED: u8 = 3;

/// For so many seconds after a worker has asked what is in flight in the pod it is told.
const PATIENCE: u32 = 5;

/// This worker's number, and how many numbers are taken.
#[derive(Debug)]
pub(super) struct Workers {
    own: Option<u8>,
    is_refused: bool,
    /// There is no other worker.
    is_alone: bool,
    /// How many have ever ticked, as of the last tick: also those that were replaced.
    machines: u8,
    /// Up to [`SETTLED`].
    ticks: u8,
    /// The numbers below are known to be taken.
    known: u8,
    in_vain: u16,
    /// The second in which a worker was last known to ask, and the version of its question.
    asked: u32,
    question: u32,
    /// What a slot is shared as, kept for the next.
    bytes: Vec<u8>,
}

impl Workers {
    /// A worker that has nothing to share.
    pub(super) const SILENT: Self = Self {
        own: None,
        is_refused: false,
        is_alone: false,
        machines: 0,
        ticks: 0,
        known: 0,
        in_vain: 0,
        asked: 0,
        question: 0,
        bytes: Vec::new(),
    };

    /// Makes the keys of all numbers, for [`Self::claim`] to compare and swap. To be called where
    /// no worker runs yet, as when Envoy tries the first configuration on its main thread.
    pub(super) fn prepare(envoy: &dyn Surroundings) {
        if envoy.shared_data(&name(0, WHOLE)).is_none() {
            for number in 0..MAX_WORKERS {
                envoy.set_shared_data(&name(number, WHOLE), &[], 0);
            }
            for number in 0..MOST_MACHINES {
                envoy.set_shared_data(&name(number, MACHINE), &[], 0);
            }
        }
    }

    /// Takes a number, the first that is free or whose worker has been silent for longer than its
    /// oldest request may last: a module that was replaced, or trapped.
    pub(super) fn claim(&mut self, now: u32, max_age: u32, envoy: &dyn Surroundings) {
        if self.own.is_some() || self.is_refused {
            return;
        }
        self.own = (0..MAX_WORKERS).find(|number| {
            let name = name(*number, WHOLE);
            envoy.shared_data(&name).is_some_and(|(value, version)| {
                let seen = value.try_into().map_or(0, u32::from_le_bytes);
                let is_free = seen.saturating_add(max_age).saturating_add(SILENCE) < now;
                is_free && envoy.set_shared_data(&name, &now.to_le_bytes(), version)
            })
        });
        self.is_refused = self.own.is_none();
    }

    /// Says that this worker is there, and looks for others.
    pub(super) fn beat(&mut self, now: u32, table: &Table, envoy: &dyn Surroundings) {
        if let Some(number) = self.own {
            envoy.set_shared_data(&name(number, WHOLE), &now.to_le_bytes(), 0);
        }
        self.look(envoy);
        if self.ticks == 0 {
            self.join(envoy);
        }
        self.ticks = SETTLED.min(self.ticks + 1);
        while self.machines < MOST_MACHINES
            && envoy
                .shared_data(&name(self.machines, MACHINE))
                .is_none_or(|(machine, _)| !machine.is_empty())
        {
            self.machines += 1;
        }
        let others = self.known > u8::from(self.own.is_some());
        let is_alone = self.ticks == SETTLED && !others && self.machines <= LEAST_MACHINES;
        if self.is_alone != is_alone {
            self.is_alone = is_alone;
            for slot in 0..SLOTS {
                if table.slot(slot).next().is_some() {
                    self.write(table, slot, envoy);
                }
            }
        }
    }

    /// Whether some worker wants to know what is in flight in the pod; `asks`: that this one does.
    pub(super) fn is_asked(&mut self, asks: bool, now: u32, envoy: &dyn Surroundings) -> bool {
        let name = name(0, QUESTION);
        if asks {
            envoy.set_shared_data(&name, &[], 0);
            self.asked = now;
        } else if let Some((_, question)) = envoy.shared_data(&name)
            && self.question != question
        {
            (self.question, self.asked) = (question, now);
        }
        now.saturating_sub(self.asked) < PATIENCE
    }

    /// Whether another worker may have taken a number since the last tick: not all that there are had
    /// one. Of a machine that a trap has replaced since nothing is known until then.
    fn is_incomplete(&self) -> bool {
        let workers = self.known + u8::from(self.own.is_none());
        self.ticks < SETTLED || workers + 1 < self.machines
    }

    /// Counts this machine, if there are not too many.
    fn join(&self, envoy: &dyn Surroundings) {
        for number in 0..MOST_MACHINES {
            let name = name(number, MACHINE);
            if let Some((machine, version)) = envoy.shared_data(&name)
                && machine.is_empty()
                && envoy.set_shared_data(&name, &[1], version)
            {
                return;
            }
        }
    }

    fn look(&mut self, envoy: &dyn Surroundings) {
        while self.known < MAX_WORKERS
            && (self.own == Some(self.known)
                || envoy
                    .shared_data(&name(self.known, WHOLE))
                    .is_some_and(|(value, _)| !value.is_empty()))
        {
            self.known += 1;
        }
    }

    /// Shows the others a slot.
    pub(super) fn share(&mut self, table: &Table, slot: usize, envoy: &dyn Surroundings) {
        if !self.is_alone {
            self.write(table, slot, envoy);
        }
    }

    fn write(&mut self, table: &Table, slot: usize, envoy: &dyn Surroundings) {
        let Some(worker) = self.own else { return };
        self.bytes.clear();
        let most = if self.is_alone { 0 } else { MOST_SHARED + 1 };
        for Entry(bytes) in table.slot(slot).take(most) {
            self.bytes.extend_from_slice(bytes);
        }
        envoy.set_shared_data(&name(worker, slot), &self.bytes, 0);
    }

    /// Hands on what the others have in a slot; nothing where that is more than they share.
    pub(super) fn find(
        &mut self,
        slot: usize,
        now: u32,
        envoy: &dyn Surroundings,
        found: &mut dyn FnMut(&Entry),
    ) -> Option<()> {
        if self.is_alone {
            return Some(());
        }
        if self.is_incomplete() && self.in_vain < IN_VAIN {
            let known = self.known;
            self.look(envoy);
            self.in_vain = if self.known == known { self.in_vain + 1 } else { 0 };
        }
        for worker in (0..self.known).filter(|number| Some(*number) != self.own) {
            let Some((bytes, _)) = envoy.shared_data(&name(worker, slot)) else { continue };
            let (entries, _) = bytes.as_chunks();
            // What is too old may be of a worker that was replaced, and that nobody takes back.
            let mut in_flight =
                entries.iter().map(|entry| Entry(*entry)).filter(|entry| entry.expires() > now);
            if entries.len() > MOST_SHARED && in_flight.next().is_some() {
                return None;
            }
            in_flight.for_each(|entry| found(&entry));
        }
        Some(())
    }

    /// Whether there is no other worker.
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// A slot of this worker, as [`Self::only`] finds it in any.
    pub(super) fn place(&self, slot: usize) -> Option<u32> {
        self.own.map(|worker| u32::from(worker) * SLOTS as u32 + slot as u32)
    }

    /// What is in flight at a place, if that is one request.
    pub(super) fn only(&self, place: u32, now: u32, envoy: &dyn Surroundings) -> Option<Context> {
        let place = usize::try_from(place).ok()?;
        let worker = u8::try_from(place / SLOTS).ok().filter(|worker| *worker < MAX_WORKERS)?;
        let (bytes, _) = envoy.shared_data(&name(worker, place % SLOTS))?;
        let (entries, _) = bytes.as_chunks();
        let mut entries = entries.iter().map(|entry| Entry(*entry));
        let mut entries = entries.by_ref().filter(|entry| entry.expires() > now);
        let first = entries.next()?;
        if entries.next().is_some() { None } else { first.context() }
    }

    /// How many numbers are known to be taken.
    pub(super) fn known(&self) -> u8 {
        self.known
    }

    /// How many are taken at this moment.
    pub(super) fn look_up(&mut self, envoy: &dyn Surroundings) -> u8 {
        if self.is_incomplete() {
            self.look(envoy);
        }
        self.known
    }

    /// This worker's number.
    pub(super) fn own(&self) -> Option<u8> {
        self.own
    }
}

/// In the place of a slot: the worker as a whole, a machine that ticks, and, of the first worker, what has
/// a new version whenever any asks what is in flight.
const WHOLE: usize = 0xffff;
const MACHINE: usize = 0xfffe;
const QUESTION: usize = 0xfffd;
/// And the events of a worker.
pub(super) const TIMES: usize = 0xfffc;

/// The key of a worker's slot: short enough for Envoy not to allocate for it.
pub(super) fn name(worker: u8, slot: usize) -> [u8; 12] {
    let mut name = *b"meshspan:...";
    let [.., number, high, low] = &mut name;
    (*number, *high, *low) = (worker, (slot >> 8) as u8, slot as u8);
    name
}
