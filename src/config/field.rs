//! A strict reader of JSON values, which knows where it is.
//!
//! Serde's derive takes an array for a struct, and its errors name no path; this one does neither.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::{ConfigError, echo, echo_value};
use super::json::{self, Value};
use super::{Percentage, duration, header};

/// The path under which the whole configuration is spoken of.
pub const WHOLE: &str = "configuration";

/// One value, and the key under which it stands.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    path: Path<'a>,
    value: &'a Value<'a>,
    secret: bool,
}

type Members<'a> = [(Cow<'a, str>, Value<'a>)];

/// Where a value stands. It becomes text only where a message needs it.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root(&'a str),
    Key(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn text(&self) -> String {
        match self {
            Self::Root(path) => (*path).to_owned(),
            Self::Key(path, key) => join(&path.text(), key),
            Self::Item(path, index) => format!("{}[{index}]", path.text()),
        }
    }
}

impl<'a> Field<'a> {
    /// The configuration as a whole.
    pub(super) fn whole(value: &'a Value<'a>) -> Self {
        Self::at(WHOLE, value)
    }

    /// A value that stands at `path`.
    pub(super) fn at(path: &'a str, value: &'a Value<'a>) -> Self {
        Self { path: Path::Root(path), value, secret: false }
    }

    /// The same value, which messages do not show, nor those of its members.
    pub(super) fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// The path of the key.
    pub(super) fn path(&self) -> String {
        self.path.text()
    }

    /// The last key of that path, unless it is none.
    pub(super) fn key(&self) -> &'a str {
        match self.path {
            Path::Key(_, key) => key,
            Path::Root(_) | Path::Item(..) => "",
        }
    }

    /// That this is not `kind`, and what it is instead.
    pub(super) fn is_not(&self, kind: &str) -> ConfigError {
        ConfigError::is_not(&self.path(), &self.shown(), kind)
    }

    /// That something about this is wrong, `found`, and `allowed` would be right.
    pub(super) fn instead(&self, found: &str, allowed: &str) -> ConfigError {
        ConfigError::instead(&self.path(), found, allowed)
    }

    /// That a part of this text, `found`, is wrong, and where it begins: `"(a": "(" at column 1 is not
    /// closed`.
    pub(super) fn wrong_at(&self, found: &str, column: usize, reason: &str) -> ConfigError {
        let (whole, found) = (self.shown(), echo(found));
        let reason = format!("{whole}: \"{found}\" at column {column} {reason}");
        ConfigError::plain(&self.path(), reason)
    }

    /// The value as a message may show it.
    pub(super) fn shown(&self) -> String {
        match self.secret {
            true => "its value".to_owned(),
            false => echo_value(self.value),
        }
    }

    /// The members of an object; an array is none.
    pub(super) fn object(&self) -> Result<Object<'_>, ConfigError> {
        Ok(Object { path: &self.path, members: self.members()?, asked: Vec::new() })
    }

    /// One member of an object, the last of that name, unless it is null. What else is there does not
    /// matter, as where JSON stands for a protobuf.
    #[inline(never)]
    pub(super) fn member(&self, name: &'a str) -> Result<Option<Field<'_>>, ConfigError> {
        let is_it = |(key, value): &&(Cow<'_, str>, Value<'_>)| {
            key == name && !matches!(value, Value::Null)
        };
        let value = self.members()?.iter().rfind(is_it).map(|(_, value)| value);
        let path = Path::Key(&self.path, name);
        Ok(value.map(|value| Field { path, value, secret: self.secret }))
    }

    /// The members of an object whose keys are the user's own, with their keys.
    pub(super) fn entries(&self, most: usize) -> Result<Vec<(&'a str, Field<'_>)>, ConfigError> {
        let members = self.members()?;
        if members.len() > most {
            let found = format!("{} entries", members.len());
            return Err(self.instead(&found, &format!("at most {most}")));
        }
        let mut entries: Vec<(&str, Field<'_>)> = Vec::new();
        for (key, value) in members {
            let field = Field { path: Path::Key(&self.path, key), value, secret: self.secret };
            if entries.iter().any(|(other, _)| other == key) {
                return Err(field.instead("given twice", "each key once"));
            }
            entries.push((key, field));
        }
        Ok(entries)
    }

    /// The items of an array of so many, each with its index in the path.
    pub(super) fn items(
        &self,
        count: RangeInclusive<usize>,
    ) -> Result<impl Iterator<Item = Field<'_>>, ConfigError> {
        let items = match self.value {
            Value::Array(items) if count.contains(&items.len()) => items,
            _ => {
                let (least, most) = count.into_inner();
                return Err(self.is_not(&format!("an array of {least} to {most} entries")));
            }
        };
        Ok(items.iter().enumerate().map(|(index, value)| {
            let path = Path::Item(&self.path, index);
            Field { path, value, secret: self.secret }
        }))
    }

    /// A string of any length.
    pub(super) fn string(&self) -> Result<&'a str, ConfigError> {
        match self.value {
            Value::String(text) => Ok(text),
            _ => Err(self.is_not("a string")),
        }
    }

    /// A string with so many bytes.
    pub(super) fn text(&self, bytes: RangeInclusive<usize>) -> Result<String, ConfigError> {
        let text = self.string()?;
        if !bytes.contains(&text.len()) {
            let (least, most) = bytes.into_inner();
            return Err(self.is_not(&format!("a string of {least} to {most} bytes")));
        }
        Ok(text.to_owned())
    }

    /// A string with so many bytes, each a visible character of ASCII.
    pub(super) fn visible(&self, bytes: RangeInclusive<usize>) -> Result<String, ConfigError> {
        let text = self.text(bytes)?;
        match text.bytes().all(|b| b.is_ascii_graphic()) {
            true => Ok(text),
            false => Err(self.is_not("a string of visible ASCII characters")),
        }
    }

    /// Whether it is an object.
    pub(super) fn is_object(&self) -> bool {
        matches!(self.value, Value::Object(_))
    }

    /// True or false.
    pub(super) fn boolean(&self) -> Result<bool, ConfigError> {
        match self.value {
            Value::Bool(yes) => Ok(*yes),
            _ => Err(self.is_not("true or false")),
        }
    }

    /// A number; a string that holds one is none.
    pub(super) fn number(&self) -> Option<f64> {
        match self.value {
            Value::Number(digits) => Some(json::number(digits)),
            _ => None,
        }
    }

    /// A number within limits that are written as in JSON.
    pub(super) fn decimal(&self, [least, most]: &[&str; 2]) -> Result<f64, ConfigError> {
        match self.number() {
            Some(number) if json::number(least) <= number && number <= json::number(most) => {
                Ok(number)
            }
            _ => Err(self.is_not(&format!("a number from {least} to {most}"))),
        }
    }

    /// A percentage.
    pub(super) fn percent(&self) -> Result<Percentage, ConfigError> {
        self.number().and_then(Percentage::new).ok_or_else(|| self.is_not(Percentage::KIND))
    }

    /// A whole number within `range`; `512.0` is one.
    pub(super) fn integer(&self, range: RangeInclusive<u32>) -> Result<usize, ConfigError> {
        self.number()
            .filter(|number| number.fract() == 0.0)
            .filter(|number| (f64::from(*range.start())..=f64::from(*range.end())).contains(number))
            .map(|number| number as usize)
            .ok_or_else(|| {
                let (least, most) = range.into_inner();
                self.is_not(&format!("a whole number from {least} to {most}"))
            })
    }

    /// A duration within limits; messages say what it may be `besides`.
    pub(super) fn duration(
        &self,
        [least, most]: &[&str; 2],
        besides: &str,
    ) -> Result<Duration, ConfigError> {
        let duration = duration::parse(self.string()?)
            .ok_or_else(|| self.is_not("a duration such as 250ms, 5s or 1m"))?;
        let is_within = duration::parse(least).is_some_and(|least| least <= duration)
            && duration::parse(most).is_some_and(|most| duration <= most);
        match is_within {
            true => Ok(duration),
            false => Err(self.is_not(&format!("a duration from {least} to {most}{besides}"))),
        }
    }

    /// The place of the name that this is, among all that it may be.
    pub(super) fn place(&self, names: &[&str]) -> Result<usize, ConfigError> {
        let text = self.string()?;
        let place = names.iter().position(|name| *name == text);
        place.ok_or_else(|| self.is_not(&format!("one of {}", names.join(", "))))
    }

    /// The name of a request header, lower-cased.
    pub(super) fn header_name(&self) -> Result<String, ConfigError> {
        header::request_header(self.string()?).ok_or_else(|| self.is_not("the name of a header"))
    }

    fn members(&self) -> Result<&'a Members<'a>, ConfigError> {
        match self.value {
            Value::Object(members) => Ok(members),
            _ => Err(self.is_not("an object")),
        }
    }
}

