//! Envoy's attributes, one by one, which costs about 12,000 instructions each.
//!
//! <https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/advanced/attributes>

use super::abi;

/// The attribute's bytes; absent too where Envoy cannot serialize it.
pub(super) fn bytes(path: &[&str]) -> Option<Vec<u8>> {
    abi::property(&path.join("\0"))
}

/// An attribute that is text; what is not UTF-8 counts as absent.
pub(super) fn text(path: &[&str]) -> Option<String> {
    String::from_utf8(bytes(path)?).ok()
}

/// An attribute that is a number.
pub(super) fn number(path: &[&str]) -> Option<i64> {
    integer(&bytes(path)?)
}

/// A number, a timestamp or a duration (both in nanoseconds).
pub(super) fn integer(value: &[u8]) -> Option<i64> {
    Some(i64::from_le_bytes(value.try_into().ok()?))
}
