//! Envoys that are written by hand: the filter in their YAML.

use crate::configuration::{self, Given};
use crate::embedded;
use crate::istio_types::join;
use crate::plugin::Plugin;
use crate::report::{Level, Place, Report, shown};
use crate::tree::{Content, Member, Node};

const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const STRING_VALUE: &str = "type.googleapis.com/google.protobuf.StringValue";

/// Whether this is the configuration of an Envoy.
pub fn is_envoy(node: &Node) -> bool {
    ["static_resources", "dynamic_resources"].iter().any(|key| node.member(key).is_some())
}

/// Every use of the module in it.
pub fn plugins(node: &Node, file: &str, report: &mut Report) -> Vec<Plugin> {
    let clusters = node.at(&["static_resources", "clusters"]).map_or(&[][..], |m| m.value.items());
    let names = clusters.iter().filter_map(|cluster| cluster.text(&["name"]).map(str::to_owned));
    // Clusters that are discovered are not known here.
    let discovered = node.at(&["dynamic_resources", "cds_config"]).is_some();
    let clusters = if discovered { None } else { Some(names.collect()) };
    let mut search = Search { file, clusters, report, plugins: Vec::new() };
    search.node(node, "");
    search.plugins
}

struct Search<'a> {
    file: &'a str,
    clusters: Option<Vec<String>>,
    report: &'a mut Report,
    plugins: Vec<Plugin>,
}

impl Search<'_> {
    fn node(&mut self, node: &Node, path: &str) {
        if node.text(&["@type"]) == Some(WASM) {
            if let Some(config) = node.member("config") {
                self.filter(&config.value, config.line, &format!("{path}.config"));
            }
            return;
        }
        for (index, item) in node.items().iter().enumerate() {
            self.node(item, &format!("{path}[{index}]"));
        }
        for member in node.members() {
            self.node(&member.value, &join(path, &member.key));
        }
        if node.member("http_filters").is_some()
            && !self.plugins.is_empty()
            && let Some(tracing) = node.member("tracing")
        {
            let message = "Envoy's own tracing is on beside meshspan: spans come twice";
            let place = self.place(tracing.line);
            self.report.add(place, Level::Warning, &format!("{path}.tracing"), message);
        }
    }

    fn filter(&mut self, config: &Node, line: usize, outer: &str) {
        let file = config.text(&["vm_config", "code", "local", "filename"]);
        let says = [config.text(&["name"]), config.text(&["root_id"]), file];
        let known = self.plugins.iter().any(|plugin| plugin.line == line);
        // An alias repeats a filter that has been looked at.
        if known || !says.into_iter().flatten().any(|text| text.contains("meshspan")) {
            return;
        }
        let path = format!("{outer}.configuration");
        let given = match config.member("configuration") {
            Some(member) => self.configuration(member, &path),
            None => configuration::read(&Node::empty(line), self.file, &path, self.report),
        };
        let policy = config.text(&["failure_policy"]).unwrap_or("not set, so FAIL_CLOSED");
        if config.member("reload_config").is_none()
            && ["FAIL_CLOSED", "not set, so FAIL_CLOSED", "UNSPECIFIED"].contains(&policy)
        {
            let line = config.member("failure_policy").map_or(line, |member| member.line);
            let message = format!(
                "{policy}: a module that fails refuses every request; FAIL_RELOAD builds it anew"
            );
            let path = format!("{outer}.failure_policy");
            self.report.add(self.place(line), Level::Warning, &path, message);
        }
        self.plugins.push(Plugin {
            file: self.file.to_owned(),
            line,
            title: format!("filter {}", shown(config.text(&["name"]).unwrap_or("without a name"))),
            path,
            given,
            scope: None,
            clusters: self.clusters.clone(),
            environment: None,
        });
    }

    fn configuration(&mut self, member: &Member, path: &str) -> Given {
        let text = member.value.member("value").filter(|value| value.value.as_text().is_some());
        let (Some(STRING_VALUE), Some(text)) = (member.value.text(&["@type"]), text) else {
            let message = "not a google.protobuf.StringValue with JSON text in value; the module \
                cannot read it";
            self.report.add(self.place(member.line), Level::Error, path, message);
            return Given { node: Node::empty(member.line), config: None };
        };
        let node = embedded::read(&text.value, self.file, path, self.report)
            .unwrap_or(Node { line: member.line, content: Content::Map(Vec::new()) });
        let json = text.value.as_text().unwrap_or_default();
        if !json.trim().is_empty()
            && let Err(error) = serde_json::from_str::<serde_json::Value>(json)
        {
            let line = (text.value.line + error.line()).saturating_sub(1);
            self.report.add(self.place(line), Level::Error, path, format!("not JSON: {error}"));
            return Given { node, config: None };
        }
        configuration::read(&node, self.file, path, self.report)
    }

    fn place(&self, line: usize) -> Place {
        Place { file: self.file.to_owned(), line }
    }
}
