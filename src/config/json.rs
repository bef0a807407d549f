//! JSON text to a value, which borrows from it.
//!
//! Small before all else: it reads one configuration, and answers of a few kilobytes.
//! <https://www.rfc-editor.org/rfc/rfc8259>

use std::borrow::Cow;

use super::error::{ConfigError, echo};
use super::field::WHOLE;

/// A value as JSON has it: a number is its digits, an object its members in their order, and a key may
/// stand there twice.
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

/// How deep values may be inside others; a configuration is five deep.
const MAX_DEPTH: usize = 32;

/// The value that `json` writes, of at most so many bytes; messages call it `name`.
pub(super) fn parse<'a>(
    name: &str,
    json: &'a [u8],
    max_bytes: usize,
) -> Result<Value<'a>, ConfigError> {
    if json.len() > max_bytes {
        let found = format!("{} bytes", json.len());
        let allowed = format!("at most {max_bytes}");
        return Err(ConfigError::instead(name, &found, &allowed));
    }
    let mut reader = Reader { rest: json, mistake: Cow::Borrowed("") };
    if let Some(value) = reader.whole() {
        return Ok(value);
    }
    if name == WHOLE && is_struct(json) {
        let reason = "not JSON but binary, as Envoy passes a Struct on; \
             allowed: JSON text in a google.protobuf.StringValue";
        return Err(ConfigError::plain(name, reason.to_owned()));
    }
    let (mut line, mut column) = (1, 1);
    for byte in json.iter().take(json.len() - reader.rest.len()) {
        match byte {
            b'\n' => (line, column) = (line + 1, 1),
            _ => column += 1,
        }
    }
    // It may name a character that was found.
    let mistake = echo(&reader.mistake);
    let reason = format!("not JSON: {mistake} at line {line} column {column}");
    Err(ConfigError::plain(name, reason))
}

/// Whether these are the bytes of a protobuf Struct: Envoy hands one on as it is, not as JSON. Each
/// begins with the tag of its first field, a line feed, and has other control characters soon after.
fn is_struct(bytes: &[u8]) -> bool {
    let never_in_json = |b: &u8| b.is_ascii_control() && !b.is_ascii_whitespace();
    bytes.first() == Some(&b'\n') && bytes.iter().any(never_in_json)
}

/// What is left to read. What returns nothing has said why.
struct Reader<'a> {
    rest: &'a [u8],
    mistake: Cow<'static, str>,
}

impl<'a> Reader<'a> {
    #[inline(never)]
    fn wrong<T>(&mut self, mistake: &'static str) -> Option<T> {
        self.mistake = Cow::Borrowed(mistake);
        None
    }

    #[inline(never)]
    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    #[inline(never)]
    fn takes(&mut self, text: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// The next byte that is no white space.
    #[inline(never)]
    fn peek(&mut self) -> Option<u8> {
        while let Some((b' ' | b'\t' | b'\r' | b'\n', rest)) = self.rest.split_first() {
            self.rest = rest;
        }
        self.rest.first().copied()
    }

    fn whole(&mut self) -> Option<Value<'a>> {
        let value = self.value(MAX_DEPTH)?;
        match self.peek() {
            None => Some(value),
            Some(_) => self.wrong("end of file expected"),
        }
    }

