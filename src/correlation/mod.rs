//! Which request that came in caused one that goes out, where the application forwards no context.
//!
//! A sidecar sees both and not what happens between them. What is certain becomes a parent; what is
//! not stays apart: a wrong parent is worse than none.

mod connections;
mod crowd;
mod direction;
mod entry;
mod event;
mod flights;
mod infer;
mod keys;
mod origin;
mod quiet;
mod rings;
mod sidecar;
mod sure;
mod table;
#[cfg(test)]
mod tests;
mod timing;
mod workers;

pub use direction::Direction;
pub use origin::{Context, Origin};
pub use sidecar::Sidecar;

use crate::config::{Correlation as Settings, CorrelationMode};
use crate::sampling::Surroundings;
use crate::stats::{Metric, Stats};
use crate::trace::Evidence;
use crowd::Telling;
use direction::Directions;
use entry::Entry;
use flights::Flight;
use infer::Infer;
use keys::{digest, key, request_id};
use rings::Rings;
use sure::{Found, NOWHERE, SourcePort, Sure};
use table::{Table, slot_of};
use timing::{TELLINGS, Timed};
use workers::Workers;

/// The most keys of a slot that are compared, by far more than there are unless somebody chooses them;
/// beyond them nothing is found.
const MOST_IN_SLOT: usize = 1024;

/// The most places that are looked at in a second for requests that have lasted too long.
const MOST_SWEPT: usize = 1024;

/// A request under way, to be handed back at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticket {
    /// One that came in.
    Request {
        /// Envoy's number of it.
        stream: u32,
        /// What it is recognised by, if by anything.
        keys: Option<table::Ticket>,
        /// Its place, where it is counted and there was no room for more.
        place: Option<u32>,
    },
    /// One that went out and is watched.
    Call {
        /// Envoy's number of it.
        stream: u32,
        /// Whether its connection is watched.
        is_watched: bool,
        /// Where its time tells something.
        timed: Option<Timed>,
    },
}

/// The requests in flight of one worker, and what the others share of theirs. Root contexts come and
/// go with their configurations; this stays.
#[derive(Debug)]
pub struct Correlation {
    directions: Directions,
    table: Table,
    workers: Workers,
    sure: Sure,
    /// Only where it is asked for.
    infer: Option<Box<Infer>>,
    /// What it is told by other workers, if there are any.
    rings: Option<Box<Rings>>,
    /// Seconds since the epoch, as of the last tick.
    now: u32,
}

impl Ticket {
    /// Envoy's number of a call whose time tells something, for [`Correlation::link`].
    pub fn call(&self) -> Option<u32> {
        match self {
            Self::Call { stream, timed: Some(_), .. } => Some(*stream),
            _ => None,
        }
    }
}

impl Settings {
    /// Whether anything is to be done.
    pub fn is_on(&self) -> bool {
        self.mode != CorrelationMode::Off
    }

    /// Whether there may be other evidence than ids.
    fn is_sure(&self) -> bool {
        matches!(self.mode, CorrelationMode::Sure | CorrelationMode::Infer)
    }

    /// The header of that place among those that tell which request a call belongs to, the first of which Envoy
    /// gives to each request itself: its digest, if it says something.
    fn key(&self, place: usize, headers: &[(&[u8], &[u8])]) -> Option<Option<u64>> {
        match place.checked_sub(1) {
            None => Some(request_id(headers)),
            Some(place) => self.headers.get(place).map(|name| key(headers, name)),
        }
    }

    /// How spans name it.
    fn evidence(&self, place: usize) -> String {
        match place.checked_sub(1).and_then(|place| self.headers.get(place)) {
            None => "request_id".to_owned(),
            Some(name) => "header:".to_owned() + name,
        }
    }

    fn max_age_in_us(&self) -> f32 {
        self.max_age.as_secs() as f32 * 1e6
    }

    fn max_age(&self) -> u32 {
        u32::try_from(self.max_age.as_secs()).unwrap_or(u32::MAX)
    }
}

impl Correlation {
    /// Nothing is in flight.
    pub const NEW: Self = Self {
        directions: Directions::NONE,
        table: Table::EMPTY,
        workers: Workers::SILENT,
        sure: Sure::NOTHING,
        infer: None,
        rings: None,
        now: 0,
    };

