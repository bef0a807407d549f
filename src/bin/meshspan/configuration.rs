//! The plugin configuration of a file, judged by the reader that the module has.

use meshspan::config::{ConfigError, PluginConfig, WHOLE, join};
use serde_json::Value;

use crate::report::{Level, Place, Report};
use crate::tree::{Content, Node};

/// How many errors of one configuration are told.
const MAX_ERRORS: usize = 20;

/// A plugin configuration as it was given, and as far as it is valid.
pub struct Given {
    pub node: Node,
    /// Nothing where the module refuses what was given.
    pub config: Option<PluginConfig>,
}

/// Reads a configuration that stands at `path`; everything that the module refuses is reported.
///
/// The module tells of the first error alone. To find the others, what is wrong is taken out and the
/// rest is read again; an error about a place that holds such a gap is a consequence, no finding.
pub fn read(node: &Node, file: &str, path: &str, report: &mut Report) -> Given {
    let mut value = node.json();
    let mut gaps: Vec<String> = Vec::new();
    let config = parse(&value);
    let mut error = config.as_ref().err().cloned();
    for _ in 0..MAX_ERRORS {
        let Some(found) = error else { break };
        let wrong = found.path().to_owned();
        if !gaps.iter().any(|gap| holds(&wrong, gap)) {
            let line = line_of(node, WHOLE, &wrong).unwrap_or(node.line);
            let place = Place { file: file.to_owned(), line };
            report.add(place, Level::Error, &full_path(path, &wrong), found.reason());
        }
        if !remove(&mut value, WHOLE, &wrong) {
            break;
        }
        gaps.push(wrong);
        error = parse(&value).err();
    }
    Given { node: node.clone(), config: config.ok() }
}

fn parse(value: &Value) -> Result<PluginConfig, ConfigError> {
    PluginConfig::parse(value.to_string().as_bytes())
}

fn full_path(parent: &str, path: &str) -> String {
    match (parent, path) {
        ("", _) => path.to_owned(),
        (_, WHOLE) => parent.to_owned(),
        _ => format!("{parent}.{path}"),
    }
}

/// Whether `path` is that of `inner` or of something around it.
fn holds(path: &str, inner: &str) -> bool {
    inner.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The line of the value at `path`, or of the innermost one around it.
pub fn line_of(node: &Node, at: &str, path: &str) -> Option<usize> {
    match &node.content {
        Content::Scalar(_) => None,
        Content::List(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| (format!("{at}[{index}]") == path).then_some(item.line)),
        Content::Map(members) => members.iter().find_map(|member| {
            let here = join(at, &member.key);
            holds(&here, path).then(|| line_of(&member.value, &here, path).unwrap_or(member.line))
        }),
    }
}

/// Takes out the value at `path`, or the list that it is an item of, or what a value is missing in.
fn remove(value: &mut Value, at: &str, path: &str) -> bool {
    let Value::Object(members) = value else {
        return false;
    };
    let here = members.keys().find(|key| holds(&join(at, key), path)).cloned();
    let Some(key) = here else {
        return false;
    };
    let inner = join(at, &key);
    if inner == path {
        return members.remove(&key).is_some();
    }
    let removed = members.get_mut(&key).is_some_and(|member| remove(member, &inner, path));
    removed || members.remove(&key).is_some()
}
