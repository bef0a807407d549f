//! What OTLP calls things: OpenTelemetry's semantic conventions, and names of Envoy's and Istio's
//! own for what these have none for.
//!
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>,
//! <https://opentelemetry.io/docs/specs/semconv/registry/attributes/rpc/>

use super::attributes::Attributes;
use super::{CONFIDENCE, POOL_READY, RESEND_COUNT, SAMPLER_TYPE};
use crate::address;
use crate::attributes::{Kubernetes, Resource};
use crate::trace::{Extent, GrpcRequest, Kept, Span, SpanKind};
use std::borrow::Cow;

/// The version of the conventions: the last whose gRPC attributes are those that collectors,
/// backends and dashboards know; HTTP's have been stable since 1.23.
pub(super) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

/// `telemetry.sdk.name`, and the name of the instrumentation scope.
pub(super) const SDK_NAME: &str = "meshspan";

/// `telemetry.sdk.version`, and the version of the instrumentation scope.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `error.type` and `http.request.method` where no known word fits.
const OTHER: &str = "_OTHER";

/// gRPC's statuses by number.
/// <https://grpc.io/docs/guides/status-codes/>
const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// gRPC statuses that are a server's own fault: unknown, deadline exceeded, unimplemented,
/// internal, unavailable, data loss. For a client every one but OK is an error.
const GRPC_SERVER_ERRORS: [u32; 6] = [2, 4, 12, 13, 14, 15];

/// Response flags of an answer that began and broke off upstream: timeout, connection termination,
/// reset, protocol error, duration timeout.
const BROKEN_OFF: [&str; 5] = ["UT", "UC", "UR", "UPE", "DT"];

/// Attributes of everything that this proxy exports.
pub(super) fn resource(resource: &Resource, attributes: &mut Attributes) {
    let Resource { service_name, node_id, zone, kubernetes, istio, .. } = resource;
    let Kubernetes { pod, namespace, node, cluster, owner } = kubernetes;
    attributes.string("service.name", service_name);
    attributes.string_if("service.namespace", namespace.as_deref());
    attributes.string("service.instance.id", pod.as_deref().unwrap_or(node_id));
    attributes.string("telemetry.sdk.name", SDK_NAME);
    attributes.string("telemetry.sdk.language", "rust");
    attributes.string("telemetry.sdk.version", VERSION);
    attributes.string_if("k8s.namespace.name", namespace.as_deref());
    attributes.string_if("k8s.pod.name", pod.as_deref());
    attributes.string_if("k8s.node.name", node.as_deref());
    attributes.string_if("k8s.cluster.name", cluster.as_deref());
    if let Some(owner) = owner {
        attributes.string(owner.kind.attribute(), &owner.name);
    }
    attributes.string("cloud.availability_zone", zone);
    attributes.string("envoy.node.id", node_id);
    if let Some(istio) = istio {
        attributes.string("istio.canonical_service", &istio.canonical_service);
        attributes.string("istio.canonical_revision", &istio.canonical_revision);
        attributes.string("istio.mesh_id", &istio.mesh_id);
        attributes.string("istio.namespace", &istio.namespace);
        attributes.string("istio.cluster_id", &istio.cluster_id);
    }
}

/// Attributes of one span, whose [`error_type`] is given.
pub(super) fn span(span: &Span, error_type: Option<&str>, attributes: &mut Attributes) {
    method(span, attributes);
    url(span, attributes);
    network(span, attributes);
    let Span { request, response, .. } = span;
    attributes.string_if("user_agent.original", request.user_agent.as_deref());
    attributes.integer("http.request.body.size", response.request_size);
    attributes.integer("http.response.body.size", response.response_size);
    if let Some(code) = response.status_code {
        attributes.integer("http.response.status_code", code.into());
    }
    attributes.string_if("error.type", error_type);
    if response.resend_count > 0 {
        attributes.integer(RESEND_COUNT, response.resend_count);
    }
    if response.pool_ready > 0 {
        attributes.integer(POOL_READY, response.pool_ready);
    }
    if let Some(grpc) = &request.grpc {
        rpc(grpc, span, attributes);
    }
    attributes.header("http.request.header.x-request-id", request.request_id.as_deref());
    attributes.header("http.request.header.x-client-trace-id", request.client_trace_id.as_deref());
    attributes.string_if("envoy.downstream_cluster", request.downstream_cluster.as_deref());
    attributes.string_if("envoy.upstream_cluster", response.upstream_cluster.as_deref());
    attributes.string("envoy.response_flags", &response.flags);
    attributes.string("sampling.rule", span.sampling.rule);
    if let Some(threshold) = span.sampling.threshold {
        let probability = threshold.probability_as_f64();
        attributes.double("sampling.probability", probability);
        if span.sampling.counts {
            attributes.string("sampler.type", SAMPLER_TYPE);
            attributes.double("sampler.param", probability);
        }
    }
    attributes.string_if("meshspan.stream", span.extent.name());
    if let Some(evidence) = &span.correlation {
        correlation(&evidence.name, evidence.confidence, attributes);
    }
    attributes.string_if("sampling.kept", span.sampling.kept.map(Kept::name));
    attributes.custom(&span.custom_tags);
}

/// How it is known what caused a call, and how likely that is, in thousandths.
pub(super) fn correlation(name: &str, confidence: Option<u16>, attributes: &mut Attributes) {
    attributes.string("meshspan.correlation", name);
    if let Some(confidence) = confidence {
        attributes.double(CONFIDENCE, f64::from(confidence) / 1000.0);
    }
}

