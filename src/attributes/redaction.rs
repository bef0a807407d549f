//! Bytes from the wire become text that may be recorded: valid UTF-8, capped, nothing secret.

use super::masking::{LOOK_AHEAD, Patterns, REDACTED, masked};
use super::path_match::Path;
use super::text;
use crate::config::{ClientAddress, MASK_PATTERNS, Privacy, Query, Settings};
use std::net::{IpAddr, SocketAddr};

/// What may be recorded of a request, and how much of it.
#[derive(Clone, Debug)]
pub struct Redaction {
    caps: Caps,
    privacy: Privacy,
    masks: Patterns,
}

/// Longest value of a fact, in bytes.
#[derive(Clone, Copy, Debug)]
struct Caps {
    /// Of a tag's value.
    tag: usize,
    /// Of path and query.
    path: usize,
}

impl Redaction {
    /// Redaction as it is configured.
    pub fn new(settings: &Settings) -> Self {
        let caps = Caps { tag: settings.max_tag_length, path: settings.max_path_length };
        let privacy = settings.privacy.clone();
        let masked = |name: &str| privacy.mask_patterns.iter().any(|pattern| pattern == name);
        let [emails, cards] = MASK_PATTERNS.map(masked);
        Self { caps, privacy, masks: Patterns { emails, cards } }
    }

    /// A word of a protocol's, or an id: what it says is known.
    pub(super) fn word(&self, bytes: &[u8]) -> String {
        text::text(bytes, self.caps.tag)
    }

    /// Any text: URLs are redacted, and what looks like a secret is masked.
    pub(super) fn value(&self, bytes: &[u8]) -> String {
        match is_url(bytes) {
            true => self.url(bytes, self.caps.tag),
            false => self.masked(text::text(bytes, self.caps.tag + LOOK_AHEAD), self.caps.tag),
        }
    }

    /// Path and query.
    pub(super) fn path(&self, bytes: &[u8]) -> String {
        self.url(bytes, self.caps.path)
    }

    /// An authority without user information, which is a password as a rule.
    pub(super) fn authority(&self, bytes: &[u8]) -> String {
        let host = bytes.rsplit(|byte| *byte == b'@').next().unwrap_or(bytes);
        text::text(host, self.caps.tag)
    }

    /// A client's address. Its network is no end of a connection, and has no port.
    pub(super) fn client(&self, address: SocketAddr) -> Option<SocketAddr> {
        match self.privacy.client_address {
            ClientAddress::Full => Some(address),
            ClientAddress::Truncate => Some((network(address.ip()), 0).into()),
            ClientAddress::Drop => None,
        }
    }

    /// A header's value; one that names clients by their addresses tells of them what may be told.
    pub(super) fn header(&self, name: &str, value: &[u8]) -> Option<String> {
        match self.privacy.client_address {
            ClientAddress::Drop if CLIENT_HEADERS.contains(&name) => None,
            ClientAddress::Truncate if CLIENT_HEADERS.contains(&name) => {
                Some(text::text(networks(value).as_bytes(), self.caps.tag))
            }
            _ => Some(self.value(value)),
        }
    }

    /// A URL, or path and query alone, without fragment.
    fn url(&self, bytes: &[u8], max: usize) -> String {
        let bytes = bytes.split(|byte| *byte == b'#').next().unwrap_or_default();
        let question_mark = bytes.iter().position(|byte| *byte == b'?').unwrap_or(bytes.len());
        let (path, query) = bytes.split_at(question_mark);
        let most = max + LOOK_AHEAD;
        let mut redacted = String::with_capacity(bytes.len().min(most) + REDACTED.len() + 1);
        self.push_path(&mut redacted, path, most);
        if let (Query::Keep(keys), Some(query)) = (&self.privacy.query, query.get(1..)) {
            push_query(&mut redacted, query, keys, most);
        }
        self.masked(redacted, max)
    }

