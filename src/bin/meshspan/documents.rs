//! What each document of a file is, and what all of them say together.

use serde_json::Value;

use crate::configuration;
use crate::effective;
use crate::embedded;
use crate::envoy;
use crate::istio_types::nearest;
use crate::mesh::{self, Mesh};
use crate::plugin::{self, Object, Plugin};
use crate::report::{Level, Place, Report, shown};
use crate::scope::Scope;
use crate::telemetry::{self, Telemetry};
use crate::tree::{Member, Node};
use crate::yaml;

/// The kinds that are read, with the API versions that are served.
const KINDS: [(&str, &[&str]); 4] = [
    ("WasmPlugin", &["extensions.istio.io/v1alpha1"]),
    ("TrafficExtension", &["extensions.istio.io/v1alpha1"]),
    ("Telemetry", &["telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1"]),
    ("IstioOperator", &["install.istio.io/v1alpha1"]),
];

/// The keys of an IstioOperator's spec.
/// <https://github.com/istio/istio/blob/master/operator/pkg/apis/types.go>
const OPERATOR_KEYS: [&str; 11] = [
    "compatibilityVersion",
    "components",
    "hub",
    "installPackagePath",
    "meshConfig",
    "namespace",
    "profile",
    "revision",
    "tag",
    "unvalidatedValues",
    "values",
];

/// Keys by which Helm values for istiod are known.
const HELM_KEYS: [&str; 6] =
    ["meshConfig", "global", "pilot", "sidecarInjectorWebhook", "istio_cni", "revision"];

/// How many plugins are compared with one another.
const MAX_PLUGINS: usize = 1000;

/// All that the files say.
#[derive(Default)]
pub struct Picture {
    meshes: Vec<Mesh>,
    plugins: Vec<Plugin>,
    telemetries: Vec<Telemetry>,
    files: Vec<String>,
    pub report: Report,
}

impl Picture {
    /// Takes in one file.
    pub fn add_file(&mut self, file: &str, text: &str) {
        self.files.push(file.to_owned());
        let place = |line| Place { file: file.to_owned(), line };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if file.ends_with(".json")
            && let Err(error) = serde_json::from_str::<Value>(text)
            && !text.trim().is_empty()
        {
            self.report.add(place(error.line()), Level::Error, "", format!("not JSON: {error}"));
            return;
        }
        let (documents, flaws) = yaml::documents(text);
        if documents.iter().all(Node::is_null) && flaws.is_empty() {
            self.report.add(place(0), Level::Warning, "", "empty, nothing to check");
        }
        for flaw in flaws {
            self.report.add(place(flaw.line), Level::Error, "", flaw.message);
        }
        for document in documents.iter().filter(|document| !document.is_null()) {
            self.document(document, file);
        }
    }

    fn document(&mut self, node: &Node, file: &str) {
        match node.text(&["kind"]) {
            Some(kind) if node.member("apiVersion").is_some() => {
                self.object(&Object { file, kind, node });
            }
            _ if envoy::is_envoy(node) => {
                self.plugins.extend(envoy::plugins(node, file, &mut self.report));
            }
            _ if is_helm(node) => self.helm(node, file),
            _ if !is_plugin_configuration(node) => {
                let place = Place { file: file.to_owned(), line: node.line };
                let message = "not looked at: neither an object of Istio's, Helm values for istiod, \
                    an Envoy nor a plugin configuration";
                self.report.add(place, Level::Hint, "", message);
            }
            _ => {
                let given = configuration::read(node, file, "", &mut self.report);
                self.plugins.push(Plugin {
                    file: file.to_owned(),
                    line: node.line,
                    title: "plugin configuration".to_owned(),
                    path: String::new(),
                    given,
                    scope: None,
                    clusters: None,
                    environment: None,
                });
            }
        }
    }

    fn object(&mut self, object: &Object<'_>) {
        if let Some((_, served)) = KINDS.iter().find(|(kind, _)| *kind == object.kind)
            && let Some(version) = object.node.member("apiVersion")
        {
            let given = version.value.as_text().unwrap_or_default();
            if !served.contains(&given) {
                let place = Place { file: object.file.to_owned(), line: version.line };
                let message =
                    format!("{} is not served; allowed: {}", shown(given), served.join(", "));
                self.report.add(place, Level::Error, "apiVersion", message);
            }
        }
        match object.kind {
            "WasmPlugin" | "TrafficExtension" => {
                self.plugins.extend(plugin::read(object, &mut self.report));
            }
            "Telemetry" => self.telemetries.push(telemetry::read(object, &mut self.report)),
            "IstioOperator" => self.operator(object),
            "ConfigMap" => self.config_map(object),
            "List" => {
                for item in object.node.member("items").map_or(&[][..], |items| items.value.items())
                {
                    self.document(item, object.file);
                }
            }
            _ => {}
        }
    }

    fn operator(&mut self, object: &Object<'_>) {
        let Some(spec) = object.node.member("spec") else { return };
        for member in spec.value.members() {
            if !OPERATOR_KEYS.contains(&member.key.as_str()) {
                let place = Place { file: object.file.to_owned(), line: member.line };
                let meant = match nearest(&member.key, OPERATOR_KEYS.into_iter()) {
                    Some(key) => format!("; did you mean {key}?"),
                    None => String::new(),
                };
                let path = format!("spec.{}", shown(&member.key));
                let message = format!("unknown key, istioctl refuses it{meant}");
                self.report.add(place, Level::Error, &path, message);
            }
        }
        let values = spec.value.member("values").map(|member| &member.value);
        if let Some(values) = values {
            mesh::check_values(values, object.file, "spec.values", &mut self.report);
        }
        let in_values = spec.value.at(&["values", "meshConfig"]);
        let empty = Node::empty(spec.line);
        let (node, path) = match (spec.value.member("meshConfig"), in_values) {
            (Some(member), _) => (&member.value, "spec.meshConfig"),
            (None, Some(member)) => (&member.value, "spec.values.meshConfig"),
            (None, None) => (&empty, "spec.meshConfig"),
        };
        self.meshes.push(mesh::read(node, values, object.file, path, &mut self.report));
    }

