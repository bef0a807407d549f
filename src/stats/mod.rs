//! The filter's own counters and its rate-limited log.

mod log_limit;

pub use log_limit::LogLimit;

/// A metric of the module, as Envoy's `/stats` shows it below `wasmcustom.`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Metric {
    /// Finished spans handed to the queue.
    SpansSampled,
    /// Spans that the collector accepted.
    SpansExported,
    /// Spans for which the queue had no room.
    SpansDroppedQueueFull,
    /// Spans that the collector refused.
    SpansDroppedRejected,
    /// Spans that no attempt brought to the collector.
    SpansDroppedRetriesExhausted,
    /// Spans larger than the queue.
    SpansDroppedTooLarge,
    /// Gauge: spans that wait or are on their way.
    QueueSpans,
    /// Gauge: bytes that those spans take.
    QueueBytes,
    /// Callouts made.
    ExportRequests,
    /// Callouts that failed.
    ExportFailures,
    /// Requests that began a trace.
    ContextsStarted,
    /// Requests that continued one.
    ContextsContinued,
    /// Of those, requests without a context of their own, which were linked to one in flight.
    ContextsCorrelated,
    /// Requests with a propagation header that could not be read.
    ContextsMalformed,
    /// Contexts that were not continued because nobody trusts who sent them.
    ContextsReplaced,
    /// Decisions to sample that did not count because nobody trusts who sent them.
    DecisionsIgnored,
    /// Sampling thresholds that contradicted the decision that they came with.
    ThresholdsErased,
    /// New traces that the ceiling alone left out.
    TracesLimited,
    /// Requests that came in while as many as can be were in flight, so that none is linked to them.
    CorrelationTableFull,
    /// Calls, hosts, connections and requests of which correlation could not keep what might have been evidence.
    CorrelationEvidenceFull,
    /// Requests, calls and what was learnt of which mode `infer` could not keep what tells them apart.
    CorrelationInferenceFull,
    /// How often times told by another worker were missing, so that for a while nothing could be told from any.
    CorrelationInferenceMissed,
    /// Calls that were linked to the request which most likely caused them.
    CorrelationLinks,
    /// Callouts made to a server of remote sampling.
    RemoteSamplingRequests,
    /// Those that could not be made, or brought no strategy.
    RemoteSamplingFailures,
    /// Spans of traces that are not sampled, among those handed to the queue.
    SpansKept,
    /// Such spans that a ceiling alone left out.
    SpansKeptLimited,
    /// Values of tags, paths included, that were longer than they may be.
    ValuesCut,
    /// Names of spans and of services that were one too many.
    NamesLimited,
    /// Requests with a text that a pattern was not looked for in to its end.
    PatternsUnfinished,
    /// Answers of collectors of which only the beginning was read.
    AnswersCut,
    /// Requests that were shown while they went on; each has a second span.
    StreamsShown,
    /// Gauge: 1 while the plugin configuration given is not the one in force.
    ConfigurationInvalid,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 33] = [
        Self::SpansSampled,
        Self::SpansExported,
        Self::SpansDroppedQueueFull,
        Self::SpansDroppedRejected,
        Self::SpansDroppedRetriesExhausted,
        Self::SpansDroppedTooLarge,
        Self::QueueSpans,
        Self::QueueBytes,
        Self::ExportRequests,
        Self::ExportFailures,
        Self::ContextsStarted,
        Self::ContextsContinued,
        Self::ContextsCorrelated,
        Self::ContextsMalformed,
        Self::ContextsReplaced,
        Self::DecisionsIgnored,
        Self::ThresholdsErased,
        Self::TracesLimited,
        Self::CorrelationTableFull,
        Self::CorrelationEvidenceFull,
        Self::CorrelationInferenceFull,
        Self::CorrelationInferenceMissed,
        Self::CorrelationLinks,
        Self::RemoteSamplingRequests,
        Self::RemoteSamplingFailures,
        Self::SpansKept,
        Self::SpansKeptLimited,
        Self::ValuesCut,
        Self::NamesLimited,
        Self::PatternsUnfinished,
        Self::AnswersCut,
        Self::StreamsShown,
        Self::ConfigurationInvalid,
    ];

    /// The metric's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::SpansSampled => "meshspan_spans_sampled",
            Self::SpansExported => "meshspan_spans_exported",
            Self::SpansDroppedQueueFull => "meshspan_spans_dropped_queue_full",
            Self::SpansDroppedRejected => "meshspan_spans_dropped_rejected",
            Self::SpansDroppedRetriesExhausted => "meshspan_spans_dropped_retries_exhausted",
            Self::SpansDroppedTooLarge => "meshspan_spans_dropped_too_large",
            Self::QueueSpans => "meshspan_queue_spans",
            Self::QueueBytes => "meshspan_queue_bytes",
            Self::ExportRequests => "meshspan_export_requests",
            Self::ExportFailures => "meshspan_export_failures",
            Self::ContextsStarted => "meshspan_contexts_started",
            Self::ContextsContinued => "meshspan_contexts_continued",
            Self::ContextsCorrelated => "meshspan_contexts_correlated",
            Self::ContextsMalformed => "meshspan_contexts_malformed",
            Self::ContextsReplaced => "meshspan_contexts_replaced",
            Self::DecisionsIgnored => "meshspan_decisions_ignored",
            Self::ThresholdsErased => "meshspan_thresholds_erased",
            Self::TracesLimited => "meshspan_traces_limited",
            Self::CorrelationTableFull => "meshspan_correlation_table_full",
            Self::CorrelationEvidenceFull => "meshspan_correlation_evidence_full",
            Self::CorrelationInferenceFull => "meshspan_correlation_inference_full",
            Self::CorrelationInferenceMissed => "meshspan_correlation_inference_missed",
            Self::CorrelationLinks => "meshspan_correlation_links",
            Self::RemoteSamplingRequests => "meshspan_remote_sampling_requests",
            Self::RemoteSamplingFailures => "meshspan_remote_sampling_failures",
            Self::SpansKept => "meshspan_spans_kept",
            Self::SpansKeptLimited => "meshspan_spans_kept_limited",
            Self::ValuesCut => "meshspan_values_cut",
            Self::NamesLimited => "meshspan_names_limited",
            Self::PatternsUnfinished => "meshspan_patterns_unfinished",
            Self::AnswersCut => "meshspan_answers_cut",
            Self::StreamsShown => "meshspan_streams_shown",
            Self::ConfigurationInvalid => "meshspan_configuration_invalid",
        }
    }

    /// Whether it can fall.
    pub fn is_gauge(self) -> bool {
        matches!(self, Self::QueueSpans | Self::QueueBytes | Self::ConfigurationInvalid)
    }
}

