//! All formats together: the first valid context wins, and whatever goes out agrees with it.

use super::headers::{Edit, Edits, Header, Incoming};
use super::{Extracted, Value, b3, b3multi, jaeger, tracecontext, tracestate};
use crate::config::Format;
use crate::trace::{Decision, Link, Probability, Threshold, TraceContext, TraceId};

/// Reads and writes contexts in the configured formats.
#[derive(Clone, Debug)]
pub struct Propagator {
    extract: Vec<Format>,
    inject: Vec<Format>,
}

/// What came in, over all formats that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extraction {
    /// The first whole context in the configured order; else the first lone decision.
    pub context: Extracted,
    /// The other traces that came in, for the span that continues the first: headers of a client or a
    /// gateway that knows another format only. At most one for each format.
    pub links: Vec<Link>,
    /// Some format came in that could not be read. It counts as absent.
    pub malformed: bool,
}

impl Extraction {
    /// The decision that came in, with a context or alone.
    pub fn decision(&self) -> Option<Decision> {
        match self.context {
            Extracted::Context(context) => context.decision,
            Extracted::Decision(decision) => Some(decision),
            Extracted::Nothing => None,
        }
    }

    /// The same where this decision came in, or none.
    pub fn decide(&mut self, decision: Option<Decision>) {
        self.context = match (self.context, decision) {
            (Extracted::Context(context), _) => {
                Extracted::Context(TraceContext { decision, ..context })
            }
            (_, Some(decision)) => Extracted::Decision(decision),
            (_, None) => Extracted::Nothing,
        };
    }
}

/// What becomes of `tracestate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceState {
    /// There is none that belongs to the trace.
    Absent,
    /// It goes on as it came in.
    Untouched,
    /// This list goes on.
    Written(Value),
}

impl TraceState {
    /// The list for the span, or empty.
    pub fn into_list(self, incoming: &Incoming) -> String {
        match self {
            Self::Absent => String::new(),
            Self::Untouched => tracestate::list(incoming.tracestate()),
            Self::Written(list) => tracestate::list_of(list.as_bytes()),
        }
    }
}

impl Propagator {
    /// Reads the formats of `extract` in that order, and writes those of `inject`.
    pub fn new(extract: Vec<Format>, inject: Vec<Format>) -> Self {
        Self { extract, inject }
    }

    /// What the headers hold.
    pub fn extract(&self, incoming: &Incoming) -> Extraction {
        let mut winner: Option<TraceContext> = None;
        let mut lone_decision = None;
        let mut links = Vec::new();
        let mut malformed = false;
        for format in &self.extract {
            malformed |= *format == Format::TraceContext && incoming.has_malformed_tracestate();
            match (format.extract(incoming), &mut winner) {
                (Ok(Extracted::Context(context)), None) => winner = Some(context),
                (Ok(Extracted::Context(context)), Some(first)) => {
                    complete(first, &context);
                    link(first.trace_id, &context, &mut links);
                }
                (Ok(Extracted::Decision(decision)), _) => {
                    lone_decision = lone_decision.or(Some(decision));
                }
                (Ok(Extracted::Nothing), _) => {}
                (Err(super::Malformed), _) => malformed = true,
            }
        }
        let context = match (winner, lone_decision) {
            (Some(context), _) => Extracted::Context(TraceContext {
                decision: context.decision.or(lone_decision),
                ..context
            }),
            (None, Some(decision)) => Extracted::Decision(decision),
            (None, None) => Extracted::Nothing,
        };
        Extraction { context, links, malformed }
    }

