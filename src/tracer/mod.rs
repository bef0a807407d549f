//! A request's life, without Envoy: headers come in and are changed, and at its end facts become
//! a span in the queue. Tests drive it natively, the module drives it in Envoy.

use crate::attributes::{
    Asked, CustomTags, Facts, Naming, Recording, Redaction, Resource, Service, ServiceNames,
    is_grpc_request, name_ahead,
};
use crate::config::{
    At, Attribute, Protocol, Response, Settings, Strategy, UntrustedContext, UntrustedSampling,
};
use crate::correlation::Origin;
use crate::export::{Encoder, Exporter, Grpc, Otlp, Zipkin};
use crate::propagation::{
    Edit, Extracted, Extraction, Incoming, Propagator, traceparent, without_strays,
};
use crate::sampling::{Guard, Reason, Sampler, Surroundings, Verdict};
use crate::stats::{Metric, Stats};
use crate::trace::{
    Decision, Evidence, IdGenerator, Link, Probability, Randomness, Tag, Threshold, TraceContext,
    TraceFlags,
};
use core::net::IpAddr;
use std::cell::RefCell;

/// Everything that the requests of one worker and configuration share.
pub struct Tracer {
    propagator: Propagator,
    sampler: Sampler,
    guard: Option<Guard>,
    ids: IdGenerator,
    tags: CustomTags,
    redaction: Redaction,
    resource: Resource,
    names: ServiceNames,
    /// Which responses tell of their traces.
    answered: Answered,
    /// Finished spans on their way to the collector.
    pub exporter: Exporter,
    /// What has been counted and not told yet.
    pub stats: Stats,
}

/// Which responses tell of their traces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answered {
    None,
    /// Those of traces that begin here.
    New,
    All,
}

impl Answered {
    fn new(response: &Response, resource: &Resource) -> Self {
        match response.at {
            _ if !response.traceresponse && response.header.is_none() => Self::None,
            At::Edge if !resource.is_gateway() => Self::New,
            At::Edge | At::Everywhere => Self::All,
        }
    }
}

/// The start of a request: how its headers change, and what is kept if it is sampled.
#[derive(Debug)]
pub struct Started {
    /// Changes to the request's headers.
    pub edits: Vec<Edit>,
    /// What goes on with the request.
    pub context: TraceContext,
    /// Whether it is sampled.
    pub decision: Decision,
    /// What the response says, in the form of `traceparent`, or nothing.
    pub answer: Vec<u8>,
    /// The span to be, if the request is sampled.
    pub recording: Option<Box<Recording>>,
    /// How likely that was, where it is known.
    pub threshold: Option<Threshold>,
    /// What may be exported all the same, if it is not.
    pub unsampled: Option<Unsampled>,
}

