//! When requests come and calls are made, which tells the one from the other where nothing else does.

use super::authority;
use super::infer::Infer;
use super::keys::{digest, route};
use super::origin::{Context, Origin};
use super::sidecar::Sidecar;
use super::sure::SourcePort;
use super::{Correlation, Settings, Ticket};
use crate::stats::{Metric, Stats};
use crate::trace::Evidence;

impl Correlation {
    /// Whether times are watched in this worker. Workers share nothing of them, so that only one that is
    /// alone sees what there is.
    pub(super) fn is_inferring(&mut self) -> bool {
        if !self.workers.is_alone() {
            self.infer = None;
        }
        self.infer.is_some()
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
        if !self.workers.is_alone() {
            return;
        }
        let infer = self.infer.get_or_insert_with(|| Box::new(Infer::new()));
        let (now, route) = (envoy.clock() / 1000, route(headers));
        if !infer.arrived(now, settings.max_age_in_us(), stream, route, *context) {
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
        let in_flight = self.sure.crowd.seen(envoy).requests().into();
        let Some(infer) = &mut self.infer else { return known };
        let now = envoy.clock() / 1000;
        let host = digest(0, authority(headers));
        let port = port.of(envoy).unwrap_or(0);
        let context = known.as_ref().filter(|it| it.is_parent).map(|it| it.context);
        let age = settings.max_age_in_us();
        let Some((timed, found)) =
            infer.call(now, age, stream, host, port, in_flight, context.as_ref())
        else {
            return known;
        };
        let is_watched = ticket.is_some();
        *ticket = Some(Ticket::Call { stream, is_watched, timed: Some(timed) });
        known.or_else(|| {
            let (context, share) = found?;
            // It is never certain, and said to be no likelier than it is.
            let confidence = Some((share * 1000.0).clamp(0.0, 999.0) as u16);
            let evidence = Evidence { name: "inferred".to_owned(), confidence };
            let is_likely = share >= settings.parent_threshold as f32;
            is_likely.then_some(Origin { context, is_parent: true, evidence })
        })
    }
}
