//! The mesh configuration, as the proxies will have it.

use meshspan::config::MeshConfig;
use serde_json::{Value, json};

use crate::configuration::line_of;
use crate::istio_types::{MESH_CONFIG, Reader, Walk, join};
use crate::report::{Level, Place, Report};
use crate::tree::{Content, Member, Node};

/// One mesh configuration.
pub struct Mesh {
    pub file: String,
    pub line: usize,
    /// The path at which it stands: `spec.meshConfig`.
    pub path: String,
    /// Its keys as istiod writes them.
    pub node: Node,
    /// What the module reads of it.
    pub config: MeshConfig,
    pub root_namespace: String,
    /// Whether proxies have the cluster `zipkin`.
    pub zipkin_address: bool,
}

/// Reads mesh configuration; `values` are the Helm values that go with it.
pub fn read(
    node: &Node,
    values: Option<&Node>,
    file: &str,
    path: &str,
    report: &mut Report,
) -> Mesh {
    let empty = Node::empty(node.line);
    let node = if node.is_null() { &empty } else { node };
    let node = Walk { file, reader: Reader::Istiod, report }.message(node, MESH_CONFIG, path);
    let value = |keys: &[&str]| values.and_then(|values| values.text(keys));
    let root = node.text(&["rootNamespace"]).or_else(|| value(&["global", "istioNamespace"]));
    let root = root.unwrap_or("istio-system").to_owned();
    let address = ["defaultConfig", "tracing", "zipkin", "address"];
    let by_values = value(&["global", "proxy", "tracer"]) == Some("zipkin");
    let zipkin_address = by_values || node.text(&address).is_some_and(|text| !text.is_empty());
    let config = as_the_module_sees_it(&node, file, path, report);
    Mesh {
        file: file.to_owned(),
        line: node.line,
        path: path.to_owned(),
        node,
        config,
        root_namespace: root,
        zipkin_address,
    }
}

/// The keys of Helm values that set native tracing alone.
pub fn check_values(values: &Node, file: &str, path: &str, report: &mut Report) {
    if let Some(member) = values.at(&["pilot", "traceSampling"]) {
        let place = Place { file: file.to_owned(), line: member.line };
        let message = "for Istio's own tracing alone, proxies are not told; \
            meshspan reads meshConfig.defaultConfig.tracing.sampling";
        report.add(place, Level::Warning, &join(path, "pilot.traceSampling"), message);
    }
}

fn as_the_module_sees_it(node: &Node, file: &str, path: &str, report: &mut Report) -> MeshConfig {
    let Some(default_config) = node.member("defaultConfig") else {
        return MeshConfig::default();
    };
    let mut metadata = json!({"PROXY_CONFIG": default_config.value.json()});
    let tracing = metadata.pointer_mut("/PROXY_CONFIG/tracing").and_then(Value::as_object_mut);
    for key in ["sampling", "maxPathTagLength"] {
        // protobuf's JSON leaves out what is zero.
        let Some(zero) = node.at(&["defaultConfig", "tracing", key]).filter(is_zero) else {
            continue;
        };
        let place = Place { file: file.to_owned(), line: zero.line };
        let message = "0 is not passed on to proxies and the default is in force; \
            say it in the plugin configuration";
        let path = format!("{path}.defaultConfig.tracing.{key}");
        report.add(place, Level::Warning, &path, message);
    }
    if let Some(tracing) = tracing {
        tracing.retain(|_, value| value.as_f64() != Some(0.0));
    }
    let (config, errors) = MeshConfig::read(&metadata);
    for error in errors {
        let found = line_of(&default_config.value, "PROXY_CONFIG", error.path());
        let line = found.unwrap_or(default_config.line);
        let place = Place { file: file.to_owned(), line };
        let key = error.path().strip_prefix("PROXY_CONFIG").unwrap_or_default();
        let path = format!("{path}.defaultConfig{key}");
        report.add(place, Level::Error, &path, format!("{}; ignored", error.reason()));
    }
    config
}

fn is_zero(member: &&Member) -> bool {
    matches!(&member.value.content, Content::Scalar(value) if value.as_f64() == Some(0.0))
}

impl Mesh {
    /// Where native tracing is turned on, unless this turns it off: Istio's default is on.
    pub fn native_tracing(&self) -> Option<(usize, String, &'static str)> {
        let at = |key: &str| format!("{}.{key}", self.path);
        if let Some(providers) = self.node.at(&["defaultProviders", "tracing"])
            && !providers.value.items().is_empty()
        {
            let path = at("defaultProviders.tracing");
            return Some((providers.line, path, "Istio's own tracing is on by a default provider"));
        }
        match self.node.member("enableTracing") {
            Some(tracing) if tracing.value.is_bool(false) => None,
            Some(tracing) => Some((tracing.line, at("enableTracing"), "Istio's own tracing is on")),
            None => Some((
                self.line,
                at("enableTracing"),
                "not set, and Istio's own tracing is on by default",
            )),
        }
    }
}
