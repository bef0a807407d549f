//! What is the same for every span of a proxy.

use super::Kubernetes;
use std::net::IpAddr;

/// The proxy and the workload that it serves.
/// <https://opentelemetry.io/docs/specs/semconv/resource/>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// `service.name`.
    pub service_name: String,
    /// Envoy's node id, or empty.
    pub node_id: String,
    /// Envoy's locality zone, or empty.
    pub zone: String,
    /// The pod's address, where Istio tells it.
    pub ip: Option<IpAddr>,
    /// Where in Kubernetes it runs.
    pub kubernetes: Kubernetes,
    /// What Istio says of the workload, inside an Istio mesh.
    pub istio: Option<Istio>,
}

impl Resource {
    /// Whether it is one of Istio's that have no application beside them: a gateway or a waypoint.
    pub fn is_alone(&self) -> bool {
        self.is_waypoint() || self.node_id.starts_with("router~")
    }

    /// Whether it is Istio's proxy for the services of other pods: what is called is then a
    /// service's address, and none of its own.
    pub fn is_waypoint(&self) -> bool {
        self.node_id.starts_with("waypoint~")
    }

    /// Whether it is a gateway of Istio's.
    pub fn is_gateway(&self) -> bool {
        self.node_id.starts_with("router~")
    }
}

/// Istio's standard tags.
/// <https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#Tracing>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Istio {
    /// `istio.canonical_service`.
    pub canonical_service: String,
    /// `istio.canonical_revision`.
    pub canonical_revision: String,
    /// `istio.mesh_id`.
    pub mesh_id: String,
    /// `istio.namespace`.
    pub namespace: String,
    /// `istio.cluster_id`.
    pub cluster_id: String,
}
