//! OTLP: spans as protobuf, with OpenTelemetry's names.
//!
//! <https://opentelemetry.io/docs/specs/otlp/>,
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/v1.7.0/opentelemetry/proto/trace/v1/trace.proto>
//!
//! The messages are few and their shape is fixed, so they are written directly. The generated types
//! of opentelemetry-proto would make the module larger by 38,000 bytes and a span dearer by a third; the
//! tests read with them.

use super::Encoder;
use super::attributes::Attributes;
use super::buffer::Buffer;
use super::protobuf::{Message, delimited_size};
use super::semantic_conventions as conventions;
use crate::attributes::Resource;
use crate::trace::{Event, Extent, Link, Span, SpanKind, Tag};
use std::collections::VecDeque;

/// The numbers of the fields, by message.
mod field {
    pub mod request {
        pub const RESOURCE_SPANS: u32 = 1;
    }
    pub mod resource_spans {
        pub const RESOURCE: u32 = 1;
        pub const SCOPE_SPANS: u32 = 2;
        pub const SCHEMA_URL: u32 = 3;
    }
    pub mod resource {
        pub const ATTRIBUTES: u32 = 1;
    }
    pub mod scope_spans {
        pub const SCOPE: u32 = 1;
        pub const SPANS: u32 = 2;
        pub const SCHEMA_URL: u32 = 3;
    }
    pub mod scope {
        pub const NAME: u32 = 1;
        pub const VERSION: u32 = 2;
    }
    pub mod span {
        pub const TRACE_ID: u32 = 1;
        pub const SPAN_ID: u32 = 2;
        pub const TRACE_STATE: u32 = 3;
        pub const PARENT_SPAN_ID: u32 = 4;
        pub const NAME: u32 = 5;
        pub const KIND: u32 = 6;
        pub const START_TIME_UNIX_NANO: u32 = 7;
        pub const END_TIME_UNIX_NANO: u32 = 8;
        pub const ATTRIBUTES: u32 = 9;
        pub const EVENTS: u32 = 11;
        pub const LINKS: u32 = 13;
        pub const STATUS: u32 = 15;
        pub const FLAGS: u32 = 16;
    }
    pub mod event {
        pub const TIME_UNIX_NANO: u32 = 1;
        pub const NAME: u32 = 2;
    }
    pub mod link {
        pub const TRACE_ID: u32 = 1;
        pub const SPAN_ID: u32 = 2;
        pub const ATTRIBUTES: u32 = 4;
        pub const FLAGS: u32 = 6;
    }
    pub mod status {
        pub const MESSAGE: u32 = 2;
        pub const CODE: u32 = 3;
    }
}

/// `Status.code`.
const STATUS_ERROR: u64 = 2;

/// Bits of `flags`, of spans and of links, besides the W3C trace flags in the lowest eight.
const SAMPLED: u32 = 0x001;
const RANDOM: u32 = 0x002;
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// The encoder of OTLP's `ExportTraceServiceRequest`, for `/v1/traces`.
#[derive(Debug)]
pub struct Otlp {
    /// `ResourceSpans.resource`, with field number and length.
    resource: Vec<u8>,
    /// `ScopeSpans.scope`, likewise.
    scope: Vec<u8>,
    /// Where a span is written.
    message: Message,
}

impl Otlp {
    /// An encoder of this proxy's spans.
    pub fn new(resource: &Resource) -> Self {
        let mut message = Message::default();
        let own: Vec<Tag> =
            resource.attributes.iter().map(|(name, value)| (name.as_str(), value.into())).collect();
        let mut attributes = Attributes {
            message: &mut message,
            field: field::resource::ATTRIBUTES,
            replaced: &own,
        };
        conventions::resource(resource, &mut attributes);
        attributes.custom(&own);
        let mut scope = Message::default();
        scope.bytes(field::scope::NAME, conventions::SDK_NAME.as_bytes());
        scope.bytes(field::scope::VERSION, conventions::VERSION.as_bytes());
        Self {
            resource: nested(field::resource_spans::RESOURCE, &message),
            scope: nested(field::scope_spans::SCOPE, &scope),
            message: Message::default(),
        }
    }
}

fn nested(number: u32, inner: &Message) -> Vec<u8> {
    let mut outer = Message::default();
    outer.bytes(number, inner.0.bytes());
    outer.0.into_bytes()
}

