//! What spans are called by a template of the operator's: words of which there are not many, and never
//! the raw path.

use super::{Service, path_match, text};
use crate::config::{Placeholder, Settings, Template};

/// How many distinct names a template may give in each worker and direction.
pub const MAX_SPAN_NAMES: usize = 256;

/// What stands for a route or an operation that nothing names, and for every name beyond the last.
const OTHER: &str = "other";

/// Istio's name of routes that have none of their own.
const UNNAMED_ROUTE: &str = "default";

/// The longest name of a route, in bytes.
const MAX_ROUTE: usize = 128;

/// The template and what it has given so far.
#[derive(Debug, Default)]
pub(super) struct SpanNames {
    /// Empty where there is none.
    template: Template,
    operations: Vec<String>,
    given: Vec<String>,
    /// How many found no room.
    limited: i64,
}

impl SpanNames {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut names = Self { template: settings.span_name.clone(), ..Self::default() };
        if names.has_route() || names.has(Placeholder::Operation) {
            names.operations.clone_from(&settings.operations);
        }
        names
    }

    pub(super) fn has_template(&self) -> bool {
        !self.template.is_empty()
    }

    /// How many names found no room, since this was asked last.
    pub(super) fn take_limited(&mut self) -> i64 {
        core::mem::take(&mut self.limited)
    }

    /// Whether the route's name is of interest.
    pub(super) fn has_route(&self) -> bool {
        self.has(Placeholder::Route)
    }

    fn has(&self, placeholder: Placeholder) -> bool {
        self.template.iter().any(|(_, it)| *it == Some(placeholder))
    }

    /// The place of the first operation that matches all of the path in these lower-case headers.
    #[inline(never)]
    pub(super) fn operation(&self, headers: &[(&[u8], &[u8])]) -> Option<usize> {
        if self.operations.is_empty() {
            return None;
        }
        let header = |name: &[u8]| headers.iter().find(|(key, _)| *key == name);
        let (_, path) = header(b"x-envoy-original-path").or_else(|| header(b":path"))?;
        let path = path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
        let segments = path_match::segments(path);
        self.operations.iter().position(|template| path_match::is_all(template, &segments))
    }

    /// A name by the template.
    #[inline(never)]
    pub(super) fn name(
        &mut self,
        service: Option<&Service>,
        method: &str,
        operation: Option<usize>,
        route: Option<&str>,
    ) -> String {
        let operation = operation.and_then(|place| self.operations.get(place));
        let operation = operation.map_or(OTHER, String::as_str);
        let mut name = String::new();
        for (before, placeholder) in &self.template {
            name.push_str(before);
            match placeholder {
                Some(Placeholder::Method) => name.push_str(method),
                Some(Placeholder::Service) => match service {
                    Some(service) => name.push_str(&service.service_name()),
                    None => name.push_str(OTHER),
                },
                Some(Placeholder::Route) => match route {
                    None | Some("" | UNNAMED_ROUTE) => name.push_str(operation),
                    Some(route) => name.push_str(&text::text(route.as_bytes(), MAX_ROUTE)),
                },
                Some(Placeholder::Operation) => name.push_str(operation),
                None => {}
            }
        }
        if !self.given.contains(&name) {
            if self.given.len() >= MAX_SPAN_NAMES {
                self.limited += 1;
                return OTHER.to_owned();
            }
            self.given.push(name.clone());
        }
        name
    }
}

#[cfg(test)]
#[path = "span_names_tests.rs"]
mod tests;