fn method(span: &Span, attributes: &mut Attributes) {
    let known = span.request.known_method();
    attributes.string("http.request.method", known.unwrap_or(OTHER));
    if known.is_none() {
        attributes.string("http.request.method_original", &span.request.method);
    }
}

/// A server's span has the URL in parts, a client's has it whole.
fn url(span: &Span, attributes: &mut Attributes) {
    let request = &span.request;
    let (address, port) = host_and_port(&request.authority);
    let default_port = match &*request.scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    match span.kind {
        SpanKind::Server => {
            attributes.string("url.scheme", &request.scheme);
            let (path, query) = split(&request.path, b'?').unwrap_or((&request.path, ""));
            attributes.string("url.path", path);
            attributes.string("url.query", query);
        }
        SpanKind::Client if !address.is_empty() => {
            let url = [&*request.scheme, "://", &request.authority, &request.path].concat();
            attributes.string("url.full", &url);
        }
        SpanKind::Client => {}
    }
    attributes.string("server.address", address);
    if let Some(port) = port.or(default_port).filter(|_| !address.is_empty()) {
        attributes.integer("server.port", port.into());
    }
}

/// Host and port of an authority: `h:80`, `[::1]:80`, `h`.
fn host_and_port(authority: &str) -> (&str, Option<u16>) {
    if let Some((address, rest)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']'))
    {
        return (address, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match authority.bytes().rposition(|byte| byte == b':') {
        Some(colon) => match authority.get(..colon).zip(authority.get(colon + 1..)) {
            Some((host, port)) => (host, port.parse().ok()),
            None => (authority, None),
        },
        None => (authority, None),
    }
}

/// What is before the first such byte, and behind it.
fn split(text: &str, at: u8) -> Option<(&str, &str)> {
    let place = text.bytes().position(|byte| byte == at)?;
    text.get(..place).zip(text.get(place + 1..))
}

fn network(span: &Span, attributes: &mut Attributes) {
    let Span { response, remote, .. } = span;
    if let Some(version) = response.protocol.strip_prefix("HTTP/") {
        attributes.string("network.protocol.name", "http");
        attributes.string("network.protocol.version", version);
    }
    // An address without a port is none of a connection: Envoy has it from `x-forwarded-for`.
    let of_remote = remote.ip.map(address::text).unwrap_or_default();
    if let (Some(_), Some(port)) = (remote.ip, remote.port) {
        attributes.string("network.peer.address", &of_remote);
        attributes.integer("network.peer.port", port.into());
    }
    match (span.kind, response.peer) {
        (SpanKind::Server, client) if client.is_some() && client == remote.ip => {
            attributes.string("client.address", &of_remote);
        }
        (SpanKind::Server, Some(client)) => {
            attributes.string("client.address", &address::text(client));
        }
        (SpanKind::Client, _) => attributes.string("peer.service", &remote.service_name),
        _ => {}
    }
}

fn rpc(grpc: &GrpcRequest, span: &Span, attributes: &mut Attributes) {
    attributes.string("rpc.system", "grpc");
    let path = grpc.path.split('?').next().unwrap_or_default();
    if let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) {
        attributes.string("rpc.service", service);
        attributes.string("rpc.method", method);
    }
    if let Some(status) = span.response.grpc_status {
        attributes.integer("rpc.grpc.status_code", status.into());
    }
    // Envoy's name: a description of a status that is no error has no place in the span's status.
    attributes.string_if("grpc.message", span.response.grpc_message.as_deref());
    attributes.header("http.request.header.grpc-timeout", grpc.timeout.as_deref());
    attributes.header("http.request.header.content-type", Some(&grpc.content_type));
}

/// What went wrong, in a word of low cardinality; nothing where the conventions see no error. It
/// decides the span's status too.
///
/// An answer of 5xx is an error; of 4xx only for the client. Without an answer, or with one that
/// broke off, Envoy's response flags say what happened.
pub(super) fn error_type<'a>(span: &'a Span) -> Option<Cow<'a, str>> {
    let response = &span.response;
    let first_error = match span.kind {
        SpanKind::Server => 500,
        SpanKind::Client => 400,
    };
    match response.status_code {
        // It may still come.
        None if span.extent == Extent::Open => None,
        None if response.flags.is_empty() => Some(OTHER.into()),
        None => Some(response.flags.as_str().into()),
        Some(code) if code >= first_error => Some(code.to_string().into()),
        Some(code) => response
            .grpc_status
            .and_then(|status| grpc_error(span.kind, status))
            .or_else(|| broken_off(code, &response.flags)),
    }
}

/// An upgraded connection has no end that would be an error.
fn broken_off(code: u16, flags: &str) -> Option<Cow<'_, str>> {
    let broken = flags.split(',').any(|flag| BROKEN_OFF.contains(&flag));
    (broken && code >= 200).then(|| flags.into())
}

fn grpc_error(kind: SpanKind, status: u32) -> Option<Cow<'static, str>> {
    // A number that gRPC does not know counts as UNKNOWN.
    let name = GRPC_STATUSES.get(status as usize);
    let is_error = match kind {
        SpanKind::Server => name.is_none() || GRPC_SERVER_ERRORS.contains(&status),
        SpanKind::Client => status != 0,
    };
    is_error.then(|| Cow::from(name.copied().unwrap_or("UNKNOWN")))
}

#[cfg(test)]
#[path = "semantic_conventions_tests.rs"]
mod tests;
