//! Spans on their way to the collector: encoded, queued, batched, delivered or counted.

mod encoder;
mod exporter;
mod zipkin;

pub use encoder::Encoder;
pub use exporter::{Answer, Batch, Exporter};
pub use zipkin::Zipkin;
