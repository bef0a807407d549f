//! From when on requests that go on are shown.

use std::time::Duration;

use super::error::ConfigError;
use super::field::Field;

/// After how long, where nobody says it.
pub(super) const USUAL: Duration = Duration::from_mins(1);

/// Reads `{"visibleAfter": "60s"}` or `{"visibleAfter": "off"}`, without quotes too, which YAML 1.1 takes
/// for false.
#[inline(never)]
pub(super) fn read(
    visible_after: &mut Option<Duration>,
    field: &Field<'_>,
) -> Result<(), ConfigError> {
    let mut object = field.object()?;
    if let Some(field) = object.given(&["visibleAfter"])? {
        let range = Duration::from_secs(1)..=Duration::from_hours(1);
        let is_off = field.boolean() == Ok(false) || field.string() == Ok("off");
        *visible_after = match is_off {
            true => None,
            false => Some(field.duration(range, "1s to 60m, or off")?),
        };
    }
    object.finish()
}
