//! The module's metrics in Envoy.

use super::abi::{self, MetricKind};
use crate::stats::{Metric, Stats};

/// Envoy's ids of the metrics, in the order of [`Metric::ALL`].
pub(super) struct Metrics(Vec<u32>);

impl Metrics {
    /// Defines every metric; those that exist already keep their values.
    pub(super) fn define() -> Self {
        let define = |metric: Metric| {
            let kind = if metric.is_gauge() { MetricKind::Gauge } else { MetricKind::Counter };
            abi::define_metric(kind, metric.name())
        };
        Self(Metric::ALL.into_iter().map(define).collect())
    }

    /// Tells Envoy what has changed. Gauges are changed, never set, so that the workers add up.
    pub(super) fn tell(&self, stats: &mut Stats) {
        stats.flush(|metric, change| {
            if let Some(id) = self.0.get(metric as usize) {
                abi::increment_metric(*id, change);
            }
        });
    }

    /// Sets a gauge that is the same in every worker.
    pub(super) fn set(&self, metric: Metric, value: u64) {
        if let Some(id) = self.0.get(metric as usize) {
            abi::record_metric(*id, value);
        }
    }
}
