//! Asking a server of Jaeger's remote sampling.

use super::abi::{self, Level};
use super::callout::call;
use super::wasi;
use crate::config::{RemoteSampling, quoted};
use crate::export::Reply;
use crate::sampling::remote::{Remote, question};
use crate::stats::{LogLimit, Metric};
use crate::tracer::Tracer;

/// For pauses, which are all alike where Envoy has no entropy.
fn random() -> u16 {
    wasi::random().map_or(0, u16::from_le_bytes)
}

/// A server that one root context asks.
pub(super) struct Asking {
    server: RemoteSampling,
    /// The `:path` that asks for this service.
    question: String,
    remote: Remote,
    log: LogLimit,
}

impl Asking {
    /// Nobody has been asked yet.
    pub(super) fn new(server: RemoteSampling, service: &str) -> Self {
        let question = question(&server.path, service);
        let remote = Remote::new(server.interval);
        Self { server, question, remote, log: LogLimit::default() }
    }

    /// Asks, if it is time.
    pub(super) fn ask(&mut self, now: u64, tracer: &mut Tracer) {
        if !self.remote.is_due(now) {
            return;
        }
        let RemoteSampling { cluster, authority, headers, .. } = &self.server;
        let own = [(":method", "GET"), (":path", &*self.question), (":authority", authority)];
        let token = call(cluster, &own, headers, &[], self.remote.timeout());
        self.remote.asked(token.ok(), now, random());
        match token {
            Ok(_) => tracer.stats.add(Metric::RemoteSamplingRequests, 1),
            Err(reason) => self.failed(reason, now, tracer),
        }
    }

    /// Whether it is the answer to this call that it waits for.
    pub(super) fn waits_for(&self, token: u32) -> bool {
        self.remote.waits_for(token)
    }

    /// This is the answer that it waits for.
    pub(super) fn answered(&mut self, reply: &Reply, tracer: &mut Tracer) {
        let now = abi::now();
        match self.remote.answered(reply.status, &reply.body, now, random()) {
            Ok(strategy) => tracer.follow(strategy),
            Err(reason) => self.failed(&reason, now, tracer),
        }
    }

    fn failed(&mut self, reason: &str, now: u64, tracer: &mut Tracer) {
        tracer.stats.add(Metric::RemoteSamplingFailures, 1);
        let Some(held_back) = self.log.permit(now) else { return };
        let in_force = match self.remote.has_answered() {
            true => "its last answer stays in force",
            false => "sampling.percent is in force",
        };
        let line = format!(
            "meshspan: no strategy from cluster {}: {reason}; {in_force} \
             ({held_back} like this not logged)",
            quoted(&self.server.cluster)
        );
        abi::log(Level::Warn, &line);
    }
}
