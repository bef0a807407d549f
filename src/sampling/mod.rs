//! One decision for one request: what came in is kept, otherwise the percentage decides.

use crate::config::Percentage;
use crate::trace::{Decision, Probability, Randomness, Threshold};

/// Decides for new traces, alike in every proxy that has the same percentage.
///
/// A trace's randomness is compared with a threshold, as OpenTelemetry's consistent probability
/// sampling says, so that a service with a smaller percentage keeps a subset.
/// <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
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
    /// The percentage of all new traces.
    Percent,
}

impl Reason {
    /// The value of the tag `sampling.rule`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Parent => "parent",
            Self::Percent => "percent",
        }
    }
}

impl Sampler {
    /// A sampler that keeps this share of new traces.
    pub fn new(share: Percentage) -> Self {
        Self { threshold: Threshold::new(share.threshold()) }
    }

    /// The decision for the trace with this randomness of which nobody has decided.
    pub fn decide(&self, randomness: Randomness) -> Verdict {
        let decision = match self.threshold.samples(randomness) {
            true => Decision::Sample,
            false => Decision::Drop,
        };
        Verdict { decision, threshold: Some(self.threshold), reason: Reason::Percent }
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
mod tests;
