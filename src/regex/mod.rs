//! Regular expressions on bytes, for patterns that an operator writes and texts that strangers send.
//!
//! Whether a text has a match anywhere in it, as RE2's partial match says: `^vip-` is for what begins
//! so, `^/pay$` for all of it. There is no backtracking: every state that the pattern can be in goes
//! along with the text, so that a text costs at most its bytes times the pattern's steps.
//!
//! The syntax is a part of RE2's and means the same there, but that a dot and a negated class match a byte
//! and not a character:
//!
//! | | |
//! |---|---|
//! | `a` `é` | that character |
//! | `.` | any byte but a line feed; a character that is not ASCII has two to four |
//! | `[a-z_]` `[^/]` | one byte of these, or none of these; only ASCII stands in a class |
//! | `\d` `\w` `\s` `\D` `\W` `\S` | a digit, a letter or digit or `_`, a space, and what is none; ASCII's |
//! | `\.` `\/` `\[` | that character: any of ASCII but letters and digits |
//! | `\t` `\n` `\r` `\x41` | that byte |
//! | `^` `\A`, `$` `\z` | the beginning of the text, its end |
//! | `\b` `\B` | the edge of a word, and where none is |
//! | `ab`, `a\|b`, `(a)`, `(?:a)` | one after the other, one or the other, a group |
//! | `a*` `a+` `a?` `a{2}` `a{2,}` `a{2,5}` | so many times; a `?` behind it changes nothing |
//! | `(?i)` | at the very start: letters of ASCII match in either case |
//!
//! All else is refused, with its place: back references and looking around, since they cannot be had in
//! linear time; classes of Unicode and of POSIX, named groups, other flags.

mod parser;
mod set;
#[cfg(test)]
mod tests;

use set::{Bytes, Set};

/// The most steps of a pattern, its counted repetitions written out.
pub const MAX_STEPS: usize = 512;

/// How many bytes of a text are looked at. `$` does not match there: what follows is still the text's.
pub const MAX_TEXT: usize = 8192;

/// How many steps are made for a text. Few patterns make more than ten at a byte, and few texts have more
/// than a few hundred.
pub const MAX_WORK: usize = 16_384;

/// A pattern, ready to be looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regex {
    /// As many as [`MAX_STEPS`] at most; the last is a match.
    steps: Vec<Step>,
    sets: Vec<Set>,
}

/// Why a pattern is none: what stands where in it, and what is wrong with that. Of `a(?=b)` that `(?=` at
/// column 2 is not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mistake<'p> {
    /// The part of the pattern that is wrong.
    pub found: &'p str,
    /// Where that begins, in bytes, from 1.
    pub column: usize,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A group or a class goes on to the end.
    NotClosed,
    /// A parenthesis that closes nothing.
    ClosesNothing,
    /// A backslash at the end.
    Unfinished,
    /// There is nothing before a repetition.
    NothingToRepeat,
    /// There is a repetition before a repetition: `a**`, which means something else elsewhere.
    Repeated,
    /// A brace that begins no count.
    NoCount,
    /// A range or a count whose end is below its beginning.
    Backwards,
    /// A member of a class is more than one byte, or the end of a range no byte.
    NoByte,
    /// It makes more than [`MAX_STEPS`] steps of the pattern.
    TooLarge,
    /// It means something elsewhere, or nothing.
    Unknown,
}

impl Reason {
    /// What is wrong, as a predicate: `is not closed`.
    pub fn text(self) -> &'static str {
        match self {
            Self::NotClosed => "is not closed",
            Self::ClosesNothing => "closes no group",
            Self::Unfinished => "has nothing after it",
            Self::NothingToRepeat => "has nothing to repeat",
            Self::Repeated => "repeats a repetition",
            Self::NoCount => "is no count such as {2,5}; the brace itself is \\{",
            Self::Backwards => "ends before it begins",
            Self::NoByte => "is no byte of ASCII",
            Self::TooLarge => "makes more than 512 steps of the pattern",
            Self::Unknown => "is not supported",
        }
    }
}

/// What to do at one state; where to go is said from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// This byte, then the next step.
    Byte(u8),
    /// One byte of the set with this number, then the next step.
    Set(u16),
    /// The next step, if this holds here.
    If(Place),
    /// The step so far away.
    Jump(i16),
    /// Both the next step and the one so far away.
    Split(i16),
    Match,
}

