//! Spans on their way to the collector: encoded, queued, batched, delivered or counted.

mod backoff;
mod batch;
mod exporter;
mod formats;
mod queue;
mod replies;

pub use batch::Batch;
pub use exporter::Exporter;
pub use formats::{Encoder, GZIP, Grpc, Otlp, Zipkin, gzip};
pub use replies::{Answer, Meaning, Reply};
