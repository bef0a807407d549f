//! What the requests of a root context share with it.

use super::abi;
use super::facts::{Expressions, Moments, Suspicions};
use super::in_flight::InFlight;
use crate::config::{AccessLog, Response, Settings};
use crate::tracer::Tracer;
use std::cell::{Cell, RefCell};
use std::time::Duration;

/// The tick that is asked for when a batch is full: callouts have to be made from the root
/// context, and this is the soonest that Envoy comes back to it.
const SOON: Duration = Duration::from_millis(1);

/// The tracer, and a way to call the root context.
pub(super) struct Shared {
    pub(super) tracer: RefCell<Tracer>,
    pub(super) expressions: Option<Expressions>,
    pub(super) suspicions: Option<Suspicions>,
    /// Where events are wanted.
    pub(super) moments: Option<Moments>,
    pub(super) access_log: AccessLog,
    pub(super) response: Response,
    pub(super) in_flight: InFlight,
    soon: Cell<bool>,
}

impl Shared {
    pub(super) fn new(tracer: Tracer, settings: &Settings) -> Self {
        Self {
            tracer: RefCell::new(tracer),
            expressions: Expressions::compile(),
            suspicions: settings.sampling.keep.as_ref().and_then(Suspicions::compile),
            moments: settings.events.then(Moments::compile).flatten(),
            access_log: settings.access_log,
            response: settings.response.clone(),
            in_flight: InFlight::new(settings.correlation.clone()),
            soon: Cell::new(false),
        }
    }

    /// Asks for a tick at once, so that a full batch leaves.
    pub(super) fn wake(&self) {
        if !self.soon.replace(true) {
            abi::set_tick_period(SOON);
        }
    }

    /// The tick has come: whether it was asked for. The next is `tick` away again.
    pub(super) fn woken(&self, tick: Duration) -> bool {
        let woken = self.soon.replace(false);
        if woken {
            abi::set_tick_period(tick);
        }
        woken
    }
}