    /// A root context begins at this second that has it on.
    pub fn begin(&mut self, now: u32, envoy: &dyn Surroundings) {
        Workers::prepare(envoy);
        self.now = now;
    }

    /// The direction of a request with these lower-case headers; `ask` asks Envoy.
    pub fn direction(
        &mut self,
        headers: &[(&[u8], &[u8])],
        ask: &dyn Fn() -> Direction,
    ) -> Direction {
        self.directions.of(authority(headers), ask)
    }

    /// An inbound request with these headers goes on with this context, as Envoy's stream of this
    /// number. No ticket where there is nothing to recognise it by, or no room.
    pub fn arrived(
        &mut self,
        settings: &Settings,
        stream: u32,
        headers: &[(&[u8], &[u8])],
        context: &Context,
        stats: &mut Stats,
        envoy: &dyn Sidecar,
    ) -> Option<Ticket> {
        let expires = self.now.saturating_add(settings.max_age());
        let keys = self.take_keys(settings, headers, context, expires, stats, envoy);
        let mut place = None;
        if settings.is_sure() {
            let its = keys.map_or(NOWHERE, |(_, slot)| self.workers.place(slot).unwrap_or(NOWHERE));
            let (context, untold) = (*context, TELLINGS);
            let flight = Flight { stream, context, port: None, untold, place: its, expires };
            let has_room = self.sure.arrived(flight, settings.max_in_flight, envoy);
            place = (!has_room).then_some(its);
            if settings.mode == CorrelationMode::Infer {
                self.time_arrival(settings, stream, headers, &context, stats, envoy);
            }
        } else if keys.is_none() {
            return None;
        }
        Some(Ticket::Request { stream, keys: keys.map(|(keys, _)| keys), place })
    }

    /// Enters a request under all its keys; the slot of the last.
    fn take_keys(
        &mut self,
        settings: &Settings,
        headers: &[(&[u8], &[u8])],
        context: &Context,
        expires: u32,
        stats: &mut Stats,
        envoy: &dyn Surroundings,
    ) -> Option<(table::Ticket, usize)> {
        let Self { table, workers, now, .. } = self;
        let is_full = table.requests() >= settings.max_in_flight;
        let mut taken = None;
        let mut place = 0;
        while let Some(key) = settings.key(place, headers) {
            place += 1;
            let Some(key) = key else { continue };
            if is_full {
                stats.add(Metric::CorrelationTableFull, 1);
                return None;
            }
            workers.claim(*now, settings.max_age(), envoy);
            let sibling = taken.map(|(ticket, _)| ticket);
            let slot = slot_of(key);
            taken = Some((table.insert(Entry::new(key, Some(context), expires), sibling), slot));
            workers.share(table, slot, envoy);
        }
        taken
    }

    /// A request has ended.
    pub fn ended(&mut self, ticket: Ticket, envoy: &dyn Sidecar) {
        match ticket {
            Ticket::Call { stream, is_watched, timed } => {
                if is_watched {
                    self.sure.call_ended(stream);
                }
                if let Some(timed) = timed {
                    self.time_answer(stream, timed, envoy);
                }
            }
            Ticket::Request { stream, keys, place } => {
                if let Some(keys) = keys {
                    self.give_keys_back(keys, envoy);
                }
                match place {
                    Some(place) => self.sure.left(place, envoy),
                    None => self.sure.ended(stream, envoy),
                }
                self.time_end(stream, envoy);
            }
        }
    }

    fn give_keys_back(&mut self, keys: table::Ticket, envoy: &dyn Surroundings) {
        let Self { table, workers, .. } = self;
        table.remove(keys, |table, slot| workers.share(table, slot, envoy));
    }

    /// What caused an outbound request, Envoy's stream of this number, that has these headers and no
    /// context; and a ticket if its end is of interest.
    pub fn origin(
        &mut self,
        settings: &Settings,
        stream: u32,
        headers: &[(&[u8], &[u8])],
        ticket: &mut Option<Ticket>,
        envoy: &dyn Sidecar,
    ) -> Option<Origin> {
        let port = SourcePort::default();
        let origin = self.sure_origin(settings, stream, headers, &port, ticket, envoy);
        if settings.mode != CorrelationMode::Infer {
            return origin;
        }
        self.time_call(settings, stream, headers, &port, origin, ticket, envoy)
    }

