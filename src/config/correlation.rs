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
}

impl CorrelationMode {
    /// Every mode by its name.
    pub const NAMED: [(&'static str, Self); 2] = [("off", Self::Off), ("exact", Self::Exact)];
}

impl Default for Correlation {
    fn default() -> Self {
        Self {
            mode: CorrelationMode::default(),
            headers: Vec::new(),
            max_in_flight: 1024,
            max_age: Duration::from_mins(1),
        }
    }
}

/// What an object says of it.
pub(super) fn read(field: &Field<'_>) -> Result<Correlation, ConfigError> {
    let mut settings = Correlation::default();
    let mut object = field.object()?;
    if let Some(mode) = object.take(&["mode"], |mode| one_of(mode, &CorrelationMode::NAMED))? {
        settings.mode = mode;
    }
    settings.headers = object.take(&["headers"], headers)?.unwrap_or_default();
    if let Some(most) = object.take(&["maxInFlight"], |most| most.integer(1..=MAX_IN_FLIGHT))? {
        settings.max_in_flight = most;
    }
    let range = Duration::from_secs(1)..=Duration::from_hours(1);
    if let Some(age) = object.take(&["maxAge"], |age| age.duration(range, "1s to 60m"))? {
        settings.max_age = age;
    }
    object.finish()?;
    Ok(settings)
}

fn headers(field: &Field<'_>) -> Result<Vec<String>, ConfigError> {
    let mut headers = Vec::new();
    for item in field.items()?.take(MAX_CORRELATION_HEADERS + 1) {
        let name = header::field_name(item.string()?)
            .ok_or_else(|| item.is_not("the name of a header"))?;
        if headers.contains(&name) {
            let found = format!("{} given twice", item.shown());
            return Err(item.instead(&found, "each header once"));
        }
        headers.push(name);
    }
    if headers.len() > MAX_CORRELATION_HEADERS {
        return Err(field.is_not(&format!("a list of at most {MAX_CORRELATION_HEADERS} headers")));
    }
    Ok(headers)
}
