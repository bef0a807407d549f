//! The root context: one for each worker and configuration. It owns the tracer, and sends what the
//! tracer's exporter has ready.

use super::abi::{self, Buffer, Level, Map};
use super::callout::call;
use super::compression;
use super::configuration::{self, InForce};
use super::metrics::Metrics;
use super::remote::Asking;
use super::shared::Shared;
use super::wasi;
use crate::attributes::Resource;
use crate::config::{Collector, Compression, CorrelationMode, Protocol, Settings, quoted};
use crate::export::{Answer, Exporter, GZIP, Meaning, Reply};
use crate::sampling::remote::Remote;
use crate::stats::{LogLimit, Metric};
use crate::tracer::Tracer;
use std::rc::Rc;
use std::time::Duration;

/// How often counters are told to Envoy and the queue is looked after, at the least.
const LONGEST_TICK: Duration = Duration::from_secs(1);

/// How many calls a tick looks at for the first time at the most, and as many for the second.
const MOST_LOOKS: usize = 4;

/// What becomes of spans that can be sent again.
const WAIT: &str = "they wait";

#[derive(Default)]
pub(super) struct Root {
    running: Option<Running>,
}

struct Running {
    shared: Rc<Shared>,
    metrics: Metrics,
    collector: Collector,
    asking: Option<Asking>,
    tick: Duration,
    failure_log: LogLimit,
    unsent_log: LogLimit,
    remark_log: LogLimit,
    /// Envoy has ended this configuration; what waits is still delivered.
    draining: bool,
}

/// Whether a root context that was to end has sent what it had.
#[derive(PartialEq, Eq)]
pub(super) enum Ended {
    Yes,
    No,
}

impl Root {
    /// What requests share with it; nothing before it is configured.
    pub(super) fn shared(&self) -> Option<Rc<Shared>> {
        self.running.as_ref().map(|running| Rc::clone(&running.shared))
    }

    /// Whether the configuration of so many bytes is one to go on with.
    pub(super) fn configure(&mut self, size: usize) -> bool {
        // A root context belongs to one configuration. Envoy configures it once more for each
        // listener that shares it, and a new tracer would lose what waits in the old one.
        if self.running.is_some() {
            return true;
        }
        let plugin = abi::buffer(Buffer::PluginConfiguration, size).unwrap_or_default();
        let Some(in_force) = configuration::read(&plugin) else {
            return false;
        };
        self.running = Some(Running::new(in_force));
        true
    }

    pub(super) fn tick(&mut self) -> Ended {
        self.running.as_mut().map_or(Ended::No, Running::tick)
    }

    /// The call with this token has been answered.
    pub(super) fn answered(
        &mut self,
        token: u32,
        has_headers: bool,
        body: usize,
        has_trailers: bool,
    ) -> Ended {
        let Some(running) = &mut self.running else { return Ended::No };
        let asking = running.asking.as_mut().filter(|asking| asking.waits_for(token));
        let most = if asking.is_some() { Remote::MAX_BODY } else { Reply::MAX_BODY };
        let reply = reply(has_headers, body.min(most), has_trailers);
        match asking {
            Some(asking) => {
                asking.answered(&reply, &mut running.shared.tracer.borrow_mut());
                running.ended()
            }
            None => {
                if body > most {
                    let mut tracer = running.shared.tracer.borrow_mut();
                    tracer.stats.add(Metric::AnswersCut, 1);
                }
                running.answered(token, reply)
            }
        }
    }

    /// The configuration ends; whether nothing is left to deliver. If something is, [`Ended`] says
    /// so later.
    pub(super) fn drain(&mut self) -> bool {
        self.running.as_mut().is_none_or(Running::drain)
    }
}

impl Running {
    fn new(InForce { mut settings, plugin_is_valid }: InForce) -> Self {
        let metrics = Metrics::define();
        metrics.set(Metric::ConfigurationInvalid, u64::from(!plugin_is_valid));
        let tick = settings.batch.interval.min(LONGEST_TICK);
        abi::set_tick_period(tick);
        settings.collector.compression = compression::possible(&settings.collector);
        let resource = configuration::resource(&settings);
        let server = settings.sampling.remote.clone();
        let asking = server.map(|server| Asking::new(server, &resource.service_name));
        let tracer = tracer(&settings, resource);
        // Gateways and waypoints have no application whose calls they would see.
        if tracer.is_alone() {
            settings.correlation.mode = CorrelationMode::Off;
        }
        let shared = Shared::new(tracer, &settings);
        Self {
            shared: Rc::new(shared),
            metrics,
            collector: settings.collector,
            asking,
            tick,
            failure_log: LogLimit::default(),
            unsent_log: LogLimit::default(),
            remark_log: LogLimit::default(),
            draining: false,
        }
    }

    fn tick(&mut self) -> Ended {
        // An early tick is for what is full; the rest has its own.
        let ahead = if self.shared.woken(self.tick) { Duration::ZERO } else { self.tick };
        self.send(ahead);
        if let Some(asking) = self.asking.as_mut().filter(|_| !self.draining) {
            asking.ask(abi::now(), &mut self.shared.tracer.borrow_mut());
        }
        self.ended()
    }

