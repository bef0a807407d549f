//! What Envoy knows while a request has only just come, for rules and ceilings that ask for it.

use super::abi::{self, MetricKind};
use super::attributes::bytes;
use super::facts::{OUTBOUND, number};
use super::wasi;
use crate::address;
use crate::config::Attribute;
use crate::correlation::Sidecar;
use crate::sampling::Surroundings;
use core::net::IpAddr;

pub(super) struct Envoy;

thread_local! {
    /// Envoy's id of the number that correlation keeps for the whole pod. No counter of ours, and nothing for
    /// people to read: only a metric can be changed by all workers and read for a few hundred instructions.
    static CROWD: u32 = abi::define_metric(MetricKind::Gauge, "meshspan_internal_in_flight");
}

impl Sidecar for Envoy {
    fn crowd(&self) -> u64 {
        CROWD.with(|id| abi::metric(*id))
    }

    fn change_crowd(&self, change: i64) {
        CROWD.with(|id| abi::increment_metric(*id, change));
    }

    fn source_port(&self) -> Option<u16> {
        bytes(&["source", "port"]).and_then(|value| number(&value)?.try_into().ok())
    }

    fn is_refused(&self) -> bool {
        // Zero where there was none.
        let code = bytes(&["response", "code"]).and_then(|value| number(&value));
        !matches!(code, Some(1..400))
    }

    fn upstream_port(&self, stream: u32, own: u32) -> Option<u16> {
        let value = abi::property_of(stream, own, "upstream\0local_address")?;
        address::socket(&value).map(|address| address.port())
    }
}

impl Surroundings for Envoy {
    fn attribute(&self, attribute: Attribute) -> Vec<u8> {
        let path = match attribute {
            Attribute::Route => ["xds", "route_name"],
            Attribute::Cluster => ["xds", "cluster_name"],
            Attribute::Direction => ["xds", "listener_direction"],
            Attribute::ClientIdentity => ["connection", "uri_san_peer_certificate"],
        };
        let value = bytes(&path).unwrap_or_default();
        if attribute != Attribute::Direction {
            return value;
        }
        // As for spans, a listener that names none is taken for one that receives.
        let is_outbound = number(&value) == Some(OUTBOUND);
        (if is_outbound { "outbound" } else { "inbound" }).as_bytes().to_vec()
    }

    fn client_address(&self) -> Option<IpAddr> {
        address::socket(&bytes(&["source", "address"])?).map(|address| address.ip())
    }

    fn clock(&self) -> u64 {
        // The other one may be set; where there is none but that, it has to do.
        wasi::monotonic_clock().unwrap_or_else(abi::now)
    }

    fn shared_data(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        abi::shared_data(key)
    }

    fn set_shared_data(&self, key: &[u8], value: &[u8], version: u32) -> bool {
        abi::set_shared_data(key, value, version)
    }
}
