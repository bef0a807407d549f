//! What looks like a secret in any text: user information in a URL, e-mail addresses, card numbers.

/// What stands in the place of a secret.
pub(super) const REDACTED: &str = "REDACTED";

/// How far beyond a cap a secret that begins before it is looked for, in bytes: an e-mail address has
/// at most 254.
pub(super) const LOOK_AHEAD: usize = 256;

/// How many digits a card's number has.
const CARD_DIGITS: core::ops::RangeInclusive<usize> = 13..=19;

/// How many of them are written in one group.
const CARD_GROUP: core::ops::RangeInclusive<usize> = 3..=6;

/// What is masked besides user information.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patterns {
    /// E-mail addresses.
    pub(super) emails: bool,
    /// Numbers of payment cards.
    pub(super) cards: bool,
}

/// The text without what looks like a secret: `//user:password@host` always, what `patterns` say besides.
pub(super) fn masked(text: String, patterns: Patterns) -> String {
    if is_harmless(text.as_bytes()) {
        return text;
    }
    let mut masked = String::with_capacity(text.len() + REDACTED.len());
    let mut rest = text.as_str();
    while let Some((start, end)) = first(rest.as_bytes(), patterns) {
        masked.push_str(rest.get(..start).unwrap_or_default());
        masked.push_str(REDACTED);
        rest = rest.get(end..).unwrap_or_default();
    }
    masked.push_str(rest);
    masked
}

/// Whether no secret can be in it, as in nearly every text: looked at eight bytes at a time, and only
/// at some for digits.
fn is_harmless(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let sign = words.iter().any(|word| has_sign(*word));
    !sign && !rest.iter().any(|byte| b"@%".contains(byte)) && !has_number(bytes)
}

/// Whether any of eight bytes is `@` or `%`. Of each the highest bit is set where a subtraction borrows.
fn has_sign(word: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let word = u64::from_ne_bytes(word);
    let is = |byte: u8| {
        let word = word ^ (ONES * u64::from(byte));
        word.wrapping_sub(ONES) & !word
    };
    (is(b'@') | is(b'%')) & HIGH != 0
}

/// Whether as many digits as the shortest card's number has, and what stands between them, follow on
/// one another.
fn has_number(bytes: &[u8]) -> bool {
    let mut start = 0;
    while let Some(window) = bytes.get(start..start + CARD_DIGITS.start()) {
        let other = |byte: &u8| !matches!(byte, b'0'..=b'9' | b' ' | b'-' | b'+');
        match window.iter().rposition(other) {
            Some(last) => start += last + 1,
            None => return true,
        }
    }
    false
}

/// Where the first secret begins and ends. Whatever the bytes, each is looked at a few times only.
fn first(bytes: &[u8], patterns: Patterns) -> Option<(usize, usize)> {
    let Patterns { emails, cards } = patterns;
    // Where an e-mail address that has its `@` here would have begun.
    let mut local = 0;
    let mut previous = b' ';
    for (place, byte) in bytes.iter().copied().enumerate() {
        let ahead = bytes.get(place..).unwrap_or_default();
        let length = match byte {
            b'/' if previous == b'/' => user_information(ahead),
            b'2'..=b'6' if cards && !previous.is_ascii_alphanumeric() => card(ahead),
            _ => None,
        };
        if let Some(length) = length {
            // Not the slash that it begins after.
            return Some((place + usize::from(byte == b'/'), place + length));
        }
        if let Some(sign) = at_sign(ahead).filter(|_| emails) {
            let domain = domain(ahead.get(sign..).unwrap_or_default());
            if let Some(domain) = domain.filter(|_| local < place) {
                return Some((local, place + sign + domain));
            }
            local = place + sign;
        } else if !is_local(byte) {
            local = place + 1;
        }
        previous = byte;
    }
    None
}

/// How long a slash and the user information behind it are, where there is some: up to the last `@` of
/// the authority.
fn user_information(bytes: &[u8]) -> Option<usize> {
    let authority = bytes.get(1..)?.split(|byte| b"/?# ".contains(byte)).next()?;
    let at = authority.iter().rposition(|byte| *byte == b'@')?;
    (at > 0).then_some(at + 1)
}

/// How long the `@` is that these bytes begin with, as it is or as URLs escape it.
fn at_sign(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'@', ..] => Some(1),
        [b'%', b'4', b'0', ..] => Some(3),
        _ => None,
    }
}

/// A byte of an e-mail address before its `@`. Of what RFC 5322 allows besides, a URL has too much.
fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"._%+-'".contains(&byte)
}

/// How long the domain is that these bytes begin with; a name without a dot is none.
fn domain(bytes: &[u8]) -> Option<usize> {
    let belongs =
        |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b".-".contains(byte);
    let end = bytes.iter().position(|byte| !belongs(byte)).unwrap_or(bytes.len());
    let mut domain = bytes.get(..end)?;
    while let Some((b'.' | b'-', shorter)) = domain.split_last() {
        domain = shorter;
    }
    let dot = domain.iter().rposition(|byte| *byte == b'.')?;
    let top = domain.get(dot + 1..)?;
    (dot > 0 && top.len() >= 2 && !top.first()?.is_ascii_digit()).then_some(domain.len())
}

