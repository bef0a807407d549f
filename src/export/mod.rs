//! Spans on their way to the collector: encoded, queued, batched, delivered or counted.

mod encoder;
mod exporter;
mod otlp;
mod protobuf;
mod semantic_conventions;
mod zipkin;

pub use encoder::Encoder;
pub use exporter::{Answer, Batch, Exporter};
pub use otlp::Otlp;
pub use zipkin::Zipkin;
