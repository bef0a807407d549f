//! A request's way through the proxy: when it was sent on and when its answer came.

use super::Facts;
use crate::trace::Event;

/// What Envoy tells of a request's way.
/// <https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/advanced/attributes>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// When the headers of its response passed, in nanoseconds since the epoch; zero where none did.
    pub responded: u64,
    /// `upstream.request_attempt_count`: how often it was sent upstream.
    pub attempts: u64,
    /// `upstream.cx_pool_ready_duration` in nanoseconds; zero where Envoy does not say.
    pub pool_ready: u64,
    /// `response.backend_latency` in nanoseconds: from the first byte that was sent upstream to the last
    /// that came from there; zero where Envoy does not say.
    pub backend_latency: u64,
    /// Whether the answer is the upstream's and not Envoy's own.
    pub is_upstreams: bool,
}

impl Way {
    /// How often it was sent again.
    pub fn resend_count(&self) -> u64 {
        self.attempts.saturating_sub(1)
    }

    /// Its moments by their times, under the names that Envoy's own tracers give them.
    #[inline(never)]
    pub fn events(&self, facts: &Facts, is_upgraded: bool) -> Vec<Event> {
        let mut events = Vec::new();
        if self.responded == 0 {
            return events;
        }
        let end = facts.start_time.saturating_add(facts.duration);
        // Envoy's clock may have been set meanwhile.
        let responded = self.responded.clamp(facts.start_time, end);
        // Of an answer that was slow to leave, the last byte from upstream came long before the end, and
        // when the first was sent cannot be told.
        let sent = end.saturating_sub(self.backend_latency);
        if self.backend_latency > 0 && (facts.start_time..=responded).contains(&sent) {
            events.push(Event { name: "first_upstream_tx_byte_sent", time: sent });
        }
        let name = match self.is_upstreams {
            true => "first_upstream_rx_byte_received",
            false => "first_downstream_tx_byte_sent",
        };
        events.push(Event { name, time: responded });
        if is_upgraded {
            events.push(Event { name: "upgraded", time: responded });
        }
        events
    }
}

#[cfg(test)]
#[rustfmt::skip] // One case a line reads better than one field a line.
#[path = "way_tests.rs"]
mod tests;
