//! Values that are written by name: a protocol, a format.

use super::error::ConfigError;
use super::field::Field;

/// Every value of a kind with its name.
pub type Named<T> = [(&'static str, T)];

/// The name of a value, which is empty for one that has none.
pub fn name_of<T: PartialEq>(named: &Named<T>, value: &T) -> &'static str {
    named.iter().find(|(_, other)| other == value).map_or("", |(name, _)| name)
}

/// All names, for [`super::keys::Kind::OneOf`].
pub(super) const fn names<T, const N: usize>(named: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut index = 0;
    while index < N {
        // When the module is built, where a place that is none would be found.
        #[allow(clippy::indexing_slicing)]
        {
            names[index] = named[index].0;
        }
        index += 1;
    }
    names
}

/// The value that a field names.
pub(super) fn named<T: Copy, const N: usize>(
    field: &Field<'_>,
    named: &[(&'static str, T); N],
) -> Result<T, ConfigError> {
    let place = field.place(&names(named))?;
    named.get(place).map(|(_, value)| *value).ok_or_else(|| field.is_not("a name"))
}

/// The kind of a value that is written by name: its type, and where in the configuration it goes.
macro_rules! one_of {
    ($type:ident, $($place:ident).+) => {
        $crate::config::keys::Kind::OneOf(
            &const { $crate::config::named::names(&$type::NAMED) },
            |config, place| {
                if let Some((_, value)) = $type::NAMED.get(place) {
                    config.$($place).+ = (*value).into();
                }
            },
        )
    };
}
pub(super) use one_of;
