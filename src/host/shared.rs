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

/// Ticks come much more often where batches are full.
const LEAST_BETWEEN_LOOKS: u64 = 500_000_000;

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
    /// After how long a request that goes on is shown, in nanoseconds.
    visible_after: Option<u64>,
    /// When those were last looked for.
    looked: Cell<u64>,
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
            visible_after: settings.visible_after.map(|time| time.as_nanos() as u64),
            looked: Cell::new(0),
            soon: Cell::new(false),
        }
    }

    /// Whether requests that go on are shown.
    pub(super) fn shows_streams(&self) -> bool {
        self.visible_after.is_some()
    }

    /// The time and after how long requests are shown, in nanoseconds, where it is time to look for them.
    pub(super) fn look(&self) -> Option<(u64, u64)> {
        let visible_after = self.visible_after?;
        let now = abi::now();
        if now.saturating_sub(self.looked.get()) < LEAST_BETWEEN_LOOKS {
            return None;
        }
        self.looked.set(now);
        Some((now, visible_after))
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
