//! The rules of the configuration, as tables.

mod accepted;
mod collector;
mod hostile;
mod mesh;
mod privacy;
mod refused;
mod remote;
mod response;
mod sampling;
mod schema;
mod span_name;
mod strategy;
mod streams;
mod trust;

use super::{CustomTag, MeshConfig, PluginConfig, Settings, TagSource, settings};

/// The settings of a plugin configuration that has to be valid, without a mesh.
fn settings_of(json: &str) -> Settings {
    settings(parsed(json), MeshConfig::default())
}

fn parsed(json: &str) -> PluginConfig {
    schema::agrees(json.as_bytes(), true);
    PluginConfig::parse(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// The line that says why a configuration is refused, which it has to be.
fn refusal(json: &[u8]) -> String {
    schema::agrees(json, false);
    let line = PluginConfig::parse(json).unwrap_err().to_string();
    assert!(!line.contains(['\n', '\r']), "more than one line: {line}");
    line
}

fn literal(name: &str, value: &str) -> CustomTag {
    CustomTag { default: None, ..CustomTag::literal(name, value) }
}

fn header(name: &str, header: &str, default: Option<&str>) -> CustomTag {
    tag(name, TagSource::Header, header, default)
}

fn environment(name: &str, variable: &str, default: Option<&str>) -> CustomTag {
    tag(name, TagSource::Environment, variable, default)
}

fn tag(name: &str, source: TagSource, key: &str, default: Option<&str>) -> CustomTag {
    CustomTag { source, default: default.map(str::to_owned), ..CustomTag::literal(name, key) }
}

/// That each configuration is refused with its line.
fn check(table: &[(&str, &str)]) {
    for (json, line) in table {
        assert_eq!(refusal(json.as_bytes()), *line, "{json}");
    }
}
