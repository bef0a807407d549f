//! Whether what a request says of traces is to be believed.

use super::limit::Limit;
use super::{Reason, Surroundings};
use crate::config::{Attribute, SPIFFE, Trust, UntrustedContext, UntrustedSampling};
use crate::trace::{Randomness, Threshold};
use std::rc::Rc;

/// How the node ids of Istio's gateways begin.
const GATEWAY: &str = "router~";

/// Stands where not everybody is believed.
#[derive(Debug)]
pub struct Guard {
    trust: Rc<Trust>,
    /// What becomes of what is said of sampling.
    pub sampled: UntrustedSampling,
    limit: Limit,
}

impl Guard {
    /// The guard of the proxy with this node id; none where everything counts, whoever says it.
    pub fn new(trust: Rc<Trust>, node_id: &str) -> Option<Self> {
        let sampled = trust.sampled.unwrap_or(match node_id.starts_with(GATEWAY) {
            true => UntrustedSampling::Limit,
            false => UntrustedSampling::Keep,
        });
        if trust.context == UntrustedContext::Continue && sampled == UntrustedSampling::Keep {
            return None;
        }
        let limit = Limit::new(Some(Reason::Parent), trust.ceiling);
        Some(Self { trust, sampled, limit })
    }

    /// What becomes of a context that is not trusted.
    pub fn context(&self) -> UntrustedContext {
        self.trust.context
    }

    /// Whether the client is one of those that are trusted. What Envoy does not know is nobody.
    #[inline(never)]
    pub fn trusts(&self, envoy: &dyn Surroundings) -> bool {
        let Trust { from, networks, .. } = &*self.trust;
        if !networks.is_empty()
            && let Some(client) = envoy.client_address()
            && networks.iter().any(|network| network.has(client))
        {
            return true;
        }
        if from.len() == networks.len() {
            return false;
        }
        let client = envoy.attribute(Attribute::ClientIdentity);
        client.starts_with(SPIFFE.as_bytes())
            && from.iter().any(|identity| match identity.as_bytes() {
                [above @ .., b'*'] => client.starts_with(above),
                whole => client == whole,
            })
    }

    /// Whether one who is not trusted may have a trace sampled, which counts against the limit.
    pub fn allows(&self, randomness: Randomness, envoy: &dyn Surroundings) -> bool {
        self.limit.allows(Threshold::ALWAYS, randomness, envoy)
    }
}
