//! WasmPlugin and TrafficExtension: what puts the filter into proxies.

use meshspan::config::{CUSTOM_TAGS_KEYS, Collector, CustomTag, MeshConfig, Protocol, TagSource};

use crate::configuration::{self, Given};
use crate::istio_types::{Reader, Walk, brief, join};
use crate::mesh::Mesh;
use crate::report::{Level, Place, Report, shown};
use crate::scope::Scope;
use crate::tree::{Content, Node};

/// The clusters that every sidecar's bootstrap has, besides `zipkin`.
const STATIC_CLUSTERS: [&str; 4] = ["agent", "prometheus_stats", "sds-grpc", "xds-grpc"];

/// One use of the module.
pub struct Plugin {
    pub file: String,
    pub line: usize,
    /// `WasmPlugin istio-system/meshspan`.
    pub title: String,
    /// The path of its configuration: `spec.pluginConfig`.
    pub path: String,
    pub given: Given,
    /// Nothing for a configuration that stands by itself, or in an Envoy.
    pub scope: Option<Scope>,
    /// The clusters that there are, where that is known.
    pub clusters: Option<Vec<String>>,
    /// The names of the VM's environment variables, where they are known.
    pub environment: Option<Vec<String>>,
}

/// An object of Kubernetes: where it stands and what it says.
pub struct Object<'a> {
    pub file: &'a str,
    pub kind: &'a str,
    pub node: &'a Node,
}

impl Object<'_> {
    pub fn namespace(&self) -> Option<&str> {
        self.node.text(&["metadata", "namespace"])
    }

    pub fn title(&self) -> String {
        let name = self.node.text(&["metadata", "name"]).unwrap_or("without a name");
        match self.namespace() {
            Some(namespace) => format!("{} {}/{}", self.kind, shown(namespace), shown(name)),
            None => format!("{} {}", self.kind, shown(name)),
        }
    }

    /// The spec with the keys that the API server knows.
    pub fn spec(&self, message: &str, report: &mut Report) -> Node {
        let Some(spec) = self.node.member("spec") else {
            return Node::empty(self.node.line);
        };
        Walk { file: self.file, reader: Reader::ApiServer, report }.message(
            &spec.value,
            message,
            "spec",
        )
    }

    fn place(&self, line: usize) -> Place {
        Place { file: self.file.to_owned(), line }
    }
}

/// Reads a WasmPlugin or a TrafficExtension; nothing where it is not for this module.
pub fn read(object: &Object<'_>, report: &mut Report) -> Option<Plugin> {
    let wasm_plugin = object.kind == "WasmPlugin";
    let message = format!("istio.extensions.v1alpha1.{}", object.kind);
    let (keys, prefix): (&[&str], _) = match wasm_plugin {
        true => (&["spec"], "spec"),
        false => (&["spec", "wasm"], "spec.wasm"),
    };
    let raw = object.node.at(keys)?;
    let name = object.node.text(&["metadata", "name"]);
    let says = [raw.value.text(&["url"]), raw.value.text(&["pluginName"]), name];
    if !says.into_iter().flatten().any(|text| text.contains("meshspan")) {
        let message = "not looked at: neither url, pluginName nor metadata.name says meshspan";
        report.add(object.place(object.node.line), Level::Hint, "", message);
        return None;
    }
    let spec = object.spec(&message, report);
    let empty = Node::empty(raw.line);
    let wasm = match wasm_plugin {
        true => &spec,
        false => spec.member("wasm").map_or(&empty, |member| &member.value),
    };
    let mut check = Check { object, prefix, wasm, line: raw.line, report };
    check.image();
    check.fail_strategy();
    check.place_in_chain(&spec);
    check.environment();
    let path = format!("{prefix}.pluginConfig");
    let given = match raw.value.member("pluginConfig") {
        Some(member) if member.value.as_text().is_some() => {
            let message = "text is not an object; the API server refuses it: write the keys below \
                pluginConfig, without | or quotes";
            report.add(object.place(member.line), Level::Error, &path, message);
            let node = Node::empty(member.line);
            Given { node, config: None }
        }
        Some(member) if member.value.is_null() => {
            configuration::read(&Node::empty(member.line), object.file, &path, report)
        }
        Some(member) => configuration::read(&member.value, object.file, &path, report),
        None => configuration::read(&Node::empty(raw.line), object.file, &path, report),
    };
    let environment = wasm.at(&["vmConfig", "env"]).map_or(&[][..], |env| env.value.items());
    let variable = |node: &Node| node.text(&["name"]).map(str::to_owned);
    Some(Plugin {
        file: object.file.to_owned(),
        line: object.node.line,
        title: object.title(),
        path,
        given,
        scope: Some(Scope::read(object.namespace(), &spec)),
        clusters: None,
        environment: Some(environment.iter().filter_map(variable).collect()),
    })
}

