//! The keys of Istio's types: what is unknown or of the wrong type, and what is meant by it.
//!
//! istio_types.json is written by `make istio-types` from the Go module istio.io/api.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::report::{Level, Place, Report, shown};
use crate::tree::{Content, Member, Node};

/// The mesh configuration.
pub const MESH_CONFIG: &str = "istio.mesh.v1alpha1.MeshConfig";

/// How deep a key is looked for where it stands too high.
const SEARCH_DEPTH: usize = 3;

type Fields = BTreeMap<String, String>;

#[derive(Default)]
struct Types {
    messages: BTreeMap<String, Fields>,
    enums: BTreeMap<String, Vec<String>>,
}

static TYPES: LazyLock<Types> = LazyLock::new(|| {
    let mut table: Value =
        serde_json::from_str(include_str!("istio_types.json")).unwrap_or_default();
    let mut part = |name| table.get_mut(name).map(Value::take).unwrap_or_default();
    Types {
        messages: serde_json::from_value(part("messages")).unwrap_or_default(),
        enums: serde_json::from_value(part("enums")).unwrap_or_default(),
    }
});

/// Who reads an object, and so what becomes of a key that is not known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// istiod, which reads mesh configuration as protobuf's JSON: snake_case too, unknown keys lost.
    Istiod,
    /// The API server, which knows the keys of the CRD alone.
    ApiServer,
}

/// A walk over one object of a file.
pub struct Walk<'a> {
    pub file: &'a str,
    pub reader: Reader,
    pub report: &'a mut Report,
}