/// A request that is not sampled, and whose end decides.
#[derive(Debug)]
pub struct Unsampled {
    /// What goes on with the request.
    pub context: TraceContext,
    links: Vec<Link>,
    /// How its parent is known, where the application forwarded no context.
    correlation: Option<Evidence>,
    /// Whether the answer's `grpc-status` will be wanted.
    pub is_grpc: bool,
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
        let redaction = Redaction::new(settings);
        let mut tags = CustomTags::new(settings, &redaction, &environment);
        if settings.collector.protocol == Protocol::Zipkin {
            tags = tags.with_constants(&resource.attributes);
        }
        let answered = Answered::new(&settings.response, &resource);
        Self {
            propagator: Propagator::new(settings.extract.clone(), settings.inject.clone()),
            sampler: Sampler::new(settings.sampling.clone()),
            guard: Guard::new(settings.trust.clone(), &resource.node_id),
            ids,
            tags,
            redaction,
            resource,
            names: ServiceNames::new(settings),
            answered,
            exporter,
            stats: Stats::default(),
        }
    }

    /// Continues the trace that came in with these lower-case headers, or starts one.
    pub fn start(
        &mut self,
        headers: &[(&[u8], &[u8])],
        envoy: &(impl Surroundings + Naming),
    ) -> Started {
        self.start_from(headers, envoy, &mut || None)
    }

    /// The same, where without a context that came in the trace of the origin is continued.
    pub fn start_from(
        &mut self,
        headers: &[(&[u8], &[u8])],
        envoy: &(impl Surroundings + Naming),
        origin: &mut dyn FnMut() -> Option<Origin>,
    ) -> Started {
        let incoming = Incoming::collect(headers.iter().copied());
        let mut extraction = self.propagator.extract(&incoming);
        if extraction.malformed {
            self.stats.add(Metric::ContextsMalformed, 1);
        }
        let strays = match self.guard {
            Some(_) => self.distrust(headers, &mut extraction, envoy),
            None => None,
        };
        let is_trusted = strays.is_none();
        let mut started = self.begin(headers, &incoming, extraction, is_trusted, envoy, origin);
        if let Some(strays) = strays {
            started.edits.extend(strays);
        }
        started
    }

    /// What the request starts by what counts of what came in.
    fn begin(
        &mut self,
        headers: &[(&[u8], &[u8])],
        incoming: &Incoming,
        extraction: Extraction,
        is_trusted: bool,
        envoy: &(impl Surroundings + Naming),
        origin: &mut dyn FnMut() -> Option<Origin>,
    ) -> Started {
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
                self.stats.add(Metric::ContextsContinued, 1);
                self.stats.add(Metric::ContextsCorrelated, 1);
                (context.trace_id, is_parent.then_some(context.span_id), context.flags)
            }
            (None, None) => {
                self.stats.add(Metric::ContextsStarted, 1);
                (self.ids.trace_id(), None, TraceFlags { random: true })
            }
        };
        let probability = match (&parent, &origin) {
            _ if came_in == Some(Decision::Drop) => Probability::default(),
            (Some(_), _) if !is_trusted => Probability::default(),
            (Some(parent), _) => self.propagator.probability(incoming, parent),
            (None, Some(Origin { context, .. })) => {
                Probability { threshold: context.threshold, randomness: None }
            }
            (None, None) => Probability::default(),
        };
        let is_strangers = parent.is_some() && !is_trusted;
        let randomness = match probability.randomness {
            Some(randomness) => randomness,
            // Whoever has chosen the trace's id has chosen its randomness.
            None if is_strangers => self.ids.trace_id().randomness(),
            None => trace_id.randomness(),
        };
        let mut verdict = self.decide(headers, probability, randomness, came_in, is_trusted, envoy);
        if is_strangers {
            verdict.threshold = None;
        }
        let Verdict { decision, threshold, .. } = verdict;
        let may_keep = !decision.is_sampled()
            // By a decision alone, senders of spans ask that there are none of theirs.
            && !matches!(extraction.context, Extracted::Decision(_))
            && self.sampler.may_keep(trace_id);
        if let Some(parent) = parent
            && !decision.is_sampled()
            && !may_keep
            && let Some(edits) = self.pass(incoming, &parent, decision)
        {
            let answer = self.answer(&parent, decision, false);
            return Started {
                edits,
                context: parent,
                decision,
                answer,
                threshold,
                recording: None,
                unsampled: None,
            };
        }
        let span_id = self.ids.span_id();
        let context =
            TraceContext { trace_id, span_id, parent_id, decision: Some(decision), flags };
        let trace_state = self.propagator.trace_state(incoming, &context, decision, threshold);
        let answer = self.answer(&context, decision, parent.is_none() && origin.is_none());
        let edits = self.propagator.inject(incoming, &context, decision, &trace_state);
        let links = extraction.links;
        let correlation = origin.map(|origin| origin.evidence);
        let mut started = Started {
            edits,
            context,
            decision,
            answer,
            threshold,
            recording: None,
            unsampled: None,
        };
        if decision.is_sampled() {
            started.recording = Some(
                Recording::begin(context, verdict, headers, &self.tags, &self.redaction)
                    .with_trace_state(trace_state.into_list(incoming))
                    .with_links(links)
                    .with_correlation(correlation)
                    .with_operation(self.names.operation(headers)),
            );
        } else if may_keep {
            let is_grpc = is_grpc_request(headers);
            started.unsampled = Some(Unsampled { context, links, correlation, is_grpc });
        }
        started
    }

    /// Leaves of what came in what counts, where it matters who says it and the client is not trusted;
    /// the changes without which more of it would go on. Nothing where all of it counts.
    #[inline(never)]
    fn distrust(
        &mut self,
        headers: &[(&[u8], &[u8])],
        extraction: &mut Extraction,
        envoy: &dyn Surroundings,
    ) -> Option<Vec<Edit>> {
        let Self { guard, ids, sampler, stats, .. } = self;
        let guard = guard.as_ref()?;
        let replaces = guard.context() != UntrustedContext::Continue;
        let judges = guard.sampled != UntrustedSampling::Keep;
        let strays = if replaces { without_strays(headers) } else { Vec::new() };
        let came_in = extraction.decision();
        let forces = judges && came_in.is_none() && sampler.is_forced(headers);
        let is_harmless = match guard.sampled {
            UntrustedSampling::Keep => true,
            UntrustedSampling::Limit => came_in == Some(Decision::Drop),
            UntrustedSampling::Ignore => false,
        };
        let matters = match extraction.context {
            Extracted::Nothing => forces || !strays.is_empty(),
            Extracted::Context(_) => replaces || !is_harmless,
            Extracted::Decision(_) => !is_harmless || !strays.is_empty(),
        };
        if !matters || guard.trusts(envoy) {
            return None;
        }
        if let (true, Extracted::Context(stranger)) = (replaces, extraction.context) {
            stats.add(Metric::ContextsReplaced, 1);
            extraction.context = Extracted::Nothing;
            match guard.context() {
                UntrustedContext::Link => extraction.links.insert(0, stranger.link()),
                _ => extraction.links.clear(),
            }
        }
        let counts = match (guard.sampled, came_in) {
            (UntrustedSampling::Ignore, _) => None,
            (UntrustedSampling::Limit, Some(Decision::Sample | Decision::Debug)) => {
                guard.allows(ids.trace_id().randomness(), envoy).then_some(Decision::Sample)
            }
            (_, decision) => decision,
        };
        if forces || (came_in.is_some() && counts.is_none()) {
            stats.add(Metric::DecisionsIgnored, 1);
        }
        extraction.decide(counts);
        Some(strays)
    }

    /// The decision that came in, with what is known of how likely it was, or one of our own.
    fn decide(
        &mut self,
        headers: &[(&[u8], &[u8])],
        probability: Probability,
        randomness: Randomness,
        came_in: Option<Decision>,
        is_trusted: bool,
        envoy: &(impl Surroundings + Naming),
    ) -> Verdict {
        let Some(decision) = came_in else {
            let Self { sampler, names, redaction, guard, .. } = self;
            let names = RefCell::new(names);
            let envoy = Named { envoy, headers, names, redaction };
            let keeps = |guard: &Guard| guard.sampled == UntrustedSampling::Keep;
            let verdict = match is_trusted || guard.as_ref().is_some_and(keeps) {
                true => sampler.decide(headers, randomness, &envoy),
                false => sampler.decide_unforced(headers, randomness, &envoy),
            };
            if verdict.reason == Reason::Ceiling {
                self.stats.add(Metric::TracesLimited, 1);
            }
            return verdict;
        };
        let verdict = Verdict::of_parent(decision, probability, randomness);
        if decision.is_sampled() && verdict.threshold != probability.threshold {
            self.stats.add(Metric::ThresholdsErased, 1);
        }
        verdict
    }

    /// What is left to change where a context may go on as it came in, ids and all: nothing is
    /// recorded, so nobody would find a span id of ours. A format that says it already is not touched.
    ///
    /// One with the random flag of level 2 gets a new span id where any format has to be written: the
    /// W3C's own suite asks for it.
    fn pass(
        &self,
        incoming: &Incoming,
        parent: &TraceContext,
        decision: Decision,
    ) -> Option<Vec<Edit>> {
        let trace_state = self.propagator.trace_state(incoming, parent, decision, None);
        let edits = self.propagator.inject(incoming, parent, decision, &trace_state);
        (edits.is_empty() || !parent.flags.random).then_some(edits)
    }

    /// Whether the proxy has no application beside it whose calls it would see.
    pub fn is_alone(&self) -> bool {
        self.resource.is_alone()
    }

    #[inline(never)]
    fn answer(&self, context: &TraceContext, decision: Decision, is_new: bool) -> Vec<u8> {
        let is_wanted = match self.answered {
            Answered::None => false,
            Answered::New => is_new,
            Answered::All => true,
        };
        match is_wanted {
            true => traceparent(context, decision).as_bytes().to_vec(),
            false => Vec::new(),
        }
    }

    /// The service that a route leads to, for [`Facts`].
    pub fn service(&mut self, cluster: Option<&str>, envoy: &impl Naming) -> Option<Service> {
        self.names.of_route(cluster, envoy)
    }

    /// Whether the route's name is wanted in [`Facts`].
    pub fn asks_for_route(&self) -> bool {
        self.names.ask_for_route()
    }

    /// From now on the word of a server of remote sampling counts for new traces.
    pub fn follow(&mut self, strategy: Strategy) {
        self.sampler.follow(strategy);
    }

    /// Whether tags are to be hashed, and there is no key: they are left out.
    pub fn lacks_key(&self) -> bool {
        self.tags.lack_key()
    }

    /// Whether tags are to be asked for at a request's end.
    pub fn asks(&self) -> bool {
        self.tags.asks()
    }

    /// Takes the values of tags for which `ask` has one.
    pub fn ask(&self, recording: &mut Recording, ask: Asked) {
        recording.ask(&self.tags, &self.redaction, ask);
    }

    /// Ends a request that is not sampled: the span to be, if it is exported for how it ended.
    /// `headers` are the request's as they have become.
    pub fn keep(
        &mut self,
        unsampled: Unsampled,
        headers: &[(&[u8], &[u8])],
        facts: &Facts,
        envoy: &impl Surroundings,
    ) -> Option<Box<Recording>> {
        let Unsampled { context, links, correlation, .. } = unsampled;
        let method = headers.iter().find(|(name, _)| *name == b":method");
        let time = facts.waiting_time(method.map_or(b"", |(_, method)| *method));
        let has_failed = facts.has_failed();
        let kept = self.sampler.reason_to_keep(headers, has_failed, time, envoy)?;
        if !self.sampler.has_room_to_keep(context.trace_id, envoy) {
            self.stats.add(Metric::SpansKeptLimited, 1);
            return None;
        }
        self.stats.add(Metric::SpansKept, 1);
        let decision = Decision::Drop;
        let verdict = Verdict { decision, threshold: None, reason: Reason::Keep };
        let incoming = Incoming::collect(headers.iter().copied());
        let trace_state = self.propagator.trace_state(&incoming, &context, decision, None);
        let recording = Recording::begin(context, verdict, headers, &self.tags, &self.redaction)
            .with_trace_state(trace_state.into_list(&incoming))
            .with_links(links)
            .with_correlation(correlation)
            .with_operation(self.names.operation(headers))
            .with_kept(kept);
        Some(recording)
    }

    /// What there is of a sampled request that goes on, to be finished now. Another span follows at its
    /// end, whose parent is this one's; calls that the request causes are this one's children.
    pub fn take_beginning(&mut self, recording: &mut Recording) -> Box<Recording> {
        self.stats.add(Metric::StreamsShown, 1);
        recording.take_beginning(self.ids.span_id())
    }

    /// Ends a sampled request.
    pub fn finish(&mut self, recording: Box<Recording>, facts: Facts) {
        self.finish_call(recording, facts, None);
    }

    /// The same of a call by its number, of which it may yet show what caused it.
    pub fn finish_call(&mut self, recording: Box<Recording>, facts: Facts, call: Option<u32>) {
        let call = call.filter(|_| recording.is_unlinked());
        let Self { sampler, resource, names, tags, redaction, .. } = self;
        let rule = sampler.name(recording.reason());
        let span = recording.finish(facts, rule, resource, names, tags, redaction);
        // A custom tag of such a name comes before all others.
        let is_own = |tag: &Tag| tag.0.starts_with("meshspan.");
        let call = call.filter(|_| !span.custom_tags.iter().any(is_own));
        self.exporter.push_call(&span, call, &mut self.stats);
    }

    /// Adds what its parts have counted by themselves.
    pub fn count(&mut self) {
        self.stats.add(Metric::ValuesCut, self.redaction.take_cut());
        self.stats.add(Metric::NamesLimited, self.names.take_limited());
        self.stats.add(Metric::PatternsUnfinished, self.sampler.take_unfinished());
    }
}

