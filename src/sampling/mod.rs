//! One decision for one request: what came in is kept, otherwise rules and the percentage decide.

mod guard;
mod keep;
mod limit;
mod probes;
pub mod remote;
mod request;
mod rules;

pub use guard::Guard;
pub use request::Surroundings;

use crate::config::{Ceiling, Percentage, Sampling, Strategy};
use crate::trace::{Decision, Kept, Probability, Randomness, Threshold, TraceId};
use std::cell::Cell;
use std::rc::Rc;

use keep::Keeper;
use limit::Limit;
use request::Request;
use rules::Glance;

/// The places of two headers in [`Sampling::headers`].
const PATH: usize = 0;
const METHOD: usize = 1;

/// Decides for new traces, alike in every proxy that has the same settings.
///
/// A trace's randomness is compared with a threshold, as OpenTelemetry's consistent probability
/// sampling says, so that a service with a smaller percentage keeps a subset.
/// <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>
#[derive(Debug)]
pub struct Sampler {
    settings: Rc<Sampling>,
    /// The server's word, once there is one; it counts in the place of the percentage.
    strategy: Option<Strategy>,
    /// For what no rule matches and the strategy does not name.
    threshold: Threshold,
    /// The least of all thresholds: whom it does not sample need not be looked at.
    least: Threshold,
    /// One for each rule.
    glances: Vec<Glance>,
    /// The ceilings, of all new traces and of rules.
    limits: Vec<Limit>,
    keeper: Option<Keeper>,
    /// Requests with a text that a pattern was not looked for in to its end.
    unfinished: Cell<i64>,
}

fn threshold(percent: Percentage) -> Threshold {
    Threshold::new(percent.threshold())
}

/// The share of a request's operation, by the name of its span or by its method and path, `GET /pay`.
fn of_operation(strategy: &Strategy, request: &Request) -> Option<Percentage> {
    strategy.share_of(request.operation().as_bytes()).or_else(|| {
        let mut operation = request.header(METHOD).to_vec();
        operation.push(b' ');
        operation.extend_from_slice(request.header(PATH));
        strategy.share_of(&operation)
    })
}

/// A decision, and how it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the trace is sampled.
    pub decision: Decision,
    /// How likely that was for a trace like this one, where it is known.
    pub threshold: Option<Threshold>,
    /// What decided.
    pub reason: Reason,
}

/// What decided on a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The debug flag that came in.
    Debug,
    /// The decision that came in.
    Parent,
    /// The rule at this place.
    Rule(usize),
    /// The header that asks for it.
    Force,
    /// It is a probe.
    Probe,
    /// A ceiling, of what would have been sampled.
    Ceiling,
    /// The percentage of all other new traces.
    Percent,
    /// A server's word on all other new traces.
    Remote,
    /// How the request ended: the trace is not sampled.
    Keep,
}

impl Sampler {
    /// A sampler by these settings.
    pub fn new(settings: Rc<Sampling>) -> Self {
        let threshold = threshold(settings.percent);
        let glances = settings.rules.iter().map(Glance::at).collect();
        let mut limits = Vec::new();
        if let Some(ceiling) = settings.ceiling {
            limits.push(Limit::new(None, ceiling));
        }
        for (place, rule) in settings.rules.iter().enumerate() {
            if let Some(ceiling) = rule.ceiling {
                limits.push(Limit::new(Some(Reason::Rule(place)), ceiling));
            }
        }
        let least = threshold;
        let keeper = settings.keep.as_ref().map(Keeper::new);
        let (strategy, unfinished) = (None, Cell::new(0));
        let sampler =
            Self { strategy, threshold, least, glances, limits, keeper, unfinished, settings };
        Self { least: sampler.least(), ..sampler }
    }

    /// From now on a server's word counts in the place of the percentage or of its last word.
    pub fn follow(&mut self, strategy: Strategy) {
        self.threshold = threshold(strategy.share);
        self.limits.retain(|limit| limit.of != Some(Reason::Remote));
        let ceiling = strategy.at_most.map(Ceiling::new);
        self.limits.extend(ceiling.map(|it| Limit::new(Some(Reason::Remote), it)));
        self.strategy = Some(strategy);
        self.least = self.least();
    }

    fn least(&self) -> Threshold {
        let of_rules = self.settings.rules.iter().filter_map(|rule| rule.percent);
        let operations = self.strategy.as_ref().map_or(&[][..], Strategy::operations);
        let all = of_rules.chain(operations.iter().map(|(_, share)| *share));
        all.map(threshold).fold(self.threshold, Threshold::min)
    }

    /// The decision for a trace of which nobody has decided. `headers` are those of its request.
    pub fn decide(
        &self,
        headers: &[(&[u8], &[u8])],
        randomness: Randomness,
        envoy: &dyn Surroundings,
    ) -> Verdict {
        if self.is_forced(headers) {
            // All such traces are sampled, so that each stands for itself.
            let threshold = Some(Threshold::ALWAYS);
            return Verdict { decision: Decision::Sample, threshold, reason: Reason::Force };
        }
        self.decide_unforced(headers, randomness, envoy)
    }

    /// The same where nobody may force it.
    pub fn decide_unforced(
        &self,
        headers: &[(&[u8], &[u8])],
        randomness: Randomness,
        envoy: &dyn Surroundings,
    ) -> Verdict {
        let (reason, threshold) = match self.least.samples(randomness) {
            true => self.share(headers, envoy),
            // Whatever it is.
            false => (self.reason(), self.threshold),
        };
        if !threshold.samples(randomness) {
            return Verdict { decision: Decision::Drop, threshold: Some(threshold), reason };
        }
        self.limited(reason, threshold, randomness, envoy)
    }

