//! A tree of values that knows the lines of its text.

use serde_json::{Map, Value};

/// How many bytes of text count as one node.
const BYTES_OF_A_NODE: usize = 16;

/// A value, and the line on which it begins.
#[derive(Clone, Debug)]
pub struct Node {
    pub line: usize,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Member>),
}

/// A key with its value, and the line of the key.
#[derive(Clone, Debug)]
pub struct Member {
    pub key: String,
    pub line: usize,
    pub value: Node,
}

impl Node {
    /// A map without members, for what is not there.
    pub fn empty(line: usize) -> Self {
        Self { line, content: Content::Map(Vec::new()) }
    }

    /// The members of a map; nothing else has any.
    pub fn members(&self) -> &[Member] {
        match &self.content {
            Content::Map(members) => members,
            _ => &[],
        }
    }

    /// The items of a list; nothing else has any.
    pub fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// The member with this key.
    pub fn member(&self, key: &str) -> Option<&Member> {
        self.members().iter().find(|member| member.key == key)
    }

    /// The member at the end of these keys, which lie below one another.
    pub fn at(&self, keys: &[&str]) -> Option<&Member> {
        let (first, rest) = keys.split_first()?;
        let member = self.member(first)?;
        if rest.is_empty() { Some(member) } else { member.value.at(rest) }
    }

    /// The text at the end of these keys.
    pub fn text(&self, keys: &[&str]) -> Option<&str> {
        self.at(keys)?.value.as_text()
    }

    /// The text that this is.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether this is nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(self.content, Content::Scalar(Value::Null))
    }

    /// Whether this is exactly `true` or `false`.
    pub fn is_bool(&self, yes: bool) -> bool {
        matches!(&self.content, Content::Scalar(Value::Bool(is)) if *is == yes)
    }

    /// The same as JSON.
    pub fn json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Self::json).collect(),
            Content::Map(members) => {
                let member = |member: &Member| (member.key.clone(), member.value.json());
                Value::Object(members.iter().map(member).collect::<Map<_, _>>())
            }
        }
    }

    /// The same tree with every line moved down, for text that stands inside another one.
    pub fn moved(mut self, lines: usize) -> Self {
        self.line += lines;
        match &mut self.content {
            Content::Scalar(_) => {}
            Content::List(items) => {
                *items = std::mem::take(items).into_iter().map(|item| item.moved(lines)).collect();
            }
            Content::Map(members) => {
                for member in members {
                    member.line += lines;
                    let value = std::mem::replace(&mut member.value, Self::empty(0));
                    member.value = value.moved(lines);
                }
            }
        }
        self
    }

    /// How much of it there is: nodes, and text.
    pub fn size(&self) -> usize {
        let text = |text: &str| text.len() / BYTES_OF_A_NODE;
        1 + match &self.content {
            Content::Scalar(Value::String(value)) => text(value),
            Content::Scalar(_) => 0,
            Content::List(items) => items.iter().map(Self::size).sum(),
            Content::Map(members) => {
                members.iter().map(|member| text(&member.key) + member.value.size()).sum()
            }
        }
    }
}

/// A value that has no lines of its own: JSON that is no YAML, with two escapes for one character.
pub fn from_json(value: Value) -> Node {
    let content = match value {
        Value::Array(items) => Content::List(items.into_iter().map(from_json).collect()),
        Value::Object(members) => {
            let member = |(key, value)| Member { key, line: 1, value: from_json(value) };
            Content::Map(members.into_iter().map(member).collect())
        }
        scalar => Content::Scalar(scalar),
    };
    Node { line: 1, content }
}
