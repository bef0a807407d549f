//! Which proxies an object is for, and whether two are for the same ones.

use crate::tree::{Member, Node};

/// Which proxies an object is for.
#[derive(Clone, Default)]
pub struct Scope {
    pub namespace: Option<String>,
    pub labels: Vec<(String, String)>,
    pub targets: Vec<String>,
    pub client: bool,
    pub server: bool,
}

impl Scope {
    /// The scope that an object's metadata and `spec` say; `spec` has its keys as the CRD has them.
    pub fn read(namespace: Option<&str>, spec: &Node) -> Self {
        let labels = spec.at(&["selector", "matchLabels"]).map_or(&[][..], |m| m.value.members());
        let label = |m: &Member| Some((m.key.clone(), m.value.as_text()?.to_owned()));
        let many = spec.member("targetRefs").map_or(&[][..], |member| member.value.items());
        let one = spec.member("targetRef").map(|member| &member.value);
        let target = |node: &Node| {
            let part = |key: &str| node.text(&[key]).unwrap_or_default();
            format!("{}/{}", part("kind"), part("name"))
        };
        let modes: Vec<&str> = spec
            .member("match")
            .map_or(&[][..], |member| member.value.items())
            .iter()
            .map(|item| item.text(&["mode"]).unwrap_or("UNDEFINED"))
            .collect();
        let only = |mode: &str| !modes.is_empty() && modes.iter().all(|other| *other == mode);
        Self {
            namespace: namespace.map(str::to_owned),
            labels: labels.iter().filter_map(label).collect(),
            targets: many.iter().chain(one).map(target).collect(),
            client: !only("SERVER"),
            server: !only("CLIENT"),
        }
    }

    /// Whether a namespace lies in it.
    pub fn covers(&self, namespace: Option<&str>, root: &str) -> bool {
        let own = self.namespace.as_deref();
        own.is_none() || own == Some(root) || namespace.is_none() || own == namespace
    }

    /// Whether some proxy lies in both.
    pub fn meets(&self, other: &Self, root: &str) -> bool {
        let here = self.namespace.as_deref();
        let there = other.namespace.as_deref();
        let spaces = self.covers(there, root) || other.covers(here, root);
        let directions = (self.client && other.client) || (self.server && other.server);
        let proxies = match (self.targets.is_empty(), other.targets.is_empty()) {
            (true, true) => self.labels.iter().all(|(name, value)| {
                other.labels.iter().all(|(key, label)| key != name || label == value)
            }),
            (false, false) => self.targets.iter().any(|target| other.targets.contains(target)),
            // Waypoints take no notice of what has no targetRefs.
            _ => false,
        };
        spaces && directions && proxies
    }
}
