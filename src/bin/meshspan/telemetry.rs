//! Telemetry objects: whether Istio's own tracing is on.

use crate::plugin::Object;
use crate::report::{Level, Place, Report};
use crate::scope::Scope;
use crate::tree::Node;

/// What one Telemetry says on Istio's own tracing.
pub struct Telemetry {
    pub file: String,
    pub scope: Scope,
    entries: Vec<Entry>,
}

/// One item of its `tracing`.
struct Entry {
    line: usize,
    path: String,
    disabled: Option<bool>,
    names_provider: bool,
    both_directions: bool,
}

/// Reads a Telemetry.
pub fn read(object: &Object<'_>, report: &mut Report) -> Telemetry {
    let spec = object.spec("istio.telemetry.v1alpha1.Telemetry", report);
    let scope = Scope::read(object.namespace(), &spec);
    let items = spec.member("tracing").map_or(&[][..], |member| member.value.items());
    for (index, item) in items.iter().enumerate() {
        let off = item.member("disableSpanReporting");
        if !off.is_some_and(|off| off.value.is_bool(true)) {
            continue;
        }
        for key in ["randomSamplingPercentage", "customTags"] {
            if let Some(member) = item.member(key) {
                let place = Place { file: object.file.to_owned(), line: member.line };
                let message = "for Istio's own tracing, which is off here; meshspan reads pluginConfig \
                    and meshConfig.defaultConfig.tracing";
                let path = format!("spec.tracing[{index}].{key}");
                report.add(place, Level::Warning, &path, message);
            }
        }
    }
    let entries = items.iter().enumerate().map(entry).collect();
    Telemetry { file: object.file.to_owned(), scope, entries }
}

fn entry((index, item): (usize, &Node)) -> Entry {
    let off = item.member("disableSpanReporting");
    let mode = item.text(&["match", "mode"]);
    Entry {
        line: off.map_or(item.line, |off| off.line),
        path: format!("spec.tracing[{index}]"),
        disabled: off.map(|off| off.value.is_bool(true)),
        names_provider: item.member("providers").is_some_and(|some| !some.value.items().is_empty()),
        both_directions: mode.is_none_or(|mode| mode == "CLIENT_AND_SERVER"),
    }
}

impl Telemetry {
    /// Whether it is for the whole mesh.
    fn is_mesh_wide(&self, root: &str) -> bool {
        let Scope { namespace, labels, targets, .. } = &self.scope;
        namespace.as_deref().is_none_or(|name| name == root)
            && labels.is_empty()
            && targets.is_empty()
    }

    /// Whether it turns Istio's own tracing off everywhere.
    pub fn turns_off(&self, root: &str) -> bool {
        self.is_mesh_wide(root) && self.is_off()
    }

    /// Whether it turns Istio's own tracing off where a plugin is: in its namespace, for its workloads.
    pub fn turns_off_for(&self, plugin: &Scope) -> bool {
        let Scope { namespace, labels, targets, .. } = &self.scope;
        let same_workloads = (labels.is_empty() || *labels == plugin.labels)
            && (targets.is_empty() || *targets == plugin.targets);
        *namespace == plugin.namespace && same_workloads && self.is_off()
    }

    fn is_off(&self) -> bool {
        let last = self.entries.iter().rfind(|entry| entry.disabled.is_some());
        last.is_some_and(|entry| entry.disabled == Some(true) && entry.both_directions)
    }

    /// Reports the entries that keep Istio's own tracing on, where `off` says whether another Telemetry
    /// turns it off for the mesh, and `traced` whether meshspan runs here.
    pub fn check(&self, off: bool, traced: bool, report: &mut Report) {
        for entry in &self.entries {
            let message = match (entry.disabled, entry.names_provider) {
                (Some(false), _) if traced => {
                    "Istio's own tracing is on here beside meshspan: spans come twice"
                }
                (None, true) if !off => {
                    "names a provider, so Istio's own tracing is on: spans come twice; \
                     allowed: disableSpanReporting: true"
                }
                _ => continue,
            };
            let place = Place { file: self.file.clone(), line: entry.line };
            report.add(place, Level::Warning, &entry.path, message);
        }
    }
}
