//! What is the same for every span of a proxy.

use super::{Kubernetes, text};
use crate::config::Settings;
use percent_encoding::percent_decode;
use std::borrow::Cow;
use std::net::IpAddr;

/// The most attributes of the environment.
const MAX_ATTRIBUTES: usize = 64;

/// The longest value, in bytes.
const MAX_ATTRIBUTE: usize = 1024;

/// The name of the service among the attributes.
const SERVICE_NAME: &str = "service.name";

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
    /// What the operator says besides, each name once; never `service.name`.
    pub attributes: Vec<(String, String)>,
}

impl Resource {
    /// Whether it is one of Istio's that have no application beside them: a gateway or a waypoint.
    pub fn is_alone(&self) -> bool {
        self.is_waypoint() || self.node_id.starts_with("router~")
    }

    /// Takes what the operator says, by the configuration first and then by the environment:
    /// `serviceName`, `resource`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`. Nothing in one of
    /// them that is no good spoils the others.
    /// <https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable>
    #[inline(never)]
    pub fn with_operators(
        mut self,
        settings: &Settings,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let mut all = settings.resource.clone();
        let own = all.len();
        let listed = environment("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        for pair in listed.split(',').take(MAX_ATTRIBUTES) {
            let (name, value) = pair.split_once('=').unwrap_or_default();
            let value: Cow<[u8]> = percent_decode(value.trim().as_bytes()).into();
            all.push((name.trim().to_owned(), text::text(&value, MAX_ATTRIBUTE)));
        }
        let mut names =
            [settings.service_name.clone(), None, environment("OTEL_SERVICE_NAME"), None];
        for (place, (name, value)) in all.into_iter().enumerate() {
            if name == SERVICE_NAME {
                let slot = names.get_mut(if place < own { 1 } else { 3 });
                slot.map(|slot| slot.get_or_insert(value));
            } else if !self.attributes.iter().any(|(other, _)| *other == name)
                && !name.is_empty()
                && !value.is_empty()
            {
                self.attributes.push((name, value));
            }
        }
        let name = names.into_iter().flatten().find(|name| !name.is_empty());
        self.service_name = name.unwrap_or(self.service_name);
        self
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{MeshConfig, PluginConfig, settings};

    #[test]
    fn the_configuration_goes_before_the_environment() {
        let configured = r#"{"serviceName": "a", "resource": {"service.name": "b", "k": "v"}}"#;
        let resource = r#"{"resource": {"service.name": "b", "k": "v"}}"#;
        let name = Some("c");
        let listed = Some("service.name=d,k=e, x = 1%2C2 ,=,y,z=,x=3");
        for (config, name, listed, expected, attributes) in [
            ("{}", None, None, "node", vec![]),
            ("{}", None, Some("service.name=d"), "d", vec![]),
            ("{}", name, listed, "c", vec![("k", "e"), ("x", "1,2")]),
            ("{}", Some(""), listed, "d", vec![("k", "e"), ("x", "1,2")]),
            (resource, name, listed, "b", vec![("k", "v"), ("x", "1,2")]),
            (configured, name, listed, "a", vec![("k", "v"), ("x", "1,2")]),
            (configured, None, None, "a", vec![("k", "v")]),
        ] {
            let plugin = PluginConfig::parse(config.as_bytes()).unwrap();
            let settings = settings(plugin, MeshConfig::default());
            let environment = |variable: &str| match variable {
                "OTEL_SERVICE_NAME" => name.map(str::to_owned),
                "OTEL_RESOURCE_ATTRIBUTES" => listed.map(str::to_owned),
                _ => None,
            };
            let node = Resource { service_name: "node".to_owned(), ..Resource::default() };
            let found = node.with_operators(&settings, &environment);
            assert_eq!(found.service_name, expected, "{config}");
            let pairs: Vec<(&str, &str)> = found
                .attributes
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            assert_eq!(pairs, attributes, "{config}");
        }
    }

    #[test]
    fn the_environment_has_so_many_attributes_of_so_many_bytes_at_most() {
        let settings = settings(PluginConfig::default(), MeshConfig::default());
        let long = "v".repeat(2 * MAX_ATTRIBUTE);
        let pairs: Vec<String> = (0..100).map(|number| format!("k{number}={long}")).collect();
        let environment =
            |name: &str| (name == "OTEL_RESOURCE_ATTRIBUTES").then(|| pairs.join(","));
        let found = Resource::default().with_operators(&settings, &environment);
        assert_eq!(found.attributes.len(), MAX_ATTRIBUTES);
        assert!(found.attributes.iter().all(|(_, value)| value.len() == MAX_ATTRIBUTE));
    }
}
