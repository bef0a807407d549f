//! How spans are written: one file a wire format, and gzip around any of them.

mod attributes;
mod buffer;
#[cfg(test)]
mod documented_tests;
mod grpc;
mod gzip;
mod json;
mod otlp;
mod protobuf;
mod semantic_conventions;
mod zipkin;

pub use grpc::Grpc;
pub(super) use grpc::message;
pub use gzip::{GZIP, gzip};
pub use otlp::Otlp;
#[cfg(test)]
pub(super) use protobuf::Message;
pub use zipkin::Zipkin;

use crate::trace::{Link, Span};
use std::collections::VecDeque;

/// `sampler.type` of what Jaeger's adaptive sampling counts.
/// <https://www.jaegertracing.io/docs/latest/architecture/sampling/#adaptive-sampling>
const SAMPLER_TYPE: &str = "probabilistic";

/// How likely the parent is the right one, where it was inferred.
const CONFIDENCE: &str = "meshspan.correlation.confidence";

/// How often a request was sent again, by OpenTelemetry's name.
/// <https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/#http-request-resend-count>
const RESEND_COUNT: &str = "http.request.resend_count";

/// How long it waited for a connection, in nanoseconds, by the name of Envoy's attribute.
const POOL_READY: &str = "upstream.cx_pool_ready_duration";

/// A wire format for spans. A span is encoded as soon as it ends, and batches are put together
/// from encoded spans, so that what waits has a known size.
pub trait Encoder {
    /// The `content-type` of a batch.
    fn content_type(&self) -> &'static str;

    /// One span.
    fn span(&mut self, span: &Span) -> Vec<u8>;

    /// Adds to an encoded span, which has no links, the one that shows only when it has ended.
    fn link(&mut self, span: &mut Vec<u8>, link: &Link);

    /// The body of a request that carries these spans.
    fn batch(&self, spans: &VecDeque<Vec<u8>>) -> Vec<u8>;
}
