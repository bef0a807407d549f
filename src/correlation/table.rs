//! The requests in flight of one worker, by their keys.

use super::entry::Entry;

/// How many slots keys are spread over: as many of a worker's keys are in Envoy's shared data, from
/// which nothing can be deleted.
pub(super) const SLOTS: usize = 1024;

/// The end of a chain.
const NONE: u32 = u32::MAX;

/// An inbound request in flight, to be handed back at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The place of its last key.
    place: u32,
    /// Of the request, since others have that place later.
    number: u32,
}

#[derive(Debug)]
struct Place {
    entry: Entry,
    number: u32,
    is_taken: bool,
    /// A ticket has this place.
    is_head: bool,
    /// The next in the same slot or, of one that is free, the next that is.
    next: u32,
    /// The next of the same request.
    sibling: u32,
}

/// Places that are taken again when they are free, each in the chain of its slot.
#[derive(Debug)]
pub(super) struct Table {
    places: Vec<Place>,
    /// Of each slot, the first in its chain.
    slots: Vec<u32>,
    free: u32,
    /// How many requests there are, and the number of the latest.
    requests: usize,
    number: u32,
}

impl Table {
    pub(super) const EMPTY: Self =
        Self { places: Vec::new(), slots: Vec::new(), free: NONE, requests: 0, number: 0 };

    /// How many requests are in flight.
    pub(super) fn requests(&self) -> usize {
        self.requests
    }

    /// A request has come: its first key, or one more of the request with that ticket.
    pub(super) fn insert(&mut self, entry: Entry, ticket: Option<Ticket>) -> Ticket {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, NONE);
        }
        if ticket.is_none() {
            self.requests += 1;
            self.number = self.number.wrapping_add(1);
        }
        let sibling = ticket.map_or(NONE, |ticket| ticket.place);
        if let Some(sibling) = self.places.get_mut(sibling as usize) {
            sibling.is_head = false;
        }
        let number = self.number;
        let mut place = self.free;
        let first = match self.slots.get_mut(slot_of(entry.key())) {
            Some(first) => first,
            None => return Ticket { place: NONE, number },
        };
        let taken = Place { entry, number, is_taken: true, is_head: true, next: *first, sibling };
        match self.places.get_mut(place as usize) {
            Some(it) => {
                self.free = it.next;
                *it = taken;
            }
            None => {
                place = self.places.len() as u32;
                self.places.push(taken);
            }
        }
        *first = place;
        Ticket { place, number }
    }

    /// A request has ended; `changed` is told each slot that it was in. An old ticket ends nothing.
    pub(super) fn remove(&mut self, ticket: Ticket, mut changed: impl FnMut(&Self, usize)) {
        let mut place = ticket.place;
        while let Some(it) = self.places.get_mut(place as usize) {
            if !it.is_taken || it.number != ticket.number {
                return;
            }
            let (slot, next, sibling) = (slot_of(it.entry.key()), it.next, it.sibling);
            self.requests -= usize::from(it.is_head);
            (it.is_taken, it.next) = (false, self.free);
            self.free = place;
            self.unchain(slot, place, next);
            changed(self, slot);
            place = sibling;
        }
    }

    fn unchain(&mut self, slot: usize, place: u32, next: u32) {
        let Some(mut link) = self.slots.get_mut(slot) else { return };
        while *link != place {
            let before = *link as usize;
            match self.places.get_mut(before) {
                Some(other) => link = &mut other.next,
                None => return,
            }
        }
        *link = next;
    }

    /// What is in flight in a slot, the latest first.
    pub(super) fn slot(&self, slot: usize) -> impl Iterator<Item = &Entry> {
        let mut place = self.slots.get(slot).copied().unwrap_or(NONE);
        core::iter::from_fn(move || {
            let it = self.places.get(place as usize)?;
            place = it.next;
            Some(&it.entry)
        })
    }

    /// A request that has lasted too long at this second.
    pub(super) fn expired(&self, now: u32) -> Option<Ticket> {
        let is_expired = |it: &Place| it.is_taken && it.is_head && it.entry.expires() <= now;
        let mut all = (0..).zip(&self.places);
        all.find(|(_, it)| is_expired(it)).map(|(place, it)| Ticket { place, number: it.number })
    }
}

/// The slot of a key.
pub(super) fn slot_of(key: u64) -> usize {
    key as usize % SLOTS
}