    /// A value that holds others so deep.
    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        let first = self.peek();
        let Some(depth) = depth.checked_sub(1) else {
            return self.wrong("maximal depth exceeded");
        };
        match first {
            Some(b'"') => {
                self.take();
                self.string().map(Value::String)
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b'[') => {
                self.take();
                let mut items = Vec::new();
                while self.has_more(b']', items.is_empty())? {
                    items.push(self.value(depth)?);
                }
                Some(Value::Array(items))
            }
            Some(b'{') => {
                self.take();
                let mut members = Vec::new();
                while self.has_more(b'}', members.is_empty())? {
                    let key = self.key()?;
                    members.push((key, self.value(depth)?));
                }
                Some(Value::Object(members))
            }
            _ if self.takes(b"null") => Some(Value::Null),
            _ if self.takes(b"true") => Some(Value::Bool(true)),
            _ if self.takes(b"false") => Some(Value::Bool(false)),
            Some(b'a'..=b'z') => {
                // A word is wrong from its second letter on.
                self.take();
                self.wrong("value expected")
            }
            _ => self.wrong("value expected"),
        }
    }

    /// Whether there is one more in an array or object that ends with this.
    fn has_more(&mut self, end: u8, is_first: bool) -> Option<bool> {
        match self.peek() {
            Some(byte) if byte == end => {
                self.take();
                Some(false)
            }
            Some(_) if is_first => Some(true),
            Some(b',') => {
                self.take();
                Some(true)
            }
            _ if is_first => self.wrong("value or end of sequence expected"),
            _ => self.wrong("comma or end of sequence expected"),
        }
    }

    /// The key of a member, with its colon.
    fn key(&mut self) -> Option<Cow<'a, str>> {
        match self.peek() {
            Some(b'"') => self.take(),
            Some(_) => return self.wrong("string expected"),
            None => return self.wrong("value expected"),
        };
        let key = self.string()?;
        match self.peek() {
            Some(b':') => self.take(),
            _ => return self.wrong("colon expected"),
        };
        Some(key)
    }

    /// `-0.5`, `1e3`; not `.5`, and of `007` the first digit.
    fn number(&mut self) -> Option<&'a str> {
        let text = self.rest;
        self.takes(b"-");
        if !self.takes(b"0") {
            self.digits()?;
        }
        if self.takes(b".") {
            self.digits()?;
        }
        if self.takes(b"e") || self.takes(b"E") {
            let _ = self.takes(b"+") || self.takes(b"-");
            self.digits()?;
        }
        let length = text.len() - self.rest.len();
        str::from_utf8(text.get(..length)?).ok()
    }

    #[inline(never)]
    fn digits(&mut self) -> Option<()> {
        let before = self.rest.len();
        while let Some((b'0'..=b'9', rest)) = self.rest.split_first() {
            self.rest = rest;
        }
        if self.rest.len() == before { self.wrong("expected digit") } else { Some(()) }
    }

    /// A string behind its first quotation mark.
    #[inline(never)]
    fn string(&mut self) -> Option<Cow<'a, str>> {
        let mut string = Cow::Borrowed("");
        loop {
            let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
            let length = self.rest.iter().position(ends).unwrap_or(self.rest.len());
            let (plain, rest) = self.rest.split_at_checked(length)?;
            self.rest = rest;
            match str::from_utf8(plain) {
                Ok(plain) if string.is_empty() => string = Cow::Borrowed(plain),
                Ok(plain) => string.to_mut().push_str(plain),
                Err(error) => {
                    self.mistake = Cow::Owned(error.to_string());
                    return None;
                }
            }
            match self.take() {
                Some(b'"') => return Some(string),
                Some(b'\\') => string.to_mut().push(self.escape()?),
                Some(_) => return self.wrong("invalid string control character"),
                None => return self.wrong("unterminated string"),
            }
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Option<char> {
        Some(match self.take() {
            Some(b'u') => return self.code_point(),
            Some(byte @ (b'"' | b'\\' | b'/')) => byte.into(),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(byte) => return self.wrong_character("escape", byte),
            None => return self.wrong("unexpected end of file"),
        })
    }

    #[inline(never)]
    fn wrong_character<T>(&mut self, kind: &str, byte: u8) -> Option<T> {
        self.mistake = Cow::Owned(format!("invalid {kind} character {}", char::from(byte)));
        None
    }

    /// A character outside of the first 65536 is two halves.
    fn code_point(&mut self) -> Option<char> {
        let mut code_point = self.hexadecimal()?;
        if let 0xd800..=0xdbff = code_point {
            let low = if self.takes(b"\\u") { self.hexadecimal()? } else { 0 };
            if !matches!(low, 0xdc00..=0xdfff) {
                return self.wrong("expected low surrogate");
            }
            code_point = 0x10000 + ((code_point & 0x3ff) << 10) + (low & 0x3ff);
        }
        let character = char::from_u32(code_point);
        if character.is_none() {
            self.mistake = Cow::Owned(format!("invalid character with index {code_point}"));
        }
        character
    }

    #[inline(never)]
    fn hexadecimal(&mut self) -> Option<u32> {
        let mut number = 0;
        for _ in 0..4 {
            let Some(byte) = self.take() else { return self.wrong("unexpected end of file") };
            match char::from(byte).to_digit(16) {
                Some(digit) => number = number << 4 | digit,
                None => return self.wrong_character("hexadecimal", byte),
            }
        }
        Some(number)
    }
}

