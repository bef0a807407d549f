//! Which request that came in caused one that goes out, where the application forwards no context.
//!
//! A sidecar sees both and not what happens between them. What is certain becomes a parent; what is
//! not stays apart: a wrong parent is worse than none.

mod direction;
mod keys;
mod origin;
mod slots;
#[cfg(test)]
mod tests;
mod workers;

pub use direction::Direction;
pub use keys::Keys;
pub use origin::{Context, Evidence, Origin};
pub use workers::SharedData;

use crate::config::{Correlation as Settings, CorrelationMode};
use direction::Directions;
use slots::{Entry, Found, Slots};
use std::collections::VecDeque;
use workers::Workers;

/// The requests in flight of one worker, and what the others share of theirs. Root contexts come and
/// go with their configurations; this stays.
#[derive(Debug, Default)]
pub struct Correlation {
    settings: Settings,
    directions: Directions,
    requests: VecDeque<InFlight>,
    /// Of the latest request.
    number: u64,
    slots: Slots,
    workers: Workers,
    /// Seconds since the epoch, as of the last tick.
    now: u32,
}

/// An inbound request that has not ended.
#[derive(Debug)]
struct InFlight {
    number: u64,
    keys: Keys,
    expires: u32,
}

/// An inbound request in flight, to be handed back at its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket(u64);

impl Correlation {
    /// Goes on by these settings, at this second.
    pub fn configure(&mut self, settings: Settings, now: u32, data: &impl SharedData) {
        if settings.mode != CorrelationMode::Off {
            Workers::prepare(data);
        }
        self.settings = settings;
        self.now = now;
    }

    /// Whether anything is to be done.
    pub fn is_on(&self) -> bool {
        self.settings.mode != CorrelationMode::Off
    }

    /// What these lower-case headers say of a request; nothing where it cannot be recognised.
    pub fn keys(&self, headers: &[(&[u8], &[u8])]) -> Option<Keys> {
        Some(Keys::read(headers, &self.settings.headers)).filter(|keys| !keys.is_empty())
    }

    /// The direction of a request to this authority; `ask` asks Envoy.
    pub fn direction(&mut self, authority: &[u8], ask: impl FnOnce() -> Direction) -> Direction {
        self.directions.of(authority, ask)
    }

    /// An inbound request goes on with this context. Nothing where the table is full, which `full`
    /// is to count.
    pub fn arrived(
        &mut self,
        keys: Keys,
        context: Context,
        data: &impl SharedData,
        full: impl FnOnce(),
    ) -> Option<Ticket> {
        if self.requests.len() >= self.settings.max_in_flight {
            full();
            return None;
        }
        self.workers.claim(self.now, self.max_age(), data);
        self.number += 1;
        let number = self.number;
        let expires = self.now.saturating_add(self.max_age());
        for (_, key) in keys.iter() {
            let entry = Entry { key, number, expires, context };
            self.slots.insert(entry, &self.workers, data);
        }
        self.requests.push_back(InFlight { number, keys, expires });
        Some(Ticket(number))
    }

    /// An inbound request has ended.
    pub fn ended(&mut self, Ticket(number): Ticket, data: &impl SharedData) {
        let place = self.requests.binary_search_by_key(&number, |request| request.number);
        if let Some(request) = place.ok().and_then(|place| self.requests.remove(place)) {
            self.forget(&request, data);
        }
    }

    /// What caused an outbound request that has these keys and no context.
    pub fn origin(&mut self, keys: &Keys, data: &impl SharedData) -> Option<Origin> {
        keys.iter().find_map(|(kind, key)| {
            let found = self.slots.find(key, self.now, &mut self.workers, data);
            let Found { context: Some(context), is_shared, is_contradictory: false } = found else {
                return None;
            };
            let evidence = match kind.checked_sub(1) {
                None => Evidence::RequestId,
                Some(header) => Evidence::Header(self.settings.headers.get(header)?.clone()),
            };
            Some(Origin { context, is_parent: !is_shared, evidence })
        })
    }

    /// A second or so has passed.
    pub fn tick(&mut self, now: u32, data: &impl SharedData) {
        if !self.is_on() || now == self.now {
            return;
        }
        self.now = now;
        self.workers.beat(now, data);
        while let Some(oldest) = self.requests.pop_front_if(|oldest| oldest.expires <= now) {
            self.forget(&oldest, data);
        }
    }

    fn forget(&mut self, request: &InFlight, data: &impl SharedData) {
        for (_, key) in request.keys.iter() {
            self.slots.remove(key, request.number, &self.workers, data);
        }
    }

    fn max_age(&self) -> u32 {
        u32::try_from(self.settings.max_age.as_secs()).unwrap_or(u32::MAX)
    }
}