impl Encoder for Otlp {
    fn content_type(&self) -> &'static str {
        "application/x-protobuf"
    }

    /// A message `Span`, without field number and length, which it gets in the batch.
    fn span(&mut self, span: &Span) -> Vec<u8> {
        use field::span as number;
        let mut message = core::mem::take(&mut self.message);
        message.bytes(number::TRACE_ID, &span.trace_id.value().to_be_bytes());
        message.bytes(number::SPAN_ID, &span.span_id.value().to_be_bytes());
        if !span.trace_state.is_empty() {
            message.bytes(number::TRACE_STATE, span.trace_state.as_bytes());
        }
        if let Some(parent) = span.parent_id {
            message.bytes(number::PARENT_SPAN_ID, &parent.value().to_be_bytes());
        }
        message.bytes(number::NAME, span.name.as_bytes());
        message.varint(number::KIND, kind(span));
        message.fixed64(number::START_TIME_UNIX_NANO, span.start_time);
        let end = span.start_time.saturating_add(span.duration);
        message.fixed64(number::END_TIME_UNIX_NANO, end);
        let mut attributes = Attributes {
            message: &mut message,
            field: number::ATTRIBUTES,
            replaced: &span.custom_tags,
        };
        let error = conventions::error_type(span);
        conventions::span(span, error.as_deref(), &mut attributes);
        for event in &span.events {
            message.bytes(number::EVENTS, self::event(event).0.bytes());
        }
        for link in &span.links {
            message.bytes(number::LINKS, self::link(link, origin(span)).0.bytes());
        }
        if error.is_some() {
            let mut status = Message::default();
            if let Some(description) = span.response.grpc_message.as_deref() {
                status.bytes(field::status::MESSAGE, description.as_bytes());
            }
            status.varint(field::status::CODE, STATUS_ERROR);
            message.bytes(number::STATUS, status.0.bytes());
        }
        message.fixed32(number::FLAGS, flags(span));
        let bytes = message.0.take();
        self.message = message;
        bytes
    }

    fn link(&mut self, span: &mut Vec<u8>, link: &Link) {
        let mut message = core::mem::take(&mut self.message);
        // What it is inferred from is the proxy's own.
        message.bytes(field::span::LINKS, self::link(link, HAS_IS_REMOTE).0.bytes());
        span.extend(message.0.take());
        self.message = message;
    }

    fn batch(&self, spans: &VecDeque<Vec<u8>>) -> Vec<u8> {
        let schema = conventions::SCHEMA_URL.as_bytes();
        let spans_size: usize = spans.iter().map(|span| delimited_size(span.len())).sum();
        let scope_spans = self.scope.len() + spans_size + delimited_size(schema.len());
        let resource_spans =
            self.resource.len() + delimited_size(scope_spans) + delimited_size(schema.len());
        let mut body = Message(Buffer::with_room(delimited_size(resource_spans)));
        body.length(field::request::RESOURCE_SPANS, resource_spans);
        body.0.extend(&self.resource);
        body.length(field::resource_spans::SCOPE_SPANS, scope_spans);
        body.0.extend(&self.scope);
        for span in spans {
            body.bytes(field::scope_spans::SPANS, span);
        }
        body.bytes(field::scope_spans::SCHEMA_URL, schema);
        body.bytes(field::resource_spans::SCHEMA_URL, schema);
        body.0.into_bytes()
    }
}

/// `SpanKind`.
fn kind(span: &Span) -> u64 {
    match span.kind {
        // What has been shown as a call is not to be counted as another.
        _ if span.extent == Extent::Closed => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
    }
}

/// The span's own trace flags, and where its parent is known from.
fn flags(span: &Span) -> u32 {
    let random = if span.flags.random { RANDOM } else { 0 };
    let origin = if span.parent_id.is_some() { origin(span) } else { HAS_IS_REMOTE };
    SAMPLED | random | origin
}

/// Parents and links came in headers, so they are remote, but for a beginning of our own.
fn origin(span: &Span) -> u32 {
    match span.extent {
        Extent::Closed => HAS_IS_REMOTE,
        Extent::Whole | Extent::Open => HAS_IS_REMOTE | IS_REMOTE,
    }
}

fn event(event: &Event) -> Message {
    let mut message = Message::default();
    message.fixed64(field::event::TIME_UNIX_NANO, event.time);
    message.bytes(field::event::NAME, event.name.as_bytes());
    message
}

fn link(link: &Link, origin: u32) -> Message {
    let mut message = Message::default();
    message.bytes(field::link::TRACE_ID, &link.trace_id.value().to_be_bytes());
    message.bytes(field::link::SPAN_ID, &link.span_id.value().to_be_bytes());
    if let Some(confidence) = link.confidence {
        let mut attributes =
            Attributes { message: &mut message, field: field::link::ATTRIBUTES, replaced: &[] };
        conventions::correlation("inferred", Some(confidence), &mut attributes);
    }
    message.fixed32(field::link::FLAGS, origin);
    message
}

#[cfg(test)]
#[path = "otlp_tests.rs"]
pub(super) mod tests;
