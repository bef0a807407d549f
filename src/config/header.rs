//! Names of HTTP headers, as both custom tags and the collector's headers have them.

/// The pseudo headers that every request has.
const PSEUDO: [&str; 4] = [":authority", ":method", ":path", ":scheme"];

/// The longest name, in bytes.
const MAX_NAME: usize = 256;

/// The name of a header field, lower-cased: `X-Account-Id` is one, `x account` and `:path` are none.
/// <https://www.rfc-editor.org/rfc/rfc9110#name-tokens>
pub(super) fn field_name(name: &str) -> Option<String> {
    lower_case(name, &[])
}

/// The same, or one of the four pseudo headers that every request has.
pub(super) fn request_header(name: &str) -> Option<String> {
    lower_case(name, &PSEUDO)
}

/// A token, or one of the other names.
#[inline(never)]
fn lower_case(name: &str, others: &[&str]) -> Option<String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let valid = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(token);
    let name = name.to_ascii_lowercase();
    (valid || is_one_of(&name, others)).then_some(name)
}

/// Whether a name is one of these.
#[inline(never)]
pub(super) fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.contains(&name)
}

/// What the names of headers have in them whose values let somebody in.
pub(super) const SECRET_WORDS: [&str; 11] = [
    "api-key",
    "api_key",
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "jwt",
    "passwd",
    "password",
    "secret",
    "token",
];

/// Whether a header's value lets somebody in, by its name in lower case: `authorization`, `set-cookie`,
/// `x-api-key`, `x-amz-security-token`, but not `x-account-id`.
pub(super) fn is_secret(name: &str) -> bool {
    has_any(name, &SECRET_WORDS)
}

/// Whether a name has one of these words in it.
#[inline(never)]
pub(super) fn has_any(name: &str, words: &[&str]) -> bool {
    let name = name.as_bytes();
    words.iter().any(|word| name.windows(word.len()).any(|part| part == word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_are_tokens_and_are_lower_cased() {
        for (name, expected) in [
            ("x-account-id", Some("x-account-id")),
            ("X-Account-Id", Some("x-account-id")),
            ("!#$%&'*+-.^_`|~09aZ", Some("!#$%&'*+-.^_`|~09az")),
            ("", None),
            ("x account", None),
            ("x:y", None),
            ("x\r\ny", None),
            ("x\0", None),
            ("ü", None),
            (":path", None),
        ] {
            assert_eq!(field_name(name).as_deref(), expected, "{name:?}");
        }
        assert_eq!(field_name(&"x".repeat(257)), None);
    }

    #[test]
    fn headers_that_let_somebody_in_are_known_by_their_names() {
        for name in [
            "authorization",
            "proxy-authorization",
            "cookie",
            "set-cookie",
            "x-api-key",
            "x_api_key",
            "apikey",
            "x-auth-token",
            "x-csrf-token",
            "x-amz-security-token",
            "x-client-secret",
            "x-jwt-assertion",
            "private-token",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["x-account-id", "user-agent", "x-request-id", ":path", "x-key", "x-author"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn tags_may_be_taken_from_the_four_pseudo_headers_of_every_request() {
        for name in PSEUDO {
            assert_eq!(request_header(name).as_deref(), Some(name));
        }
        assert_eq!(request_header(":Authority").as_deref(), Some(":authority"));
        assert_eq!(request_header("X-A").as_deref(), Some("x-a"));
        for name in [":status", ":protocol", ":", "", "::path"] {
            assert_eq!(request_header(name), None, "{name:?}");
        }
    }
}
