//! Paths that templates match.

/// The most segments of a path that are compared.
pub(super) const MAX_SEGMENTS: usize = 64;

/// Segments of a path by their places, the first as the lowest bit.
pub(super) type Places = u64;

/// A segment without its parameters: `a` of `a;b=c`.
pub(super) fn name(segment: &[u8]) -> &[u8] {
    segment.split(|byte| *byte == b';').next().unwrap_or_default()
}

/// The names of the segments of a path, without empty ones: `/a;b=c//d` has `a` and `d`.
#[inline(never)]
pub(super) fn segments(path: &[u8]) -> Vec<&[u8]> {
    let mut names = Vec::new();
    for name in path.split(|byte| *byte == b'/').map(name) {
        if !name.is_empty() && names.len() < MAX_SEGMENTS {
            names.push(name);
        }
    }
    names
}

/// What a pattern of `pathRedact` says is secret: segments that a template names, whatever follows them,
/// or those anywhere that are like a pattern with a star.
pub(super) fn secrets(pattern: &str, segments: &[&[u8]]) -> Places {
    match pattern.strip_prefix('/') {
        Some(template) => named(template, segments, 0, false).unwrap_or(0),
        None => {
            let like = |place: &usize| segments.get(*place).is_some_and(|it| is_like(pattern, it));
            (0..segments.len()).filter(like).fold(0, |places, place| places | 1 << place)
        }
    }
}

/// Whether a template is one of all these segments.
pub(super) fn is_all(template: &str, segments: &[&[u8]]) -> bool {
    named(template.strip_prefix('/').unwrap_or(template), segments, 0, true).is_some()
}

/// The first segment that a template names.
pub(super) fn segment<'p>(template: &str, path: &'p [u8]) -> Option<&'p [u8]> {
    let segments = segments(path);
    let places = named(template.strip_prefix('/')?, &segments, 0, false)?;
    segments.get(places.trailing_zeros() as usize).copied()
}

/// The segments that a template names, if those from `place` on begin as it says, or are no more than it
/// says: `{name}` and `*` are any one, `**`, which stands there once, any number.
#[inline(never)]
fn named(
    mut template: &str,
    segments: &[&[u8]],
    mut place: usize,
    is_whole: bool,
) -> Option<Places> {
    let mut places = 0;
    loop {
        let (part, rest) = template.split_once('/').unwrap_or((template, ""));
        if part == "**" {
            let mut is_found = !is_whole;
            for start in place..=segments.len() {
                if let Some(more) = named(rest, segments, start, is_whole) {
                    places |= more;
                    is_found = true;
                }
            }
            return is_found.then_some(places);
        }
        if !part.is_empty() {
            let segment = segments.get(place)?;
            if part.starts_with('{') {
                places |= 1 << place;
            } else if !is_like(part, segment) {
                return None;
            }
            place += 1;
        }
        if rest.is_empty() {
            return (!is_whole || place == segments.len()).then_some(places);
        }
        template = rest;
    }
}

/// Whether a segment is this text, or begins and ends as it does around a star, in any case of letters.
fn is_like(pattern: &str, segment: &[u8]) -> bool {
    let (begin, end, is_whole) = match pattern.split_once('*') {
        Some((begin, end)) => (begin, end, false),
        None => (pattern, "", true),
    };
    let Some((head, tail)) = segment.split_at_checked(begin.len()) else { return false };
    let Some(cut) = tail.len().checked_sub(end.len()) else { return false };
    let tail = tail.get(cut..).unwrap_or_default();
    (!is_whole || cut == 0)
        && head.eq_ignore_ascii_case(begin.as_bytes())
        && tail.eq_ignore_ascii_case(end.as_bytes())
}
