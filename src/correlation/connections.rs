//! Which connections of the application belong to which of the sidecar's connections towards it.
//!
//! A server with a thread for each connection calls others over connections that the thread keeps. Then
//! a call by such a connection belongs to the request that came by the thread's own. Nothing says
//! so: it has to show. Each call is watched from its beginning to its end, and what it could belong to
//! is what came by a connection whose request was in flight throughout. Where the calls of a
//! connection leave one, and chance would hardly have left it, the two are bound, until a call
//! contradicts that.
//!
//! Pools, Envoy's among them, hand out what was used last, so that at low load one pair of
//! connections has all calls, one after the other, and that says nothing. A call counts only if its
//! connection has been away meanwhile: if others called while nothing that came by it was in flight.

use super::flights::Flights;

/// The most connections of either side that are remembered, and calls that are watched at a time.
const MOST: usize = 256;
const MOST_WATCHED: usize = 64;

/// The most requests in flight among which a call's is looked for.
const MOST_CANDIDATES: usize = 64;

/// How likely chance may have left what is bound.
const MOST_CHANCE: f32 = 1e-4;

/// No single request makes it less likely than by this.
const LEAST_SHARE: f32 = 0.25;

/// A connection that has been contradicted so often is not looked at any more.
const MOST_CONTRADICTIONS: u8 = 3;

/// So many calls are watched before it is judged whether that is worth its price; then, where no
/// connection is bound, one of so many.
const TRIAL: u32 = 3_000;
const INTERVAL: u32 = 32;

/// How many classes there are of how many requests were in flight.
const CLASSES: usize = 24;
type Classes = [u32; CLASSES];

/// A connection towards the application that a call may belong to.
#[derive(Debug)]
struct Candidate {
    port: u16,
    /// The latest request that came by it and counted.
    stream: u32,
    /// When one of these last counted, in calls that were watched.
    counted: u32,
    /// How likely it is that chance left it.
    chance: f32,
}

/// A connection of the application.
#[derive(Debug)]
struct Bond {
    source: u16,
    candidates: Vec<Candidate>,
    /// Calls that were watched.
    calls: Classes,
    contradictions: u8,
    /// When it was last used, in calls.
    used: u32,
}

/// How often a connection towards the application had a request in flight throughout a call.
#[derive(Debug)]
struct Use {
    port: u16,
    calls: Classes,
    used: u32,
    /// The latest call throughout which it had no request in flight.
    away: u32,
}

/// A call that is under way, and what it may belong to.
#[derive(Debug)]
struct Watched {
    stream: u32,
    source: u16,
    candidates: Vec<(u16, u32)>,
}

#[derive(Debug)]
pub(super) struct Connections {
    bonds: Vec<Bond>,
    uses: Vec<Use>,
    watched: Vec<Watched>,
    calls: Classes,
    /// Calls so far, and those that were watched.
    seen: u32,
    number: u32,
    /// Calls that were not watched, or among too many requests, and connections that were forgotten.
    pub(super) full: u32,
}

impl Bond {
    fn bound(&self) -> Option<&Candidate> {
        let [candidate] = &self.candidates[..] else { return None };
        (candidate.chance <= MOST_CHANCE).then_some(candidate)
    }

    fn contradict(&mut self) {
        self.contradictions += 1;
        self.candidates.clear();
        self.calls = Classes::default();
    }
}

fn class(requests: usize) -> usize {
    requests.min(CLASSES - 1)
}

fn count(classes: &Classes, class: usize) -> u32 {
    classes.get(class).copied().unwrap_or(0)
}

fn add(classes: &mut Classes, class: usize) {
    if let Some(count) = classes.get_mut(class) {
        *count = count.saturating_add(1);
    }
}

impl Connections {
    pub(super) const UNKNOWN: Self = Self {
        bonds: Vec::new(),
        uses: Vec::new(),
        watched: Vec::new(),
        calls: [0; CLASSES],
        seen: 0,
        number: 0,
        full: 0,
    };

    /// Whether the ports of the next call are worth asking for. `is_recorded`: that it may be.
    pub(super) fn is_worth(&mut self, is_recorded: bool) -> bool {
        self.seen = self.seen.wrapping_add(1);
        let is_promising =
            self.number < TRIAL || self.bonds.iter().any(|bond| bond.bound().is_some());
        (is_recorded && is_promising) || self.seen.is_multiple_of(INTERVAL)
    }