    #[inline(never)]
    fn push_path(&self, redacted: &mut String, path: &[u8], most: usize) {
        let path = path.get(..most).unwrap_or(path);
        if self.privacy.path_redact.is_empty() && !path.contains(&b';') {
            return text::push(redacted, path, most);
        }
        let (origin, path) = path.split_at(origin(path));
        text::push(redacted, origin, most);
        let segments = Path::new(path);
        let patterns = self.privacy.path_redact.iter();
        let secrets: Vec<usize> = patterns.flat_map(|pattern| segments.secrets(pattern)).collect();
        for (place, segment) in path.split(|byte| *byte == b'/').enumerate() {
            if place > 0 {
                redacted.push('/');
            }
            match secrets.contains(&place) {
                true => redacted.push_str(REDACTED),
                false => push_segment(redacted, segment, most),
            }
        }
    }

    fn masked(&self, text: String, max: usize) -> String {
        let mut text = masked(text, self.masks);
        text::cut(&mut text, max);
        text
    }
}

/// Headers that name clients by their addresses.
const CLIENT_HEADERS: [&str; 9] = [
    "cf-connecting-ip",
    "fastly-client-ip",
    "forwarded",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-forwarded-for",
    "x-real-ip",
];

/// The networks of a list of addresses, in which what is none is redacted.
#[inline(never)]
fn networks(list: &[u8]) -> String {
    let mut networks = String::new();
    // No list that is true has more.
    for item in list.split(|byte| *byte == b',').take(16) {
        if !networks.is_empty() {
            networks.push(',');
        }
        let text = core::str::from_utf8(item.trim_ascii()).unwrap_or_default();
        let ip = text.parse().or_else(|_| text.parse().map(|address: SocketAddr| address.ip()));
        match ip {
            Ok(ip) => networks.push_str(&network(ip).to_string()),
            Err(_) => networks.push_str(REDACTED),
        }
    }
    networks
}

/// Whether a value is a URL, `https://...`, or a path.
fn is_url(bytes: &[u8]) -> bool {
    let letter =
        |byte: &u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'+' | b'-' | b'.');
    let scheme = bytes.iter().position(|byte| !letter(byte)).unwrap_or_default();
    let rest = bytes.get(scheme..).unwrap_or_default();
    matches!((scheme, rest), (0, [b'/', ..]) | (1.., [b':', b'/', b'/', ..]))
}

/// How long what stands before the path of a URL is: `https://host`, or nothing.
fn origin(url: &[u8]) -> usize {
    let scheme = url.iter().position(|byte| *byte == b'/').unwrap_or(url.len());
    if scheme == 0 {
        return 0;
    }
    let host = scheme + 2;
    let path = url.iter().skip(host).position(|byte| *byte == b'/');
    path.map_or(url.len(), |path| host + path)
}

/// One segment of a path; the values of its parameters, such as `;jsessionid=`, are replaced.
fn push_segment(redacted: &mut String, segment: &[u8], most: usize) {
    for (index, parameter) in segment.split(|byte| *byte == b';').enumerate() {
        match index {
            0 => text::push(redacted, parameter, most),
            _ => {
                redacted.push(';');
                push_pair(redacted, parameter, &[], most);
            }
        }
    }
}

fn push_query(redacted: &mut String, query: &[u8], keep: &[String], most: usize) {
    for (index, pair) in query.split(|byte| *byte == b'&').enumerate() {
        if redacted.len() >= most {
            break;
        }
        redacted.push(if index == 0 { '?' } else { '&' });
        push_pair(redacted, pair, keep, most);
    }
}

/// Key and value; the value is replaced unless the key is one of `keep`.
fn push_pair(redacted: &mut String, pair: &[u8], keep: &[String], most: usize) {
    let equals = pair.iter().position(|byte| *byte == b'=');
    let key = equals.and_then(|equals| pair.get(..equals));
    match key {
        Some(key) if keep.iter().any(|kept| kept.as_bytes() == key) => {
            text::push(redacted, pair, most)
        }
        Some(key) => {
            text::push(redacted, key, most);
            redacted.push('=');
            redacted.push_str(REDACTED);
        }
        // A word alone may be a value as well as a key.
        None if !pair.is_empty() => redacted.push_str(REDACTED),
        None => {}
    }
}

/// The first 24 bits of an address of version 4, 48 of version 6.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4((ip.to_bits() & !0xff).into()),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & (!0 << 80)).into()),
    }
}

#[cfg(test)]
#[path = "redaction_tests.rs"]
mod tests;
