//! The JSON Schema of the plugin configuration, for editors.
//!
//! What a schema cannot say, the length of a duration and keys that differ in case alone, is left
//! to the reader; the tests hold the two against each other over all their tables.

mod sampling;
mod trust;

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::plugin::{
    MAX_ATTRIBUTE, MAX_ATTRIBUTE_NAME, MAX_ATTRIBUTES, MAX_BATCH_SPANS, MAX_IN_FLIGHT, MAX_KEY,
    MAX_QUEUE_BYTES, MAX_QUEUE_SPANS, MAX_SERVICE_NAME, MAX_TAG_LENGTH, MIN_KEY, MIN_QUEUE_BYTES,
};
use super::{
    AccessLog, At, CUSTOM_TAGS_KEYS, ClientAddress, Compression, Correlation, CorrelationMode,
    Format, MAX_CORRELATION_HEADERS, MAX_TAG_LENGTH_KEYS, Named, Overflow, Placeholder,
    PluginConfig, Protocol, SAMPLING_KEYS, TRACERESPONSE, TagMode, TagOn, TagSource, collector,
    correlation, custom_tag, header, privacy, span_name as names_of_spans,
};

/// A token of RFC 9110.
const TOKEN: &str = "[!#$%&'*+.^_`|~0-9A-Za-z-]";

/// The JSON Schema (draft 2020-12) of the plugin configuration.
pub fn schema() -> Value {
    let usual = PluginConfig::default();
    let mut properties = Map::new();
    let length = described("The longest value of a tag, in bytes.", integer(1..=MAX_TAG_LENGTH));
    let tags = described("Tags of every span, by name.", custom_tags());
    let percent = described("Percent of new traces.", sampling::percent());
    for (names, value) in
        [(SAMPLING_KEYS, percent), (CUSTOM_TAGS_KEYS, tags), (MAX_TAG_LENGTH_KEYS, length)]
    {
        for name in names {
            properties.insert((*name).to_owned(), value.clone());
        }
    }
    // The usual spelling takes more than Istio's.
    properties.insert("sampling".to_owned(), sampling::sampling());
    for (key, what, value) in [
        (
            "trust",
            "Whose word on traces counts, and what becomes of everybody else's.",
            trust::trust(),
        ),
        ("serviceName", "The service that spans are filed under.", text(0, MAX_SERVICE_NAME)),
        (
            "hashKey",
            "The key of tags whose mode is hash, a secret; else MESHSPAN_HASH_KEY in the VM's environment.",
            text(MIN_KEY, MAX_KEY),
        ),
        (
            "resource",
            "Attributes of everything that is exported.",
            json!({
                "type": "object",
                "maxProperties": MAX_ATTRIBUTES,
                "propertyNames": {"minLength": 1, "maxLength": MAX_ATTRIBUTE_NAME},
                "additionalProperties": text(1, MAX_ATTRIBUTE),
            }),
        ),
        ("query", "What becomes of the query of a URL.", query()),
        ("pathRedact", "Parts of paths that are secrets.", list(path_pattern())),
        (
            "maskPatterns",
            "What is masked wherever it stands in a value.",
            list(json!({"enum": ["email", "card"]})),
        ),
        (
            "clientAddress",
            "What is told of the client's address.",
            json!({"enum": names(&ClientAddress::NAMED), "default": "full"}),
        ),
        (
            "accessLog",
            "Of which requests access logs can read the ids, as filter state.",
            json!({"enum": names(&AccessLog::NAMED), "default": "none"}),
        ),
        ("response", "What responses tell of their traces.", response()),
        (
            "events",
            "Whether spans tell when their requests were sent on and answered.",
            json!({"type": "boolean", "default": false}),
        ),
        ("streams", "From when on requests that go on are shown.", streams()),
        ("spanName", "What spans are called, where it is not by their service.", span_name()),
        ("operations", "Templates of paths, which name operations in spanName.", list(operation())),
        ("propagation", "The formats of trace headers.", propagation()),
        ("collector", "Where spans go.", collector()),
        (
            "queue",
            "What may wait, in each worker.",
            object(json!({
                "maxSpans": with_default(integer(1..=MAX_QUEUE_SPANS), usual.queue.max_spans),
                "maxBytes": with_default(integer(MIN_QUEUE_BYTES..=MAX_QUEUE_BYTES), usual.queue.max_bytes),
                "overflow": {"enum": names(&Overflow::NAMED), "default": "drop-newest"},
            })),
        ),
        (
            "batch",
            "When a batch leaves.",
            object(json!({
                "maxSpans": with_default(integer(1..=MAX_BATCH_SPANS), usual.batch.max_spans),
                "interval": with_default(duration(), "1s"),
            })),
        ),
        (
            "export",
            "Requests to the collector.",
            object(json!({
                "maxInFlight": with_default(integer(1..=MAX_IN_FLIGHT), usual.export.max_in_flight),
            })),
        ),
        (
            "correlation",
            "Links of requests that leave without a context to those that came in.",
            correlation(&usual.correlation),
        ),
    ] {
        properties.insert(key.to_owned(), described(what, value));
    }
    // Of the spellings of one key only one is given.
    let spellings = [SAMPLING_KEYS, CUSTOM_TAGS_KEYS, MAX_TAG_LENGTH_KEYS];
    let schema = object(Value::Object(properties));
    let schema = with(schema, "$schema", json!("https://json-schema.org/draft/2020-12/schema"));
    let schema = with(schema, "title", json!("Plugin configuration of meshspan"));
    with(schema, "allOf", spellings.into_iter().flat_map(one_of_two).collect())
}

