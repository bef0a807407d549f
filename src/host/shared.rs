//! What the requests of a root context share with it.

use super::abi;
use super::facts::Expressions;
use super::in_flight::InFlight;
use crate::config::AccessLog;
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
    pub(super) access_log: AccessLog,
    pub(super) in_flight: InFlight,
    soon: Cell<bool>,
}

impl Shared {
    pub(super) fn new(tracer: Tracer, access_log: AccessLog, in_flight: InFlight) -> Self {
        let (expressions, soon) = (Expressions::compile(), Cell::new(false));
        Self { tracer: RefCell::new(tracer), expressions, access_log, in_flight, soon }
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
