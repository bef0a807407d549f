//! One decision for one request: what came in is kept, otherwise rules and the percentage decide.

mod limit;
mod probes;
pub mod remote;
mod request;
mod rules;

pub use request::Surroundings;

use crate::config::{Percentage, Sampling};
use crate::trace::{Decision, Probability, Randomness, Threshold};
use std::rc::Rc;

use limit::Limit;
use request::Request;
use rules::Glance;

/// Decides for new traces, alike in every proxy that has the same settings.
///
/// A trace's randomness is compared with a threshold, as OpenTelemetry's consistent probability
/// sampling says, so that a service with a smaller percentage keeps a subset.
/// <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>
#[derive(Debug)]
pub struct Sampler {
    settings: Rc<Sampling>,
    /// For what no rule matches.
    threshold: Threshold,
    /// The least of all thresholds: whom it does not sample need not be looked at.
    least: Threshold,
    /// One for each rule.
    glances: Vec<Glance>,
    /// The ceilings, of all new traces and of rules.
    limits: Vec<Limit>,
}

fn threshold(percent: Percentage) -> Threshold {
    Threshold::new(percent.threshold())
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
}

impl Sampler {
    /// A sampler by these settings.
    pub fn new(settings: Rc<Sampling>) -> Self {
        let threshold = threshold(settings.percent);
        let mut least = threshold;
        let mut glances = Vec::new();
        let mut limits = Vec::new();
        if let Some(ceiling) = settings.ceiling {
            limits.push(Limit::new(None, ceiling));
        }
        for (place, rule) in settings.rules.iter().enumerate() {
            least = least.min(rule.percent.map_or(threshold, self::threshold));
            glances.push(Glance::at(rule));
            if let Some(ceiling) = rule.ceiling {
                limits.push(Limit::new(Some(place), ceiling));
            }
        }
        Self { threshold, least, glances, limits, settings }
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
        let (reason, threshold) = match self.least.samples(randomness) {
            true => self.share(headers, envoy),
            // Whatever it is.
            false => (Reason::Percent, self.threshold),
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
            if limit.rule.is_none_or(|place| reason == Reason::Rule(place)) {
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

    /// Whether the request asks for it, and may: it is asked here alone, and whoever knows the header may.
    fn is_forced(&self, headers: &[(&[u8], &[u8])]) -> bool {
        self.settings.force.as_ref().is_some_and(|force| {
            let asked = (force.header.as_bytes(), force.value.as_bytes());
            headers.contains(&asked)
        })
    }

    /// The share of new traces with such requests that is sampled, and what says so.
    fn share(&self, headers: &[(&[u8], &[u8])], envoy: &dyn Surroundings) -> (Reason, Threshold) {
        let Sampling { headers: names, rules, drop_probes, .. } = &*self.settings;
        if rules.is_empty() {
            // All that is asked of most requests.
            if *drop_probes && probes::is_probe_by(headers) {
                return (Reason::Probe, Threshold::NEVER);
            }
        } else {
            let mut request = Request::new(headers, names, envoy);
            if let Some(index) = rules::find(rules, &self.glances, &mut request) {
                let percent = rules.get(index).and_then(|rule| rule.percent);
                let threshold = percent.map_or(self.threshold, threshold);
                return (Reason::Rule(index), threshold);
            }
            if *drop_probes && probes::is_probe(&request) {
                return (Reason::Probe, Threshold::NEVER);
            }
        }
        (Reason::Percent, self.threshold)
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
