//! One decision for one request: what came in is kept, otherwise rules and the percentage decide.

mod probes;
mod request;
mod rules;

pub use request::Surroundings;

use crate::config::{Sampling, Subject};
use crate::trace::{Decision, Probability, Randomness, Threshold};
use request::{Names, PATH, Request, USER_AGENT};
use rules::Rules;

/// Decides for new traces, alike in every proxy that has the same settings.
///
/// A trace's randomness is compared with a threshold, as OpenTelemetry's consistent probability
/// sampling says, so that a service with a smaller percentage keeps a subset.
/// <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>
#[derive(Debug)]
pub struct Sampler {
    /// The headers that rules and probes are told by.
    names: Names,
    /// The first that matches decides.
    rules: Rules,
    drop_probes: bool,
    /// For what no rule matches.
    threshold: Threshold,
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
    /// It is a probe.
    Probe,
    /// The percentage of all other new traces.
    Percent,
}

impl Sampler {
    /// A sampler by these settings.
    pub fn new(settings: Sampling) -> Self {
        let threshold = Threshold::new(settings.percent.threshold());
        let mut names = Names::default();
        if settings.drop_probes {
            names.insert(PATH);
            names.insert(USER_AGENT);
        }
        for (subject, _) in settings.rules.iter().flat_map(|rule| &rule.matching) {
            if let Subject::Header(name) = subject {
                names.insert(name);
            }
        }
        Self {
            rules: Rules::new(settings.rules, &names, threshold),
            names,
            drop_probes: settings.drop_probes,
            threshold,
        }
    }

    /// The decision for a trace of which nobody has decided. `headers` are those of its request.
    pub fn decide(
        &self,
        headers: &[(&[u8], &[u8])],
        randomness: Randomness,
        envoy: &impl Surroundings,
    ) -> Verdict {
        let (reason, threshold) = self.share(headers, envoy);
        let decision = match threshold.samples(randomness) {
            true => Decision::Sample,
            false => Decision::Drop,
        };
        Verdict { decision, threshold: Some(threshold), reason }
    }

    /// The share of new traces with such requests that is sampled, and what says so.
    fn share(&self, headers: &[(&[u8], &[u8])], envoy: &impl Surroundings) -> (Reason, Threshold) {
        if !self.names.is_empty() {
            let request = Request::new(headers, &self.names, envoy);
            if let Some((index, rule)) = self.rules.find(&request) {
                return (Reason::Rule(index), rule.threshold);
            }
            if self.drop_probes && probes::is_probe(&request, &self.names) {
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
            Reason::Rule(index) => self.rules.get(index).map_or("", |rule| rule.name.as_str()),
            Reason::Probe => "probes",
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
