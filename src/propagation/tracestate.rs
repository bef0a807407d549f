//! W3C Trace Context, level 2: the header `tracestate`. It belongs to the vendors and passes
//! untouched; only whether it may pass is decided here.
//!
//! <https://www.w3.org/TR/trace-context-2/#tracestate-header>
//!
//! Valid: `congo=t61rcWkgMzE, rojo=00f067aa0ba902b7`. Invalid: `FOO=1`, `foo=`, `foo=bar=baz`.

const MAX_MEMBERS: usize = 32;
const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 256;

/// How much of a list a span keeps, in bytes: what every vendor should be able to propagate, section 3.3.1.5.
const MAX_RECORDED: usize = 512;

/// Whether the lines, taken as one list, hold from 1 to 32 members and all of them are valid.
pub(super) fn is_valid(lines: &[&[u8]]) -> bool {
    let mut members = 0;
    for line in lines {
        for member in line.split(|byte| *byte == b',') {
            let member = member.trim_ascii();
            // Empty members are allowed, and do not count.
            if member.is_empty() {
                continue;
            }
            members += 1;
            if members > MAX_MEMBERS || !is_member(member) {
                return false;
            }
        }
    }
    members > 0
}

/// The members of all lines as one list, as a span keeps it: of more than 512 bytes, only the first
/// members that fit.
pub(super) fn list(lines: &[&[u8]]) -> String {
    let members = lines.iter().flat_map(|line| line.split(|byte| *byte == b','));
    let mut list = String::new();
    for member in members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
        // A valid member is ASCII.
        let member = core::str::from_utf8(member).unwrap_or_default();
        if list.len() + 1 + member.len() > MAX_RECORDED {
            break;
        }
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(member);
    }
    list
}

fn is_member(member: &[u8]) -> bool {
    let mut halves = member.splitn(2, |byte| *byte == b'=');
    match (halves.next(), halves.next()) {
        (Some(key), Some(value)) => is_key(key) && is_value(value),
        _ => false,
    }
}

fn is_key(key: &[u8]) -> bool {
    let first = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.len() <= MAX_KEY
        && key.first().is_some_and(first)
        && key.iter().all(|byte| first(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@'))
}

/// Leading spaces belong to the value; trailing ones were trimmed with the member.
fn is_value(value: &[u8]) -> bool {
    !value.is_empty()
        && value.len() <= MAX_VALUE
        && value.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b',' && *byte != b'=')
}
