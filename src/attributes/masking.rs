//! What looks like a secret in any text: user information in a URL, e-mail addresses, card numbers.

/// What stands in the place of a secret.
pub(super) const REDACTED: &[u8] = b"REDACTED";

/// How far beyond a cap a secret that begins before it is looked for, in bytes: an e-mail address has
/// at most 254.
pub(super) const LOOK_AHEAD: usize = 256;

/// How many digits a card's number has.
const CARD_DIGITS: core::ops::RangeInclusive<u32> = 13..=19;

/// How many of them are written in one group.
const CARD_GROUP: core::ops::RangeInclusive<u32> = 3..=6;

/// Whether no secret can be in it, as in nearly every text: no `@` or `%`, and no thirteen bytes in a row
/// that a card's number has. Eight bytes are looked at at a time.
#[inline(never)]
pub(super) fn is_harmless(bytes: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES * 0x80;
    let has = |word: u64, byte: u8| {
        let other = word ^ (ONES * u64::from(byte));
        other.wrapping_sub(ONES) & !other & HIGH != 0
    };
    let (mut run, mut has_run, mut has_sign) = (0, false, false);
    let mut look = |word: u64| {
        // In nearly all texts not even bytes from the space to `?`, which are 32, are so many in a row.
        let breaks = (word ^ (ONES * 0x20)) & (ONES * 0xe0);
        run += breaks.trailing_zeros() / 8;
        has_run |= run >= *CARD_DIGITS.start();
        if breaks != 0 {
            run = breaks.leading_zeros() / 8;
        }
        has_sign |= has(word, b'@') | has(word, b'%');
    };
    let (words, rest) = bytes.as_chunks();
    words.iter().for_each(|word| look(u64::from_le_bytes(*word)));
    if !rest.is_empty() {
        // What has been looked at already is shifted out.
        look(match bytes.last_chunk() {
            Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
            None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        });
    }
    !has_sign && (!has_run || !has_number(bytes))
}

/// Whether thirteen bytes in a row are such that a card's number has.
#[inline(never)]
fn has_number(bytes: &[u8]) -> bool {
    let mut run = 0;
    bytes.iter().any(|byte| {
        run = if matches!(byte, b'0'..=b'9' | b' ' | b'-' | b'+') { run + 1 } else { 0 };
        run >= *CARD_DIGITS.start()
    })
}

/// The text without what looks like a secret: `//user:password@host` always, e-mail addresses and the
/// numbers of payment cards if so wanted. `is_cut` is whether it went on. Each byte is looked at a few
/// times only, whatever they are.
#[inline(never)]
pub(super) fn masked(bytes: &[u8], is_cut: bool, emails: bool, cards: bool) -> Vec<u8> {
    let mut masked = Vec::with_capacity(bytes.len() + REDACTED.len());
    // What is written already, and where an e-mail address would have begun whose `@` comes next.
    let (mut written, mut local, mut place) = (0, 0, 0);
    let mut previous = b' ';
    while let Some(rest @ [byte, after @ ..]) = bytes.get(place..) {
        let (start, length) = match rest {
            [b'/', ..] if previous == b'/' => (place + 1, user_information(after, is_cut)),
            [b'2'..=b'6', ..] if cards && !previous.is_ascii_alphanumeric() => (place, card(rest)),
            [b'@', domain @ ..] | [b'%', b'4', b'0', domain @ ..] if emails => {
                let sign = rest.len() - domain.len();
                match self::domain(domain) {
                    length if length > 0 && local < place => (local, place - local + sign + length),
                    _ => {
                        // Three bytes of one that may come yet.
                        if *byte == b'@' {
                            local = place + 1;
                        }
                        (place, 0)
                    }
                }
            }
            _ => {
                if !is_local(*byte) {
                    local = place + 1;
                }
                (place, 0)
            }
        };
        previous = *byte;
        place += 1;
        if length > 0 {
            masked.extend_from_slice(bytes.get(written..start).unwrap_or_default());
            masked.extend_from_slice(REDACTED);
            place = start + length;
            (written, local, previous) = (place, place, b' ');
        }
    }
    masked.extend_from_slice(bytes.get(written..).unwrap_or_default());
    masked
}

/// How long the user information is that these bytes, an authority and more, begin with: up to the last
/// `@` of the authority. Where the authority is cut short, all of it may be.
fn user_information(bytes: &[u8], is_cut: bool) -> usize {
    let mut length = 0;
    for (place, byte) in bytes.iter().enumerate() {
        match byte {
            b'/' | b'?' | b'#' | b' ' => return length,
            b'@' => length = place,
            _ => {}
        }
    }
    if is_cut { bytes.len() } else { length }
}

/// A byte of an e-mail address before its `@`. Of what RFC 5322 allows besides, a URL has too much.
fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"._%+-'".contains(&byte)
}

