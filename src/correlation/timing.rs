//! When requests come and calls are made, which tells the one from the other where nothing else does.

use super::authority;
use super::event::{Event, What};
use super::infer::{HOST, IN_FLIGHT, Infer};
use super::keys::{digest, route};
use super::origin::{Context, Origin};
use super::rings::{MOST_TELLING, Rings};
use super::sidecar::Sidecar;
use super::sure::SourcePort;
use super::workers::Workers;
use super::{Correlation, Settings, Ticket};
use crate::stats::{Metric, Stats};
use crate::trace::{Evidence, Link};

/// Of Envoy's numbers of streams so many bits are told to other workers, below that of the worker: requests and
/// calls that are under way are never as far apart.
const STREAM: u32 = 26;

/// How often a request's connection is asked for: at first it may have none.
pub(super) const TELLINGS: u8 = 3;

/// A call under way of which it counts when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    host: u64,
    port: u16,
}

/// It is never certain, and said to be no likelier than it is.
fn thousandths(share: f32) -> u16 {
    (share * 1000.0).clamp(0.0, 999.0) as u16
}

/// A number of a stream that no other worker has.
fn number(workers: &Workers, stream: u32) -> u32 {
    let own = workers.own().unwrap_or(0);
    u32::from(own) << STREAM | stream & ((1 << STREAM) - 1)
}

impl Correlation {
    /// Whether times are watched in this worker: it is alone, or one of a few that tell each other.
    fn is_timing(&mut self, settings: &Settings, envoy: &dyn Sidecar) -> bool {
        if self.workers.is_alone() {
            return true;
        }
        self.workers.claim(self.now, settings.max_age(), envoy);
        let own = self.workers.own().filter(|own| *own < MOST_TELLING);
        let Some(own) = own.filter(|_| self.workers.known() <= MOST_TELLING) else {
            (self.rings, self.infer) = (None, None);
            return false;
        };
        let Self { rings, infer, .. } = self;
        let rings = rings.get_or_insert_with(|| {
            let now = envoy.clock() / 1000;
            if let Some(infer) = infer {
                // Streams may have had other numbers.
                infer.forget(now);
            }
            Box::new(Rings::new(own, now))
        });
        rings.age = settings.max_age_in_us();
        true
    }

    /// Something has happened: others are told, or the times of this worker are all that there is. Whether
    /// there was room.
    fn happened(&mut self, event: &Event, age: f32, envoy: &dyn Sidecar) -> bool {
        let Self { rings, infer, workers, sure, .. } = self;
        let Some(infer) = infer else { return true };
        let Some(rings) = rings else { return infer.happened(event, age, 0) };
        rings.tell(event, sure.crowd.own().requests(), envoy);
        if rings.leave(event.time) {
            rings.read(event.time, workers.look_up(envoy), false, infer, envoy);
        }
        true
    }

    /// How much is kept of what is told by times, for tests: hypotheses, requests, places for these, routes,
    /// hosts, states, connections.
    pub fn timing_sizes(&self) -> [usize; 7] {
        self.infer.as_ref().map(|infer| infer.sizes()).unwrap_or_default()
    }

    /// A request has come, of which it counts when.
    pub(super) fn time_arrival(
        &mut self,
        settings: &Settings,
        stream: u32,
        headers: &[(&[u8], &[u8])],
        context: &Context,
        stats: &mut Stats,
        envoy: &dyn Sidecar,
    ) {
        if !self.is_timing(settings, envoy) {
            return;
        }
        self.infer.get_or_insert_with(|| Box::new(Infer::new()));
        let event = Event {
            what: What::Arrived,
            time: envoy.clock() / 1000,
            stream: number(&self.workers, stream),
            digest: route(headers),
            port: 0,
            context: Some(*context),
        };
        if !self.happened(&event, settings.max_age_in_us(), envoy) {
            stats.add(Metric::CorrelationInferenceFull, 1);
        }
    }

    /// A call is made, of which it counts when: what caused it, which may be known.
    #[expect(clippy::too_many_arguments, reason = "a call is what it is")]
    pub(super) fn time_call(
        &mut self,
        settings: &Settings,
        stream: u32,
        headers: &[(&[u8], &[u8])],
        port: &SourcePort,
        known: Option<Origin>,
        ticket: &mut Option<Ticket>,
        envoy: &dyn Sidecar,
    ) -> Option<Origin> {
        // Alone it knows of all requests, and where there are none there is nothing to tell.
        if !self.is_timing(settings, envoy) || self.rings.is_none() && self.infer.is_none() {
            return known;
        }
        let time = envoy.clock() / 1000;
        self.time_homes(time, stream, envoy);
        let event = Event {
            what: What::Called,
            time,
            stream: number(&self.workers, stream),
            digest: digest(0, authority(headers)) & HOST | route(headers) & !HOST,
            port: port.of(envoy).unwrap_or(0),
            context: known.as_ref().filter(|it| it.is_parent).map(|it| it.context),
        };
        let timed = Some(Timed { host: event.digest, port: event.port });
        *ticket = Some(Ticket::Call { stream, is_watched: ticket.is_some(), timed });
        let found = self.believe(&event, known.is_none(), settings.max_age_in_us(), envoy);
        known.or_else(|| {
            let (context, share) = found?;
            let confidence = Some(thousandths(share));
            let evidence = Evidence { name: "inferred".to_owned(), confidence };
            let is_likely = share >= settings.parent_threshold as f32;
            is_likely.then_some(Origin { context, is_parent: true, evidence })
        })
    }