fn one_of_two(names: &'static [&'static str]) -> impl Iterator<Item = Value> {
    let pairs = names.iter().enumerate().flat_map(move |(index, first)| {
        names.iter().skip(index + 1).map(move |second| [*first, *second])
    });
    pairs.map(|pair| json!({"not": {"required": pair}}))
}

fn query() -> Value {
    let key = visible(1, privacy::MAX_LENGTH, "^[!-~]*$");
    let keep = with(object(json!({"keep": list(key)})), "required", json!(["keep"]));
    json!({"anyOf": [{"enum": ["drop", "redact"]}, keep]})
}

/// A template, with `**` at most once, or a segment with one star and something else.
fn path_pattern() -> Value {
    let segment = "(\\{[^*/{}?#;]+\\}|[^*/{}?#;]+|[^*/{}?#;]*\\*[^*/{}?#;]*)";
    let template = format!("(/{segment})*(/\\*\\*)?(/{segment})*");
    let part = "[^*/{}?#;]";
    let glob = format!("{part}+\\*{part}*|\\*{part}+");
    let pattern = visible(2, privacy::MAX_LENGTH, &format!("^({template}|{glob})$"));
    with(pattern, "allOf", json!([{"pattern": "^[!-~]*$"}]))
}

fn response() -> Value {
    let taken: Vec<String> =
        collector::RESERVED.iter().chain([&TRACERESPONSE]).map(|name| in_any_case(name)).collect();
    let secret = header::SECRET_WORDS.map(in_any_case).join("|");
    let name = json!({
        "type": "string",
        "pattern": format!("^{TOKEN}{{1,256}}$"),
        "not": {"pattern": format!("^({})$|{secret}", taken.join("|"))},
    });
    object(json!({
        "traceresponse": {"type": "boolean", "default": false},
        "header": name,
        "at": {"enum": names(&At::NAMED), "default": "edge"},
    }))
}

fn streams() -> Value {
    let off = json!({"enum": ["off", false]});
    let after = json!({"anyOf": [duration(), off], "default": "60s"});
    object(json!({"visibleAfter": after}))
}

fn span_name() -> Value {
    let placeholder = format!("\\{{({})\\}}", names(&Placeholder::NAMED).join("|"));
    let template = visible(1, names_of_spans::MAX_TEMPLATE, &format!("^([ -z|~]|{placeholder})*$"));
    with(object(json!({"template": template})), "required", json!(["template"]))
}

/// A template of a whole path.
fn operation() -> Value {
    let root = json!({"const": "/"});
    json!({"anyOf": [root, with(path_pattern(), "allOf", json!([{"pattern": "^/[!-~]*$"}]))]})
}

fn list(item: Value) -> Value {
    json!({"type": "array", "items": item, "maxItems": privacy::MAX_ITEMS})
}

fn propagation() -> Value {
    let format = json!({"enum": names(&Format::NAMED)});
    object(json!({
        "extract": {"type": "array", "items": format, "uniqueItems": true},
        "inject": {"type": "array", "items": format, "uniqueItems": true, "minItems": 1},
    }))
}