    /// Sends every batch that is full or whose interval ends within `ahead`.
    fn send(&mut self, ahead: Duration) {
        let mut tracer = self.shared.tracer.borrow_mut();
        tracer.count();
        let now = abi::now();
        self.shared.in_flight.link(&mut tracer, now, MOST_LOOKS);
        let Tracer { exporter, stats, .. } = &mut *tracer;
        self.shared.in_flight.tick(now, stats);
        if self.draining {
            self.shared.in_flight.leave();
        }
        exporter.give_up(now, stats);
        let horizon = now.saturating_add(nanoseconds(ahead));
        while let Some((batch, body)) = exporter.next_batch(now, horizon) {
            match self.collector.call(exporter, &body) {
                Ok(token) => exporter.sent(token, batch, now, stats),
                Err(reason) => {
                    exporter.unsent(batch, now, stats);
                    log_failure(&mut self.unsent_log, &self.collector, reason, WAIT, now);
                }
            }
        }
        self.metrics.tell(stats);
    }

    fn answered(&mut self, token: u32, reply: Reply) -> Ended {
        let now = abi::now();
        let Meaning { answer, words } = reply.meaning(self.collector.protocol, now);
        let consequence = match answer {
            Answer::Accepted { rejected } => {
                if rejected > 0 || !words.is_empty() {
                    log_remark(&mut self.remark_log, &self.collector, rejected, &words, now);
                }
                None
            }
            Answer::Rejected => Some("they are dropped"),
            Answer::TooLarge => Some("they are sent in halves, and one alone is dropped"),
            Answer::Later { .. } => Some(WAIT),
        };
        if let Some(consequence) = consequence {
            log_failure(&mut self.failure_log, &self.collector, &words, consequence, now);
        }
        {
            let mut tracer = self.shared.tracer.borrow_mut();
            let Tracer { exporter, stats, .. } = &mut *tracer;
            exporter.answered(token, answer, now, stats);
        }
        // What is not full can wait for the tick; else each answer would take the few spans along
        // that have come since.
        self.send(Duration::ZERO);
        self.ended()
    }

    fn drain(&mut self) -> bool {
        self.draining = true;
        self.shared.tracer.borrow_mut().exporter.flush(abi::now());
        self.send(self.tick);
        self.shared.tracer.borrow().exporter.is_empty()
    }

    fn ended(&self) -> Ended {
        match self.draining && self.shared.tracer.borrow().exporter.is_empty() {
            true => Ended::Yes,
            false => Ended::No,
        }
    }
}

fn tracer(settings: &Settings, resource: Resource) -> Tracer {
    let seed = wasi::random().unwrap_or_else(|| {
        abi::log(Level::Error, "meshspan: Envoy gives no entropy; trace ids may repeat");
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&abi::now().to_le_bytes());
        seed
    });
    let tracer = Tracer::new(settings, resource, seed, wasi::variable);
    if tracer.lacks_key() {
        let line = "meshspan: no key for tags of mode hash, which are left out: neither hashKey nor \
                    MESHSPAN_HASH_KEY in the environment of the VM";
        abi::log(Level::Warn, line);
    }
    tracer
}

impl Collector {
    /// Sends a body to the collector; the token of the call, or why it could not be made.
    fn call(&self, exporter: &Exporter, body: &[u8]) -> Result<u32, &'static str> {
        let mut headers = vec![
            (":method", "POST"),
            (":path", self.path.as_str()),
            (":authority", self.authority.as_str()),
            ("content-type", exporter.content_type()),
        ];
        if self.protocol == Protocol::Grpc {
            headers.push(("te", "trailers"));
        }
        let compressed = match self.compression {
            Compression::Gzip => compression::gzip(body),
            Compression::None => None,
        };
        headers.extend(compressed.as_ref().map(|_| ("content-encoding", GZIP)));
        let body = compressed.as_deref().unwrap_or(body);
        call(&self.cluster, &headers, &self.headers, body, self.timeout)
    }
}

#[inline(never)]
pub(super) fn status_code(header: &[u8]) -> Option<u16> {
    core::str::from_utf8(header).ok()?.parse().ok()
}

/// The reply that Envoy is showing, so many bytes of its body. One that broke off has no headers.
fn reply(has_headers: bool, body: usize, has_trailers: bool) -> Reply {
    let header = |name| has_headers.then(|| abi::header(Map::CallResponseHeaders, name)).flatten();
    let trailer =
        |name| has_trailers.then(|| abi::header(Map::CallResponseTrailers, name)).flatten();
    let either = |name| trailer(name).or_else(|| header(name));
    let body = (body > 0).then(|| abi::buffer(Buffer::CallResponseBody, body));
    Reply {
        status: header(":status").as_deref().and_then(status_code),
        retry_after: header("retry-after"),
        grpc_status: either("grpc-status"),
        grpc_message: either("grpc-message"),
        grpc_status_details: either("grpc-status-details-bin"),
        body: body.flatten().unwrap_or_default(),
    }
}

fn log_failure(
    limit: &mut LogLimit,
    collector: &Collector,
    reason: &str,
    consequence: &str,
    now: u64,
) {
    if let Some(held_back) = limit.permit(now) {
        abi::log(
            Level::Warn,
            &format!(
                "meshspan: spans could not be sent to cluster {}: {reason}; {consequence} \
             ({held_back} like this not logged)",
                quoted(&collector.cluster)
            ),
        );
    }
}

fn log_remark(limit: &mut LogLimit, collector: &Collector, rejected: usize, words: &str, now: u64) {
    if let Some(held_back) = limit.permit(now) {
        abi::log(
            Level::Warn,
            &format!(
                "meshspan: cluster {} took a batch and rejected {rejected} of its spans: {} \
             ({held_back} like this not logged)",
                quoted(&collector.cluster),
                quoted(words)
            ),
        );
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