/// Changes of the metrics since they were last told to Envoy. A hostcall for each change would
/// cost more than the change, so they are added up here and told all at once.
#[derive(Debug)]
pub struct Stats {
    changes: [i64; Metric::ALL.len()],
}

impl Default for Stats {
    fn default() -> Self {
        Self { changes: [0; Metric::ALL.len()] }
    }
}

impl Stats {
    /// Adds to a metric; only gauges take a negative amount.
    pub fn add(&mut self, metric: Metric, amount: i64) {
        if let Some(change) = self.changes.get_mut(metric as usize) {
            *change += amount;
        }
    }

    /// Hands every change to `tell` and forgets it.
    pub fn flush(&mut self, mut tell: impl FnMut(Metric, i64)) {
        for (metric, change) in Metric::ALL.into_iter().zip(&mut self.changes) {
            if *change != 0 {
                tell(metric, core::mem::take(change));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once_and_added_up() {
        let mut stats = Stats::default();
        stats.add(Metric::QueueSpans, 3);
        stats.add(Metric::QueueSpans, -1);
        stats.add(Metric::SpansSampled, 1);
        stats.add(Metric::SpansSampled, -1);
        let mut told = Vec::new();
        stats.flush(|metric, change| told.push((metric, change)));
        stats.flush(|metric, change| told.push((metric, change)));
        assert_eq!(told, [(Metric::QueueSpans, 2)]);
    }

    #[test]
    fn every_metric_has_its_own_place_and_name() {
        for (index, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!(metric as usize, index);
            assert!(metric.name().starts_with("meshspan_"));
        }
    }
}