    fn helm(&mut self, values: &Node, file: &str) {
        mesh::check_values(values, file, "", &mut self.report);
        for member in values.members() {
            if member.key != "meshConfig"
                && nearest(&member.key, ["meshConfig"].into_iter()).is_some()
            {
                let place = Place { file: file.to_owned(), line: member.line };
                let message = "unknown key, Helm ignores it; did you mean meshConfig?";
                self.report.add(place, Level::Warning, &shown(&member.key), message);
            }
        }
        if let Some(member) = values.member("meshConfig") {
            let mesh =
                mesh::read(&member.value, Some(values), file, "meshConfig", &mut self.report);
            self.meshes.push(mesh);
        }
    }

    /// istiod's own ConfigMap, which has the mesh configuration as text.
    fn config_map(&mut self, object: &Object<'_>) {
        let Some(member) = object.node.at(&["data", "mesh"]) else { return };
        let Some(node) = embedded::read(&member.value, object.file, "data.mesh", &mut self.report)
        else {
            return;
        };
        let mesh = mesh::read(&node, None, object.file, "data.mesh", &mut self.report);
        self.meshes.push(mesh);
    }

    /// What only all documents together show, and what is in force.
    pub fn finish(mut self) -> Report {
        let mesh = self.meshes.first();
        let root = mesh.map_or("istio-system", |mesh| mesh.root_namespace.as_str());
        let off = self.telemetries.iter().any(|telemetry| telemetry.turns_off(root));
        let off_here = off || off_for_all(&self.plugins, &self.telemetries, root);
        for mesh in self.meshes.iter().filter(|_| !off_here) {
            if let Some((line, path, why)) = mesh.native_tracing() {
                let place = Place { file: mesh.file.clone(), line };
                let message = format!(
                    "{why}, and no Telemetry here turns it off: spans come twice; allowed: a Telemetry \
                     in {} with disableSpanReporting: true",
                    shown(root)
                );
                self.report.add(place, Level::Warning, &path, message);
            }
        }
        for telemetry in &self.telemetries {
            let space = telemetry.scope.namespace.as_deref();
            let scopes = self.plugins.iter().filter_map(|plugin| plugin.scope.as_ref());
            let traced = scopes.into_iter().any(|scope| scope.covers(space, root));
            telemetry.check(off, traced, &mut self.report);
        }
        twice(&self.plugins, root, &mut self.report);
        for plugin in &self.plugins {
            // An Envoy that is written by hand has no mesh.
            let mesh = mesh.filter(|_| plugin.clusters.is_none());
            plugin.check_in_context(mesh, &mut self.report);
            self.report.effective.extend(effective::of(plugin, mesh));
        }
        self.report.sort(&self.files);
        self.report
    }
}

/// Whether Istio's own tracing is off wherever a plugin is; the rest of the mesh may keep it.
fn off_for_all(plugins: &[Plugin], telemetries: &[Telemetry], root: &str) -> bool {
    let mut scopes = plugins.iter().filter_map(|plugin| plugin.scope.as_ref()).peekable();
    let some = scopes.peek().is_some();
    let off = |scope: &Scope| telemetries.iter().any(|telemetry| telemetry.turns_off_for(scope));
    some && scopes.all(|scope| scope.namespace.as_deref() != Some(root) && off(scope))
}

/// Reports the plugins that put the filter into a proxy which has it already.
fn twice(plugins: &[Plugin], root: &str, report: &mut Report) {
    for (index, plugin) in plugins.iter().enumerate().take(MAX_PLUGINS) {
        let Some(scope) = &plugin.scope else { continue };
        let earlier = plugins
            .iter()
            .take(index)
            .find(|earlier| earlier.scope.as_ref().is_some_and(|other| scope.meets(other, root)));
        if let Some(earlier) = earlier {
            let place = Place { file: plugin.file.clone(), line: plugin.line };
            let first = Place { file: earlier.file.clone(), line: earlier.line };
            let message = format!(
                "puts the filter a second time into proxies that have it by {} ({first})",
                earlier.title
            );
            report.add(place, Level::Warning, &plugin.title, message);
        }
    }
}

/// Whether these are Helm values for istiod, and not a plugin configuration.
fn is_helm(node: &Node) -> bool {
    let known =
        |key: &str| HELM_KEYS.contains(&key) || nearest(key, ["meshConfig"].into_iter()).is_some();
    first(node).any(|member| known(&member.key))
}

/// Whether this has a key of the plugin configuration, perhaps misspelled, or is no object at all.
fn is_plugin_configuration(node: &Node) -> bool {
    let schema = meshspan::config::schema();
    let properties = schema.get("properties").and_then(Value::as_object);
    let known: Vec<&str> = properties.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let near = |member: &Member| nearest(&member.key, known.iter().copied()).is_some();
    node.members().is_empty() || first(node).any(near)
}

/// The members by which a document is known; one that was made up may have any number of them.
fn first(node: &Node) -> impl Iterator<Item = &Member> {
    node.members().iter().take(1000)
}
