//! What Envoy knows of a request when it has ended.

use super::{Service, Way};
use crate::trace::SpanKind;
use std::net::SocketAddr;

/// gRPC statuses that are the server's fault, as Envoy's tracers see it: unknown, deadline
/// exceeded, resource exhausted, unimplemented, internal, unavailable, data loss.
pub const GRPC_ERRORS: [u32; 7] = [2, 4, 8, 12, 13, 14, 15];

/// Response flags of an answer that began and broke off upstream: UT, UR, UC, DT, UPE.
const BROKEN_OFF: u64 = 1 << 2 | 1 << 4 | 1 << 6 | 1 << 22 | 1 << 23;

/// Response flags that are the client's doing: DC, DPE, DR.
const OF_CLIENT: u64 = 1 << 14 | 1 << 18 | 1 << 28;

/// The status of a connection that has become another protocol's.
pub(super) const SWITCHING_PROTOCOLS: u16 = 101;

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
    /// The route's name, where spans are called by it.
    pub route: Option<String>,
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
    /// What Envoy tells of its way, where events are wanted.
    pub way: Option<Way>,
}

impl Facts {
    /// gRPC's status, if it is a number.
    pub fn grpc_status_number(&self) -> Option<u32> {
        core::str::from_utf8(self.grpc_status.as_deref()?).ok()?.parse().ok()
    }

    /// Whether gRPC's status says that the server failed.
    pub fn is_grpc_error(&self) -> bool {
        self.grpc_status_number().is_some_and(|status| GRPC_ERRORS.contains(&status))
    }

    /// Whether the request failed: 5xx, gRPC's statuses of that kind, an answer that broke off
    /// upstream, or none, unless it is the client alone that left.
    pub fn has_failed(&self) -> bool {
        let has = |flags: u64| self.flags & flags != 0;
        match self.status_code {
            None => self.flags == 0 || has(!OF_CLIENT),
            Some(SWITCHING_PROTOCOLS) => false,
            Some(code) => code >= 500 || self.is_grpc_error() || has(BROKEN_OFF),
        }
    }

    /// How long somebody waited for a request of this method, in nanoseconds; nobody does for the end of a
    /// connection that was upgraded, or of a tunnel.
    pub fn waiting_time(&self, method: &[u8]) -> u64 {
        match self.status_code {
            Some(SWITCHING_PROTOCOLS) => 0,
            Some(200..300) if method == b"CONNECT" => 0,
            _ => self.duration,
        }
    }
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
