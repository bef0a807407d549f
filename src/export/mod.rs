//! Spans on their way to the collector: encoded, queued, batched, delivered or counted.

mod answer;
mod backoff;
mod batch;
mod encoder;
mod exporter;
mod gzip;
mod otlp;
mod protobuf;
mod queue;
mod semantic_conventions;
mod zipkin;

pub use answer::Answer;
pub use batch::Batch;
pub use encoder::Encoder;
pub use exporter::Exporter;
pub use gzip::Gzip;
pub use otlp::Otlp;
pub use zipkin::Zipkin;
