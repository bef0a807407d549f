//! From when on requests that go on are shown.

use std::time::Duration;

use super::PluginConfig;
use super::error::ConfigError;
use super::field::Field;
use super::keys::Kind::Own;
use super::keys::{Key, key};

/// After how long, where nobody says it.
pub(super) const USUAL: Duration = Duration::from_mins(1);

/// `{"visibleAfter": "60s"}`.
pub(super) static KEYS: [Key; 1] = [key(&["visibleAfter"], Own(visible_after))];

/// A duration, or `off`, without quotes too, which YAML 1.1 takes for false.
fn visible_after(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    let is_off = field.boolean() == Ok(false) || field.string() == Ok("off");
    config.visible_after = match is_off {
        true => None,
        false => Some(field.duration(&["1s", "60m"], ", or off")?),
    };
    Ok(())
}
