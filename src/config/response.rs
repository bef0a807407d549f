//! What responses tell of their traces.

use super::collector::is_reserved;
use super::error::ConfigError;
use super::field::Field;
use super::header::is_secret;
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

/// Reads `{"traceresponse": true, "header": "x-trace-id", "at": "edge"}`.
#[inline(never)]
pub(super) fn read(response: &mut Response, field: &Field<'_>) -> Result<(), ConfigError> {
    let mut object = field.object()?;
    if let Some(field) = object.given(&["traceresponse"])? {
        response.traceresponse = field.boolean()?;
    }
    if let Some(field) = object.given(&["header"])? {
        let name = field.header_name()?;
        if name.starts_with(':') || name == TRACERESPONSE || is_reserved(&name) || is_secret(&name)
        {
            return Err(field.instead("has a meaning of its own", "a header such as x-trace-id"));
        }
        response.header = Some(name);
    }
    if let Some(field) = object.given(&["at"])? {
        response.at = one_of(&field, &At::NAMED)?;
    }
    object.finish()
}

/// The W3C's header.
pub const TRACERESPONSE: &str = "traceresponse";
