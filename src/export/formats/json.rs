//! Writing JSON, as much of it as Zipkin needs: objects of texts and whole numbers.
//!
//! A span is some forty texts that have nothing to escape. They are looked through eight bytes at a time,
//! which takes a third of the instructions of serde_json's look at each byte, and copied whole.

use super::buffer::{Buffer, copy};

/// An object on its way into a buffer. A comma follows each entry, and goes where the object ends.
#[derive(Debug, Default)]
pub(super) struct Json(pub(super) Buffer);

impl Json {
    /// Begins an object, at the top or as the value of [`Self::key`].
    pub(super) fn open(&mut self) {
        self.0.push(b'{');
    }

    /// Ends it.
    pub(super) fn close(&mut self) {
        self.0.strip(b',');
        self.0.extend(b"},");
    }

    /// Begins a list of objects.
    pub(super) fn open_list(&mut self) {
        self.0.push(b'[');
    }

    /// Ends it.
    pub(super) fn close_list(&mut self) {
        self.0.strip(b',');
        self.0.extend(b"],");
    }

    /// What was written since the last time, as it is or, of an object at the top, whole.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.strip(b',');
        self.0.take()
    }

    /// A key, which has to be of letters, digits and signs that need no escape.
    pub(super) fn key(&mut self, key: &str) {
        if let Some([open, place @ .., close, colon]) = self.0.place(key.len() + 3) {
            copy(place, key.as_bytes());
            (*open, *close, *colon) = (b'"', b'"', b':');
        }
    }

    /// A key that may be any text, and its value.
    pub(super) fn entry(&mut self, key: &str, value: &str) {
        self.text(key);
        self.0.strip(b',');
        self.0.push(b':');
        self.text(value);
    }

    /// A key, as of [`Self::key`], and a text as its value.
    pub(super) fn member(&mut self, key: &str, text: &str) {
        if needs_escape(text.as_bytes()) {
            self.key(key);
            self.text(text);
        } else {
            self.plain_member(key, text.as_bytes());
        }
    }

    /// The same with a text that has nothing to escape: hex digits, an address.
    #[inline(never)]
    pub(super) fn plain_member(&mut self, key: &str, text: &[u8]) {
        let place = self.0.place(key.len() + text.len() + 6);
        let halves = place.and_then(|place| place.split_at_mut_checked(key.len() + 3));
        if let Some(([open, place @ .., close, colon], value)) = halves
            && let [open_value, place_of_value @ .., close_value, comma] = value
        {
            copy(place, key.as_bytes());
            copy(place_of_value, text);
            (*open, *close, *colon) = (b'"', b'"', b':');
            (*open_value, *close_value, *comma) = (b'"', b'"', b',');
        }
    }

    /// A text as a value.
    pub(super) fn text(&mut self, text: &str) {
        match needs_escape(text.as_bytes()) {
            false => self.plain(text.as_bytes()),
            true => {
                self.0.push(b'"');
                self.escape_each(text.as_bytes());
                self.0.extend(b"\",");
            }
        }
    }

    /// Several texts as one value.
    pub(super) fn texts(&mut self, texts: &[&str]) {
        self.0.push(b'"');
        for text in texts {
            match needs_escape(text.as_bytes()) {
                false => self.0.extend(text.as_bytes()),
                true => self.escape_each(text.as_bytes()),
            }
        }
        self.0.extend(b"\",");
    }

    /// A text as a value that has nothing to escape: hex digits, an address.
    pub(super) fn plain(&mut self, text: &[u8]) {
        if let Some([open, place @ .., close, comma]) = self.0.place(text.len() + 3) {
            copy(place, text);
            (*open, *close, *comma) = (b'"', b'"', b',');
        }
    }

    /// A number as a value.
    pub(super) fn number(&mut self, number: u64) {
        self.0.extend(itoa::Buffer::new().format(number).as_bytes());
        self.0.push(b',');
    }

    fn escape_each(&mut self, text: &[u8]) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for byte in text {
            match byte {
                b'"' | b'\\' => self.0.extend(&[b'\\', *byte]),
                0..0x20 => {
                    let digit = HEX.get(usize::from(byte & 15)).copied().unwrap_or_default();
                    self.0.extend(&[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), digit]);
                }
                _ => self.0.push(*byte),
            }
        }
    }
}

/// Whether any byte of a text has to be escaped.
fn needs_escape(text: &[u8]) -> bool {
    match text.last_chunk() {
        // The last eight may be some of the last word once more.
        Some(last) => {
            text.as_chunks().0.iter().any(|word| any_needs_escape(*word)) || any_needs_escape(*last)
        }
        None => text.iter().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)),
    }
}

/// Whether any of eight bytes is a quote, a backslash or below a space. Of each the highest bit is set
/// where a subtraction borrows and the byte itself was below 0x80.
fn any_needs_escape(word: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let word = u64::from_ne_bytes(word);
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    // A quote and a space change places by their one bit: one comparison for all up to the quote.
    let up_to_quote = below(word ^ (ONES * (0x20 ^ 0x22)), 0x21);
    let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
    (up_to_quote | backslash) & HIGH != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_text_reads_back_wherever_in_a_word_a_byte_is_that_needs_an_escape() {
        let all: String = (0..0x180).filter_map(char::from_u32).collect();
        let mut texts = vec![all, String::new(), "é\"日本\\\u{1f}".to_owned()];
        for place in 0..17 {
            for special in ['"', '\\', '\0', '\n', '\u{1f}', ' ', '!', '#', '[', ']', '\u{7f}', 'é']
            {
                let plain = "abcdefghijklmnopq";
                texts.push(format!("{}{special}{}", &plain[..place], &plain[place..]));
            }
        }
        for text in texts {
            let mut json = Json::default();
            json.open();
            json.key("k");
            json.text(&text);
            json.entry(&text, "v");
            json.close();
            let read: Value = serde_json::from_slice(&json.take()).unwrap();
            assert_eq!(read["k"], text);
            assert_eq!(read[text.as_str()], if text == "k" { text.as_str() } else { "v" });
        }
    }

    #[test]
    fn numbers_are_as_everywhere() {
        for number in [0, 7, u64::MAX] {
            let mut json = Json::default();
            json.number(number);
            assert_eq!(json.take(), number.to_string().as_bytes());
        }
    }
}