fn correlation(usual: &Correlation) -> Value {
    let header = json!({"type": "string", "pattern": format!("^{TOKEN}{{1,256}}$")});
    let mut modes = json!(names(&CorrelationMode::NAMED));
    // What YAML 1.1 makes of `off`.
    modes.as_array_mut().into_iter().for_each(|modes| modes.push(Value::Bool(false)));
    object(json!({
        "mode": {"enum": modes, "default": "exact"},
        "headers": {
            "type": "array",
            "items": header,
            "uniqueItems": true,
            "maxItems": MAX_CORRELATION_HEADERS,
        },
        "parentThreshold": with_default(confidence(), usual.parent_threshold),
        "linkThreshold": with_default(confidence(), usual.link_threshold),
        "maxInFlight": with_default(integer(1..=correlation::MAX_IN_FLIGHT), usual.max_in_flight),
        "maxAge": with_default(duration(), "60s"),
    }))
}

fn confidence() -> Value {
    json!({"type": "number", "minimum": 0.5, "maximum": 1})
}

fn collector() -> Value {
    let collector = object(json!({
        "protocol": {"enum": names(&Protocol::NAMED), "default": "zipkin"},
        "compression": {"enum": names(&Compression::NAMED), "default": "none"},
        "cluster": with_default(visible(1, collector::MAX_NAME, "^[!-~]*$"), "zipkin"),
        "path": path(),
        "authority": authority(),
        "headers": headers(),
        "timeout": with_default(duration(), "5s"),
    }));
    let grpc_with_gzip = json!({
        "required": ["protocol", "compression"],
        "properties": {"protocol": {"const": "grpc"}, "compression": {"const": "gzip"}},
    });
    with(collector, "not", grpc_with_gzip)
}

/// A path, an authority and more headers, of a request of the module's own.
fn path() -> Value {
    visible(1, collector::MAX_PATH, "^/[!-~]*$")
}

fn authority() -> Value {
    visible(0, collector::MAX_NAME, "^[!-~]*$")
}

fn headers() -> Value {
    json!({
        "type": "object",
        "maxProperties": collector::MAX_HEADERS,
        "propertyNames": {
            "maxLength": 256,
            "pattern": format!("^{TOKEN}+$"),
            "not": {"pattern": reserved()},
        },
        "additionalProperties": visible(0, collector::MAX_HEADER_VALUE, "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"),
    })
}

/// The reserved names in upper and lower case: `^([cC][oO]...|[hH][oO][sS][tT])$`.
fn reserved() -> String {
    format!("^({})$", collector::RESERVED.map(in_any_case).join("|"))
}

fn in_any_case(name: &str) -> String {
    let letter = |c: char| match c.is_ascii_alphabetic() {
        true => format!("[{c}{}]", c.to_ascii_uppercase()),
        false => c.to_string(),
    };
    name.chars().map(letter).collect()
}

fn custom_tags() -> Value {
    let mut properties = Map::new();
    for source in &custom_tag::SOURCES {
        for name in source.names {
            properties.insert((*name).to_owned(), tag_source(source));
        }
    }
    let sources: Vec<Value> =
        properties.keys().map(|source| json!({"required": [source]})).collect();
    for (key, value) in [
        ("allowSensitive", json!({"type": "boolean"})),
        ("mode", json!({"enum": names(&TagMode::NAMED), "default": "plain"})),
        ("on", json!({"enum": names(&TagOn::NAMED), "default": "both"})),
        (
            "true",
            json!({"enum": names(&TagOn::NAMED), "description": "What YAML 1.1 makes of `on`."}),
        ),
        ("maxLength", integer(1..=MAX_TAG_LENGTH)),
    ] {
        properties.insert(key.to_owned(), value);
    }
    let tag = with(object(Value::Object(properties)), "oneOf", json!(sources));
    let allowed =
        json!({"required": ["allowSensitive"], "properties": {"allowSensitive": {"const": true}}});
    let harmless = json!({"properties": harmless_sources()});
    let plain = json!({"properties": {"mode": {"const": "plain"}}});
    let constant = json!({"anyOf": [{"required": ["literal"]}, {"required": ["environment"]}]});
    let alternatives = json!([
        {"anyOf": [allowed, harmless]},
        {"anyOf": [plain, {"not": constant}]},
    ]);
    json!({
        "type": "object",
        "maxProperties": custom_tag::MAX_TAGS,
        "propertyNames": {"minLength": 1, "maxLength": custom_tag::MAX_NAME},
        "additionalProperties": with(tag, "allOf", alternatives),
    })
}

