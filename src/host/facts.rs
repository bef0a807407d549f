//! What Envoy knows of a request that has ended.

use super::attributes::{self, bytes, text};
use super::expression::{self, Expression};
use crate::attributes::{Facts, Naming, Recording};
use crate::trace::SpanKind;
use crate::tracer::Tracer;
use std::net::SocketAddr;

/// What `xds.listener_direction` is for a listener that the application or a gateway sends through.
pub(super) const OUTBOUND: i64 = 2;

/// How the addresses of a client's span begin in [`Expressions`]; no address begins so.
const CLIENT: char = '>';

/// The attributes that every span shows, at once. Asking with `has()` whether one is there would cost
/// more than reading two; where one is absent, because no answer came or no route was found, all are
/// read one by one.
#[derive(Clone, Copy)]
pub(super) struct Expressions {
    without_body: Expression,
    with_body: Expression,
}

impl Expressions {
    /// To be called in the root context; nothing where Envoy has no expressions.
    pub(super) fn compile() -> Option<Self> {
        Some(Self {
            without_body: Expression::compile(&Self::text(""))?,
            with_body: Expression::compile(&Self::text(
                ",request.total_size,request.headers_bytes",
            ))?,
        })
    }

    /// The order is that of [`Attributes::at_once`]. The direction is asked for once.
    fn text(more: &str) -> String {
        format!(
            "[request.time,request.duration,request.protocol,\
            response.code,response.size,response.flags,\
            xds.cluster_name,source.address,\
            xds.listener_direction=={OUTBOUND}\
            ?'{CLIENT}'+upstream.address+'{CLIENT}'+upstream.local_address\
            :destination.address{more}]"
        )
    }
}

/// The facts of the request whose callback this is.
pub(super) fn read(
    expressions: Option<Expressions>,
    tracer: &mut Tracer,
    recording: &Recording,
    has_body: bool,
) -> Facts {
    let expression = expressions.map(|all| if has_body { all.with_body } else { all.without_body });
    let attributes = expression.and_then(Attributes::at_once).unwrap_or_else(Attributes::singly);
    let service = tracer.service(attributes.cluster.as_deref(), &Envoy);
    let grpc = |name| recording.is_grpc().then(|| grpc_field(name)).flatten();
    Facts {
        kind: attributes.kind,
        start_time: attributes.start_time,
        duration: attributes.duration,
        protocol: attributes.protocol,
        status_code: u16::try_from(attributes.status_code).ok().filter(|code| *code != 0),
        request_size: attributes.total_size.saturating_sub(attributes.headers_size),
        response_size: attributes.response_size,
        flags: attributes.flags,
        cluster: attributes.cluster,
        service,
        peer: attributes.source,
        local: attributes.local,
        upstream: attributes.upstream,
        grpc_status: grpc("grpc-status"),
        grpc_message: grpc("grpc-message"),
    }
}

/// Envoy's attributes that every span shows; what is absent is zero or empty.
struct Attributes {
    start_time: u64,
    duration: u64,
    protocol: Vec<u8>,
    status_code: u64,
    /// Of the request: what arrived of its body, and [`Self::headers_size`]. `request.size` would be
    /// what content-length promises, and Envoy may answer before the body has come.
    total_size: u64,
    headers_size: u64,
    response_size: u64,
    flags: u64,
    cluster: Option<String>,
    kind: SpanKind,
    source: Option<SocketAddr>,
    /// Of a server the address that was called, of a client its end of the connection upstream.
    local: Option<SocketAddr>,
    /// Of a client only.
    upstream: Option<SocketAddr>,
}

impl Attributes {
    fn at_once(expression: Expression) -> Option<Self> {
        let list = expression.evaluate()?;
        let items = expression::items(&list)?;
        let [
            start_time,
            duration,
            protocol,
            status_code,
            response_size,
            flags,
            cluster,
            source,
            ends,
            sizes @ ..,
        ] = items.as_slice()
        else {
            return None;
        };
        let ends = core::str::from_utf8(ends).ok()?;
        let upstream = ends.strip_prefix(CLIENT).and_then(|ends| ends.split_once(CLIENT));
        let (total_size, headers_size) = match sizes {
            [total, headers] => (size(total), size(headers)),
            _ => (0, 0),
        };
        Some(Self {
            start_time: size(start_time),
            duration: size(duration),
            protocol: protocol.to_vec(),
            status_code: size(status_code),
            total_size,
            headers_size,
            response_size: size(response_size),
            flags: size(flags),
            cluster: core::str::from_utf8(cluster).ok().map(str::to_owned),
            kind: upstream.map_or(SpanKind::Server, |_| SpanKind::Client),
            source: address(source),
            local: upstream.map_or(ends, |(_, local)| local).parse().ok(),
            upstream: upstream.and_then(|(upstream, _)| upstream.parse().ok()),
        })
    }

    fn singly() -> Self {
        let size = |path: &[&str]| bytes(path).map_or(0, |value| size(&value));
        let address = |path: &[&str]| bytes(path).and_then(|value| address(&value));
        let kind = kind(attributes::number(&["xds", "listener_direction"]));
        let of_client = |path: &[&str]| (kind == SpanKind::Client).then(|| address(path)).flatten();
        Self {
            start_time: size(&["request", "time"]),
            duration: size(&["request", "duration"]),
            protocol: bytes(&["request", "protocol"]).unwrap_or_default(),
            status_code: size(&["response", "code"]),
            total_size: size(&["request", "total_size"]),
            headers_size: size(&["request", "headers_bytes"]),
            response_size: size(&["response", "size"]),
            flags: size(&["response", "flags"]),
            cluster: text(&["xds", "cluster_name"]),
            kind,
            source: address(&["source", "address"]),
            local: of_client(&["upstream", "local_address"])
                .or_else(|| address(&["destination", "address"])),
            upstream: of_client(&["upstream", "address"]),
        }
    }
}

/// Like Envoy's own tracers, a listener that names no direction is taken for one that receives.
/// Asked for each request: listeners of both directions share a root context where their plugin
/// configurations are the same.
fn kind(direction: Option<i64>) -> SpanKind {
    match direction {
        Some(OUTBOUND) => SpanKind::Client,
        _ => SpanKind::Server,
    }
}

/// A number that cannot be negative.
fn size(value: &[u8]) -> u64 {
    attributes::integer(value).and_then(|number| number.try_into().ok()).unwrap_or_default()
}

/// An IP address with its port; a Unix socket counts as absent.
fn address(value: &[u8]) -> Option<SocketAddr> {
    core::str::from_utf8(value).ok()?.parse().ok()
}

/// A field of gRPC's status, which a trailers-only answer has among its headers.
fn grpc_field(name: &str) -> Option<Vec<u8>> {
    bytes(&["response", "trailers", name]).or_else(|| bytes(&["response", "headers", name]))
}

struct Envoy;

impl Naming for Envoy {
    fn virtual_host(&self) -> Option<String> {
        text(&["xds", "virtual_host_name"])
    }

    fn cluster_service_host(&self) -> Option<String> {
        text(&["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", "host"])
    }
}
