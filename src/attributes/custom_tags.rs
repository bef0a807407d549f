//! The tags that the operator adds, ready to be taken from a request.

use super::{Redaction, path_match, text};
use crate::config::{CustomTag, Settings, TagMode, TagOn, TagSource};
use crate::trace::{SpanKind, Tag, TraceId};
use hmac_sha256::HMAC;
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// The variable that has the key of hashes where the configuration has none.
const KEY_VARIABLE: &str = "MESHSPAN_HASH_KEY";

/// The most of a value that is hashed, in bytes.
const MAX_HASHED: usize = 4096;

/// How many bytes a mask shows at the most, and how many a value has at the least of which any are shown.
const SHOWN: usize = 4;
const LEAST_SHOWN: usize = 12;

/// Custom tags whose constant values are known.
#[derive(Debug, Default)]
pub struct CustomTags {
    /// The default of one that is constant is its value.
    tags: Vec<CustomTag>,
    /// The key of hashes, or nothing.
    key: String,
    asks: bool,
}

/// What one request gave for each tag; nothing for those that are constant.
pub(super) type Values = Vec<Option<String>>;

/// What Envoy has for a tag: the bytes of a header or an attribute.
pub type Asked<'a> = &'a dyn Fn(&CustomTag) -> Option<Vec<u8>>;

/// Whether a tag is on spans of this kind.
pub fn is_on(tag: &CustomTag, kind: SpanKind) -> bool {
    match tag.on {
        TagOn::Both => true,
        TagOn::Inbound => kind == SpanKind::Server,
        TagOn::Outbound => kind == SpanKind::Client,
    }
}

impl CustomTags {
    /// Takes each value that does not depend on the request; `environment` reads a variable.
    pub fn new(
        settings: &Settings,
        redaction: &Redaction,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let mut tags = settings.custom_tags.clone();
        tags.retain(|tag| !redaction.hides(&tag.key));
        let mut asks = false;
        for tag in &mut tags {
            let constant = match tag.source {
                TagSource::Literal => Some(tag.key.clone()),
                TagSource::Environment => environment(&tag.key),
                _ => None,
            };
            let max = tag.max_length.unwrap_or(redaction.max_tag());
            if let Some(value) = constant.as_ref().or(tag.default.as_ref()) {
                tag.default = Some(text::text(value.as_bytes(), max));
            }
            asks |= tag.source.is_asked_for();
        }
        let key = settings.hash_key.clone().or_else(|| environment(KEY_VARIABLE));
        Self { tags, key: key.unwrap_or_default(), asks }
    }

    /// The same and constants, where no tag has their names: what formats without a resource say of it.
    pub fn with_constants(mut self, constants: &[(String, String)]) -> Self {
        for (name, value) in constants {
            if self.tags.iter().all(|tag| tag.name != *name) {
                self.tags.push(CustomTag::literal(name, value));
            }
        }
        self
    }

    /// Whether some are to be hashed, and there is no key.
    pub(crate) fn lack_key(&self) -> bool {
        self.key.is_empty() && self.tags.iter().any(|tag| tag.mode == TagMode::Hash)
    }

    /// Whether Envoy has to be asked for some at a request's end.
    pub(crate) fn asks(&self) -> bool {
        self.asks
    }

    /// What the request's lower-case headers say; of a repeated header the first line.
    pub(super) fn begin(
        &self,
        redaction: &Redaction,
        headers: &[(&[u8], &[u8])],
        path: &[u8],
    ) -> Values {
        let mut segments = None;
        let value = |tag: &CustomTag| match tag.source {
            TagSource::Header => {
                let mut lines = headers.iter().filter(|(key, _)| *key == tag.key.as_bytes());
                self.shown(tag, redaction, lines.next()?.1)
            }
            TagSource::PathSegment => {
                let segments =
                    segments.get_or_insert_with(|| path_match::segments(path_and_query(path).0));
                let segment = path_match::segment(&tag.key, segments)?;
                self.shown(tag, redaction, &Cow::from(percent_decode(segment)))
            }
            _ => None,
        };
        let mut values: Values = self.tags.iter().map(value).collect();
        for (source, name) in LISTS {
            let mut open = self.of_source(source);
            if !open.is_empty() {
                let lines = headers.iter().filter(|(header, _)| *header == name);
                lines.for_each(|(_, line)| self.take(line, &mut open, &mut values, redaction));
            }
        }
        let mut open = self.of_source(TagSource::QueryParameter);
        if !open.is_empty() {
            self.take(path_and_query(path).1, &mut open, &mut values, redaction);
        }
        values
    }

