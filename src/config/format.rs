//! The wire formats of trace context, by their names in OTEL_PROPAGATORS.

use super::PluginConfig;
use super::error::ConfigError;
use super::field::Field;
use super::named::{named, names};

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

/// What is looked for, perhaps nothing: `["b3", "jaeger"]`, not `["b4"]`.
pub(super) fn extract(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    list(&mut config.extract, field)
}

/// What is written, one format at least: without any, no service would see a trace.
pub(super) fn inject(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    list(&mut config.inject, field)?;
    match config.inject.is_empty() {
        true => {
            let allowed = format!("at least one of {}", names(&Format::NAMED).join(", "));
            Err(field.instead(&field.shown(), &allowed))
        }
        false => Ok(()),
    }
}

/// A list of formats by name, each once.
#[inline(never)]
fn list(formats: &mut Vec<Format>, field: &Field<'_>) -> Result<(), ConfigError> {
    formats.clear();
    for item in field.items(0..=Format::ALL.len())? {
        let format = named(&item, &Format::NAMED)?;
        if formats.contains(&format) {
            return Err(item.instead(&format!("{} given twice", item.shown()), "each format once"));
        }
        formats.push(format);
    }
    Ok(())
}