/// An object that is read key by key, and holds no other keys when that is done.
pub(super) struct Object<'a> {
    path: &'a Path<'a>,
    members: &'a Members<'a>,
    asked: Vec<&'static [&'static str]>,
}

impl<'a> Object<'a> {
    /// The value under one of `names`, which mean the same; the first is shown to users.
    #[inline(never)]
    pub(super) fn given(
        &mut self,
        names: &'static [&'static str],
    ) -> Result<Option<Field<'a>>, ConfigError> {
        self.asked.push(names);
        let mut given = self.members.iter().filter(|(key, _)| names.contains(&key.as_ref()));
        let Some((name, value)) = given.next() else {
            return Ok(None);
        };
        match given.next() {
            None => Ok(Some(Field { path: Path::Key(self.path, name), value, secret: false })),
            Some((other, _)) if other == name => {
                Err(self.instead(name, "given twice", "each key once"))
            }
            Some((other, _)) => {
                let found = format!("the same as {name}, which is given too");
                Err(self.instead(other, &found, "one of the two"))
            }
        }
    }

    /// The value under one of `names`, which there has to be: `wanted` says what it is.
    #[inline(never)]
    pub(super) fn needed(
        &mut self,
        names: &'static [&'static str],
        wanted: &str,
    ) -> Result<Field<'a>, ConfigError> {
        let name = names.first().copied().unwrap_or_default();
        self.given(names)?.ok_or_else(|| self.instead(name, "missing", wanted))
    }

    fn instead(&self, key: &str, found: &str, allowed: &str) -> ConfigError {
        ConfigError::instead(&Path::Key(self.path, key).text(), found, allowed)
    }

    /// Refuses keys that nobody asked for.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        let known = |key: &str| self.asked.iter().any(|names| names.contains(&key));
        let Some(unknown) = self.members.iter().map(|(key, _)| key).find(|key| !known(key)) else {
            return Ok(());
        };
        let first = |names: &&'static [&'static str]| names.first().copied();
        let allowed: Vec<&str> = self.asked.iter().filter_map(first).collect();
        Err(self.instead(unknown, "unknown key", &allowed.join(", ")))
    }
}

/// The path of `key` below `path`; keys may be the user's own, so they are shown like other foreign text.
pub fn join(path: &str, key: &str) -> String {
    let key = match key {
        "" => "\"\"".to_owned(),
        _ => echo(key),
    };
    match path {
        WHOLE => key,
        _ => format!("{path}.{key}"),
    }
}