    /// A call begins from this port while these are in flight: the request that it belongs to.
    pub(super) fn call(&mut self, stream: u32, source: u16, flights: &Flights) -> Option<u32> {
        let mut candidates = Vec::new();
        for flight in flights.iter().take(MOST_CANDIDATES + 1) {
            // What is not connected yet has not reached the application.
            candidates.extend(flight.port.map(|port| (port, flight.stream)));
        }
        let mut found = None;
        if let Some(bond) = self.bonds.iter_mut().find(|bond| bond.source == source)
            && let Some(port) = bond.bound().map(|bound| bound.port)
        {
            let mut own = candidates.iter().filter(|(candidate, _)| *candidate == port);
            match (own.next(), own.next()) {
                (Some((_, stream)), None) => found = Some(*stream),
                // Several by one connection, as with HTTP/2.
                (Some(_), Some(_)) => {}
                (None, _) => bond.contradict(),
            }
        }
        if candidates.len() <= MOST_CANDIDATES && self.watched.len() < MOST_WATCHED {
            self.watched.push(Watched { stream, source, candidates });
        } else {
            self.full += 1;
        }
        found
    }

    /// Whether the end of this call is waited for.
    pub(super) fn watches(&self, stream: u32) -> bool {
        self.watched.last().is_some_and(|watched| watched.stream == stream)
    }

    /// A call has ended while these are in flight.
    pub(super) fn ended(&mut self, stream: u32, flights: &Flights) {
        let Some(place) = self.watched.iter().position(|watched| watched.stream == stream) else {
            return;
        };
        let Watched { source, mut candidates, .. } = self.watched.swap_remove(place);
        candidates.retain(|(_, stream)| flights.get(*stream).is_some());
        self.number = self.number.saturating_add(1);
        let class = class(candidates.len());
        add(&mut self.calls, class);
        for it in &mut self.uses {
            if !candidates.iter().any(|(port, _)| *port == it.port) {
                it.away = self.number;
            }
        }
        for (port, _) in &candidates {
            self.used(*port, class);
        }
        self.narrow(source, &candidates, class);
    }

    fn used(&mut self, port: u16, class: usize) {
        let used = self.number;
        let place = self.uses.iter().position(|it| it.port == port).unwrap_or_else(|| {
            self.full += make_room(&mut self.uses, |it| it.used);
            self.uses.push(Use { port, calls: Classes::default(), used, away: 0 });
            self.uses.len() - 1
        });
        if let Some(it) = self.uses.get_mut(place) {
            it.used = used;
            add(&mut it.calls, class);
        }
    }

    /// A call by this connection may belong to these.
    fn narrow(&mut self, source: u16, spanning: &[(u16, u32)], class: usize) {
        let used = self.number;
        let place = self.bonds.iter().position(|it| it.source == source).unwrap_or_else(|| {
            self.full += make_room(&mut self.bonds, |it| it.used);
            let (candidates, calls) = (Vec::new(), Classes::default());
            self.bonds.push(Bond { source, candidates, calls, contradictions: 0, used });
            self.bonds.len() - 1
        });
        let Some(bond) = self.bonds.get_mut(place) else { return };
        bond.used = used;
        if bond.contradictions >= MOST_CONTRADICTIONS {
            return;
        }
        let all = count(&self.calls, class).saturating_sub(count(&bond.calls, class) + 1);
        let is_first = bond.calls == Classes::default();
        add(&mut bond.calls, class);
        if is_first {
            let candidate = |(port, stream): &(u16, u32)| Candidate {
                port: *port,
                stream: *stream,
                counted: used,
                chance: 1.0,
            };
            bond.candidates = spanning.iter().map(candidate).collect();
            return;
        }
        bond.candidates.retain_mut(|candidate| {
            let mut own = spanning.iter().filter(|(port, _)| *port == candidate.port);
            let Some((_, stream)) = own.next() else { return false };
            let uses = self.uses.iter().find(|it| it.port == candidate.port);
            if let Some(uses) = uses.filter(|uses| uses.away > candidate.counted)
                && *stream != candidate.stream
            {
                (candidate.stream, candidate.counted) = (*stream, used);
                // What calls by other connections show of how often this one is among those in flight.
                let of_others = count(&uses.calls, class).saturating_sub(count(&bond.calls, class));
                let share = (of_others + 1) as f32 / (all.max(of_others) + 1) as f32;
                candidate.chance *= share.max(LEAST_SHARE);
            }
            true
        });
        if bond.candidates.is_empty() {
            bond.contradict();
        }
    }
}

/// Forgets what was not used for the longest time, if there is no room for one more; how much that is.
fn make_room<T>(all: &mut Vec<T>, used: impl Fn(&T) -> u32) -> u32 {
    if all.len() >= MOST
        && let Some(oldest) = (0..all.len()).min_by_key(|place| all.get(*place).map(&used))
    {
        all.swap_remove(oldest);
        return 1;
    }
    0
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
