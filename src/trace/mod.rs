//! The nouns of tracing: ids, context, decision, tracestate and span.

mod context;
mod id;
mod span;

#[cfg(test)]
pub(crate) mod sample;

pub use context::{Decision, TraceContext, TraceFlags};
pub use id::{IdGenerator, SpanId, TraceId};
pub use span::{Endpoint, GrpcRequest, HttpRequest, HttpResponse, Link, Span, SpanKind, Tag};