impl Walk<'_> {
    /// The object with its keys as istiod writes them, without what is unknown or of the wrong type.
    pub fn message(&mut self, node: &Node, name: &str, path: &str) -> Node {
        let Some(fields) = TYPES.messages.get(name) else {
            return node.clone();
        };
        let Content::Map(members) = &node.content else {
            self.wrong(node, path, "an object");
            return Node::empty(node.line);
        };
        let mut known = Vec::new();
        for member in members {
            let path = join(path, &member.key);
            let Some((key, kind)) = self.field(fields, &member.key) else {
                self.unknown(member, name, fields, &path);
                continue;
            };
            // protobuf's JSON and the API server alike take null for a key that is not there.
            if member.value.is_null() {
                continue;
            }
            if let Some(value) = self.value(&member.value, kind, &path) {
                known.push(Member { key: key.clone(), line: member.line, value });
            }
        }
        Node { line: node.line, content: Content::Map(known) }
    }

    fn field<'t>(&self, fields: &'t Fields, key: &str) -> Option<(&'t String, &'t String)> {
        fields.get_key_value(key).or_else(|| match self.reader {
            Reader::Istiod => fields.iter().find(|(name, _)| snake_case(name) == key),
            Reader::ApiServer => None,
        })
    }

    fn value(&mut self, node: &Node, kind: &str, path: &str) -> Option<Node> {
        if let Some(kind) = kind.strip_prefix("list ") {
            let Content::List(items) = &node.content else {
                return self.wrong(node, path, "a list");
            };
            let item = |(index, item)| self.value(item, kind, &format!("{path}[{index}]"));
            let items = items.iter().enumerate().filter_map(item).collect();
            return Some(Node { line: node.line, content: Content::List(items) });
        }
        if let Some(kind) = kind.strip_prefix("map ") {
            let Content::Map(members) = &node.content else {
                return self.wrong(node, path, "an object");
            };
            let member = |member: &Member| {
                let value = self.value(&member.value, kind, &join(path, &member.key))?;
                Some(Member { value, ..member.clone() })
            };
            let members = members.iter().filter_map(member).collect();
            return Some(Node { line: node.line, content: Content::Map(members) });
        }
        if TYPES.messages.contains_key(kind) {
            return Some(self.message(node, kind, path));
        }
        self.scalar(node, kind, path)
    }

    fn scalar(&mut self, node: &Node, kind: &str, path: &str) -> Option<Node> {
        let same = |fits: bool| fits.then(|| node.clone());
        let fits = match (&node.content, kind) {
            (_, "any") => same(true),
            (Content::Scalar(Value::Bool(_)), "bool") => same(true),
            (Content::Scalar(Value::String(_)), "string" | "bytes" | "duration" | "timestamp") => {
                same(true)
            }
            (Content::Scalar(value), "double" | "float") => self.number(value, false, node.line),
            (
                Content::Scalar(value),
                "int32" | "int64" | "uint32" | "uint64" | "sint32" | "sint64" | "fixed32"
                | "fixed64" | "sfixed32" | "sfixed64",
            ) => self.number(value, true, node.line),
            _ => None,
        };
        if fits.is_some() {
            return fits;
        }
        let Some(names) = TYPES.enums.get(kind) else {
            return self.wrong(node, path, &format!("of the type {kind}"));
        };
        let by_number = self.reader == Reader::Istiod
            && matches!(&node.content, Content::Scalar(Value::Number(_)));
        if by_number || node.as_text().is_some_and(|text| names.iter().any(|name| name == text)) {
            return Some(node.clone());
        }
        self.wrong(node, path, &format!("one of {}", names.join(", ")))
    }

    /// A number; protobuf's JSON takes one that is written as text, too.
    fn number(&self, value: &Value, whole: bool, line: usize) -> Option<Node> {
        let number = match value {
            Value::Number(number) => number.clone(),
            Value::String(text) if self.reader == Reader::Istiod => {
                serde_json::Number::from_f64(text.parse().ok()?)?
            }
            _ => return None,
        };
        let fits = !whole || number.as_f64().is_some_and(|number| number.fract() == 0.0);
        fits.then_some(Node { line, content: Content::Scalar(Value::Number(number)) })
    }

    fn wrong(&mut self, node: &Node, path: &str, kind: &str) -> Option<Node> {
        let consequence = match self.reader {
            Reader::Istiod => "istiod refuses the whole mesh configuration",
            Reader::ApiServer => "the API server refuses it",
        };
        let message = format!("{} is not {kind}; {consequence}", brief(node));
        self.report.add(self.place(node.line), Level::Error, path, message);
        None
    }

    fn unknown(&mut self, member: &Member, name: &str, fields: &Fields, path: &str) {
        // The search for what was meant is not for nothing.
        if self.report.is_full() {
            return;
        }
        let (level, consequence) = match self.reader {
            Reader::Istiod => (Level::Warning, "Istio ignores it without a word"),
            Reader::ApiServer => (Level::Error, "the API server refuses it"),
        };
        let meant = nearest(&member.key, fields.keys().map(String::as_str))
            .map(|key| format!("; did you mean {key}?"))
            .or_else(|| {
                let place = below(name, &member.key, SEARCH_DEPTH)?;
                Some(format!("; did you mean {place}.{}?", member.key))
            })
            .unwrap_or_default();
        let message = format!("unknown key, {consequence}{meant}");
        self.report.add(self.place(member.line), level, path, message);
    }

    fn place(&self, line: usize) -> Place {
        Place { file: self.file.to_owned(), line }
    }
}

/// The path of a key below another, as messages show it.
pub fn join(path: &str, key: &str) -> String {
    match path {
        "" => shown(key),
        _ => format!("{path}.{}", shown(key)),
    }
}

/// A value as a message repeats it: what it is, not all of it.
pub fn brief(node: &Node) -> String {
    match &node.content {
        Content::Scalar(Value::String(text)) => format!("\"{}\"", shown(text)),
        Content::Scalar(value) => value.to_string(),
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "an object".to_owned(),
    }
}

/// The key that was meant, where one is near enough.
pub fn nearest<'k>(key: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // The distance takes the product of the lengths in time; no key is this long.
    if key.len() > 64 {
        return None;
    }
    let plain = |key: &str| key.replace(['_', '-'], "").to_lowercase();
    let wanted = plain(key);
    let most = (wanted.len() / 3).clamp(1, 3);
    known
        .map(|name| (strsim::damerau_levenshtein(&wanted, &plain(name)), name))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Where a key is known further down: `defaultConfig` for `tracing`.
fn below(message: &str, key: &str, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    let fields = TYPES.messages.get(message)?;
    let has = |kind: &str| TYPES.messages.get(kind).is_some_and(|fields| fields.contains_key(key));
    let here = fields.iter().find(|(_, kind)| has(kind)).map(|(name, _)| name.clone());
    here.or_else(|| {
        let further =
            |(name, kind): (&String, &String)| Some(format!("{name}.{}", below(kind, key, depth)?));
        fields.iter().find_map(further)
    })
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}