/// How long the number of a payment card is that these bytes begin with: its digits alone, or in groups
/// with a space or a dash between. Industries 2 to 6 issue cards; times in milliseconds begin with 1.
fn card(bytes: &[u8]) -> Option<usize> {
    let mut digits = [0; *CARD_DIGITS.end()];
    let (mut count, mut group, mut groups) = (0, 0, 1);
    let mut place = 0;
    let mut end = None;
    loop {
        match bytes.get(place).copied() {
            Some(byte) if byte.is_ascii_digit() => {
                let Some(digit) = digits.get_mut(count) else { return end };
                *digit = byte - b'0';
                (count, group, place) = (count + 1, group + 1, place + 1);
                let ends = bytes.get(place).is_none_or(|next| !next.is_ascii_alphanumeric());
                if ends
                    && CARD_DIGITS.contains(&count)
                    && (groups == 1 || CARD_GROUP.contains(&group))
                    && is_luhn(digits.iter().take(count).rev())
                {
                    end = Some(place);
                }
            }
            _ => {
                let separator = separator(bytes.get(place..).unwrap_or_default());
                if separator == 0 || !CARD_GROUP.contains(&group) {
                    return end;
                }
                (group, groups, place) = (0, groups + 1, place + separator);
            }
        }
    }
}

/// How long what stands between two groups of a number is.
fn separator(bytes: &[u8]) -> usize {
    match bytes {
        [b' ' | b'-' | b'+', ..] => 1,
        [b'%', b'2', b'0', ..] => 3,
        _ => 0,
    }
}

/// The check of ISO/IEC 7812 annex B, over the digits from the last to the first.
fn is_luhn<'d>(digits: impl Iterator<Item = &'d u8>) -> bool {
    let sum: u32 = digits
        .enumerate()
        .map(|(index, digit)| match (index % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Patterns = Patterns { emails: true, cards: true };
    const NONE: Patterns = Patterns { emails: false, cards: false };

    fn check(patterns: Patterns, table: &[(&str, &str)]) {
        for (text, expected) in table {
            assert_eq!(masked((*text).to_owned(), patterns), *expected, "{text}");
        }
    }

    #[test]
    fn user_information_is_masked_whatever_the_patterns() {
        for patterns in [BOTH, NONE] {
            check(
                patterns,
                &[
                    ("https://user:password@h/p", "https://REDACTED@h/p"),
                    ("https://user@h", "https://REDACTED@h"),
                    ("https://user:p@ss@h/p", "https://REDACTED@h/p"),
                    ("//4111111111111111:p@h", "//REDACTED@h"),
                    (
                        "/to/https://u:p@h/and/https://v:q@i",
                        "/to/https://REDACTED@h/and/https://REDACTED@i",
                    ),
                    (
                        "see https://u:p@h or https://v:q@i",
                        "see https://REDACTED@h or https://REDACTED@i",
                    ),
                    ("https://@h", "https://@h"),
                    ("https://h/p@q", "https://h/p@q"),
                    ("https://h?p@q", "https://h?p@q"),
                ],
            );
        }
    }

    #[test]
    fn what_looks_like_an_email_address_is_masked() {
        check(
            Patterns { cards: false, ..BOTH },
            &[
                ("bob@example.com", "REDACTED"),
                ("/users/bob.o'hara+x@mail.example.co.uk/orders", "/users/REDACTED/orders"),
                ("/users/bob%40example.com", "/users/REDACTED"),
                ("<bob@example.com>, \u{e9}va@exämple.com.", "<REDACTED>, REDACTED."),
                ("a%40b%40example.com", "a%40REDACTED"),
                ("bob@localhost", "bob@localhost"),
                ("vue@3.2.1", "vue@3.2.1"),
                ("@example.com", "@example.com"),
                ("a@@b.com", "a@@b.com"),
                ("a@.com", "a@.com"),
                ("4111 1111 1111 1111", "4111 1111 1111 1111"),
            ],
        );
    }

    #[test]
    fn what_looks_like_the_number_of_a_card_is_masked() {
        check(
            Patterns { emails: false, ..BOTH },
            &[
                ("4111111111111111", "REDACTED"),
                ("no 4111 1111 1111 1111.", "no REDACTED."),
                ("4111-1111-1111-1111", "REDACTED"),
                ("4111+1111%201111+1111", "REDACTED"),
                ("3782 822463 10005", "REDACTED"),
                ("4222222222222", "REDACTED"),
                ("6304000000000000000", "REDACTED"),
                ("12 4111 1111 1111 1111 12", "12 REDACTED 12"),
                ("4111111111111111,5555555555554444", "REDACTED,REDACTED"),
                ("4111111111111111 5555555555554444", "REDACTED REDACTED"),
                ("wrong check 4111111111111112", "wrong check 4111111111111112"),
                ("begins with 1: 1700000000006", "begins with 1: 1700000000006"),
                ("in a word a4111111111111111", "in a word a4111111111111111"),
                ("and 4111111111111111a", "and 4111111111111111a"),
                ("twelve 411111111111", "twelve 411111111111"),
                ("twenty 41111111111111110000", "twenty 41111111111111110000"),
                ("two spaces 4111  1111 1111 1111", "two spaces 4111  1111 1111 1111"),
                ("groups of two 41 11 11 11 11 11 11 11", "groups of two 41 11 11 11 11 11 11 11"),
                (
                    "a UUID 41111111-1111-4111-9111-411111111111",
                    "a UUID 41111111-1111-4111-9111-411111111111",
                ),
                ("bob@example.com", "bob@example.com"),
            ],
        );
    }

    #[test]
    fn hostile_text_is_looked_through_in_no_time() {
        for part in ["%40", "@", "//", "//@", "4111 ", "4", "a@a.", "\u{e9}@"] {
            let text = part.repeat(100_000);
            let began = std::time::Instant::now();
            masked(text, BOTH);
            // A square of the length would be minutes.
            assert!(began.elapsed().as_secs() < 10, "{part}");
        }
    }
}
