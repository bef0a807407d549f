//! Spans on their way to the collector: encoded, queued, batched, delivered or counted.

mod answer;
mod backoff;
mod batch;
mod encoder;
mod exporter;
mod grpc;
mod gzip;
mod otlp;
mod partial_success;
mod protobuf;
mod protobuf_reader;
mod queue;
mod reply;
mod retry_info;
mod semantic_conventions;
mod zipkin;

pub use answer::Answer;
pub use batch::Batch;
pub use encoder::Encoder;
pub use exporter::Exporter;
pub use grpc::Grpc;
pub use gzip::Gzip;
pub use otlp::Otlp;
pub use reply::{Meaning, Reply};
pub use zipkin::Zipkin;
