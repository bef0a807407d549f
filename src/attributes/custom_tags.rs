//! The tags that the operator adds, ready to be taken from a request.

use super::Redaction;
use crate::config::{CustomTag, TagSource};
use crate::trace::Tag;
use std::borrow::Cow;

/// Custom tags whose constant values are known.
#[derive(Debug, Default)]
pub struct CustomTags {
    tags: Vec<(String, Source)>,
}

#[derive(Debug)]
enum Source {
    Constant(String),
    Header { name: String, default: Option<String> },
}

/// What one request gave for each header tag; `None` where the header was absent.
pub(super) type HeaderValues = Vec<Option<String>>;

impl CustomTags {
    /// Takes each value that does not depend on the request; `environment` reads a variable.
    /// A tag with neither value nor default is left out.
    pub fn new(
        tags: &[CustomTag],
        redaction: &Redaction,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let constant = |value: &str| Source::Constant(redaction.word(value.as_bytes()));
        let tags = tags
            .iter()
            .filter_map(|tag| {
                let source = match &tag.source {
                    TagSource::Literal(value) => constant(value),
                    TagSource::Environment { name, default } => {
                        constant(&environment(name).or_else(|| default.clone())?)
                    }
                    TagSource::Header { name, .. } if redaction.hides(name) => return None,
                    TagSource::Header { name, default } => Source::Header {
                        name: name.clone(),
                        default: default.as_ref().map(|value| redaction.word(value.as_bytes())),
                    },
                };
                Some((tag.name.clone(), source))
            })
            .collect();
        Self { tags }
    }

    /// What the request's headers say; of a repeated header the first line.
    pub(super) fn read<'h>(
        &self,
        redaction: &Redaction,
        header: impl Fn(&str) -> Option<&'h [u8]>,
    ) -> HeaderValues {
        self.tags
            .iter()
            .filter_map(|(_, source)| match source {
                Source::Constant(_) => None,
                Source::Header { name, .. } => {
                    Some(header(name).map(|value| redaction.value(value)))
                }
            })
            .collect()
    }

    /// Names and values for a span, in the order of the configuration.
    pub(super) fn tags(&self, values: HeaderValues) -> Vec<Tag<'_>> {
        let mut values = values.into_iter();
        self.tags
            .iter()
            .filter_map(|(name, source)| {
                let value = match source {
                    Source::Constant(value) => Cow::Borrowed(value.as_str()),
                    Source::Header { default, .. } => match values.next().flatten() {
                        Some(value) => Cow::Owned(value),
                        None => Cow::Borrowed(default.as_deref()?),
                    },
                };
                Some((name.as_str(), value))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{MeshConfig, PluginConfig, settings};

    #[test]
    fn a_tag_has_its_value_or_its_default_or_is_absent() {
        let header = |name: &str, default: Option<&str>| TagSource::Header {
            name: name.to_owned(),
            default: default.map(str::to_owned),
        };
        let environment = |name: &str, default: Option<&str>| TagSource::Environment {
            name: name.to_owned(),
            default: default.map(str::to_owned),
        };
        let plugin = PluginConfig::parse(br#"{"maxTagLength": 8}"#).unwrap();
        let redaction = Redaction::new(&settings(plugin, MeshConfig::default()));
        for (name, source, expected) in [
            ("literal", TagSource::Literal("prod".to_owned()), Some("prod")),
            ("literal is cut", TagSource::Literal("0123456789".to_owned()), Some("01234567")),
            ("header", header("x-account-id", None), Some("acc-42")),
            ("header is cut", header("x-long", None), Some("01234567")),
            ("header that is not UTF-8", header("x-bytes", None), Some("\u{fffd}")),
            ("header absent", header("x-none", None), None),
            ("header absent with default", header("x-none", Some("none")), Some("none")),
            ("header present beats default", header("x-account-id", Some("none")), Some("acc-42")),
            ("environment", environment("ZONE", None), Some("z1")),
            ("environment absent", environment("NONE", None), None),
            ("environment absent with default", environment("NONE", Some("-")), Some("-")),
        ] {
            let tag = CustomTag { name: "t".to_owned(), source };
            let tags = CustomTags::new(&[tag], &redaction, |name| {
                (name == "ZONE").then(|| "z1".to_owned())
            });
            let values = tags.read(&redaction, |name| match name {
                "x-account-id" => Some(b"acc-42".as_slice()),
                "x-long" => Some(b"0123456789"),
                "x-bytes" => Some(b"\xff"),
                _ => None,
            });
            let expected: Vec<Tag> =
                expected.map(|value| ("t", value.into())).into_iter().collect();
            assert_eq!(tags.tags(values), expected, "{name}");
        }
    }
}
