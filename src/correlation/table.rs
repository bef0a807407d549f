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
    /// The one before it in the same slot.
    before: u32,
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
    /// The place to look at next for a request that has lasted too long.
    swept: u32,
}

impl Table {
    pub(super) const EMPTY: Self = Self {
        places: Vec::new(),
        slots: Vec::new(),
        free: NONE,
        requests: 0,
        number: 0,
        swept: 0,
    };

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
        let next = *first;
        let before = NONE;
        let taken = Place { entry, number, is_taken: true, is_head: true, next, before, sibling };
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
        if let Some(next) = self.places.get_mut(next as usize) {
            next.before = place;
        }
        Ticket { place, number }
    }

    /// A request has ended; `changed` is told each slot that it was in. An old ticket ends nothing.
    pub(super) fn remove(&mut self, ticket: Ticket, mut changed: impl FnMut(&Self, usize)) {
        let mut place = ticket.place;
        while let Some(it) = self.places.get_mut(place as usize) {
            if !it.is_taken || it.number != ticket.number {
                return;
            }
            let slot = slot_of(it.entry.key());
            let (next, before, sibling) = (it.next, it.before, it.sibling);
            self.requests -= usize::from(it.is_head);
            (it.is_taken, it.next) = (false, self.free);
            self.free = place;
            if let Some(next) = self.places.get_mut(next as usize) {
                next.before = before;
            }
            match self.places.get_mut(before as usize) {
                Some(before) => before.next = next,
                None => self.slots.get_mut(slot).into_iter().for_each(|first| *first = next),
            }
            changed(self, slot);
            place = sibling;
        }
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

    /// A request that has lasted too long at this second, among so many places from where the last look
    /// ended; each is looked at once.
    pub(super) fn expired(&mut self, now: u32, places: &mut usize) -> Option<Ticket> {
        *places = self.places.len().min(*places);
        while *places > 0 {
            *places -= 1;
            let place = if (self.swept as usize) < self.places.len() { self.swept } else { 0 };
            self.swept = place + 1;
            if let Some(it) = self.places.get(place as usize)
                && it.is_taken
                && it.is_head
                && it.entry.expires() <= now
            {
                return Some(Ticket { place, number: it.number });
            }
        }
        None
    }
}

/// The slot of a key.
pub(super) fn slot_of(key: u64) -> usize {
    key as usize % SLOTS
}