/// Envoy, and the names that spans have.
struct Named<'t, E> {
    envoy: &'t E,
    headers: &'t [(&'t [u8], &'t [u8])],
    names: RefCell<&'t mut ServiceNames>,
    redaction: &'t Redaction,
}

impl<E: Surroundings + Naming> Surroundings for Named<'_, E> {
    fn attribute(&self, attribute: Attribute) -> Vec<u8> {
        self.envoy.attribute(attribute)
    }

    fn client_address(&self) -> Option<IpAddr> {
        self.envoy.client_address()
    }

    fn clock(&self) -> u64 {
        self.envoy.clock()
    }

    fn shared_data(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.envoy.shared_data(key)
    }

    fn set_shared_data(&self, key: &[u8], value: &[u8], version: u32) -> bool {
        self.envoy.set_shared_data(key, value, version)
    }

    fn operation(&self) -> String {
        let mut names = self.names.borrow_mut();
        let cluster = String::from_utf8(self.attribute(Attribute::Cluster)).ok();
        let cluster = cluster.as_deref().filter(|cluster| !cluster.is_empty());
        let service = names.of_route(cluster, self.envoy);
        let route = match names.ask_for_route() {
            true => String::from_utf8(self.attribute(Attribute::Route)).ok(),
            false => None,
        };
        name_ahead(self.headers, service, route.as_deref(), &mut names, self.redaction)
    }
}

#[cfg(test)]
mod tests;
