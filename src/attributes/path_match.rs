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
        if names.len() == MAX_SEGMENTS {
            break;
        }
        if !name.is_empty() {
            names.push(name);
        }
    }
    names
}

/// What a pattern of `pathRedact` says is secret: segments that a template names, whatever follows them,
/// or those anywhere that are like a pattern with a star.
pub(super) fn secrets(pattern: &str, segments: &[&[u8]]) -> Places {
    match pattern.strip_prefix('/') {
        Some(template) => named(template, segments, false).unwrap_or(0),
        None => {
            let like = |place: &usize| {
                segments.get(*place).is_some_and(|it| is_like(pattern.as_bytes(), it))
            };
            (0..segments.len()).filter(like).fold(0, |places, place| places | 1 << place)
        }
    }
}

/// Whether a template is one of all these segments.
pub(super) fn is_all(template: &str, segments: &[&[u8]]) -> bool {
    named(template.strip_prefix('/').unwrap_or(template), segments, true).is_some()
}

/// The first of these segments that a template names.
pub(super) fn segment<'p>(template: &str, segments: &[&'p [u8]]) -> Option<&'p [u8]> {
    let places = named(template.strip_prefix('/')?, segments, false)?;
    segments.get(places.trailing_zeros() as usize).copied()
}

/// The segments that a template names, if they begin as it says, or are no more than it says: `{name}` and
/// `*` are any one, `**`, which stands there once, any number.
#[inline(never)]
fn named(template: &str, segments: &[&[u8]], is_whole: bool) -> Option<Places> {
    let parts: Vec<&[u8]> = template.as_bytes().split(|byte| *byte == b'/').collect();
    named_from(&parts, segments, 0, is_whole)
}

/// The same of the segments from `place` on, by the parts of a template, which are compared again and again.
#[inline(never)]
fn named_from(
    mut parts: &[&[u8]],
    segments: &[&[u8]],
    mut place: usize,
    is_whole: bool,
) -> Option<Places> {
    let mut places = 0;
    while let Some((part, rest)) = parts.split_first() {
        parts = rest;
        match *part {
            b"" => continue,
            b"**" => {
                let mut is_found = !is_whole;
                for start in place..=segments.len() {
                    if let Some(more) = named_from(rest, segments, start, is_whole) {
                        places |= more;
                        is_found = true;
                    }
                }
                return is_found.then_some(places);
            }
            [b'{', ..] if place < segments.len() => places |= 1 << place,
            _ if !is_like(part, segments.get(place)?) => return None,
            _ => {}
        }
        place += 1;
    }
    (!is_whole || place == segments.len()).then_some(places)
}

/// Whether a segment is this text, or begins and ends as it does around a star, in any case of letters.
fn is_like(pattern: &[u8], segment: &[u8]) -> bool {
    let star = pattern.iter().position(|byte| *byte == b'*');
    let begin = star.unwrap_or(pattern.len());
    let (begin, end) = (pattern.get(..begin), pattern.get(begin + 1..));
    let (begin, end) = (begin.unwrap_or_default(), end.unwrap_or_default());
    let Some((head, tail)) = segment.split_at_checked(begin.len()) else { return false };
    let Some(cut) = tail.len().checked_sub(end.len()) else { return false };
    let tail = tail.get(cut..).unwrap_or_default();
    (star.is_some() || cut == 0)
        && head.eq_ignore_ascii_case(begin)
        && tail.eq_ignore_ascii_case(end)
}