/// What holds between two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    End,
    Edge,
    NoEdge,
}

impl Regex {
    /// The pattern of this text: `^vip-`, not `(vip`.
    pub fn new(pattern: &str) -> Result<Self, Mistake<'_>> {
        parser::parse(pattern)
    }

    /// Whether a match is somewhere in the text, which need not be UTF-8; nothing where there is none in
    /// what is looked at, and more of the text: it ends after [`MAX_TEXT`] bytes or [`MAX_WORK`] steps.
    pub fn search(&self, text: &[u8]) -> Option<bool> {
        self.look(text, MAX_WORK).0
    }

    /// The same with so many steps at the most, or a few more, and how many were made.
    fn look(&self, text: &[u8], most: usize) -> (Option<bool>, usize) {
        let from_start = self.steps.first() == Some(&Step::If(Place::Start));
        let (mut states, mut next) = (&mut States::default(), &mut States::default());
        let mut made = 0;
        states.insert(0);
        for at in 0..=text.len().min(MAX_TEXT) {
            if self.follow(states, next, text, at) {
                return (Some(true), made + states.count);
            }
            made += states.count;
            if made > most {
                return (None, made);
            }
            if !from_start {
                next.insert(0);
            } else if next.count == 0 {
                return (Some(false), made);
            }
            std::mem::swap(&mut states, &mut next);
        }
        ((text.len() <= MAX_TEXT).then_some(false), made)
    }

    /// Goes from the states before the byte at `at` to those behind it; whether there is a match before
    /// it.
    #[inline(never)]
    fn follow(&self, states: &mut States, next: &mut States, text: &[u8], at: usize) -> bool {
        next.clear();
        let byte = text.get(at);
        let mut place = 0;
        while place < states.count
            && let Some(state) = states.list.get(place)
            && let state = usize::from(*state)
            && let Some(step) = self.steps.get(state)
        {
            place += 1;
            // Whether the next step is to be done here, and what other one is.
            let (goes_on, by) = match *step {
                Step::Byte(wanted) => {
                    if byte == Some(&wanted) {
                        next.insert(state + 1);
                    }
                    continue;
                }
                Step::Set(number) => {
                    if self.has(number, byte) {
                        next.insert(state + 1);
                    }
                    continue;
                }
                Step::If(place) => (place.is_at(text, at), 0),
                Step::Jump(by) => (false, by),
                Step::Split(by) => (true, by),
                Step::Match => return true,
            };
            if goes_on {
                states.insert(state + 1);
            }
            if by != 0 {
                states.insert(state.wrapping_add_signed(by.into()));
            }
        }
        false
    }

    fn has(&self, set: u16, byte: Option<&u8>) -> bool {
        let set = self.sets.get(usize::from(set));
        set.zip(byte).is_some_and(|(set, byte)| set.contains(*byte))
    }
}

impl Place {
    fn is_at(self, text: &[u8], at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        let after = text.get(at);
        let is_word =
            |byte: Option<&u8>| byte.is_some_and(|byte| Bytes::Class(b'w').contain(*byte));
        match self {
            Self::Start => before.is_none(),
            Self::End => after.is_none(),
            Self::Edge => is_word(before) != is_word(after),
            Self::NoEdge => is_word(before) == is_word(after),
        }
    }
}

/// States, by the numbers of their steps, each once, in the order in which they were found.
struct States {
    list: [u16; MAX_STEPS],
    count: usize,
    has: [u64; MAX_STEPS / 64],
}

impl Default for States {
    fn default() -> Self {
        Self { list: [0; MAX_STEPS], count: 0, has: [0; MAX_STEPS / 64] }
    }
}

impl States {
    fn clear(&mut self) {
        self.count = 0;
        self.has = [0; MAX_STEPS / 64];
    }

    fn insert(&mut self, state: usize) {
        let bit = 1 << (state % 64);
        if let Some(word) = self.has.get_mut(state / 64)
            && *word & bit == 0
            && let Some(place) = self.list.get_mut(self.count)
        {
            *word |= bit;
            *place = state as u16;
            self.count += 1;
        }
    }
}