    /// Asks, for a call, by which connections the requests that are in flight have come, until each is known.
    fn time_homes(&mut self, time: u64, own: u32, envoy: &dyn Sidecar) {
        let Self { rings, infer: Some(infer), sure, workers, .. } = self else { return };
        if sure.flights.len() > IN_FLIGHT || !infer.wants_homes() {
            return;
        }
        for flight in sure.flights.iter_mut().filter(|it| it.untold > 0) {
            flight.port = flight.port.or_else(|| envoy.upstream_port(flight.stream, own));
            flight.untold -= 1;
            let Some(port) = flight.port else { continue };
            flight.untold = 0;
            let stream = number(workers, flight.stream);
            let event = Event { what: What::CameBy, time, stream, digest: 0, port, context: None };
            match rings {
                Some(rings) => rings.note(&event),
                None => {
                    infer.happened(&event, 0.0, 0);
                }
            }
        }
    }

    /// The request that a call is likely to belong to, if that `is_asked` for, and how likely.
    fn believe(
        &mut self,
        call: &Event,
        is_asked: bool,
        age: f32,
        envoy: &dyn Sidecar,
    ) -> Option<(Context, f32)> {
        let Self { rings, infer, workers, sure, .. } = self;
        let infer = infer.get_or_insert_with(|| Box::new(Infer::new()));
        let own = sure.crowd.own().requests();
        let in_flight = match rings {
            None => sure.crowd.seen(envoy).requests().into(),
            Some(rings) if is_asked && rings.in_flight(own) <= IN_FLIGHT => {
                rings.read(call.time, workers.look_up(envoy), false, infer, envoy);
                // In its turn, which is now.
                rings.tell(call, own, envoy);
                rings.in_flight(own)
            }
            _ => {
                self.happened(call, age, envoy);
                return None;
            }
        };
        infer.call(call, age, in_flight, true)
    }

    /// The request, of a trace that is recorded, that most likely caused a call, Envoy's stream of this number,
    /// which has been answered.
    pub fn link(&mut self, settings: &Settings, stream: u32, envoy: &dyn Sidecar) -> Option<Link> {
        let stream = number(&self.workers, stream);
        let (context, share) = self.infer.as_mut()?.look(envoy.clock() / 1000, stream)?;
        let is_likely = share >= settings.link_threshold as f32 && context.decision.is_sampled();
        let Context { trace_id, span_id, .. } = context;
        let confidence = Some(thousandths(share));
        is_likely.then_some(Link { trace_id, span_id, confidence })
    }

    /// A call has been answered.
    pub(super) fn time_answer(&mut self, stream: u32, call: Timed, envoy: &dyn Sidecar) {
        if self.infer.is_some() {
            let what = if envoy.is_refused() { What::Refused } else { What::Answered };
            self.time_rest(what, stream, call, envoy);
        }
    }

    /// The response of a request is over.
    pub(super) fn time_end(&mut self, stream: u32, envoy: &dyn Sidecar) {
        self.time_rest(What::Responded, stream, Timed { host: 0, port: 0 }, envoy);
    }

    fn time_rest(&mut self, what: What, stream: u32, call: Timed, envoy: &dyn Sidecar) {
        if self.infer.is_some() {
            let Timed { host: digest, port } = call;
            let (time, stream) = (envoy.clock() / 1000, number(&self.workers, stream));
            let event = Event { what, time, stream, digest, port, context: None };
            self.happened(&event, 0.0, envoy);
        }
    }

    /// A second or so has passed.
    pub(super) fn time_tick(&mut self, stats: &mut Stats, envoy: &dyn Sidecar) {
        let Self { rings, infer, workers, sure, .. } = self;
        let Some(infer) = infer else { return };
        stats.add(Metric::CorrelationInferenceFull, infer.take_full().into());
        let Some(its) = &mut *rings else { return };
        let now = envoy.clock() / 1000;
        its.beat(now, sure.crowd.own().requests(), envoy);
        its.read(now, workers.look_up(envoy), true, infer, envoy);
        stats.add(Metric::CorrelationInferenceFull, core::mem::take(&mut its.full).into());
        stats.add(Metric::CorrelationInferenceMissed, core::mem::take(&mut its.missed).into());
        if workers.is_alone() {
            *rings = None;
        }
    }
}
