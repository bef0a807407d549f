//! What responses tell of their traces.

use super::PluginConfig;
use super::collector::is_reserved;
use super::error::ConfigError;
use super::field::Field;
use super::header::is_secret;
use super::keys::Kind::{Boolean, Own};
use super::keys::{Key, key};
use super::named::one_of;

/// What responses tell of their traces; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// `traceresponse`: whether they have the W3C's header of that name.
    /// <https://w3c.github.io/trace-context/#traceresponse-header>
    pub traceresponse: bool,
    /// `header`: the lower-case name of a header that has the trace id alone, 32 hexadecimal digits.
    pub header: Option<String>,
    /// `at`: which proxies write them.
    pub at: At,
}

/// Which proxies write headers of responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// `edge`: gateways of Istio, and whichever proxy a trace begins in.
    #[default]
    Edge,
    /// `everywhere`.
    Everywhere,
}

impl At {
    /// Each by its name.
    pub const NAMED: [(&'static str, Self); 2] =
        [("edge", Self::Edge), ("everywhere", Self::Everywhere)];
}

/// `{"traceresponse": true, "header": "x-trace-id", "at": "edge"}`.
pub(super) static KEYS: [Key; 3] = [
    key(&["traceresponse"], Boolean(|config, yes| config.response.traceresponse = yes)),
    key(&["header"], Own(header)),
    key(&["at"], one_of!(At, response.at)),
];

fn header(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    let name = field.header_name()?;
    if name.starts_with(':') || name == TRACERESPONSE || is_reserved(&name) || is_secret(&name) {
        return Err(field.instead("has a meaning of its own", "a header such as x-trace-id"));
    }
    config.response.header = Some(name);
    Ok(())
}

/// The W3C's header.
pub const TRACERESPONSE: &str = "traceresponse";
