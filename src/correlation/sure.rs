//! What can be proven of calls that forward nothing at all: which connection belongs to which, and that a
//! request in flight is the only one.

use super::connections::Connections;
use super::crowd::{Crowd, Seen};
use super::flights::{Flight, Flights, MOST_FLIGHTS};
use super::origin::Context;
use super::quiet::Quiet;
use super::sidecar::Sidecar;
use core::cell::OnceCell;

/// The place of a request that other workers cannot find.
pub(super) const NOWHERE: u32 = 0x1_0000;

/// The application's own port of a call, which Envoy is asked for once at most: 12,000 instructions.
#[derive(Default)]
pub(super) struct SourcePort(OnceCell<Option<u16>>);

impl SourcePort {
    pub(super) fn of(&self, envoy: &dyn Sidecar) -> Option<u16> {
        *self.0.get_or_init(|| envoy.source_port())
    }
}

/// What is in flight, and what has been learnt of the pod.
#[derive(Debug)]
pub(super) struct Sure {
    pub(super) crowd: Crowd,
    pub(super) flights: Flights,
    quiet: Quiet,
    connections: Connections,
    /// Requests for which there was no room.
    full: u32,
}

/// What a call belongs to.
pub(super) enum Found {
    /// By its connection.
    Connection(Context),
    /// The only one in flight, which is this worker's or at this place.
    Single(Result<Context, u32>),
}

impl Sure {
    pub(super) const NOTHING: Self = Self {
        crowd: Crowd::EMPTY,
        flights: Flights::NONE,
        quiet: Quiet::UNKNOWN,
        connections: Connections::UNKNOWN,
        full: 0,
    };

    /// A request has come; it is kept in mind if there is room. Whether there was.
    pub(super) fn arrived(&mut self, flight: Flight, most: usize, envoy: &dyn Sidecar) -> bool {
        let place = flight.place;
        self.watch(envoy, |before| before.and_one(place));
        self.crowd.enter(place, envoy);
        let has_room = self.flights.len() < most.min(MOST_FLIGHTS);
        if has_room {
            self.flights.push(flight);
        } else {
            self.full += 1;
        }
        has_room
    }

    /// One has ended, or lasted too long: if it was kept in mind.
    pub(super) fn ended(&mut self, stream: u32, envoy: &dyn Sidecar) {
        if let Some(flight) = self.flights.remove(stream) {
            self.left(flight.place, envoy);
        }
    }

    /// One of this place has ended.
    pub(super) fn left(&mut self, place: u32, envoy: &dyn Sidecar) {
        self.watch(envoy, |before| before.but_one(place));
        self.crowd.leave(place, envoy);
    }

    /// Something happens, which makes of what is in flight what `after` says.
    fn watch(&mut self, envoy: &dyn Sidecar, after: impl Fn(Seen) -> Seen) {
        if self.quiet.is_watching() && !self.crowd.is_shared() && self.flights.len() < 3 {
            let before = self.crowd.seen(envoy);
            self.quiet.watch(envoy.clock(), before, after(before));
        }
    }

    /// A call to a host is made at this second.
    pub(super) fn call(
        &mut self,
        stream: u32,
        host: u64,
        now: u32,
        port: &SourcePort,
        envoy: &dyn Sidecar,
    ) -> Option<Found> {
        let mut seen = Seen::NOTHING;
        // What is more than one here is so in the whole pod.
        let is_single = self.flights.len() < 2
            && self.quiet.call(host, now, || {
                seen = self.crowd.seen(envoy);
                seen.requests()
            })
            && seen.requests() == 1;
        if let Some(own) = self.connection(stream, port, envoy)
            && let Some(flight) = self.flights.get(own)
        {
            return Some(Found::Connection(flight.context));
        }
        if !is_single {
            return None;
        }
        let mut own = self.flights.iter();
        match (own.next(), own.next()) {
            (Some(flight), None) => Some(Found::Single(Ok(flight.context))),
            (None, _) => Some(Found::Single(Err(seen.place()))),
            _ => None,
        }
    }

    /// The request by whose connection a call was made.
    fn connection(&mut self, stream: u32, port: &SourcePort, envoy: &dyn Sidecar) -> Option<u32> {
        let is_recorded = self.flights.iter().any(|it| it.context.decision.is_sampled());
        if self.flights.len() == 0 || !self.connections.is_worth(is_recorded) {
            return None;
        }
        let source = port.of(envoy)?;
        for flight in self.flights.iter_mut().filter(|flight| flight.port.is_none()) {
            flight.port = envoy.upstream_port(flight.stream, stream);
        }
        self.connections.call(stream, source, &self.flights)
    }

    /// Whether the end of a call is waited for.
    pub(super) fn watches(&self, stream: u32) -> bool {
        self.connections.watches(stream)
    }

    /// A call has ended.
    pub(super) fn call_ended(&mut self, stream: u32) {
        self.connections.ended(stream, &self.flights);
    }

    /// Whether it has to be known what is in flight in the pod.
    pub(super) fn asks(&self) -> bool {
        self.quiet.is_watching()
    }

    /// It is this second, so many after the latest.
    pub(super) fn tick(&mut self, now: u32, seconds: u32, envoy: &dyn Sidecar) {
        if self.crowd.is_shared() && self.quiet.is_watching() {
            // Others' events are not told.
            self.quiet.sample(self.crowd.seen(envoy), seconds);
        }
        self.quiet.tick(now);
        for flight in self.flights.take_expired(now) {
            self.left(flight.place, envoy);
        }
    }

    /// How often there was no room for what might have been evidence, since this was last asked.
    pub(super) fn take_full(&mut self) -> u32 {
        let parts = [&mut self.full, &mut self.quiet.full, &mut self.connections.full];
        parts.map(core::mem::take).iter().sum()
    }
}
