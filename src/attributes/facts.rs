//! What Envoy knows of a request when it has ended.

use super::Service;
use crate::trace::SpanKind;
use std::net::SocketAddr;

/// Envoy's attributes of one finished request.
/// <https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/advanced/attributes>
#[derive(Clone, Debug)]
pub struct Facts {
    /// The side of the call, by the listener's direction.
    pub kind: SpanKind,
    /// When the request began: nanoseconds since the epoch.
    pub start_time: u64,
    /// Until its end, in nanoseconds.
    pub duration: u64,
    /// `HTTP/1.1`, `HTTP/2`, …
    pub protocol: Vec<u8>,
    /// The answer's status, where an answer began.
    pub status_code: Option<u16>,
    /// Bytes of the request's body.
    pub request_size: u64,
    /// Bytes of the response's body.
    pub response_size: u64,
    /// Response flags as a bit mask.
    pub flags: u64,
    /// The cluster that the route chose.
    pub cluster: Option<String>,
    /// The service that cluster or virtual host name.
    pub service: Option<Service>,
    /// Who called this proxy.
    pub peer: Option<SocketAddr>,
    /// This proxy's side: of a server the address that was called, of a client its end of the
    /// connection upstream; not needed where [`super::Resource`] has the pod's address.
    pub local: Option<SocketAddr>,
    /// The upstream host of a client's call.
    pub upstream: Option<SocketAddr>,
    /// `grpc-status` of the answer's trailers or headers.
    pub grpc_status: Option<Vec<u8>>,
    /// `grpc-message` likewise.
    pub grpc_message: Option<Vec<u8>>,
}
