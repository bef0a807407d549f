//! The module's metrics in Envoy.

use crate::stats::{Metric, Stats};
use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;

/// Envoy's ids of the metrics, in the order of [`Metric::ALL`].
pub(super) struct Metrics(Vec<u32>);

impl Metrics {
    /// Defines every metric; those that exist already keep their values.
    pub(super) fn define() -> Self {
        let define = |metric: Metric| {
            let kind = if metric.is_gauge() { MetricType::Gauge } else { MetricType::Counter };
            hostcalls::define_metric(kind, metric.name()).unwrap_or_default()
        };
        Self(Metric::ALL.into_iter().map(define).collect())
    }

    /// Tells Envoy what has changed. Gauges are changed, never set, so that the workers add up.
    pub(super) fn tell(&self, stats: &mut Stats) {
        stats.flush(|metric, change| {
            if let Some(id) = self.0.get(metric as usize) {
                // An unknown id is all that could be wrong, and there is nobody left to tell.
                let _ = hostcalls::increment_metric(*id, change);
            }
        });
    }

    /// Sets a gauge that is the same in every worker.
    pub(super) fn set(&self, metric: Metric, value: u64) {
        if let Some(id) = self.0.get(metric as usize) {
            let _ = hostcalls::record_metric(*id, value);
        }
    }
}
