//! `sampling`: a percentage, or an object.

use serde_json::{Value, json};

use super::{
    TOKEN, authority, described, duration, headers, object, path, text, visible, with, with_default,
};
use crate::config::collector;
use crate::config::matching::{DIRECTIONS, MAX_HEADERS, MAX_METHODS, MAX_TEXT};
use crate::config::rule::{MAX_NAME, MAX_RULES, RESERVED};
use crate::config::sampling::{BURST, PER_SECOND};

/// A percentage, or rules and more.
pub(super) fn sampling() -> Value {
    let sampling = object(json!({
        "percent": described("Percent of new traces that no rule matches.", percent()),
        "rules": described("The first that matches decides.", rules()),
        "dropProbes": described(
            "Whether probes and health checks that no rule matches are left out.",
            with_default(json!({"type": "boolean"}), true),
        ),
        "ratePerSecond": described("The most new traces a second, of this proxy.", number(PER_SECOND)),
        "burst": described("How many may come at once; else half a second's.", number(BURST)),
        "force": described("The header that has a new trace sampled, whatever the rest says.", force()),
        "remote": described("A server of Jaeger's remote sampling.", remote()),
        "keep": described("Which requests that are not sampled are exported all the same.", keep()),
    }));
    let sampling = no_burst_alone(sampling);
    let sampling = with(sampling, "type", json!(["number", "object"]));
    let sampling = with(sampling, "minimum", json!(0));
    described("Percent of new traces, or more.", with(sampling, "maximum", json!(100)))
}

/// A percentage alone.
pub(super) fn percent() -> Value {
    json!({"type": "number", "minimum": 0, "maximum": 100})
}

fn force() -> Value {
    let force = object(json!({"header": super::header(), "value": text(1, MAX_TEXT)}));
    with(force, "required", json!(["header", "value"]))
}

fn keep() -> Value {
    let keep = no_burst_alone(object(json!({
        "errors": described("Those that failed.", json!({"type": "boolean"})),
        "slowerThan": described("Those that took longer.", duration()),
        "percent": described("Of so many traces.", with_default(percent(), 100)),
        "ratePerSecond": described("The most spans a second.", with_default(number(PER_SECOND), 100)),
        "burst": described("How many may come at once; else half a second's.", number(BURST)),
    })));
    let errors = json!({"required": ["errors"], "properties": {"errors": {"const": true}}});
    with(keep, "anyOf", json!([errors, {"required": ["slowerThan"]}]))
}

/// A number within limits.
pub(super) fn number(limits: [&str; 2]) -> Value {
    let [least, most] = limits.map(crate::config::json::number);
    json!({"type": "number", "minimum": least, "maximum": most})
}

pub(super) fn no_burst_alone(object: Value) -> Value {
    with(object, "dependentRequired", json!({"burst": ["ratePerSecond"]}))
}

fn remote() -> Value {
    let remote = object(json!({
        "cluster": visible(1, collector::MAX_NAME, "^[!-~]*$"),
        "path": with_default(path(), "/api/sampling"),
        "authority": authority(),
        "headers": headers(),
        "interval": with_default(duration(), "60s"),
    }));
    with(remote, "required", json!(["cluster"]))
}

fn rules() -> Value {
    let name = visible(1, MAX_NAME, "^[!-~]*$");
    let rule = object(json!({
        "name": with(name, "not", json!({"enum": RESERVED})),
        "match": matching(),
        "percent": percent(),
        "ratePerSecond": number(PER_SECOND),
        "burst": number(BURST),
    }));
    let rule = no_burst_alone(with(rule, "required", json!(["name", "match"])));
    json!({"type": "array", "maxItems": MAX_RULES, "items": rule})
}

fn matching() -> Value {
    let method = visible(1, MAX_TEXT, "^[!#$%&'*+.^_`|~0-9A-Z-]*$");
    let headers = json!({
        "type": "object",
        "maxProperties": MAX_HEADERS,
        "propertyNames": {
            "maxLength": 256,
            "pattern": format!("^{TOKEN}+$"),
            "not": {"pattern": "^[hH][oO][sS][tT]$"},
        },
        "additionalProperties": matcher("", "", ""),
    });
    let matching = object(json!({
        "path": matcher("^[/*][^?]*$", "^[/*][^?]*$", "^[^?]*$"),
        "method": {
            "type": "array",
            "items": method,
            "minItems": 1,
            "maxItems": MAX_METHODS,
        },
        "host": matcher(HOST, HOST, HOST),
        "userAgent": matcher("", "", ""),
        "headers": headers,
        "direction": {"enum": DIRECTIONS},
        "route": matcher("", "", ""),
        "cluster": matcher("", "", ""),
    }));
    with(matching, "minProperties", json!(1))
}

/// A host has no port, and only an address of IPv6 has colons.
const HOST: &str = "^[^:]*$|[\\[\\]]";

/// One comparison, with a pattern for the text of each.
fn matcher(exact: &str, prefix: &str, suffix: &str) -> Value {
    let text = |pattern: &str| match pattern {
        "" => text(1, MAX_TEXT),
        _ => with(text(1, MAX_TEXT), "pattern", json!(pattern)),
    };
    let ways = json!({
        "exact": text(exact),
        "prefix": text(prefix),
        "suffix": text(suffix),
        "regex": described("A part of RE2's syntax, looked for anywhere.", text("")),
    });
    let matcher = with(object(ways), "minProperties", json!(1));
    with(matcher, "maxProperties", json!(1))
}
