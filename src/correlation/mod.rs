//! Which request that came in caused one that goes out, where the application forwards no context.
//!
//! A sidecar sees both and not what happens between them. What is certain becomes a parent; what is
//! not stays apart: a wrong parent is worse than none.

mod direction;
mod entry;
mod keys;
mod origin;
mod table;
#[cfg(test)]
mod tests;
mod workers;

pub use direction::Direction;
pub use origin::{Context, Origin};
pub use table::Ticket;

use crate::config::{Correlation as Settings, CorrelationMode};
use crate::sampling::Surroundings;
use crate::stats::{Metric, Stats};
use direction::Directions;
use entry::Entry;
use keys::key;
use table::{Table, slot_of};
use workers::Workers;

/// The requests in flight of one worker, and what the others share of theirs. Root contexts come and
/// go with their configurations; this stays.
#[derive(Debug)]
pub struct Correlation {
    directions: Directions,
    table: Table,
    workers: Workers,
    /// Seconds since the epoch, as of the last tick.
    now: u32,
}

impl Settings {
    /// Whether anything is to be done.
    pub fn is_on(&self) -> bool {
        self.mode != CorrelationMode::Off
    }

    /// The header of that place among those that tell which request a call belongs to.
    fn name(&self, place: usize) -> Option<&str> {
        match place.checked_sub(1) {
            // Envoy gives it to each request.
            None => Some("x-request-id"),
            Some(place) => self.headers.get(place).map(String::as_str),
        }
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
        let authority = headers.iter().find(|(name, _)| *name == b":authority");
        self.directions.of(authority.map_or(&[], |(_, value)| *value), ask)
    }

    /// An inbound request with these headers goes on with this context. No ticket where there is
    /// nothing to recognise it by, or no room.
    pub fn arrived(
        &mut self,
        settings: &Settings,
        headers: &[(&[u8], &[u8])],
        context: &Context,
        stats: &mut Stats,
        envoy: &dyn Surroundings,
    ) -> Option<Ticket> {
        let Self { table, workers, now, .. } = self;
        let expires = now.saturating_add(settings.max_age());
        let is_full = table.requests() >= settings.max_in_flight;
        let mut ticket = None;
        let mut place = 0;
        while let Some(name) = settings.name(place) {
            place += 1;
            let Some(key) = key(headers, name) else { continue };
            if is_full {
                stats.add(Metric::CorrelationTableFull, 1);
                return None;
            }
            workers.claim(*now, settings.max_age(), envoy);
            ticket = Some(table.insert(Entry::new(key, context, expires), ticket));
            workers.share(table, slot_of(key), envoy);
        }
        ticket
    }

    /// An inbound request has ended.
    pub fn ended(&mut self, ticket: Ticket, envoy: &dyn Surroundings) {
        let Self { table, workers, .. } = self;
        table.remove(ticket, |table, slot| workers.share(table, slot, envoy));
    }

    /// What caused an outbound request that has these headers and no context.
    pub fn origin(
        &mut self,
        settings: &Settings,
        headers: &[(&[u8], &[u8])],
        envoy: &dyn Surroundings,
    ) -> Option<Origin> {
        let mut place = 0;
        while let Some(name) = settings.name(place) {
            let key = key(headers, name);
            if let Some((context, is_parent)) = key.and_then(|key| self.find(key, envoy)) {
                let evidence = match place {
                    0 => "request_id".to_owned(),
                    _ => "header:".to_owned() + name,
                };
                return Some(Origin { context, is_parent, evidence });
            }
            place += 1;
        }
        None
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
        table.slot(slot).for_each(&mut add);
        workers.find(slot, envoy, &mut add)?;
        first.filter(|_| is_one_trace).map(|context| (context, is_one))
    }

    /// A second or so has passed.
    pub fn tick(&mut self, now: u32, envoy: &dyn Surroundings) {
        if now == self.now {
            return;
        }
        self.now = now;
        self.workers.beat(now, &self.table, envoy);
        while let Some(ticket) = self.table.expired(now) {
            self.ended(ticket, envoy);
        }
    }
}