struct Check<'a> {
    object: &'a Object<'a>,
    prefix: &'a str,
    wasm: &'a Node,
    line: usize,
    report: &'a mut Report,
}

impl Check<'_> {
    fn add(&mut self, line: usize, level: Level, key: &str, message: &str) {
        let path = format!("{}.{key}", self.prefix);
        self.report.add(self.object.place(line), level, &path, message);
    }

    fn image(&mut self) {
        if let Some(key) = self.wasm.member("verificationKey") {
            self.add(key.line, Level::Warning, "verificationKey", "Istio does not verify it");
        }
        if let Some(kind) = self.wasm.member("type")
            && kind.value.as_text() == Some("NETWORK")
        {
            self.add(kind.line, Level::Error, "type", "NETWORK; meshspan is an HTTP filter: HTTP");
        }
        let (line, url) = match self.wasm.member("url") {
            Some(url) => (url.line, url.value.as_text().unwrap_or_default()),
            None => (self.line, ""),
        };
        if url.is_empty() {
            return self.add(
                line,
                Level::Error,
                "url",
                "missing; allowed: oci://, https:// or file://",
            );
        }
        let pinned = self.wasm.member("sha256").is_some() || url.contains("@sha256:");
        if pinned || url.starts_with("file://") {
            return;
        }
        let downloaded = url.starts_with("http://") || url.starts_with("https://");
        let image = url.rsplit('/').next().unwrap_or_default();
        if downloaded {
            self.add(line, Level::Hint, "url", "without sha256 nobody sees that the file changed");
        } else if !image.contains(':') || image.ends_with(":latest") {
            let message = "no digest and no version: proxies may run different modules";
            self.add(line, Level::Hint, "url", message);
        }
    }

    fn fail_strategy(&mut self) {
        let url = self.wasm.text(&["url"]).unwrap_or_default();
        let (line, strategy) = match self.wasm.member("failStrategy") {
            Some(member) => (member.line, member.value.as_text().unwrap_or_default()),
            None => (self.line, "not set, so FAIL_CLOSE"),
        };
        let message = match strategy {
            "FAIL_OPEN" => return,
            // What needs no download cannot fail to come.
            "FAIL_RELOAD" if url.starts_with("file://") => return,
            "FAIL_RELOAD" => "a pod that cannot fetch the image refuses every request",
            _ => "a pod that cannot fetch the image, or whose module fails, refuses every request",
        };
        let message = format!("{strategy}: {message}; FAIL_OPEN lets them pass");
        self.add(line, Level::Warning, "failStrategy", &message);
    }

    fn place_in_chain(&mut self, spec: &Node) {
        let (line, phase) = match spec.member("phase") {
            Some(phase) => (phase.line, phase.value.as_text().unwrap_or_default()),
            None => {
                (self.object.node.member("spec").map_or(self.line, |spec| spec.line), "not set")
            }
        };
        if phase != "AUTHN" {
            let message = format!(
                "{phase}: what JWT authentication or authorization refuses gets no trace headers, and no \
                 ids in the access log; AUTHN comes before both"
            );
            self.report.add(self.object.place(line), Level::Warning, "spec.phase", message);
        }
        let selector = spec.member("selector");
        if let Some(selector) = selector
            && (spec.member("targetRefs").is_some() || spec.member("targetRef").is_some())
        {
            let place = self.object.place(selector.line);
            let message = "together with targetRefs; the API server takes one of the two";
            self.report.add(place, Level::Error, "spec.selector", message);
        }
    }

    fn environment(&mut self) {
        let Some(env) = self.wasm.at(&["vmConfig", "env"]) else { return };
        let policy = "MESHSPAN_INVALID_CONFIGURATION";
        let named = |node: &&Node| node.text(&["name"]) == Some(policy);
        let Some(variable) = env.value.items().iter().find(named) else { return };
        let Some(value) = variable.member("value") else { return };
        let message = match value.value.as_text() {
            Some("continue") => return,
            Some("refuse") => {
                "refuse: with an invalid configuration new pods answer 500".to_owned()
            }
            _ => format!("{} is not one of refuse, continue; ignored", brief(&value.value)),
        };
        self.add(value.line, Level::Warning, &format!("vmConfig.env.{policy}"), &message);
    }
}

