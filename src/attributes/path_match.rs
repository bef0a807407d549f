//! Paths that templates match.

/// The segments of a path that are not empty, without parameters, each with its place among all:
/// `/a;b=c//d` has `a` and `d`.
pub(super) struct Path<'p>(Vec<(usize, &'p [u8])>);

impl<'p> Path<'p> {
    /// Splits a path.
    pub(super) fn new(path: &'p [u8]) -> Self {
        let mut segments = Vec::new();
        for (place, segment) in path.split(|byte| *byte == b'/').enumerate() {
            let segment = segment.split(|byte| *byte == b';').next().unwrap_or_default();
            if !segment.is_empty() {
                segments.push((place, segment));
            }
        }
        Self(segments)
    }

    /// The places of the segments that a pattern of `pathRedact` says are secrets.
    #[inline(never)]
    pub(super) fn secrets(&self, pattern: &str) -> Vec<usize> {
        let mut secrets = Vec::new();
        match pattern.strip_prefix('/') {
            Some(template) => self.push_named(template, &mut secrets),
            None => self.push_like(pattern, &mut secrets),
        }
        secrets
    }

    /// What begins and ends as a pattern with a star says.
    fn push_like(&self, pattern: &str, places: &mut Vec<usize>) {
        let Some((begin, end)) = pattern.split_once('*') else { return };
        for (place, segment) in &self.0 {
            let rest = segment.strip_prefix(begin.as_bytes());
            if rest.is_some_and(|rest| rest.ends_with(end.as_bytes())) {
                places.push(*place);
            }
        }
    }

    /// What a template names, wherever it matches; what follows in the path does not matter.
    fn push_named(&self, template: &str, places: &mut Vec<usize>) {
        let template: Vec<&str> = template.split('/').collect();
        let mut parts = template.split(|part| *part == "**");
        let head = parts.next().unwrap_or_default();
        if !self.push_named_at(0, head, places) {
            return;
        }
        let Some(tail) = parts.next() else { return };
        for start in head.len()..self.0.len() {
            self.push_named_at(start, tail, places);
        }
    }

    #[inline(never)]
    fn push_named_at(&self, start: usize, template: &[&str], places: &mut Vec<usize>) -> bool {
        let before = places.len();
        for (index, wanted) in template.iter().enumerate() {
            match self.0.get(start + index) {
                Some((place, _)) if wanted.starts_with('{') => places.push(*place),
                Some((_, it)) if *wanted == "*" || it.eq_ignore_ascii_case(wanted.as_bytes()) => {}
                _ => {
                    places.truncate(before);
                    return false;
                }
            }
        }
        true
    }
}
