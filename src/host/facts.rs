//! What Envoy knows of a request that has ended. Each attribute that is read costs about 12,000
//! instructions, so only those that a span shows are.

use super::attributes::{address, bytes, number, size, text};
use crate::attributes::{Facts, Naming, Recording};
use crate::trace::SpanKind;
use crate::tracer::Tracer;

/// `xds.listener_direction` of a listener that the application or a gateway sends through.
const OUTBOUND: i64 = 2;

/// The facts of the request whose callback this is.
pub(super) fn read(tracer: &mut Tracer, recording: &Recording) -> Facts {
    let kind = kind();
    let cluster = text(&["xds", "cluster_name"]);
    let service = tracer.service(cluster.as_deref(), &Envoy);
    let grpc = |name| recording.is_grpc().then(|| grpc_field(name)).flatten();
    Facts {
        kind,
        start_time: size(&["request", "time"]).unwrap_or_default(),
        duration: size(&["request", "duration"]).unwrap_or_default(),
        protocol: bytes(&["request", "protocol"]).unwrap_or_default(),
        status_code: size(&["response", "code"])
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| *code != 0),
        request_size: request_size(),
        response_size: size(&["response", "size"]).unwrap_or_default(),
        flags: size(&["response", "flags"]).unwrap_or_default(),
        cluster,
        service,
        peer: address(&["source", "address"]),
        local: local(kind, tracer.knows_its_address()),
        upstream: match kind {
            SpanKind::Server => None,
            SpanKind::Client => address(&["upstream", "address"]),
        },
        grpc_status: grpc("grpc-status"),
        grpc_message: grpc("grpc-message"),
    }
}

/// Like Envoy's own tracers, a listener that names no direction is taken for one that receives.
/// Asked for each request: listeners of both directions share a root context where their plugin
/// configurations are the same.
fn kind() -> SpanKind {
    match number(&["xds", "listener_direction"]) {
        Some(OUTBOUND) => SpanKind::Client,
        _ => SpanKind::Server,
    }
}

/// This proxy's side. Of a server it is asked for in any case: it has the port.
fn local(kind: SpanKind, address_is_known: bool) -> Option<std::net::SocketAddr> {
    let called = || address(&["destination", "address"]);
    match kind {
        SpanKind::Server => called(),
        SpanKind::Client if address_is_known => None,
        SpanKind::Client => address(&["upstream", "local_address"]).or_else(called),
    }
}

/// A field of gRPC's status, which a trailers-only answer has among its headers.
fn grpc_field(name: &str) -> Option<Vec<u8>> {
    bytes(&["response", "trailers", name]).or_else(|| bytes(&["response", "headers", name]))
}

/// Bytes of the request's body that arrived. `request.size` is what content-length promises where
/// there is one, and Envoy may answer before the body has come; it is enough where it is zero.
fn request_size() -> u64 {
    let request = |name| size(&["request", name]);
    match request("size") {
        Some(0) => 0,
        promised => match (request("total_size"), request("headers_bytes")) {
            (Some(total), Some(headers)) => total.saturating_sub(headers),
            _ => promised.unwrap_or_default(),
        },
    }
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
