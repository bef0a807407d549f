//! Bytes from the wire become text that may be recorded: valid UTF-8, capped, nothing secret.

use super::masking::{self, LOOK_AHEAD, REDACTED};
use super::path_match::{self, MAX_SEGMENTS};
use super::text;
use crate::config::{ClientAddress, Privacy, Query, Settings};
use std::borrow::Cow;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};

/// What may be recorded of a request, and how much of it.
#[derive(Clone, Debug)]
pub struct Redaction {
    /// Longest value of a tag, in bytes.
    max_tag: usize,
    /// Longest path with its query, in bytes.
    max_path: usize,
    privacy: Privacy,
    /// How many values were longer than they may be.
    cut: Cell<i64>,
}

impl Redaction {
    /// Redaction as it is configured.
    pub fn new(settings: &Settings) -> Self {
        Self {
            max_tag: settings.max_tag_length,
            max_path: settings.max_path_length,
            privacy: settings.privacy.clone(),
            cut: Cell::new(0),
        }
    }

    /// How many values were longer than they may be, since this was asked last.
    pub fn take_cut(&self) -> i64 {
        self.cut.take()
    }

    /// One value was.
    pub(super) fn count_cut(&self) {
        self.cut.set(self.cut.get() + 1);
    }

    fn text(&self, bytes: &[u8], max: usize) -> String {
        if bytes.len() > max {
            self.count_cut();
        }
        text::text(bytes, max)
    }

    /// A word of a protocol's, or an id: what it says is known.
    pub(super) fn word(&self, bytes: &[u8]) -> String {
        self.text(bytes, self.max_tag)
    }