    /// The tags of a source, each with its place.
    #[inline(never)]
    fn of_source(&self, source: TagSource) -> Vec<(usize, &CustomTag)> {
        self.tags.iter().enumerate().filter(|(_, tag)| tag.source == source).collect()
    }

    /// Takes the values of tags of one source out of a list of `name=value`, each from the first member
    /// of its name; what is taken is open no more. All are looked for at once: a list may be long.
    #[inline(never)]
    fn take(
        &self,
        mut list: &[u8],
        open: &mut Vec<(usize, &CustomTag)>,
        values: &mut Values,
        redaction: &Redaction,
    ) {
        while let ([(_, first), ..], false) = (open.as_slice(), list.is_empty()) {
            let separator = match first.source {
                TagSource::Cookie => b';',
                TagSource::Baggage => b',',
                _ => b'&',
            };
            let (member, rest) = split(list, separator);
            list = rest;
            let (name, value) = split(member, b'=');
            let name = name.trim_ascii();
            while let Some(at) = open.iter().position(|(_, tag)| tag.key.as_bytes() == name) {
                let (place, tag) = open.swap_remove(at);
                if let Some(place) = values.get_mut(place) {
                    *place = self.shown(tag, redaction, &text_of(tag.source, value));
                }
            }
        }
    }

    /// Takes the values of those for which `ask` has one.
    pub(super) fn ask(&self, values: &mut Values, redaction: &Redaction, ask: Asked) {
        for (tag, value) in self.tags.iter().zip(values) {
            if let Some(bytes) = ask(tag).and_then(|bytes| readable(tag.source, bytes)) {
                *value = self.shown(tag, redaction, &bytes);
            }
        }
    }

    /// Names and values for a span of this kind, in the order of the configuration.
    pub(super) fn tags(&self, values: Values, kind: SpanKind) -> Vec<Tag<'_>> {
        let all = self.tags.iter().zip(values).filter(|(tag, _)| is_on(tag, kind));
        all.filter_map(|(tag, value)| {
            let value = match value {
                Some(value) => Cow::Owned(value),
                None => Cow::Borrowed(tag.default.as_deref()?),
            };
            Some((tag.name.as_str(), value))
        })
        .collect()
    }

    /// A value as the tag may show it.
    #[inline(never)]
    fn shown(&self, tag: &CustomTag, redaction: &Redaction, bytes: &[u8]) -> Option<String> {
        let max = tag.max_length.unwrap_or(redaction.max_tag());
        match tag.mode {
            TagMode::Plain => Some(redaction.value_within(bytes, max)),
            mode => {
                if bytes.len() > MAX_HASHED {
                    redaction.count_cut();
                }
                self.hidden(mode, bytes, max)
            }
        }
    }

    /// A value that is not shown as it is; nothing where there is no key to hash it with.
    #[inline(never)]
    fn hidden(&self, mode: TagMode, bytes: &[u8], max: usize) -> Option<String> {
        if bytes.is_empty() {
            return None;
        }
        let shown = match mode {
            TagMode::Hash => {
                if self.key.is_empty() {
                    return None;
                }
                let hash = HMAC::mac(bytes.get(..MAX_HASHED).unwrap_or(bytes), &self.key);
                let half = hash.first_chunk().map_or(0, |half| u128::from_be_bytes(*half));
                TraceId::new(half)?.hex().concat()
            }
            _ => {
                let value = text::text(bytes, MAX_HASHED);
                let from = value.len().checked_sub(SHOWN).filter(|_| value.len() >= LEAST_SHOWN);
                let from = from.unwrap_or(value.len());
                let is_begin = |place: &usize| value.is_char_boundary(*place);
                let from = (from..value.len()).find(is_begin).unwrap_or(value.len());
                [b"****", value.as_bytes().get(from..).unwrap_or_default()].concat()
            }
        };
        Some(text::text(&shown, max))
    }
}

