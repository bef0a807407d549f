//! A finished span, as the encoders take it.

use super::{SpanId, TraceId};
use std::borrow::Cow;
use std::net::IpAddr;

/// Which side of a call the span shows.
/// <https://opentelemetry.io/docs/specs/otel/trace/api/#spankind>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// The request was received for the application.
    Server,
    /// The request was sent on behalf of the application, or left a gateway.
    Client,
}

/// One end of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The service's name, or empty.
    pub service_name: String,
    /// Its address, where known.
    pub ip: Option<IpAddr>,
    /// Its port, where known; never zero.
    pub port: Option<u16>,
}

/// One recorded fact: a name and a value of valid UTF-8 within its cap.
pub type Tag = (Cow<'static, str>, String);

/// A finished span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// Its parent, or nothing for the root of a trace.
    pub parent_id: Option<SpanId>,
    /// The side of the call.
    pub kind: SpanKind,
    /// A name of low cardinality.
    pub name: String,
    /// When it began: nanoseconds since the Unix epoch.
    pub start_time: u64,
    /// How long it took, in nanoseconds.
    pub duration: u64,
    /// Recorded past every limit.
    pub debug: bool,
    /// This proxy's side.
    pub local: Endpoint,
    /// The other side.
    pub remote: Endpoint,
    /// What was recorded, in order.
    pub tags: Vec<Tag>,
}
