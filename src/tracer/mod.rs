//! A request's life, without Envoy: headers come in and are changed, and at its end facts become
//! a span in the queue. Tests drive it natively, the module drives it in Envoy.

use crate::attributes::{
    Caps, CustomTags, Facts, Naming, Recording, Resource, Service, ServiceNames,
};
use crate::config::{Protocol, Settings};
use crate::correlation::{Context, Origin};
use crate::export::{Encoder, Exporter, Grpc, Otlp, Zipkin};
use crate::propagation::{Edit, Extracted, Incoming, Propagator};
use crate::sampling::Sampler;
use crate::stats::{Metric, Stats};
use crate::trace::{Decision, IdGenerator, TraceContext, TraceFlags};

/// Everything that the requests of one worker and configuration share.
pub struct Tracer {
    propagator: Propagator,
    sampler: Sampler,
    ids: IdGenerator,
    tags: CustomTags,
    caps: Caps,
    resource: Resource,
    names: ServiceNames,
    /// Finished spans on their way to the collector.
    pub exporter: Exporter,
    /// What has been counted and not told yet.
    pub stats: Stats,
}

/// The start of a request: how its headers change, and what is kept if it is sampled.
#[derive(Debug)]
pub struct Started {
    /// Changes to the request's headers.
    pub edits: Vec<Edit>,
    /// The span to be, if the request is sampled.
    pub recording: Option<Recording>,
    /// What the calls that it causes continue.
    pub context: Context,
}

impl Tracer {
    /// A tracer by these settings. `seed` is entropy of its own; `environment` reads a variable.
    pub fn new(
        settings: &Settings,
        resource: Resource,
        seed: [u8; 32],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let encoder: Box<dyn Encoder> = match settings.collector.protocol {
            Protocol::Zipkin => Box::new(Zipkin::new(resource.clone())),
            Protocol::HttpProtobuf => Box::new(Otlp::new(&resource)),
            Protocol::Grpc => Box::new(Grpc::new(&resource)),
        };
        let mut ids = IdGenerator::new(seed);
        let Settings { queue, batch, export, .. } = *settings;
        let exporter = Exporter::new(encoder, queue, batch, export, ids.span_id().value());
        Self {
            propagator: Propagator::new(settings.extract.clone(), settings.inject.clone()),
            sampler: Sampler::new(settings.sampling),
            ids,
            tags: CustomTags::new(&settings.custom_tags, settings.max_tag_length, environment),
            caps: Caps { tag: settings.max_tag_length, path: settings.max_path_length },
            resource,
            names: ServiceNames::default(),
            exporter,
            stats: Stats::default(),
        }
    }

    /// Continues the trace that came in with these lower-case headers, or starts one.
    pub fn start(&mut self, headers: &[(&[u8], &[u8])]) -> Started {
        self.start_from(headers, || None)
    }

    /// The same, where without a context that came in the trace of the origin is continued.
    pub fn start_from(
        &mut self,
        headers: &[(&[u8], &[u8])],
        origin: impl FnOnce() -> Option<Origin>,
    ) -> Started {
        let incoming = Incoming::collect(headers.iter().copied());
        let extraction = self.propagator.extract(&incoming);
        if extraction.malformed {
            self.stats.add(Metric::ContextsMalformed, 1);
        }
        let (parent, came_in, origin) = match extraction.context {
            Extracted::Context(parent) => (Some(parent), parent.decision, None),
            Extracted::Decision(decision) => (None, Some(decision), None),
            Extracted::Nothing => {
                let origin = origin();
                (None, origin.as_ref().map(|origin| origin.context.decision), origin)
            }
        };
        let (trace_id, parent_id, flags) = match (&parent, &origin) {
            (Some(parent), _) => {
                self.stats.add(Metric::ContextsContinued, 1);
                (parent.trace_id, Some(parent.span_id), parent.flags)
            }
            (None, Some(Origin { context, is_parent, .. })) => {
                self.stats.add(Metric::ContextsCorrelated, 1);
                (context.trace_id, is_parent.then_some(context.span_id), context.flags)
            }
            (None, None) => {
                self.stats.add(Metric::ContextsStarted, 1);
                (self.ids.trace_id(), None, TraceFlags { random: true })
            }
        };
        let decision = self.sampler.decide(came_in, trace_id);
        if let Some(parent) = parent
            && self.may_pass(&incoming, &parent, decision)
        {
            let context = Context::of(&parent, decision);
            return Started { edits: Vec::new(), recording: None, context };
        }
        let span_id = self.ids.span_id();
        let context =
            TraceContext { trace_id, span_id, parent_id, decision: Some(decision), flags };
        Started {
            edits: self.propagator.inject(&incoming, &context, decision),
            recording: decision.is_sampled().then(|| {
                Recording::begin(context, decision, headers, &self.tags, self.caps)
                    .with_trace_state(self.propagator.trace_state(&incoming, &context))
                    .with_links(self.propagator.links(&incoming, &context))
                    .with_correlation(origin.map(|origin| origin.evidence.name()))
            }),
            context: Context::of(&context, decision),
        }
    }

    /// Whether the headers may go on as they came in: nothing is recorded, so nobody would find a
    /// span id of ours, and every format that is written says the context already. Where one has to
    /// be written all of them get a new span id.
    fn may_pass(&self, incoming: &Incoming, parent: &TraceContext, decision: Decision) -> bool {
        !decision.is_sampled() && self.propagator.inject(incoming, parent, decision).is_empty()
    }

    /// The service that a route leads to, for [`Facts`].
    pub fn service(&mut self, cluster: Option<&str>, envoy: &impl Naming) -> Option<Service> {
        self.names.of_route(cluster, envoy)
    }

    /// Ends a sampled request.
    pub fn finish(&mut self, recording: Recording, facts: Facts) {
        let span = recording.finish(facts, &self.resource, &mut self.names, &self.tags, self.caps);
        self.exporter.push(&span, &mut self.stats);
    }
}

#[cfg(test)]
mod tests;
