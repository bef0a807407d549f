//! Where the configuration comes from, and what happens with one that is invalid.

use super::abi::{self, Level};
use super::{attributes, wasi};
use crate::address;
use crate::attributes::{Istio, Kubernetes, Resource};
use crate::config::{
    ConfigError, MeshConfig, NodeMetadata, PluginConfig, Settings, echo, quoted, settings,
};

/// Overrides what happens with an invalid plugin configuration.
const POLICY_VARIABLE: &str = "MESHSPAN_INVALID_CONFIGURATION";

/// Envoy's node metadata as Istio fills it.
struct Node;

impl NodeMetadata for Node {
    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        attributes::bytes(&[&["xds", "node", "metadata"], path].concat())
    }
}

impl Node {
    fn metadata(path: &[&str]) -> Option<String> {
        String::from_utf8(Self.property(path)?).ok()
    }
}

/// The settings to go by, and whether the plugin configuration given is the one in force.
pub(super) struct InForce {
    pub(super) settings: Settings,
    pub(super) plugin_is_valid: bool,
}

/// Reads plugin and mesh configuration; nothing if the plugin configuration has to be refused.
///
/// An invalid one is refused in plain Envoy, where it is found before anything starts. In Istio a
/// refusal would make every proxy that starts later answer 500, so there the last valid one of this
/// proxy stays in force or, in a new proxy, mesh configuration and defaults do.
pub(super) fn read(plugin: &[u8]) -> Option<InForce> {
    let (mesh, errors) = MeshConfig::read(&Node);
    for error in errors {
        abi::log(Level::Warn, &format!("meshspan: mesh configuration: {error}; ignored"));
    }
    let continues = continues_when_invalid();
    match PluginConfig::parse(plugin) {
        Ok(parsed) => {
            if continues {
                remember(plugin);
            }
            Some(InForce { settings: settings(parsed, mesh), plugin_is_valid: true })
        }
        Err(error) if continues => {
            let last = last_valid();
            log_invalid(
                &error,
                match last {
                    Some(_) => "the last valid one stays in force",
                    None => "mesh configuration and defaults are in force",
                },
            );
            let settings = settings(last.unwrap_or_default(), mesh);
            Some(InForce { settings, plugin_is_valid: false })
        }
        Err(error) => {
            log_invalid(&error, "refused");
            None
        }
    }
}

fn log_invalid(error: &ConfigError, consequence: &str) {
    let line = format!("meshspan: invalid plugin configuration, {consequence}: {error}");
    abi::log(Level::Error, &line);
}

fn continues_when_invalid() -> bool {
    match wasi::variable(POLICY_VARIABLE).as_deref() {
        Some("refuse") => false,
        Some("continue") => true,
        Some(other) => {
            let found = quoted(&echo(other));
            let line = format!(
                "meshspan: {POLICY_VARIABLE}: {found} is not one of refuse, continue; ignored"
            );
            abi::log(Level::Warn, &line);
            in_istio()
        }
        None => in_istio(),
    }
}

fn in_istio() -> bool {
    Node.property(&["ISTIO_VERSION"]).is_some()
}

/// Shared data outlives configurations and virtual machines, but not the proxy. All plugins of a
/// proxy may share it, so each has a key of its own; the number of plugins bounds the keys.
fn last_valid_key() -> String {
    let name = attributes::text(&["plugin_name"]).unwrap_or_default();
    let root_id = attributes::text(&["plugin_root_id"]).unwrap_or_default();
    format!("meshspan.last_valid_configuration.{name}.{root_id}")
}

fn remember(plugin: &[u8]) {
    // Every worker writes the same.
    abi::set_shared_data(last_valid_key().as_bytes(), plugin, 0);
}

fn last_valid() -> Option<PluginConfig> {
    let (plugin, _) = abi::shared_data(last_valid_key().as_bytes())?;
    PluginConfig::parse(&plugin).ok()
}

/// What is the same for every span of this proxy.
pub(super) fn resource(settings: &Settings) -> Resource {
    let node = |name| attributes::text(&["xds", "node", name]).filter(|value| !value.is_empty());
    let resource = Resource {
        service_name: node("cluster").unwrap_or_else(|| "unknown_service".to_owned()),
        node_id: node("id").unwrap_or_default(),
        zone: attributes::text(&["xds", "node", "locality", "zone"]).unwrap_or_default(),
        ip: Node::metadata(&["INSTANCE_IPS"])
            .and_then(|addresses| address::ip(addresses.split(',').next()?.trim().as_bytes())),
        kubernetes: Kubernetes::read(|name| Node::metadata(&[name])),
        istio: istio(),
        attributes: Vec::new(),
    };
    resource.with_operators(settings, &wasi::variable)
}

/// Istio's standard tags with Istio's defaults, unless mesh configuration turns them off.
fn istio() -> Option<Istio> {
    let mesh_id = Node::metadata(&["MESH_ID"]);
    let disabled = Node.property(&["PROXY_CONFIG", "tracing", "enableIstioTags"]) == Some(vec![0]);
    if disabled || (mesh_id.is_none() && !in_istio()) {
        return None;
    }
    let or = |path: &[&str], default: &str| {
        Node::metadata(path).filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
    };
    Some(Istio {
        canonical_service: or(&["LABELS", "service.istio.io/canonical-name"], "unknown"),
        canonical_revision: or(&["LABELS", "service.istio.io/canonical-revision"], "latest"),
        mesh_id: mesh_id.unwrap_or_else(|| "unknown".to_owned()),
        namespace: or(&["NAMESPACE"], "default"),
        cluster_id: or(&["CLUSTER_ID"], "unknown"),
    })
}