impl Plugin {
    /// What in a valid configuration will not do what it says, here and with this mesh.
    pub fn check_in_context(&self, mesh: Option<&Mesh>, report: &mut Report) {
        let Some(config) = self.given.config.clone() else { return };
        let settings = meshspan::config::settings(config, MeshConfig::default());
        self.check_collector(&settings.collector, mesh, report);
        if let Some(remote) = &settings.sampling.remote {
            self.check_cluster(&remote.cluster, &["sampling", "remote", "cluster"], report);
        }
        let batch = config_batch(&self.given.node);
        if batch.is_some_and(|spans| spans > settings.queue.max_spans as f64) {
            let spans = settings.queue.max_spans;
            let message = format!("more than the queue holds; {spans} is in force");
            self.warn(&["batch", "maxSpans"], message, report);
        }
        for tag in &settings.custom_tags {
            if let Some(message) = self.without_variable(tag) {
                let given = |key: &&&str| self.given.node.member(key).is_some();
                let key = CUSTOM_TAGS_KEYS.iter().find(given).copied();
                self.warn(&[key.unwrap_or("customTags"), &tag.name], message, report);
            }
        }
        let Some(mesh) = mesh else { return };
        let own = |name: &str| settings.custom_tags.iter().any(|tag| tag.name == name);
        for tag in mesh.config.custom_tags.iter().filter(|tag| !own(&tag.name)) {
            if let Some(message) = self.without_variable(tag) {
                let keys = ["defaultConfig", "tracing", "customTags", &tag.name];
                let line = mesh.node.at(&keys).map_or(mesh.line, |member| member.line);
                let place = Place { file: mesh.file.clone(), line };
                let path = format!("{}.{}", mesh.path, keys.map(shown).join("."));
                report.add(place, Level::Warning, &path, format!("{}: {message}", self.title));
            }
        }
    }

    /// Whether there is such a cluster, as far as that is known.
    fn check_cluster(&self, cluster: &str, key: &[&str], report: &mut Report) {
        match &self.clusters {
            Some(clusters) if !clusters.iter().any(|name| name == cluster) => {
                self.warn(key, format!("this Envoy has no cluster {cluster}"), report);
            }
            None if self.scope.is_some() => {
                if let Some(message) = istio_cluster(cluster) {
                    self.warn(key, message, report);
                }
            }
            _ => {}
        }
    }

    fn check_collector(&self, collector: &Collector, mesh: Option<&Mesh>, report: &mut Report) {
        let cluster = collector.cluster.as_str();
        let key = &["collector", "cluster"];
        self.check_cluster(cluster, key, report);
        if cluster != "zipkin" || self.clusters.is_some() {
            return;
        }
        if mesh.is_some_and(|mesh| !mesh.zipkin_address) {
            let missing = "zipkin: the mesh configuration has no defaultConfig.tracing.zipkin.address, \
                so no proxy has this cluster";
            self.warn(key, missing.to_owned(), report);
        }
        if collector.protocol == Protocol::Grpc {
            let message = "grpc: the cluster zipkin of Istio speaks HTTP/1.1; gRPC needs \
                outbound|4317||<host>";
            self.warn(&["collector", "protocol"], message.to_owned(), report);
        }
    }

    /// What becomes of a tag whose variable the VM is not given: it does not see the proxy's.
    fn without_variable(&self, tag: &CustomTag) -> Option<String> {
        let name = &tag.key;
        let has_it = |variables: &Vec<String>| variables.contains(name);
        if tag.source != TagSource::Environment || self.environment.as_ref().is_none_or(has_it) {
            return None;
        }
        let result = match tag.default {
            Some(_) => "the tag always has its default",
            None => "there will be no such tag",
        };
        Some(format!("the module's vmConfig.env has no {}: {result}", shown(name)))
    }

    fn warn(&self, keys: &[&str], message: String, report: &mut Report) {
        let line = self.given.node.at(keys).map_or(self.given.node.line, |member| member.line);
        let place = Place { file: self.file.clone(), line };
        let path = keys.iter().fold(self.path.clone(), |path, key| join(&path, key));
        report.add(place, Level::Warning, &path, message);
    }
}

fn config_batch(node: &Node) -> Option<f64> {
    match &node.at(&["batch", "maxSpans"])?.value.content {
        Content::Scalar(value) => value.as_f64(),
        _ => None,
    }
}

/// Why no proxy of Istio's has this cluster, if so.
fn istio_cluster(cluster: &str) -> Option<String> {
    let parts: Vec<&str> = cluster.split('|').collect();
    let wanted = "outbound|<port>||<host>";
    match parts.as_slice() {
        ["zipkin"] => None,
        [name] if STATIC_CLUSTERS.contains(name) => {
            Some(format!("{cluster} is Istio's own; a collector is zipkin or {wanted}"))
        }
        ["outbound", port, _, host] if port.parse::<u16>().is_ok() && !host.is_empty() => {
            let short = host.ends_with(".svc") || !host.contains('.');
            short.then(|| {
                format!(
                    "{host} is short; Istio's clusters have the whole name, such as \
                zipkin.istio-system.svc.cluster.local"
                )
            })
        }
        _ => Some(format!("{cluster} is no cluster of Istio's; they are zipkin and {wanted}")),
    }
}