    fn sure_origin(
        &mut self,
        settings: &Settings,
        stream: u32,
        headers: &[(&[u8], &[u8])],
        port: &SourcePort,
        ticket: &mut Option<Ticket>,
        envoy: &dyn Sidecar,
    ) -> Option<Origin> {
        let mut place = 0;
        while let Some(key) = settings.key(place, headers) {
            if let Some((context, is_parent)) = key.and_then(|key| self.find(key, envoy)) {
                let evidence = Evidence::sure(settings.evidence(place));
                return Some(Origin { context, is_parent, evidence });
            }
            place += 1;
        }
        if !settings.is_sure() {
            return None;
        }
        let host = digest(0, authority(headers));
        let found = self.sure.call(stream, host, self.now, port, envoy);
        let is_watched = self.sure.watches(stream);
        *ticket = is_watched.then_some(Ticket::Call { stream, is_watched, timed: None });
        let (context, evidence) = match found? {
            Found::Connection(context) => (context, "connection"),
            Found::Single(Ok(context)) => (context, "single"),
            Found::Single(Err(place)) => (self.workers.only(place, self.now, envoy)?, "single"),
        };
        Some(Origin { context, is_parent: true, evidence: Evidence::sure(evidence.to_owned()) })
    }

    /// What is in flight under a key in the whole pod, and whether it is one request; nothing where
    /// several are of different traces.
    fn find(&mut self, key: u64, envoy: &dyn Surroundings) -> Option<(Context, bool)> {
        let Self { table, workers, now, .. } = self;
        let mut first: Option<Context> = None;
        let (mut is_one, mut is_one_trace) = (true, true);
        let mut add = |entry: &Entry| {
            if entry.key() != key || entry.expires() <= *now {
                return;
            }
            match (first, entry.context()) {
                (Some(first), Some(context)) => {
                    is_one = false;
                    is_one_trace &= first.trace_id == context.trace_id;
                }
                (None, context) => first = context,
                (_, None) => {}
            }
        };
        let slot = slot_of(key);
        for (count, entry) in table.slot(slot).enumerate() {
            if count == MOST_IN_SLOT {
                return None;
            }
            add(entry);
        }
        workers.find(slot, *now, envoy, &mut add)?;
        first.filter(|_| is_one_trace).map(|context| (context, is_one))
    }

    /// A second or so has passed.
    pub fn tick(&mut self, now: u32, stats: &mut Stats, envoy: &dyn Sidecar) {
        if now == self.now {
            return;
        }
        let seconds = now.saturating_sub(self.now);
        self.now = now;
        self.workers.beat(now, &self.table, envoy);
        let telling = self.telling(envoy);
        self.sure.crowd.becomes(telling, envoy);
        let mut places = MOST_SWEPT;
        while let Some(keys) = self.table.expired(now, &mut places) {
            self.give_keys_back(keys, envoy);
        }
        self.sure.tick(now, seconds, envoy);
        stats.add(Metric::CorrelationEvidenceFull, self.sure.take_full().into());
        self.time_tick(stats, envoy);
    }

    fn telling(&mut self, envoy: &dyn Sidecar) -> Telling {
        let Self { workers, sure, now, .. } = self;
        if workers.is_alone() {
            return Telling::Nothing;
        }
        let asks = sure.asks();
        let is_asked = (asks || sure.crowd.is_used()) && workers.is_asked(asks, *now, envoy);
        if is_asked { Telling::All } else { Telling::Some }
    }

    /// There may be no tick any more. Whoever comes next is told what is in flight, and when it ends.
    pub fn leave(&mut self, envoy: &dyn Sidecar) {
        self.sure.crowd.becomes(Telling::All, envoy);
    }
}

/// Who a request is for, or nothing.
fn authority<'h>(headers: &[(&'h [u8], &'h [u8])]) -> &'h [u8] {
    let authority = headers.iter().find(|(name, _)| *name == b":authority");
    authority.map_or(&[], |(_, value)| *value)
}