    /// The decision for a trace that is to be sampled, if the ceilings allow it. The lower of them
    /// decides, and each counts what the other lets through.
    fn limited(
        &self,
        reason: Reason,
        threshold: Threshold,
        randomness: Randomness,
        envoy: &dyn Surroundings,
    ) -> Verdict {
        let mut share: f64 = 1.0;
        let mut views = Vec::new();
        for limit in &self.limits {
            if limit.of.is_none_or(|of| of == reason || of == self.share_is(reason)) {
                let view = limit.view(envoy);
                share = share.min(view.share);
                views.push((limit, view));
            }
        }
        let threshold = Some(threshold.of_share(share));
        if !threshold.is_some_and(|threshold| threshold.samples(randomness)) {
            return Verdict { decision: Decision::Drop, threshold, reason: Reason::Ceiling };
        }
        for (limit, view) in views {
            limit.take(view, envoy);
        }
        Verdict { decision: Decision::Sample, threshold, reason }
    }

    /// Whether the request has the header that forces a trace to be sampled.
    pub fn is_forced(&self, headers: &[(&[u8], &[u8])]) -> bool {
        self.settings.force.as_ref().is_some_and(|force| {
            let asked = (force.header.as_bytes(), force.value.as_bytes());
            headers.contains(&asked)
        })
    }

    /// The share of new traces with such requests that is sampled, and what says so.
    fn share(&self, headers: &[(&[u8], &[u8])], envoy: &dyn Surroundings) -> (Reason, Threshold) {
        let Sampling { headers: names, rules, drop_probes, .. } = &*self.settings;
        let strategy = self.strategy.as_ref().filter(|it| !it.operations().is_empty());
        if rules.is_empty() && strategy.is_none() {
            // All that is asked of most requests.
            let is_probe = *drop_probes && probes::is_probe_by(headers);
            return if is_probe {
                (Reason::Probe, Threshold::NEVER)
            } else {
                (self.reason(), self.threshold)
            };
        }
        let mut request = Request::new(headers, names, envoy);
        let rule = rules::find(rules, &self.glances, &mut request);
        if request.is_unfinished {
            self.unfinished.set(self.unfinished.get() + 1);
        }
        if rule.is_none() && *drop_probes && probes::is_probe(&request) {
            return (Reason::Probe, Threshold::NEVER);
        }
        let percent = rule
            .and_then(|index| rules.get(index)?.percent)
            .or_else(|| of_operation(strategy?, &request));
        let threshold = percent.map_or(self.threshold, threshold);
        (rule.map_or(self.reason(), Reason::Rule), threshold)
    }

    /// Whose share it is that a trace has on which this decided: a rule may leave it out.
    fn share_is(&self, reason: Reason) -> Reason {
        match reason {
            Reason::Rule(index)
                if self.settings.rules.get(index).is_some_and(|rule| rule.percent.is_none()) =>
            {
                self.reason()
            }
            other => other,
        }
    }

    /// What decides where no rule does.
    fn reason(&self) -> Reason {
        if self.strategy.is_some() { Reason::Remote } else { Reason::Percent }
    }

    /// How many requests had a text that a pattern was not looked for in to its end, since this was asked
    /// last.
    pub fn take_unfinished(&self) -> i64 {
        self.unfinished.take()
    }

    /// Whether a request of this trace may be exported for how it ends, though the trace is not sampled.
    pub fn may_keep(&self, trace_id: TraceId) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| keeper.covers(trace_id))
    }

    /// Why to keep a request that has failed or not and took so many nanoseconds. Probes that no rule
    /// matches are never kept.
    pub fn reason_to_keep(
        &self,
        headers: &[(&[u8], &[u8])],
        has_failed: bool,
        duration: u64,
        envoy: &dyn Surroundings,
    ) -> Option<Kept> {
        let kept = self.keeper.as_ref()?.reason(has_failed, duration)?;
        (self.share(headers, envoy).0 != Reason::Probe).then_some(kept)
    }

    /// Whether the ceiling lets a request of this trace be kept, which is then counted.
    pub fn has_room_to_keep(&self, trace_id: TraceId, envoy: &dyn Surroundings) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| keeper.has_room(trace_id, envoy))
    }

    /// The value of the tag `sampling.rule`.
    pub fn name(&self, reason: Reason) -> &str {
        match reason {
            Reason::Debug => "debug",
            Reason::Parent => "parent",
            Reason::Rule(index) => {
                self.settings.rules.get(index).map_or("", |rule| rule.name.as_str())
            }
            Reason::Force => "force",
            Reason::Probe => "probes",
            Reason::Ceiling => "rate",
            Reason::Percent => "percent",
            Reason::Remote => "remote",
            Reason::Keep => "keep",
        }
    }
}

impl Verdict {
    /// The decision that came in, which is kept, and the threshold that came with it.
    ///
    /// A threshold that would not have sampled a trace that is sampled says nothing.
    pub fn of_parent(decision: Decision, came_in: Probability, randomness: Randomness) -> Self {
        Self {
            decision,
            threshold: came_in.threshold.filter(|threshold| threshold.samples(randomness)),
            reason: if decision == Decision::Debug { Reason::Debug } else { Reason::Parent },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
