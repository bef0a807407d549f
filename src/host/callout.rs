//! Requests of the module's own to clusters of Envoy.

use super::abi::{self, CallError};
use crate::pairs;
use std::time::Duration;

/// Sends a request to a cluster; the token of the call, or why it could not be made. `more` are
/// headers of the operator's choice.
pub(super) fn call(
    cluster: &str,
    headers: &[(&str, &str)],
    more: &[(String, String)],
    body: &[u8],
    timeout: Duration,
) -> Result<u32, &'static str> {
    let own = [
        ("user-agent", concat!("meshspan/", env!("CARGO_PKG_VERSION"))),
        // Not sampled: else a proxy in front of the collector would make a span of each batch, and
        // one more of the batch that carries that span. Brave's senders say it so, too.
        ("b3", "0"),
    ];
    let more = more.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let all = headers.iter().copied().chain(own).chain(more);
    let all: Vec<_> = all.map(|(name, value)| (name, value.as_bytes())).collect();
    abi::http_call(cluster, &pairs::encode(&all), body, timeout).map_err(|error| match error {
        CallError::BadArgument => "there is no such cluster",
        CallError::Failure => "the cluster has no healthy host",
    })
}