    /// A word of which there are few; those that nearly every request has take no memory.
    pub(super) fn common_word(&self, bytes: &[u8]) -> Cow<'static, str> {
        Cow::Borrowed(match bytes {
            _ if bytes.len() > self.max_tag => return self.word(bytes).into(),
            b"GET" => "GET",
            b"POST" => "POST",
            b"http" => "http",
            b"https" => "https",
            b"HTTP/1.1" => "HTTP/1.1",
            b"HTTP/2" => "HTTP/2",
            _ => return self.word(bytes).into(),
        })
    }

    /// A word that is text already.
    pub(super) fn owned_word(&self, word: String) -> String {
        if word.len() > self.max_tag { self.word(word.as_bytes()) } else { word }
    }

    /// Any text: URLs are redacted, and what looks like a secret is masked.
    pub(super) fn value(&self, bytes: &[u8]) -> String {
        self.value_within(bytes, self.max_tag)
    }

    /// Any text of at most so many bytes: URLs are redacted, and what looks like a secret is masked.
    pub fn value_within(&self, bytes: &[u8], max: usize) -> String {
        match origin(bytes) {
            Some(origin) => self.url(bytes, origin, max),
            None => self.masked(bytes, max),
        }
    }

    /// The longest value of a tag, in bytes, unless the tag has one of its own.
    pub(super) fn max_tag(&self) -> usize {
        self.max_tag
    }

    /// Path and query.
    pub fn path(&self, bytes: &[u8]) -> String {
        self.url(bytes, 0, self.max_path)
    }

    /// An authority without user information, which is a password as a rule.
    pub fn authority(&self, bytes: &[u8]) -> String {
        self.word(match bytes.contains(&b'@') {
            true => bytes.rsplit(|byte| *byte == b'@').next().unwrap_or_default(),
            false => bytes,
        })
    }

    /// A client's address. Its network is no end of a connection, and has no port.
    pub(super) fn client(&self, address: SocketAddr) -> Option<SocketAddr> {
        match self.privacy.client_address {
            ClientAddress::Full => Some(address),
            ClientAddress::Truncate => Some((network(address.ip()), 0).into()),
            ClientAddress::Drop => None,
        }
    }

    /// Whether a header or an attribute names clients by their addresses, and not all of those may be
    /// told. The path of an attribute has a NUL between its parts.
    pub(super) fn hides(&self, path: &str) -> bool {
        let name = path.rsplit('\0').next().unwrap_or(path);
        self.privacy.client_address != ClientAddress::Full
            && (CLIENT_HEADERS.contains(&name) || path.starts_with("source\0"))
    }

    /// A URL whose path begins at `origin`, or path and query alone, without fragment.
    #[inline(never)]
    fn url(&self, bytes: &[u8], origin: usize, max: usize) -> String {
        let Privacy { query: kept_query, path_redact, .. } = &self.privacy;
        // A byte more says that there is more.
        let bytes = bytes.get(..=max + LOOK_AHEAD).unwrap_or(bytes);
        let bytes = bytes.split(|byte| *byte == b'#').next().unwrap_or_default();
        let kept = bytes.get(..max + LOOK_AHEAD).unwrap_or(bytes);
        let (origin, rest) = kept.split_at_checked(origin).unwrap_or((kept, &[]));
        if path_redact.is_empty() && !rest.iter().any(|byte| matches!(byte, b'?' | b';')) {
            return self.masked(bytes, max);
        }
        let mut url = Vec::with_capacity(kept.len() + 2 * REDACTED.len());
        url.extend_from_slice(origin);
        let mut parts = rest.splitn(2, |byte| *byte == b'?');
        self.push_path(&mut url, parts.next().unwrap_or_default());
        if let (Query::Keep(keys), Some(query)) = (kept_query, parts.next()) {
            url.push(b'?');
            push_pairs(&mut url, query, b"&;", keys);
        }
        if url.len() > max || !masking::is_harmless(&url) {
            return self.masked(&url, max);
        }
        String::from_utf8(url).unwrap_or_else(|error| self.text(error.as_bytes(), max))
    }

    #[inline(never)]
    fn push_path(&self, url: &mut Vec<u8>, path: &[u8]) {
        let patterns = &self.privacy.path_redact;
        if patterns.is_empty() && !path.contains(&b';') {
            return url.extend_from_slice(path);
        }
        let names = if patterns.is_empty() { Vec::new() } else { path_match::segments(path) };
        let secrets = |pattern: &String| path_match::secrets(pattern, &names);
        let secrets = patterns.iter().fold(0, |all, pattern| all | secrets(pattern));
        let mut place = 0;
        for (index, segment) in path.split(|byte| *byte == b'/').enumerate() {
            if index > 0 {
                url.push(b'/');
            }
            let name = path_match::name(segment);
            // What is beyond the segments that are compared may be a secret.
            let is_secret = match place < MAX_SEGMENTS {
                true => secrets >> place & 1 == 1,
                false => !patterns.is_empty(),
            };
            if name.is_empty() || !is_secret {
                url.extend_from_slice(name);
                if let Some([semicolon, parameters @ ..]) = segment.get(name.len()..) {
                    url.push(*semicolon);
                    push_pairs(url, parameters, b";", &[]);
                }
            } else {
                url.extend_from_slice(REDACTED);
            }
            place += usize::from(!name.is_empty());
        }
    }

    #[inline(never)]
    fn masked(&self, bytes: &[u8], max: usize) -> String {
        let kept = bytes.get(..max + LOOK_AHEAD).unwrap_or(bytes);
        let is_cut = kept.len() < bytes.len();
        if !is_cut && masking::is_harmless(kept) {
            return self.text(kept, max);
        }
        let Privacy { mask_emails, mask_cards, .. } = self.privacy;
        self.text(&masking::masked(kept, is_cut, mask_emails, mask_cards), max)
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

/// Where the path of a URL begins, in `https://h/a` and `/a`; nothing of a text that is none.
fn origin(value: &[u8]) -> Option<usize> {
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let scheme = value.iter().position(|byte| !is_scheme(byte))?;
    match value.get(scheme..)? {
        [b'/', ..] if scheme == 0 => Some(0),
        [b':', b'/', b'/', authority @ ..] if scheme > 0 => {
            let end = authority.iter().position(|byte| b"/?#".contains(byte));
            Some(scheme + 3 + end.unwrap_or(authority.len()))
        }
        _ => None,
    }
}

/// Keys and values; a value is replaced unless its key is one of `keep`. A word alone may be a value as
/// well as a key.
#[inline(never)]
fn push_pairs(url: &mut Vec<u8>, mut text: &[u8], separators: &[u8], keep: &[String]) {
    loop {
        let end = text.iter().position(|byte| separators.contains(byte)).unwrap_or(text.len());
        let (pair, rest) = text.split_at_checked(end).unwrap_or_default();
        let key = pair.iter().position(|byte| *byte == b'=').and_then(|end| pair.get(..end));
        if key.is_some_and(|key| keep.iter().any(|kept| kept.as_bytes() == key)) {
            url.extend_from_slice(pair);
        } else {
            if let Some(key) = key {
                url.extend_from_slice(key);
                url.push(b'=');
            }
            if !pair.is_empty() {
                url.extend_from_slice(REDACTED);
            }
        }
        let Some((separator, after)) = rest.split_first() else { return };
        url.push(*separator);
        text = after;
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
