//! That the JSON Schema and the reader agree: every table of these tests goes through both.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::super::schema;
use super::refusal;
use crate::config::plugin::MAX_BYTES;
use crate::config::{PluginConfig, WHOLE};

static VALIDATOR: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(&schema()).unwrap());

/// What the reader refuses and no schema can: the length of a duration, keys that are the same, or the
/// same in upper and lower case, and (in the tables of `sampling`) what is wrong of several rules together.
const BEYOND_SCHEMAS: [&str; 10] = [
    r#"{"sampling": 1, "sampling": 1}"#,
    r#"{"customTags": {"a": {"literal": {"value": "v"}}, "a": {"literal": {"value": "v"}}}}"#,
    r#"{"batch": {"interval": "9ms"}}"#,
    r#"{"collector": {"timeout": "0s"}}"#,
    r#"{"collector": {"timeout": "301s"}}"#,
    r#"{"collector": {"headers": {"A": "1", "a": "2"}}}"#,
    r#"{"correlation": {"headers": ["a", "A"]}}"#,
    r#"{"correlation": {"maxAge": "500ms"}}"#,
    r#"{"streams": {"visibleAfter": "999ms"}}"#,
    r#"{"streams": {"visibleAfter": "61m"}}"#,
];

/// That the schema takes a configuration where the reader does; text that is no JSON, or too much of
/// it, never comes to a schema.
pub(super) fn agrees(json: &[u8], accepted: bool) {
    let Ok(value) = serde_json::from_slice(json) else { return };
    if crate::config::json::parse(WHOLE, json, MAX_BYTES).is_err()
        || BEYOND_SCHEMAS.iter().any(|text| text.as_bytes() == json)
    {
        return;
    }
    let shown: String = String::from_utf8_lossy(json).chars().take(200).collect();
    assert_eq!(VALIDATOR.is_valid(&value), accepted, "{shown}");
}

#[test]
fn the_committed_copy_is_the_schema() {
    let committed: Value =
        serde_json::from_str(include_str!("../../../docs/plugin-config.schema.json")).unwrap();
    assert!(committed == schema(), "make schema writes it anew");
}

#[test]
fn the_schema_is_one() {
    assert!(jsonschema::meta::is_valid(&schema()));
}

#[test]
fn what_is_beyond_schemas_is_refused_by_the_reader_alone() {
    for json in BEYOND_SCHEMAS {
        assert!(PluginConfig::parse(json.as_bytes()).is_err(), "{json}");
        assert!(VALIDATOR.is_valid(&serde_json::from_str(json).unwrap()), "{json}");
    }
}

/// Stands in a path for an item of an array.
const ITEM: &str = "[]";

/// A value at a path. An item that is an object is a rule, which has a name and something to match;
/// `remote` has a cluster, what is kept are errors, and a burst has its rate.
fn whole(path: &[String], value: &Value) -> Value {
    path.iter().rev().fold(value.clone(), |mut value, key| {
        let needed = match key.as_str() {
            ITEM => json!({"name": "r", "match": {"path": {"exact": "/"}}}),
            "remote" => json!({"cluster": "c"}),
            "keep" => json!({"errors": true}),
            _ => json!({}),
        };
        for (key, default) in needed.as_object().unwrap() {
            if let Some(value) = value.as_object_mut() {
                value.entry(key).or_insert(default.clone());
            }
        }
        match key.as_str() {
            ITEM => json!([value]),
            "burst" => json!({"burst": value, "ratePerSecond": 1}),
            _ => json!({key: value}),
        }
    })
}

/// Every object of the schema with fixed keys: the path to it, and the keys.
fn objects(schema: &Value, path: &[&str], found: &mut Vec<(Vec<String>, Vec<String>)>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
    found.push((path.clone(), properties.keys().cloned().collect()));
    for (key, property) in properties {
        let mut inner: Vec<&str> = path.iter().map(String::as_str).collect();
        inner.push(key);
        objects(property, &inner, found);
        inner.push("x");
        objects(&property["additionalProperties"], &inner, found);
        inner.pop();
        inner.push(ITEM);
        objects(&property["items"], &inner, found);
    }
}

#[test]
fn the_schema_has_the_keys_that_the_reader_asks_for() {
    let mut found = Vec::new();
    objects(&schema(), &[], &mut found);
    assert_eq!(found.len(), 49, "{found:?}");
    for (path, keys) in found {
        // The reader names the keys it knows when it finds one that it does not.
        let wrong = whole(&path, &json!({"?": 1}));
        let line = PluginConfig::parse(wrong.to_string().as_bytes()).unwrap_err().to_string();
        let Some((_, allowed)) = line.split_once("unknown key; allowed: ") else {
            // A custom tag's source is asked for its name first, and a forcing header.
            assert!(line.contains("missing; allowed: "), "{line}");
            continue;
        };
        for key in allowed.split(", ") {
            assert!(keys.iter().any(|known| known == key), "{WHOLE} {path:?}: {key}");
        }
        // Other spellings of a key are in the schema, and the messages leave them out.
        let other = ["randomSamplingPercentage", "true"];
        let usual = keys.iter().filter(|key| !key.contains('_') && !other.contains(&key.as_str()));
        assert_eq!(usual.count(), allowed.split(", ").count(), "{path:?}: {allowed}");
    }
}

#[test]
fn the_limits_of_numbers_and_names_in_the_schema_are_those_of_the_reader() {
    fn walk(schema: &Value, path: &mut Vec<String>, check: &mut dyn FnMut(&[String], &Value)) {
        check(path, schema);
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            path.push(key.clone());
            walk(property, path, check);
            if !property["items"].is_null() {
                path.push(ITEM.to_owned());
                walk(&property["items"], path, check);
                path.pop();
            }
            path.pop();
        }
    }
    let mut checked = 0;
    let whole = |path: &[String], value: &Value| whole(path, value).to_string();
    let reads =
        |path: &[String], value: &Value| PluginConfig::parse(whole(path, value).as_bytes()).is_ok();
    walk(&schema(), &mut Vec::new(), &mut |path, schema| {
        if let (Some(least), Some(most)) = (schema["minimum"].as_i64(), schema["maximum"].as_i64())
        {
            for (number, allowed) in
                [(least - 1, false), (least, true), (most, true), (most + 1, false)]
            {
                assert_eq!(reads(path, &json!(number)), allowed, "{path:?}: {number}");
                checked += 1;
            }
        }
        for name in schema["enum"].as_array().into_iter().flatten() {
            assert!(reads(path, name), "{path:?}: {name}");
            checked += 1;
        }
        if let Some(names) = schema["enum"].as_array() {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            let line = refusal(whole(path, &json!("?")).as_bytes());
            assert!(line.ends_with(&format!("is not one of {}", names.join(", "))), "{line}");
        }
        if !schema["default"].is_null() {
            assert!(reads(path, &schema["default"]), "{path:?}: default");
        }
    });
    assert!(checked > 30, "{checked}");
}
