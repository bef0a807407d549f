//! What Envoy knows of a request that has only just come, for rules that ask for it.

use super::attributes::bytes;
use super::facts::{OUTBOUND, number};
use crate::config::Attribute;
use crate::sampling::Surroundings;

pub(super) struct Envoy;

impl Surroundings for Envoy {
    fn attribute(&self, attribute: Attribute) -> Vec<u8> {
        let name = match attribute {
            Attribute::Route => "route_name",
            Attribute::Cluster => "cluster_name",
            Attribute::Direction => "listener_direction",
        };
        let value = bytes(&["xds", name]).unwrap_or_default();
        if attribute != Attribute::Direction {
            return value;
        }
        // As for spans, a listener that names none is taken for one that receives.
        let is_outbound = number(&value) == Some(OUTBOUND);
        (if is_outbound { "outbound" } else { "inbound" }).as_bytes().to_vec()
    }
}
