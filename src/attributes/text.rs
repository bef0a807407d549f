//! Bytes from the wire become text: valid UTF-8, and capped.

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

/// Cuts a text that is longer, between characters.
fn cut(text: &mut String, max: usize) {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
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
}
