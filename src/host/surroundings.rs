//! What Envoy knows of a request that has only just come, for rules that ask for it.

use super::attributes::bytes;
use super::facts::{OUTBOUND, number};
use crate::config::Attribute;
use crate::sampling::Surroundings;

pub(super) struct Envoy;

impl Surroundings for Envoy {
    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>> {
        match attribute {
            Attribute::Route => bytes(&["xds", "route_name"]),
            Attribute::Cluster => bytes(&["xds", "cluster_name"]),
            Attribute::Direction => {
                let direction = bytes(&["xds", "listener_direction"]);
                Some(match direction.and_then(|value| number(&value)) {
                    Some(OUTBOUND) => b"outbound".to_vec(),
                    // As for spans, a listener that names none is taken for one that receives.
                    _ => b"inbound".to_vec(),
                })
            }
        }
    }
}
