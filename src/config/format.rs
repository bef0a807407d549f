//! The wire formats of trace context, by their names in OTEL_PROPAGATORS.

use super::error::ConfigError;
use super::field::Field;
use super::named::{names, one_of};

/// A wire format of trace context in headers, named as in OTEL_PROPAGATORS.
/// <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `tracecontext`: W3C traceparent and tracestate.
    TraceContext,
    /// `b3`: B3 in a single header.
    B3,
    /// `b3multi`: B3 in x-b3-* headers.
    B3Multi,
    /// `jaeger`: uber-trace-id.
    Jaeger,
}

impl Format {
    /// Every format, in the order in which they are looked for by default.
    pub const ALL: [Self; 4] = [Self::TraceContext, Self::B3, Self::B3Multi, Self::Jaeger];

    /// Every format by its name.
    pub const NAMED: [(&'static str, Self); 4] = [
        ("tracecontext", Self::TraceContext),
        ("b3", Self::B3),
        ("b3multi", Self::B3Multi),
        ("jaeger", Self::Jaeger),
    ];

    /// What is written upstream by default.
    pub(super) const INJECTED: [Self; 2] = [Self::TraceContext, Self::B3Multi];
}

/// A list of formats by name, each once, perhaps empty: `["b3", "jaeger"]`, not `["b4"]`.
pub(super) fn list(field: &Field<'_>) -> Result<Vec<Format>, ConfigError> {
    let mut formats = Vec::new();
    for item in field.items(0..=Format::ALL.len())? {
        let format = one_of(&item, &Format::NAMED)?;
        if formats.contains(&format) {
            return Err(item.instead(&format!("{} given twice", item.shown()), "each format once"));
        }
        formats.push(format);
    }
    Ok(formats)
}

/// The same with one format at least: without any, no service would see a trace.
pub(super) fn list_of_some(field: &Field<'_>) -> Result<Vec<Format>, ConfigError> {
    match list(field)? {
        none if none.is_empty() => {
            let allowed = format!("at least one of {}", names(&Format::NAMED));
            Err(field.instead(&field.shown(), &allowed))
        }
        some => Ok(some),
    }
}
