//! Envoy's attributes, decoded.
//!
//! <https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/advanced/attributes>

use proxy_wasm::hostcalls;
use std::net::SocketAddr;

/// The attribute's bytes; absent too where Envoy cannot serialize it.
pub(super) fn bytes(path: &[&str]) -> Option<Vec<u8>> {
    hostcalls::get_property(path.to_vec()).ok().flatten()
}

/// An attribute that is text; what is not UTF-8 counts as absent.
pub(super) fn text(path: &[&str]) -> Option<String> {
    String::from_utf8(bytes(path)?).ok()
}

/// An attribute that is a number, a timestamp or a duration (both in nanoseconds).
pub(super) fn number(path: &[&str]) -> Option<i64> {
    Some(i64::from_le_bytes(bytes(path)?.try_into().ok()?))
}

/// A number that cannot be negative.
pub(super) fn size(path: &[&str]) -> Option<u64> {
    number(path)?.try_into().ok()
}

/// An IP address with its port; a Unix socket counts as absent.
pub(super) fn address(path: &[&str]) -> Option<SocketAddr> {
    text(path)?.parse().ok()
}
