//! The plugin's configuration: refused in one short line, or good for a tracer.

use super::request::Route;
use meshspan::attributes::Resource;
use meshspan::config::{ConfigError, MeshConfig, PluginConfig, schema, settings};
use meshspan::tracer::Tracer;
use serde_json::Value;
use std::sync::LazyLock;

/// The longest line of an error, in characters.
const MAX_LINE: usize = 512;

static SCHEMA: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::validator_for(&schema()).expect("the schema is one"));

/// Whatever it is.
pub fn check(input: &[u8]) {
    match PluginConfig::parse(input) {
        Err(error) => check_error(&error),
        Ok(config) => {
            if let Ok(json) = serde_json::from_slice::<Value>(input) {
                assert!(SCHEMA.is_valid(&json), "the schema for editors refuses what is valid");
            }
            let settings = settings(config, MeshConfig::default());
            let mut tracer = Tracer::new(&settings, Resource::default(), [1; 32], |_| None);
            tracer.start(&[(b":path", b"/")], &Route(&[]));
        }
    }
}

/// One line that a log and a terminal can show.
pub fn check_error(error: &ConfigError) {
    let line = error.to_string();
    assert!(line.chars().count() <= MAX_LINE, "{} characters: {line}", line.chars().count());
    assert!(
        !line.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}')),
        "{line:?}"
    );
}
