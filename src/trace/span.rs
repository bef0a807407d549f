//! A finished span, as the encoders take it.

use super::{SpanId, Threshold, TraceFlags, TraceId};
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

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

impl Endpoint {
    /// The endpoint at this address.
    pub fn new(service_name: impl Into<String>, address: Option<SocketAddr>) -> Self {
        Self {
            service_name: service_name.into(),
            ip: address.map(|address| address.ip()),
            port: address.map(|address| address.port()).filter(|port| *port != 0),
        }
    }
}

/// What was asked. Text is valid UTF-8, redacted and within its caps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// `http.request.method`.
    pub method: Cow<'static, str>,
    /// `url.scheme`, or empty.
    pub scheme: Cow<'static, str>,
    /// `server.address` with its port as the request names it, without user information.
    pub authority: String,
    /// `url.path` and `url.query`, the query's values redacted; as they were before an Envoy on
    /// the way rewrote them.
    pub path: String,
    /// `user_agent.original`.
    pub user_agent: Option<String>,
    /// Envoy's `x-request-id`.
    pub request_id: Option<String>,
    /// Envoy's `x-client-trace-id`.
    pub client_trace_id: Option<String>,
    /// Envoy's `x-envoy-downstream-service-cluster`.
    pub downstream_cluster: Option<String>,
    /// What is more in a gRPC request.
    pub grpc: Option<GrpcRequest>,
}

impl HttpRequest {
    /// The method, where it is one that HTTP defines.
    pub fn known_method(&self) -> Option<&'static str> {
        known_method(self.method.as_bytes())
    }
}

/// A method that HTTP defines; methods are told apart by case.
/// <https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/#http-request-method>
pub fn known_method(method: &[u8]) -> Option<&'static str> {
    // Not a constant, else there is a comparison for each.
    static KNOWN: [&str; 9] =
        ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
    KNOWN.iter().find(|known| known.as_bytes() == method).copied()
}

/// What a gRPC request has besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrpcRequest {
    /// `:path`: service and method, redacted like [`HttpRequest::path`].
    pub path: String,
    /// `content-type`.
    pub content_type: String,
    /// `grpc-timeout`.
    pub timeout: Option<String>,
}

/// How it ended, as the proxy saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// `http.response.status_code`; nothing where no answer began.
    pub status_code: Option<u16>,
    /// `network.protocol`: `HTTP/1.1`, `HTTP/2`, or empty.
    pub protocol: Cow<'static, str>,
    /// Bytes of the request's body.
    pub request_size: u64,
    /// Bytes of the response's body.
    pub response_size: u64,
    /// Envoy's response flags by their short names, or empty.
    pub flags: String,
    /// The cluster that the route chose, where it chose one.
    pub upstream_cluster: Option<String>,
    /// `network.peer.address` of the caller.
    pub peer: Option<IpAddr>,
    /// `rpc.grpc.status_code`, where the request was gRPC and the answer says one.
    pub grpc_status: Option<u32>,
    /// `grpc-message`.
    pub grpc_message: Option<String>,
    /// The request failed: 5xx, no answer, or a gRPC status that is the server's fault.
    pub error: bool,
    /// `http.request.resend_count`: how often it was sent upstream after the first time.
    pub resend_count: u64,
    /// `upstream.cx_pool_ready_duration`: how long it waited for a connection upstream, in nanoseconds;
    /// zero where Envoy does not say.
    pub pool_ready: u64,
}

/// A moment of a request.
/// <https://opentelemetry.io/docs/specs/otel/trace/api/#add-events>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub name: &'static str,
    /// When: nanoseconds since the Unix epoch.
    pub time: u64,
}

/// Another span that has to do with this one and is not its parent.
/// <https://opentelemetry.io/docs/specs/otel/overview/#links-between-spans>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The other span's trace.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
    /// Of a request that is taken for what caused a call: how likely it did, in thousandths.
    pub confidence: Option<u16>,
}

/// One recorded fact of the operator's choice: a name and a value within its cap.
pub type Tag<'a> = (&'a str, Cow<'a, str>);

/// Why a request was exported though its trace is not sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It failed.
    Error,
    /// It took long.
    Slow,
}

impl Kept {
    /// The value of `sampling.kept`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Slow => "slow",
        }
    }
}

/// How it came that the span is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampling<'a> {
    /// `sampling.rule`: what decided.
    pub rule: &'a str,
    /// `sampling.probability`, where it is known.
    pub threshold: Option<Threshold>,
    /// `sampler.type` and `sampler.param` go along, by which Jaeger's adaptive sampling counts: it is
    /// the root of a trace on which its word decided.
    pub counts: bool,
    /// `sampling.kept`, where the trace is not sampled.
    pub kept: Option<Kept>,
}

/// How much of a request a span shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// All of it, as nearly every span does.
    #[default]
    Whole,
    /// Its beginning: it goes on.
    Open,
    /// All of it, where another span has shown its beginning, which is its parent.
    Closed,
}

impl Extent {
    /// The value of `meshspan.stream`.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Open => Some("open"),
            Self::Closed => Some("closed"),
        }
    }
}

/// How a parent is known where no context tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What it is: `request_id`, `header:x-session-id`.
    pub name: String,
    /// How likely it is the parent, in thousandths; nothing where it is sure.
    pub confidence: Option<u16>,
}

impl Evidence {
    /// That leaves no doubt.
    pub fn sure(name: String) -> Self {
        Self { name, confidence: None }
    }
}

/// A finished span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// The trace that it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// Its parent, or nothing for the root of a trace.
    pub parent_id: Option<SpanId>,
    /// Its own trace flags; that it is sampled goes without saying.
    pub flags: TraceFlags,
    /// The W3C `tracestate` that went on, or empty.
    pub trace_state: String,
    /// Spans of other traces that came in with the request, each trace once.
    pub links: Vec<Link>,
    /// How its parent is known, where the application forwarded no context: `request_id`.
    pub correlation: Option<Evidence>,
    /// The side of the call.
    pub kind: SpanKind,
    /// How much of the call it shows.
    pub extent: Extent,
    /// A name of low cardinality.
    pub name: String,
    /// When it began: nanoseconds since the Unix epoch.
    pub start_time: u64,
    /// How long it took, in nanoseconds.
    pub duration: u64,
    /// Recorded past every limit.
    pub debug: bool,
    /// How it came that it is there.
    pub sampling: Sampling<'a>,
    /// This proxy's side.
    pub local: Endpoint,
    /// The other side.
    pub remote: Endpoint,
    /// What was asked.
    pub request: HttpRequest,
    /// How it ended.
    pub response: HttpResponse,
    /// Moments on the way, by their times.
    pub events: Vec<Event>,
    /// What the operator wants besides, in the order of names.
    pub custom_tags: Vec<Tag<'a>>,
}
