//! What a plain scalar means: as kubectl and istioctl read it, with YAML 1.1's `yes` and `on`.

use serde_json::{Number, Value};

/// The value that a scalar without quotes stands for.
pub fn resolve(text: String) -> Value {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        _ => number(&text).map_or(Value::String(text), Value::Number),
    }
}

/// A number as Go's parser has it: `60`, `6e1`, `0x3c`, `0b11`, `074`, `1_000`.
fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return None;
    }
    let text = text.replace('_', "");
    integer(&text).or_else(|| float(&text))
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    match negative {
        true => 0_i64.checked_sub_unsigned(size).map(Number::from),
        false => Some(size.into()),
    }
}

fn float(text: &str) -> Option<Number> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    plain.then(|| text.parse().ok()).flatten().and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_are_what_kubectl_makes_of_them() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("yes", json!(true)),
            ("On", json!(true)),
            ("n", json!(false)),
            ("nO", json!("nO")),
            ("60", json!(60)),
            ("+60", json!(60)),
            ("-1", json!(-1)),
            ("60.0", json!(60.0)),
            ("6e1", json!(60.0)),
            (".5", json!(0.5)),
            ("1_000", json!(1000)),
            ("0x3c", json!(60)),
            ("0b11", json!(3)),
            ("010", json!(8)),
            ("0o10", json!(8)),
            ("08", json!(8.0)),
            ("0", json!(0)),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("18446744073709551616", json!(1.844_674_407_370_955_2e19)),
            ("1e400", json!("1e400")),
            (".inf", json!(".inf")),
            ("5s", json!("5s")),
            ("1.2.3", json!("1.2.3")),
            ("-", json!("-")),
            (".", json!(".")),
            ("1:30", json!("1:30")),
            ("2001-01-01", json!("2001-01-01")),
            ("_1", json!("_1")),
        ] {
            assert_eq!(resolve(text.to_owned()), value, "{text:?}");
        }
    }
}
