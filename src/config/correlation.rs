//! How requests that leave are linked to those that came in.

use std::time::Duration;

use super::error::ConfigError;
use super::field::Field;
use super::header;
use super::named::one_of;

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
    pub max_age: Duration,
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
            max_age: Duration::from_mins(1),
        }
    }
}

/// What an object says of it.
pub(super) fn read(settings: &mut Correlation, field: &Field<'_>) -> Result<(), ConfigError> {
    let mut object = field.object()?;
    if let Some(field) = object.given(&["mode"])? {
        // YAML 1.1, which Kubernetes reads, takes `off` without quotes for this.
        settings.mode = match field.boolean() {
            Ok(false) => CorrelationMode::Off,
            _ => one_of(&field, &CorrelationMode::NAMED)?,
        };
    }
    if let Some(field) = object.given(&["headers"])? {
        settings.headers = headers(&field)?;
    }
    if let Some(field) = object.given(&["parentThreshold"])? {
        settings.parent_threshold = confidence(&field)?;
    }
    if let Some(field) = object.given(&["linkThreshold"])? {
        settings.link_threshold = confidence(&field)?;
    }
    if let Some(field) = object.given(&["maxInFlight"])? {
        settings.max_in_flight = field.integer(1..=MAX_IN_FLIGHT)?;
    }
    if let Some(field) = object.given(&["maxAge"])? {
        let range = Duration::from_secs(1)..=Duration::from_hours(1);
        settings.max_age = field.duration(range, "1s to 60m")?;
    }
    object.finish()
}

/// Below a half something else would be likelier.
fn confidence(field: &Field<'_>) -> Result<f64, ConfigError> {
    let number = field.number().filter(|number| (0.5..=1.0).contains(number));
    number.ok_or_else(|| field.is_not("a number from 0.5 to 1"))
}

fn headers(field: &Field<'_>) -> Result<Vec<String>, ConfigError> {
    let mut headers = Vec::new();
    for item in field.items(0..=MAX_CORRELATION_HEADERS)? {
        let name = header::field_name(item.string()?)
            .ok_or_else(|| item.is_not("the name of a header"))?;
        if headers.contains(&name) {
            let found = item.shown() + " given twice";
            return Err(item.instead(&found, "each header once"));
        }
        headers.push(name);
    }
    Ok(headers)
}