    /// The changes after which every configured format says `context` and `decision`, and no
    /// other known format says anything else.
    pub fn inject(
        &self,
        incoming: &Incoming,
        context: &TraceContext,
        decision: Decision,
        trace_state: &TraceState,
    ) -> Vec<Edit> {
        let mut edits = Edits::new(incoming);
        let mut is_w3c = false;
        for format in Format::ALL {
            let came_in = || format.headers().iter().any(|name| incoming.holds(*name));
            if !self.inject.contains(&format) && !came_in() {
                continue;
            }
            match format {
                Format::TraceContext => {
                    is_w3c = true;
                    tracecontext::inject(context, decision, &mut edits);
                }
                Format::B3 => b3::inject(context, decision, &mut edits),
                Format::B3Multi => b3multi::inject(context, decision, &mut edits),
                Format::Jaeger => jaeger::inject(context, decision, &mut edits),
            }
        }
        match trace_state {
            TraceState::Untouched => {}
            // It goes with `traceparent` alone.
            TraceState::Written(list) if is_w3c => {
                edits.set(Header::Tracestate, list.clone());
            }
            TraceState::Written(_) | TraceState::Absent => edits.clear(Header::Tracestate),
        }
        edits.list
    }

    /// What the `tracestate` that came in with this context says on sampling.
    pub fn probability(&self, incoming: &Incoming, context: &TraceContext) -> Probability {
        match tracestate_belongs_to(context, incoming) {
            true => tracestate::probability(incoming.tracestate()),
            false => Probability::default(),
        }
    }

    /// The `tracestate` that goes on with this context. Of a sampled one it says the threshold; of
    /// one that is not, nobody asks.
    pub fn trace_state(
        &self,
        incoming: &Incoming,
        context: &TraceContext,
        decision: Decision,
        threshold: Option<Threshold>,
    ) -> TraceState {
        let belongs = tracestate_belongs_to(context, incoming);
        let lines = if belongs { incoming.tracestate() } else { &[] };
        let says_it = || tracestate::probability(lines).threshold == threshold;
        let is_untouched = !decision.is_sampled() || says_it();
        match (belongs, is_untouched) {
            (true, true) => TraceState::Untouched,
            (false, true) => TraceState::Absent,
            (false, false) if let Some(threshold) = threshold => {
                TraceState::Written(tracestate::of_threshold(threshold))
            }
            (_, false) => match tracestate::with_threshold(lines, threshold) {
                empty if empty.is_empty() => TraceState::Absent,
                list => TraceState::Written(Value::long(list)),
            },
        }
    }
}

/// Links to another context, unless its trace is this one or linked already.
fn link(trace_id: TraceId, other: &TraceContext, links: &mut Vec<Link>) {
    let is_known = |known| is_same_trace(known, other.trace_id);
    if !is_known(trace_id) && !links.iter().any(|link| is_known(link.trace_id)) {
        links.push(other.link());
    }
}

/// Whether these name one trace: 64-bit systems keep the lower half of a longer id.
fn is_same_trace(one: TraceId, other: TraceId) -> bool {
    let is_half = one.is_64_bit() || other.is_64_bit();
    one == other || (is_half && one.value() as u64 == other.value() as u64)
}

/// What another format says besides of the same trace: B3 alone may leave the decision open, B3 and
/// Jaeger alone know debug and the span's parent, `traceparent` alone the random flag.
fn complete(first: &mut TraceContext, other: &TraceContext) {
    if first.trace_id != other.trace_id {
        return;
    }
    first.flags.random |= other.flags.random;
    if first.span_id == other.span_id {
        first.parent_id = first.parent_id.or(other.parent_id);
    }
    first.decision = match (first.decision, other.decision) {
        (None, decision) => decision,
        (Some(Decision::Sample), Some(Decision::Debug)) => Some(Decision::Debug),
        (decision, _) => decision,
    };
}

/// `tracestate` goes on only with the trace that it came in with.
fn tracestate_belongs_to(context: &TraceContext, incoming: &Incoming) -> bool {
    incoming.holds(Header::Tracestate)
        && matches!(
            tracecontext::extract(incoming),
            Ok(Extracted::Context(parent)) if parent.trace_id == context.trace_id
        )
        && incoming.has_tracestate()
}