/// Headers that are lists of `name=value`.
const LISTS: [(TagSource, &[u8]); 2] =
    [(TagSource::Cookie, b"cookie"), (TagSource::Baggage, b"baggage")];

/// The parts of a path, without fragment.
#[inline(never)]
fn path_and_query(path: &[u8]) -> (&[u8], &[u8]) {
    split(split(path, b'#').0, b'?')
}

/// What the value of a member says.
fn text_of(source: TagSource, value: &[u8]) -> Cow<'_, [u8]> {
    let value = match source {
        TagSource::Cookie => return value.trim_ascii().into(),
        // What follows a value in baggage are its properties.
        TagSource::Baggage => split(value, b';').0,
        _ => value,
    };
    percent_decode(value.trim_ascii()).into()
}

/// What is before the first byte like this, and behind it.
#[inline(never)]
fn split(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    let place = text.iter().position(|byte| *byte == at).unwrap_or(text.len());
    (text.get(..place).unwrap_or_default(), text.get(place + 1..).unwrap_or_default())
}

/// What Envoy answers, as text. Nothing in the bytes tells a number from a string: one has 8 bytes that
/// are no readable text. Truth is one byte, and what has a NUL otherwise is a map, a list or a message.
#[inline(never)]
fn readable(source: TagSource, bytes: Vec<u8>) -> Option<Vec<u8>> {
    let is_value = matches!(source, TagSource::Metadata | TagSource::Attribute);
    let is_text = core::str::from_utf8(&bytes).is_ok() && !bytes.iter().any(u8::is_ascii_control);
    if is_text || !is_value {
        return Some(bytes);
    }
    match (bytes.as_slice(), <[u8; 8]>::try_from(bytes.as_slice())) {
        ([0], _) => Some(b"false".to_vec()),
        ([1], _) => Some(b"true".to_vec()),
        (_, Ok(number)) if source == TagSource::Attribute => {
            let number = i64::from_le_bytes(number);
            Some(decimal(number < 0, number.unsigned_abs(), 0))
        }
        (_, Ok(number)) => {
            // All numbers of metadata are doubles.
            let millionths = f64::from_le_bytes(number) * MILLION as f64;
            let parts = (millionths.abs() + 0.5) as u64;
            // Beyond that they have no decimals that are right.
            let is_exact = millionths.abs() < (1_u64 << 53) as f64;
            is_exact.then(|| decimal(millionths < 0.0, parts / MILLION, parts % MILLION))
        }
        _ => Some(bytes).filter(|bytes| !bytes.contains(&0)),
    }
}

const MILLION: u64 = 1_000_000;

/// A number of so many wholes and millionths.
#[inline(never)]
fn decimal(is_negative: bool, whole: u64, millionths: u64) -> Vec<u8> {
    let sign = if is_negative { "-" } else { "" };
    let (mut wholes, mut decimals) = (itoa::Buffer::new(), itoa::Buffer::new());
    // With a one before them for the sake of zeros, in whose place comes the point.
    let decimals = decimals.format(millionths + MILLION);
    let point = if millionths == 0 { "" } else { "." };
    let end = decimals.bytes().rposition(|digit| digit != b'0').unwrap_or(0);
    let decimals = decimals.get(1..=end).unwrap_or_default();
    [sign, wholes.format(whole), point, decimals].concat().into_bytes()
}

#[cfg(test)]
#[rustfmt::skip] // One case a line reads better than one field a line.
#[path = "custom_tags_tests.rs"]
mod tests;