/// The number that JSON writes with these digits: `-0.5`, `1e3`. The last places of more than 15 digits
/// may differ: the standard library's reading, exact to the last bit, would be 20 kB of the module.
pub(super) fn number(digits: &str) -> f64 {
    let mut size = 0.0;
    let mut fraction = None;
    let mut exponent: Option<i32> = None;
    let (mut is_negative, mut is_small) = (false, false);
    for byte in digits.bytes() {
        match (byte, &mut exponent) {
            (b'0'..=b'9', Some(exponent)) => {
                *exponent = (*exponent * 10 + i32::from(byte - b'0')).min(1000);
            }
            (b'0'..=b'9', None) => {
                size = size * 10.0 + f64::from(byte - b'0');
                fraction = fraction.map(|places| places + 1);
            }
            (b'.', _) => fraction = Some(0),
            (b'-', None) => is_negative = true,
            (b'-', Some(_)) => is_small = true,
            (b'+', _) => {}
            _ => exponent = Some(0),
        }
    }
    let exponent = exponent.unwrap_or(0);
    let exponent = if is_small { -exponent } else { exponent } - fraction.unwrap_or(0);
    let number = match exponent {
        _ if size == 0.0 => size,
        0.. => size * 10_f64.powi(exponent),
        _ => size / 10_f64.powi(-exponent),
    };
    if is_negative { -number } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(json: &[u8]) -> Option<Value<'_>> {
        Reader { rest: json, mistake: Cow::Borrowed("") }.whole()
    }

    /// Whether serde_json's value is the same.
    fn is_same(value: &Value<'_>, other: &serde_json::Value) -> bool {
        match (value, other) {
            (Value::Null, serde_json::Value::Null) => true,
            (Value::Bool(yes), serde_json::Value::Bool(other)) => yes == other,
            (Value::Number(digits), serde_json::Value::Number(_)) => {
                digits.parse().ok() == other.as_f64()
            }
            (Value::String(text), serde_json::Value::String(other)) => text == other,
            (Value::Array(items), serde_json::Value::Array(others)) => {
                items.len() == others.len()
                    && items.iter().zip(others).all(|(item, other)| is_same(item, other))
            }
            (Value::Object(members), serde_json::Value::Object(others)) => {
                // The last of a name counts there.
                members.iter().rev().all(|(key, value)| {
                    let last = members.iter().rfind(|(other, _)| other == key);
                    last.is_some_and(|(_, last)| !std::ptr::eq(last, value))
                        || others.get(&**key).is_some_and(|other| is_same(value, other))
                }) && others.keys().all(|key| members.iter().any(|(other, _)| other == key))
            }
            _ => false,
        }
    }

    #[test]
    fn a_text_is_json_where_serde_takes_it_for_json_and_says_the_same() {
        let seeds: [&[u8]; 4] = [
            br#"{"sampling":60,"a":{"b":{"name":"h"}},"a":[],"timeout":"5s"}"#,
            br#"[1,-0.5e+10,"\u00e9\ud83d\ude00\n\"\\\/\b\f\r\t",true,false,null,{"a":[ ],"b":{ }}]"#,
            "{\"\u{e9}\" : \"x\u{10ffff}\u{7f}\"}\r\n\t".as_bytes(),
            b" [ 0 , 1.5 , -0 , 1E3, 12345678901, 0.10 ] ",
        ];
        let alphabet = b"{}[]:,\"\\ut019.-+eE nlrfs\n\x00\x1f\x7f\x80\xc3\xa9\xed\xa0\xffdD8c";
        let mut changed = 0;
        for seed in seeds {
            for place in 0..seed.len() {
                let mut texts =
                    vec![seed[..place].to_vec(), [&seed[..place], &seed[place + 1..]].concat()];
                for byte in alphabet {
                    texts.push([&seed[..place], &[*byte], &seed[place..]].concat());
                    texts.push([&seed[..place], &[*byte], &seed[place + 1..]].concat());
                }
                for text in texts {
                    let shown = String::from_utf8_lossy(&text);
                    match (reads(&text), serde_json::from_slice(&text)) {
                        (Some(value), Ok(other)) => assert!(is_same(&value, &other), "{shown}"),
                        (None, Err(_)) => {}
                        // What no double can hold.
                        (Some(_), Err(error)) if error.to_string().contains("out of range") => {}
                        (value, _) => panic!("{shown}: {}", value.is_some()),
                    }
                    changed += 1;
                }
            }
        }
        assert!(changed > 10_000, "{changed}");
    }

    #[test]
    fn values_are_32_deep_at_most() {
        let nested = |depth| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert!(reads(nested(32).as_bytes()).is_some());
        assert!(reads(nested(33).as_bytes()).is_none());
    }

    #[test]
    fn numbers_are_those_that_the_standard_library_reads() {
        for digits in [
            "0",
            "-0",
            "0.0",
            "1",
            "-1",
            "10",
            "140",
            "0.5",
            "0.1",
            "0.0001",
            "99.9999",
            "100",
            "1e3",
            "1E+3",
            "5e-1",
            "-2.5e-9",
            "512.0",
            "1073741824",
            "1e22",
            "123456789012345",
            "0e999999999999",
            "1e400",
            "-1e400",
            "1e999999999999",
            "1e-400",
            "1e-999999999999",
        ] {
            assert_eq!(Ok(number(digits)), digits.parse(), "{digits}");
        }
    }
}