/// The name of a request header.
fn header() -> Value {
    let name = format!(
        "^({TOKEN}{{1,256}}|:([aA][uU][tT][hH][oO][rR][iI][tT][yY]|[mM][eE][tT][hH][oO][dD]|[pP][aA][tT][hH]|[sS][cC][hH][eE][mM][eE]))$"
    );
    json!({"type": "string", "pattern": name})
}

/// What a source is asked for, and its default.
fn tag_source(source: &custom_tag::Source) -> Value {
    let name = custom_tag::MAX_NAME;
    let value = match source.source {
        TagSource::Literal => text(1, custom_tag::MAX_VALUE),
        TagSource::Environment => visible(1, name, "^[^=\\u0000]*$"),
        TagSource::Cookie | TagSource::QueryParameter | TagSource::Baggage => {
            visible(1, name, "^[!-%'-+\\-:<>-~]*$")
        }
        TagSource::PathSegment => path_template(),
        TagSource::Metadata => json!({
            "type": "array",
            "items": visible(1, name, "^[^\\u0000]*$"),
            "minItems": 1,
            "maxItems": custom_tag::MAX_PATH,
        }),
        TagSource::Attribute => visible(1, name, "^[!-~]*$"),
        _ => header(),
    };
    let key = source.key.first().copied().unwrap_or_default();
    let default = text(0, custom_tag::MAX_VALUE);
    let mut properties = Map::new();
    properties.insert(key.to_owned(), value);
    let mut required = vec![key];
    if source.source == TagSource::Metadata {
        let kinds = json!({"enum": names(&custom_tag::METADATA)});
        properties.insert("kind".to_owned(), kinds);
        required.push("kind");
    }
    if source.source == TagSource::Literal {
        return with(object(Value::Object(properties)), "required", json!(required));
    }
    for name in ["defaultValue", "default_value"] {
        properties.insert(name.to_owned(), default.clone());
    }
    let source = with(object(Value::Object(properties)), "required", json!(required));
    with(source, "not", json!({"required": ["defaultValue", "default_value"]}))
}

/// A template of a path with one segment in braces.
fn path_template() -> Value {
    let one = "^[^{]*\\{[^{]*$";
    let template = with(path_pattern(), "not", json!({"not": {"pattern": one}}));
    with(template, "minLength", json!(2))
}

/// The sources that need a word more where what they are asked for lets somebody in.
fn harmless_sources() -> Value {
    let secret = header::SECRET_WORDS.map(in_any_case).join("|");
    let cookie = custom_tag::SECRET_COOKIES.map(in_any_case).join("|");
    let harmless = |pattern: &str| json!({"properties": {"name": {"not": {"pattern": pattern}}}});
    let mut sources = Map::new();
    for source in &custom_tag::SOURCES {
        let value = match source.source {
            TagSource::Literal | TagSource::Environment | TagSource::PathSegment => continue,
            TagSource::Cookie => harmless(&format!("{secret}|{cookie}")),
            TagSource::Attribute => {
                let query = in_any_case("request.query").replace('.', "\\.");
                harmless(&format!("{secret}|^{query}$"))
            }
            // It is the last key that counts, which a schema cannot say.
            TagSource::Metadata => json!({}),
            _ => harmless(&secret),
        };
        for name in source.names {
            sources.insert((*name).to_owned(), value.clone());
        }
    }
    Value::Object(sources)
}

fn names<T>(named: &Named<T>) -> Vec<&'static str> {
    named.iter().map(|(name, _)| *name).collect()
}

fn object(properties: Value) -> Value {
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn integer(range: RangeInclusive<u32>) -> Value {
    json!({"type": "integer", "minimum": range.start(), "maximum": range.end()})
}

fn text(least: usize, most: usize) -> Value {
    json!({"type": "string", "minLength": least, "maxLength": most})
}

fn visible(least: usize, most: usize, pattern: &str) -> Value {
    with(text(least, most), "pattern", json!(pattern))
}

fn duration() -> Value {
    json!({"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(ms|s|m)$"})
}

fn described(what: &str, value: Value) -> Value {
    with(value, "description", json!(what))
}

fn with_default(value: Value, default: impl Into<Value>) -> Value {
    with(value, "default", default.into())
}

/// The same object with one member more.
fn with(mut value: Value, key: &str, member: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.insert(key.to_owned(), member);
    }
    value
}
