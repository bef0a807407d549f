//! Bytes from the wire become text that may be recorded: valid UTF-8, capped, nothing secret.

use std::borrow::Cow;

/// The bytes as text of at most `max` bytes, cut between characters; what is not UTF-8 becomes
/// U+FFFD.
pub(super) fn text(bytes: &[u8], max: usize) -> String {
    // A little more than is kept, so that a megabyte is not decoded for the sake of 256 bytes.
    let bytes = bytes.get(..max.saturating_add(4)).unwrap_or(bytes);
    let mut text = lossy(bytes).into_owned();
    cut(&mut text, max);
    text
}

/// Nearly all is UTF-8, and looking for that alone first is several times faster.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    match core::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// Appends bytes as text, about `max` of them at most.
fn push(text: &mut String, bytes: &[u8], max: usize) {
    let bytes = bytes.get(..max.saturating_add(4)).unwrap_or(bytes);
    text.push_str(&lossy(bytes));
}

fn cut(text: &mut String, max: usize) {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

/// An authority without user information, which is a password as a rule.
pub(super) fn authority(bytes: &[u8], max: usize) -> String {
    let host = bytes.rsplit(|byte| *byte == b'@').next().unwrap_or(bytes);
    text(host, max)
}

/// Path and query of at most `max` bytes, every value in the query replaced by `REDACTED`.
pub(super) fn path(bytes: &[u8], max: usize) -> String {
    let Some(question_mark) = bytes.iter().position(|byte| *byte == b'?') else {
        return text(bytes, max);
    };
    let (path, query) = bytes.split_at(question_mark);
    let mut redacted = String::with_capacity(max.min(2 * bytes.len()) + "?=REDACTED".len());
    push(&mut redacted, path, max);
    for (index, pair) in query.get(1..).unwrap_or_default().split(|byte| *byte == b'&').enumerate()
    {
        if redacted.len() >= max {
            break;
        }
        redacted.push(if index == 0 { '?' } else { '&' });
        match pair.iter().position(|byte| *byte == b'=') {
            Some(equals) => {
                push(&mut redacted, pair.get(..equals).unwrap_or_default(), max);
                redacted.push_str("=REDACTED");
            }
            // A word alone may be a value as well as a key.
            None if !pair.is_empty() => redacted.push_str("REDACTED"),
            None => {}
        }
    }
    cut(&mut redacted, max);
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_valid_and_cut_between_characters() {
        for (name, bytes, max, expected) in [
            ("plain", b"abc".as_slice(), 10, "abc"),
            ("cut", b"abcdef", 3, "abc"),
            ("a character is never halved", "aéé".as_bytes(), 2, "a"),
            ("not UTF-8", b"a\xffb", 10, "a\u{fffd}b"),
            ("not UTF-8 and cut before the replacement", b"a\xff\xff", 3, "a"),
            ("empty", b"", 10, ""),
            ("no room", b"abc", 0, ""),
        ] {
            assert_eq!(text(bytes, max), expected, "{name}");
        }
    }

    #[test]
    fn query_values_are_redacted_and_keys_kept() {
        for (input, expected) in [
            ("/", "/"),
            ("/a?b=c", "/a?b=REDACTED"),
            ("/a?b=c&d=&e", "/a?b=REDACTED&d=REDACTED&REDACTED"),
            ("/a?b=c=d;e=f", "/a?b=REDACTED"),
            ("/a?", "/a?"),
            ("/a?secret", "/a?REDACTED"),
            ("/a?b=x?y=z", "/a?b=REDACTED"),
        ] {
            assert_eq!(path(input.as_bytes(), 256), expected, "{input}");
        }
        assert_eq!(path(b"/abc?d=e", 4), "/abc");
        assert_eq!(path(b"/a?key=value&other=value", 12), "/a?key=REDAC");
    }

    #[test]
    fn user_information_never_leaves() {
        assert_eq!(authority(b"user:password@host:80", 256), "host:80");
        assert_eq!(authority(b"user:p@ss@host", 256), "host");
        assert_eq!(authority(b"host:80", 256), "host:80");
    }
}
