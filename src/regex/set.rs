//! Sets of bytes.

/// Bytes, each by a bit of its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Set([u32; 8]);

/// What can be in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// From the one to the other.
    Range(u8, u8),
    /// What the letter of `\d`, `\w` or `\s` says, a capital one what is none; a dot what a dot matches.
    Class(u8),
}

/// The letters of ASCII, as bits of the word that has those of one case.
const LETTERS: u32 = ((1 << 26) - 1) << 1;

impl Set {
    pub(super) fn contains(&self, byte: u8) -> bool {
        let word = self.0.get(usize::from(byte / 32));
        word.is_some_and(|word| word >> (byte % 32) & 1 == 1)
    }

    #[inline(never)]
    pub(super) fn insert(&mut self, bytes: Bytes) {
        for byte in (0..=u8::MAX).filter(|byte| bytes.contain(*byte)) {
            if let Some(word) = self.0.get_mut(usize::from(byte / 32)) {
                *word |= 1 << (byte % 32);
            }
        }
    }

    /// What is not in it.
    pub(super) fn not(self) -> Self {
        Self(self.0.map(|word| !word))
    }

    /// With each letter of ASCII the one of the other case.
    pub(super) fn in_either_case(mut self) -> Self {
        let [_, _, upper, lower, ..] = &mut self.0;
        let letters = (*upper | *lower) & LETTERS;
        *upper |= letters;
        *lower |= letters;
        self
    }
}

impl Bytes {
    #[inline(never)]
    pub(super) fn contain(self, byte: u8) -> bool {
        let letter = match self {
            Self::Range(low, high) => return (low..=high).contains(&byte),
            Self::Class(letter) => letter,
        };
        let is = match letter.to_ascii_lowercase() {
            b'd' => byte.is_ascii_digit(),
            b'w' => byte.is_ascii_alphanumeric() || byte == b'_',
            // Without `\v`, as in RE2.
            b's' => byte.is_ascii_whitespace(),
            _ => byte != b'\n',
        };
        is != letter.is_ascii_uppercase()
    }
}
