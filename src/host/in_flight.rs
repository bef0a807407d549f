//! The requests in flight of this worker, whichever root context they belong to.

use super::abi;
use super::attributes::bytes;
use super::facts::{INBOUND, OUTBOUND, number};
use super::surroundings::Envoy;
use crate::config::{Correlation as Settings, CorrelationMode};
use crate::correlation::{Context, Correlation, Direction, Ticket};
use crate::stats::Stats;
use crate::tracer::{Started, Tracer};
use std::cell::RefCell;
use std::rc::Rc;

/// They stay while root contexts come and go.
pub(super) struct InFlight {
    requests: Rc<RefCell<Correlation>>,
    settings: Settings,
}

thread_local! {
    static OF_THIS_WORKER: Rc<RefCell<Correlation>> = Rc::new(RefCell::new(Correlation::NEW));
}

impl InFlight {
    /// For a root context with these settings.
    pub(super) fn new(settings: Settings) -> Self {
        let requests = OF_THIS_WORKER.with(Rc::clone);
        if settings.is_on() {
            requests.borrow_mut().begin(seconds(abi::now()), &Envoy);
        }
        Self { requests, settings }
    }

    /// A second or so has passed.
    pub(super) fn tick(&self, now: u64, stats: &mut Stats) {
        if self.settings.is_on() {
            self.requests.borrow_mut().tick(seconds(now), stats, &Envoy);
        }
    }

    /// The root context may have no more ticks.
    pub(super) fn leave(&self) {
        if self.settings.is_on() {
            self.requests.borrow_mut().leave(&Envoy);
        }
    }

    /// Starts a request, Envoy's stream of this number, which gets a ticket if its end is of interest.
    pub(super) fn start(
        &self,
        tracer: &mut Tracer,
        stream: u32,
        headers: &[(&[u8], &[u8])],
        ticket: &mut Option<Ticket>,
    ) -> Started {
        let settings = &self.settings;
        if !settings.is_on() {
            return tracer.start(headers, &Envoy);
        }
        let mut requests = self.requests.borrow_mut();
        let direction = requests.direction(headers, &direction);
        let mut origin = || match direction {
            Direction::Outbound => requests.origin(settings, stream, headers, ticket, &Envoy),
            _ => None,
        };
        let started = tracer.start_from(headers, &Envoy, &mut origin);
        if direction == Direction::Inbound {
            let context = Context::of(&started.context, started.decision, started.threshold);
            *ticket =
                requests.arrived(settings, stream, headers, &context, &mut tracer.stats, &Envoy);
        }
        started
    }

    /// Looks for what caused the calls that ended a second ago, of at most so many. Their spans wait for that.
    pub(super) fn link(&self, tracer: &mut Tracer, now: u64, most: usize) {
        if self.settings.mode == CorrelationMode::Infer {
            let mut requests = self.requests.borrow_mut();
            let mut find = |call| requests.link(&self.settings, call, &Envoy);
            let Tracer { exporter, stats, .. } = tracer;
            exporter.link(now, most, &mut find, stats);
        }
    }

    /// A request has ended.
    pub(super) fn end(&self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            self.requests.borrow_mut().ended(ticket, &Envoy);
        }
    }
}

fn direction() -> Direction {
    match bytes(&["xds", "listener_direction"]).and_then(|value| number(&value)) {
        Some(INBOUND) => Direction::Inbound,
        Some(OUTBOUND) => Direction::Outbound,
        _ => Direction::Unknown,
    }
}

fn seconds(nanoseconds: u64) -> u32 {
    u32::try_from(nanoseconds / 1_000_000_000).unwrap_or(u32::MAX)
}
