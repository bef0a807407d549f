//! The nouns of tracing: ids, context, decision, tracestate and span.

mod context;
mod id;
mod probability;
mod span;

#[cfg(test)]
pub(crate) mod sample;

pub use context::{Decision, TraceContext, TraceFlags};
pub use id::{IdGenerator, SpanId, TraceId};
pub use probability::{Probability, Randomness, Threshold};
pub use span::{
    Endpoint, Event, Evidence, Extent, GrpcRequest, HttpRequest, HttpResponse, Kept, Link,
    Sampling, Span, SpanKind, Tag, known_method,
};
