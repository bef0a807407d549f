//! The requests in flight of this worker, whichever root context they belong to.

use super::abi;
use super::attributes;
use super::facts::OUTBOUND;
use crate::config;
use crate::correlation::{Correlation, Direction, SharedData, Ticket};
use crate::stats::Metric;
use crate::tracer::{Started, Tracer};
use std::cell::RefCell;
use std::rc::Rc;

/// Envoy's shared data.
struct Envoy;

impl SharedData for Envoy {
    fn get(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        abi::shared_data(key)
    }

    fn set(&self, key: &[u8], value: &[u8], version: u32) -> bool {
        abi::set_shared_data(key, value, version)
    }
}

#[derive(Clone)]
pub(super) struct InFlight(Rc<RefCell<Correlation>>);

thread_local! {
    static OF_THIS_WORKER: InFlight = InFlight(Rc::default());
}

impl InFlight {
    /// Those of this worker, from now on by these settings.
    pub(super) fn by(mut settings: config::Correlation) -> Self {
        let in_flight = OF_THIS_WORKER.with(Self::clone);
        // Gateways and waypoints have no application whose calls they would see.
        let node_id = attributes::text(&["xds", "node", "id"]).unwrap_or_default();
        if ["router~", "waypoint~"].iter().any(|kind| node_id.starts_with(kind)) {
            settings.mode = config::CorrelationMode::Off;
        }
        in_flight.0.borrow_mut().configure(settings, seconds(abi::now()), &Envoy);
        in_flight
    }

    pub(super) fn tick(&self, now: u64) {
        self.0.borrow_mut().tick(seconds(now), &Envoy);
    }

    /// Starts a request; a ticket if it is one that came in and may cause others.
    pub(super) fn start(
        &self,
        tracer: &mut Tracer,
        headers: &[(&[u8], &[u8])],
    ) -> (Started, Option<Ticket>) {
        let mut correlation = self.0.borrow_mut();
        let Some(keys) =
            Some(&*correlation).filter(|it| it.is_on()).and_then(|it| it.keys(headers))
        else {
            return (tracer.start(headers), None);
        };
        let authority = headers.iter().find(|(name, _)| *name == b":authority");
        let authority = authority.map(|(_, value)| *value).unwrap_or_default();
        match correlation.direction(authority, direction) {
            Direction::Outbound => {
                (tracer.start_from(headers, || correlation.origin(&keys, &Envoy)), None)
            }
            Direction::Inbound => {
                let started = tracer.start(headers);
                let full = || tracer.stats.add(Metric::CorrelationTableFull, 1);
                let ticket = correlation.arrived(keys, started.context, &Envoy, full);
                (started, ticket)
            }
        }
    }

    /// A request that came in has ended.
    pub(super) fn end(&self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            self.0.borrow_mut().ended(ticket, &Envoy);
        }
    }
}

fn direction() -> Direction {
    match attributes::number(&["xds", "listener_direction"]) {
        Some(OUTBOUND) => Direction::Outbound,
        _ => Direction::Inbound,
    }
}

fn seconds(nanoseconds: u64) -> u32 {
    u32::try_from(nanoseconds / 1_000_000_000).unwrap_or(u32::MAX)
}
