//! JSON text to a value, which borrows from it.

use std::borrow::Cow;

use hifijson::SliceLexer;
use hifijson::token::Lex;
use hifijson::value::{self, parse_bounded};

use super::error::{ConfigError, echo};
use super::field::WHOLE;

/// A value as JSON has it: a number is its digits, an object its members in their order, and a key may
/// stand there twice.
pub(super) type Value<'a> = value::Value<&'a str, Cow<'a, str>>;

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
    let mut lexer = SliceLexer::new(json);
    let value =
        lexer.exactly_one(Lex::ws_peek, |next, lexer| parse_bounded(MAX_DEPTH, next, lexer));
    value.map_err(|error| {
        if name == WHOLE && is_struct(json) {
            let reason = "not JSON but binary, as Envoy passes a Struct on; \
                 allowed: JSON text in a google.protobuf.StringValue";
            return ConfigError::plain(name, reason.to_owned());
        }
        let read = json.strip_suffix(lexer.as_slice()).unwrap_or(json);
        ConfigError::plain(name, reason(read, &error))
    })
}

fn reason(read: &[u8], error: &hifijson::Error) -> String {
    let line = read.split(|byte| *byte == b'\n').count();
    let column = read.rsplit(|byte| *byte == b'\n').next().map_or(0, <[u8]>::len) + 1;
    // It may name a character that was found.
    let error = echo(&error.to_string());
    format!("not JSON: {error} at line {line} column {column}")
}

/// Whether these are the bytes of a protobuf Struct: Envoy hands one on as it is, not as JSON. Each
/// begins with the tag of its first field, a line feed, and has other control characters soon after.
fn is_struct(bytes: &[u8]) -> bool {
    let never_in_json = |b: &u8| b.is_ascii_control() && !b.is_ascii_whitespace();
    bytes.first() == Some(&b'\n') && bytes.iter().any(never_in_json)
}

/// The number that JSON writes with these digits: `-0.5`, `1e3`. The last places of more than 15 digits
/// may differ: the standard library's reading, exact to the last bit, would be 20 kB of the module.
pub(super) fn number(digits: &str) -> f64 {
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = whole.trim_start_matches('-').bytes().chain(fraction.bytes());
    let size = all.fold(0.0, |sum, digit| sum * 10.0 + f64::from(digit.wrapping_sub(b'0')));
    let far = if exponent.starts_with('-') { -1000 } else { 1000 };
    let exponent = exponent.parse().unwrap_or(far).clamp(-1000, 1000) - fraction.len() as i32;
    let number = match exponent {
        _ if size == 0.0 => size,
        0.. => size * 10_f64.powi(exponent),
        _ => size / 10_f64.powi(-exponent),
    };
    if digits.starts_with('-') { -number } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

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
