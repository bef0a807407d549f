//! YAML text to trees that know their lines.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::Value;

use crate::report::shown;
use crate::scalar;
use crate::tree::{Content, Member, Node, from_json};

/// How deep lists and maps may be nested.
const MAX_DEPTH: usize = 128;

/// The most nodes of one file, those that aliases repeat included; 16 bytes of text count as one.
const MAX_NODES: usize = 500_000;

/// The most documents of one file.
const MAX_DOCUMENTS: usize = 10_000;

const NOT_YAML: &str = "not YAML: ";

/// How many keys that are given twice are told of.
const MAX_FLAWS: usize = 20;

/// What is wrong with the text itself.
#[derive(Debug)]
pub struct Flaw {
    pub line: usize,
    pub message: String,
}

impl Flaw {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

/// The documents of a text, as far as it can be read, and what is wrong with it.
pub fn documents(text: &str) -> (Vec<Node>, Vec<Flaw>) {
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let read = match event {
            Ok((event, span)) => reader.take(event, span),
            Err(error) => {
                Err(Flaw::new(error.marker().line(), format!("{NOT_YAML}{}", error.info())))
            }
        };
        if let Err(flaw) = read {
            reader.flaws.push(flaw);
            break;
        }
    }
    match serde_json::from_str(text) {
        Ok(value) if reader.flaws.iter().any(|flaw| flaw.message.starts_with(NOT_YAML)) => {
            (vec![from_json(value)], Vec::new())
        }
        _ => (reader.documents, reader.flaws),
    }
}

/// A list or map that is not complete yet.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<(String, usize)>,
    keys: HashSet<String>,
}

#[derive(Default)]
struct Reader {
    documents: Vec<Node>,
    flaws: Vec<Flaw>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Flaw> {
        let line = span.start.line();
        match event {
            Event::DocumentStart(_) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                let value = value(text.into_owned(), style, tag.as_deref());
                self.add(Node { line, content: Content::Scalar(value) }, anchor)?;
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor);
                let node = node.ok_or_else(|| Flaw::new(line, "an alias inside its own anchor"))?;
                let size = node.size();
                self.count(size, line)?;
                let copy = self.anchors.get(&anchor).cloned();
                copy.map_or(Ok(()), |node| self.add(node, 0))?;
            }
            Event::SequenceStart(anchor, _) => {
                self.begin(line, Content::List(Vec::new()), anchor)?
            }
            Event::MappingStart(anchor, _) => self.begin(line, Content::Map(Vec::new()), anchor)?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { node, anchor, .. }) = self.open.pop() {
                    self.add(merged(node), anchor)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, line: usize, content: Content, anchor: usize) -> Result<(), Flaw> {
        if self.open.len() == MAX_DEPTH {
            return Err(Flaw::new(line, format!("nested more than {MAX_DEPTH} deep")));
        }
        self.open.push(Open {
            node: Node { line, content },
            anchor,
            key: None,
            keys: HashSet::new(),
        });
        Ok(())
    }

    /// Counts nodes before there are any copies of them.
    fn count(&mut self, nodes: usize, line: usize) -> Result<(), Flaw> {
        self.nodes += nodes;
        match self.nodes > MAX_NODES {
            true => Err(Flaw::new(line, format!("more than {MAX_NODES} values"))),
            false => Ok(()),
        }
    }

    /// A complete node goes where it belongs.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Flaw> {
        self.count(1, node.line)?;
        if anchor != 0 {
            self.count(node.size(), node.line)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            if self.documents.len() == MAX_DOCUMENTS {
                return Err(Flaw::new(node.line, format!("more than {MAX_DOCUMENTS} documents")));
            }
            self.documents.push(node);
            return Ok(());
        };
        match &mut open.node.content {
            Content::List(items) => items.push(node),
            Content::Map(members) => match open.key.take() {
                None => open.key = Some((key(&node)?, node.line)),
                Some((key, line)) => {
                    if open.keys.insert(key.clone()) || key == MERGE {
                        members.push(Member { key, line, value: node });
                    } else {
                        twice(&mut self.flaws, &key, line)?;
                    }
                }
            },
            Content::Scalar(_) => {}
        }
        Ok(())
    }
}

/// Notes a key that is given twice, unless there are too many of them.
fn twice(flaws: &mut Vec<Flaw>, key: &str, line: usize) -> Result<(), Flaw> {
    if flaws.len() == MAX_FLAWS {
        return Err(Flaw::new(line, "more keys given twice"));
    }
    flaws.push(Flaw::new(line, format!("the key {:?} is given twice", shown(key))));
    Ok(())
}

/// The key under which a map takes in the members of others.
const MERGE: &str = "<<";

/// The map with what its `<<` takes in; its own members come first.
fn merged(mut node: Node) -> Node {
    let Content::Map(members) = &mut node.content else {
        return node;
    };
    if members.iter().all(|member| member.key != MERGE) {
        return node;
    }
    let (merges, mut own): (Vec<_>, Vec<_>) =
        std::mem::take(members).into_iter().partition(|member| member.key == MERGE);
    let mut keys: HashSet<String> = own.iter().map(|member| member.key.clone()).collect();
    for merge in merges {
        let Node { content, line } = merge.value;
        let sources = match content {
            Content::List(items) => items,
            content => vec![Node { content, line }],
        };
        for source in sources {
            let Content::Map(others) = source.content else { continue };
            own.extend(others.into_iter().filter(|other| keys.insert(other.key.clone())));
        }
    }
    *members = own;
    node
}

fn value(text: String, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let resolved = match tag.map(|tag| tag.suffix.as_str()) {
        None => style == ScalarStyle::Plain,
        Some(kind) => matches!(kind, "int" | "float" | "bool" | "null"),
    };
    if resolved { scalar::resolve(text) } else { Value::String(text) }
}

/// A key as Kubernetes makes text of it.
fn key(node: &Node) -> Result<String, Flaw> {
    match &node.content {
        Content::Scalar(Value::String(text)) => Ok(text.clone()),
        Content::Scalar(Value::Bool(yes)) => Ok(yes.to_string()),
        Content::Scalar(Value::Number(number)) => Ok(number.to_string()),
        _ => Err(Flaw::new(node.line, "a key that is neither text nor a number")),
    }
}