/// How long the domain is that these bytes begin with; a name without a dot is none.
fn domain(bytes: &[u8]) -> usize {
    // The last dot that a letter or digit followed, and the end of those.
    let (mut dot, mut end, mut last_dot) = (0, 0, 0);
    for (place, byte) in bytes.iter().enumerate() {
        match byte {
            b'.' => last_dot = place,
            b'-' => {}
            _ if byte.is_ascii_alphanumeric() || !byte.is_ascii() => {
                (dot, end) = (last_dot, place + 1);
            }
            _ => break,
        }
    }
    let is_number = bytes.get(dot + 1).is_some_and(u8::is_ascii_digit);
    if dot > 0 && end - dot > 2 && !is_number { end } else { 0 }
}

/// How long the number of a payment card is that these bytes begin with: its digits alone, or in groups
/// with a space or a dash between. Industries 2 to 6 issue cards; times in milliseconds begin with 1.
fn card(bytes: &[u8]) -> usize {
    let (mut count, mut group, mut is_grouped) = (0, 0, false);
    // The sums of ISO/IEC 7812 annex B, if the last digit so far counts once and if it counts twice.
    let (mut once, mut twice) = (0, 0);
    let (mut place, mut end) = (0, 0);
    loop {
        let rest = bytes.get(place..).unwrap_or_default();
        place += match rest {
            [digit @ b'0'..=b'9', ..] => {
                let digit = u32::from(digit - b'0');
                (once, twice) = (twice + digit, once + digit * 2 / 10 + digit * 2 % 10);
                (count, group) = (count + 1, group + 1);
                let ends = !rest.get(1).is_some_and(u8::is_ascii_alphanumeric);
                let is_grouped_well = !is_grouped || CARD_GROUP.contains(&group);
                if ends && CARD_DIGITS.contains(&count) && is_grouped_well && once % 10 == 0 {
                    end = place + 1;
                }
                if count > *CARD_DIGITS.end() {
                    return end;
                }
                1
            }
            [b' ' | b'-' | b'+', ..] if CARD_GROUP.contains(&group) => 1,
            [b'%', b'2', b'0', ..] if CARD_GROUP.contains(&group) => 3,
            _ => return end,
        };
        if !matches!(rest, [b'0'..=b'9', ..]) {
            (group, is_grouped) = (0, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::{RngCore, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    const BOTH: (bool, bool) = (true, true);

    fn check((emails, cards): (bool, bool), table: &[(&str, &str)]) {
        for (text, expected) in table {
            let masked = masked(text.as_bytes(), false, emails, cards);
            assert_eq!(str::from_utf8(&masked), Ok(*expected), "{text}");
            assert!(text == expected || !is_harmless(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_text_is_harmless_without_at_signs_and_numbers_wherever_in_a_word_they_begin() {
        let is_of_number = |byte: &u8| byte.is_ascii_digit() || b" -+".contains(byte);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        for _ in 0..100_000 {
            let length = random.next_u64() % 40;
            let byte = |bits: u64| b"0123456789 -+x 1234567890 -+8!% "[(bits % 32) as usize];
            let text: Vec<u8> = (0..length).map(|_| byte(random.next_u64())).collect();
            let number = text.windows(13).any(|bytes| bytes.iter().all(is_of_number));
            assert_eq!(is_harmless(&text), !number && !text.contains(&b'%'), "{text:?}");
        }
        for (text, expected) in [
            ("", true),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", true),
            ("/reviews/7?page=REDACTED", true),
            ("x4111111111111111", false),
            ("a@b", false),
            ("a%40b", false),
        ] {
            assert_eq!(is_harmless(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn user_information_is_masked_whatever_the_patterns() {
        for patterns in [BOTH, (false, false)] {
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
            (true, false),
            &[
                ("bob@example.com", "REDACTED"),
                ("/users/bob.o'hara+x@mail.example.co.uk/orders", "/users/REDACTED/orders"),
                ("/users/bob%40example.com", "/users/REDACTED"),
                ("<bob@example.com>, \u{e9}va@exämple.com.", "<REDACTED>, REDACTED."),
                ("a%40b%40example.com", "REDACTED"),
                ("bob%40@example.com", "REDACTED"),
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
            (false, true),
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
    fn an_authority_that_is_cut_may_be_user_information_alone() {
        for (text, is_cut, expected) in [
            ("https://user:passw", true, "https://REDACTED"),
            ("https://user:passw", false, "https://user:passw"),
            ("https://h/passw", true, "https://h/passw"),
        ] {
            assert_eq!(masked(text.as_bytes(), is_cut, true, true), expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn hostile_text_is_looked_through_in_no_time() {
        for part in ["%40", "@", "//", "//@", "4111 ", "4", "a@a.", "\u{e9}@", "4-"] {
            let text = part.repeat(100_000);
            let began = std::time::Instant::now();
            masked(text.as_bytes(), true, true, true);
            // A square of the length would be minutes.
            assert!(began.elapsed().as_secs() < 10, "{part}");
        }
    }
}
