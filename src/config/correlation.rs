//! How requests that leave are linked to those that came in.

use std::time;

use super::error::ConfigError;
use super::field::Field;
use super::keys::Kind::{Duration, Integer, Number, Own};
use super::keys::{Key, key};
use super::named::named;
use super::{PluginConfig, header};

/// The most headers of the operator's choice.
pub const MAX_CORRELATION_HEADERS: usize = 4;

/// The most requests in flight that are kept.
pub(super) const MAX_IN_FLIGHT: u32 = 65_536;

/// How requests that leave without a context are linked to those that came in.
#[derive(Clone, Debug, PartialEq)]
pub struct Correlation {
    /// What counts as evidence.
    pub mode: CorrelationMode,
    /// Headers besides x-request-id that tell which request a call belongs to, lower-cased.
    pub headers: Vec<String>,
    /// From which confidence on an inferred request is the parent, 0.5 to 1.
    pub parent_threshold: f64,
    /// From which confidence on it is linked, 0.5 to 1.
    pub link_threshold: f64,
    /// The most requests in flight that each worker keeps, 1 to 65536.
    pub max_in_flight: usize,
    /// After how long a request is taken for one that never ends, 1 s to 1 h.
    pub max_age: time::Duration,
}

/// What counts as evidence that a request which came in caused one that leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CorrelationMode {
    /// `off`: nothing.
    Off,
    /// `exact`: an id that the application forwards.
    #[default]
    Exact,
    /// `sure`: besides, what can be proven otherwise.
    Sure,
    /// `infer`: besides, what is likely.
    Infer,
}

impl CorrelationMode {
    /// Every mode by its name.
    pub const NAMED: [(&'static str, Self); 4] =
        [("off", Self::Off), ("exact", Self::Exact), ("sure", Self::Sure), ("infer", Self::Infer)];
}

impl Default for Correlation {
    fn default() -> Self {
        Self {
            mode: CorrelationMode::default(),
            headers: Vec::new(),
            parent_threshold: 0.98,
            link_threshold: 0.9,
            max_in_flight: 1024,
            max_age: time::Duration::from_mins(1),
        }
    }
}

/// What an object says of it.
pub(super) static KEYS: [Key; 6] = [
    key(&["mode"], Own(mode)),
    key(&["headers"], Own(headers)),
    // Below a half something else would be likelier.
    key(
        &["parentThreshold"],
        Number(["0.5", "1"], |config, least| config.correlation.parent_threshold = least),
    ),
    key(
        &["linkThreshold"],
        Number(["0.5", "1"], |config, least| config.correlation.link_threshold = least),
    ),
    key(
        &["maxInFlight"],
        Integer(1..=MAX_IN_FLIGHT, |config, most| config.correlation.max_in_flight = most),
    ),
    key(&["maxAge"], Duration(["1s", "60m"], |config, most| config.correlation.max_age = most)),
];

fn mode(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    // YAML 1.1, which Kubernetes reads, takes `off` without quotes for this.
    config.correlation.mode = match field.boolean() {
        Ok(false) => CorrelationMode::Off,
        _ => named(field, &CorrelationMode::NAMED)?,
    };
    Ok(())
}

fn headers(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    let headers = &mut config.correlation.headers;
    for item in field.items(0..=MAX_CORRELATION_HEADERS)? {
        let name = header::field_name(item.string()?)
            .ok_or_else(|| item.is_not("the name of a header"))?;
        if headers.contains(&name) {
            let found = item.shown() + " given twice";
            return Err(item.instead(&found, "each header once"));
        }
        headers.push(name);
    }
    Ok(())
}
