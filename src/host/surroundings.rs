//! What Envoy knows while a request has only just come, for rules and ceilings that ask for it.

use super::attributes::bytes;
use super::facts::{OUTBOUND, address, number};
use super::{abi, wasi};
use crate::config::Attribute;
use crate::sampling::Surroundings;
use core::net::IpAddr;

pub(super) struct Envoy;

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
        address(&bytes(&["source", "address"])?).map(|address| address.ip())
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
