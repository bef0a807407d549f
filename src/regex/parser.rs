//! A pattern's text to its steps.
//!
//! Where a step goes is said from where it stands, so that a part of the pattern can be moved, and
//! written once more for each of its repetitions, as it is.

use super::set::{Bytes, Set};
use super::{MAX_STEPS, Mistake, Place, Reason, Regex, Step};

/// The steps of this pattern.
pub(super) fn parse(pattern: &str) -> Result<Regex, Mistake<'_>> {
    let mut parser = Parser { pattern, ..Parser::default() };
    match parser.parse() {
        Ok(()) => Ok(Regex { steps: parser.steps, sets: parser.sets }),
        Err(reason) => {
            let to = pattern.ceil_char_boundary(parser.at);
            let found = pattern.get(parser.from..to).unwrap_or_default();
            Err(Mistake { found, column: parser.from + 1, reason })
        }
    }
}

/// So many repetitions are as many as come.
const ENDLESS: usize = usize::MAX;

#[derive(Default)]
struct Parser<'p> {
    pattern: &'p str,
    /// Where what is being read begins, and how many bytes have been read.
    from: usize,
    at: usize,
    /// Whether letters match in either case.
    ignore_case: bool,
    steps: Vec<Step>,
    sets: Vec<Set>,
    /// The set that is being read.
    set: Set,
    /// The innermost group that is open, and those around it; the outermost is the pattern.
    group: Group,
    outer: Vec<Group>,
}

/// A group, with its steps so far.
#[derive(Clone, Copy, Default)]
struct Group {
    /// Where it opens in the pattern.
    from: usize,
    /// Its first step, and that of its alternative.
    start: usize,
    branch: usize,
    /// The jump from its last but one alternative to its end, if there is one; it has the place of the
    /// jump before it until the end is known. None is the first step.
    jump: usize,
}

/// What stands before.
#[derive(Clone, Copy)]
enum Last {
    /// Nothing that can be repeated.
    Nothing,
    /// What begins at this step.
    Whole(usize),
    /// A repetition.
    Repetition,
}

/// What an escape or a member of a class is.
enum Item {
    Bytes(Bytes),
    If(Place),
}

impl Parser<'_> {
    fn parse(&mut self) -> Result<(), Reason> {
        if self.pattern.starts_with("(?i)") {
            self.ignore_case = true;
            self.at = 4;
        }
        let mut last = Last::Nothing;
        while self.at < self.pattern.len() {
            last = self.token(last)?;
            if self.steps.len().max(self.sets.len()) >= MAX_STEPS {
                return Err(Reason::TooLarge);
            }
        }
        if !self.outer.is_empty() {
            self.from = self.group.from;
            return Err(Reason::NotClosed);
        }
        self.end_group();
        self.push(Step::Match);
        Ok(())
    }

    fn token(&mut self, last: Last) -> Result<Last, Reason> {
        let start = self.steps.len();
        self.from = self.at;
        let byte = self.next();
        match byte {
            b'(' => {
                if self.eat(b'?') && !self.eat(b':') {
                    self.next();
                    return Err(Reason::Unknown);
                }
                self.outer.push(self.group);
                self.group = Group { from: self.from, start, branch: start, jump: 0 };
                return Ok(Last::Nothing);
            }
            b')' => {
                let outer = self.outer.pop().ok_or(Reason::ClosesNothing)?;
                self.end_group();
                let start = self.group.start;
                self.group = outer;
                return Ok(Last::Whole(start));
            }
            b'|' => {
                self.alternative();
                return Ok(Last::Nothing);
            }
            b'*' | b'+' | b'?' | b'{' => return self.repeat(byte, last),
            b'[' => self.class()?,
            b'.' => self.push_bytes(Bytes::Class(byte)),
            b'^' => self.push(Step::If(Place::Start)),
            b'$' => self.push(Step::If(Place::End)),
            b'\\' => match self.escape()? {
                Item::Bytes(bytes) => self.push_bytes(bytes),
                Item::If(place) => self.push(Step::If(place)),
            },
            _ => {
                self.push_bytes(Bytes::Range(byte, byte));
                // The rest of its character, which belongs together.
                while let byte @ 0x80..0xc0 = self.peek() {
                    self.push_bytes(Bytes::Range(byte, byte));
                    self.at += 1;
                }
            }
        }
        Ok(Last::Whole(start))
    }

    /// What comes next; behind the end a NUL.
    fn peek(&self) -> u8 {
        self.pattern.as_bytes().get(self.at).copied().unwrap_or_default()
    }

    #[inline(never)]
    fn next(&mut self) -> u8 {
        let byte = self.peek();
        self.at += 1;
        byte
    }

    /// Whether this comes next; then it is read.
    #[inline(never)]
    fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == byte;
        self.at += usize::from(is_next);
        is_next
    }

    /// Adds a step. Where there is no room for one, the pattern is refused after this.
    #[inline(never)]
    fn push(&mut self, step: Step) {
        if self.steps.len() < MAX_STEPS {
            self.steps.push(step);
        }
    }

    /// Puts a step before those from `start` on.
    #[inline(never)]
    fn insert(&mut self, start: usize, mut step: Step) {
        for place in self.steps.iter_mut().skip(start) {
            std::mem::swap(place, &mut step);
        }
        self.push(step);
    }

    #[inline(never)]
    fn push_bytes(&mut self, bytes: Bytes) {
        if let Bytes::Range(byte, _) = bytes
            && !(self.ignore_case && byte.is_ascii_alphabetic())
        {
            return self.push(Step::Byte(byte));
        }
        self.set.insert(bytes);
        self.push_set(false);
    }

    /// Ends the set that has been read.
    #[inline(never)]
    fn push_set(&mut self, negated: bool) {
        let set = std::mem::take(&mut self.set);
        let set = if self.ignore_case { set.in_either_case() } else { set };
        // The number fits: there are never more sets than steps may be.
        self.push(Step::Set(self.sets.len() as u16));
        self.sets.push(if negated { set.not() } else { set });
    }

    /// The alternative ends here, and another begins.
    fn alternative(&mut self) {
        let branch = self.group.branch;
        self.insert(branch, Step::Split((self.steps.len() - branch + 2) as i16));
        let before = std::mem::replace(&mut self.group.jump, self.steps.len());
        self.push(Step::Jump(before as i16));
        self.group.branch = self.steps.len();
    }

    #[inline(never)]
    fn end_group(&mut self) {
        let end = self.steps.len();
        let mut jump = self.group.jump;
        while jump > 0
            && let Some(Step::Jump(by)) = self.steps.get_mut(jump)
        {
            let before = std::mem::replace(by, (end - jump) as i16);
            jump = before as usize;
        }
    }

    /// What stood before comes so many times.
    #[inline(never)]
    fn repeat(&mut self, sign: u8, last: Last) -> Result<Last, Reason> {
        let (least, most) = match sign {
            b'*' => (0, ENDLESS),
            b'+' => (1, ENDLESS),
            b'?' => (0, 1),
            _ => self.counts()?,
        };
        let mut start = match last {
            Last::Whole(start) => start,
            Last::Nothing => return Err(Reason::NothingToRepeat),
            Last::Repetition => return Err(Reason::Repeated),
        };
        if most < least {
            return Err(Reason::Backwards);
        }
        let copies = if most == ENDLESS { least.max(1) } else { most };
        if copies > MAX_STEPS {
            return Err(Reason::TooLarge);
        }
        let length = self.steps.len() - start;
        let over = length + if most == ENDLESS { 2 } else { 1 };
        let over = Step::Split(over as i16);
        if copies == 0 {
            self.steps.truncate(start);
        } else if least == 0 {
            self.insert(start, over);
            start += 1;
        }
        for copy in 1..copies {
            if copy >= least {
                self.push(over);
            }
            for place in start..start + length {
                if let Some(step) = self.steps.get(place) {
                    self.push(*step);
                }
            }
        }
        if most == ENDLESS {
            self.push(Step::Split(-(length as i16)));
        }
        self.eat(b'?');
        Ok(Last::Repetition)
    }

    /// The rest of `{2}`, `{2,}` or `{2,5}`.
    fn counts(&mut self) -> Result<(usize, usize), Reason> {
        let least = self.number();
        let mut most = least;
        if self.eat(b',') {
            most = self.number();
        }
        match self.eat(b'}') && least != ENDLESS {
            true => Ok((least, most)),
            false => Err(Reason::NoCount),
        }
    }

    /// The number that comes next, or if it is far too large one that is too large; without digits
    /// it is endless.
    #[inline(never)]
    fn number(&mut self) -> usize {
        let mut number = ENDLESS;
        while let digit @ b'0'..=b'9' = self.peek() {
            let before = if number == ENDLESS { 0 } else { number };
            number = (before * 10 + usize::from(digit - b'0')).min(MAX_STEPS * 10);
            self.at += 1;
        }
        number
    }

    /// The rest of `[a-z]`.
    #[inline(never)]
    fn class(&mut self) -> Result<(), Reason> {
        let opens = self.from;
        let negated = self.eat(b'^');
        loop {
            // A bracket that comes first is one of the members.
            self.from = self.at;
            let mut bytes = self.member(opens)?;
            if let Bytes::Range(low, _) = bytes
                && self.peek() == b'-'
            {
                self.at += 1;
                // A hyphen that comes last is one of the members, too.
                if self.peek() == b']' {
                    self.at -= 1;
                } else {
                    let Bytes::Range(high, _) = self.member(opens)? else {
                        return Err(Reason::NoByte);
                    };
                    if high < low {
                        return Err(Reason::Backwards);
                    }
                    bytes = Bytes::Range(low, high);
                }
            }
            self.set.insert(bytes);
            if self.eat(b']') {
                break;
            }
        }
        self.from = opens;
        self.push_set(negated);
        Ok(())
    }

    /// A member of the class that opens there.
    #[inline(never)]
    fn member(&mut self, opens: usize) -> Result<Bytes, Reason> {
        if self.at >= self.pattern.len() {
            self.from = opens;
            return Err(Reason::NotClosed);
        }
        match self.next() {
            b'[' if self.eat(b':') => Err(Reason::Unknown),
            b'\\' => match self.escape()? {
                Item::Bytes(bytes) => Ok(bytes),
                Item::If(_) => Err(Reason::NoByte),
            },
            byte if byte.is_ascii() => Ok(Bytes::Range(byte, byte)),
            _ => Err(Reason::NoByte),
        }
    }

    /// The rest of `\d`.
    #[inline(never)]
    fn escape(&mut self) -> Result<Item, Reason> {
        if self.at >= self.pattern.len() {
            return Err(Reason::Unfinished);
        }
        let letter = self.next();
        let byte = match letter {
            b'd' | b'D' | b'w' | b'W' | b's' | b'S' => {
                return Ok(Item::Bytes(Bytes::Class(letter)));
            }
            b'A' => return Ok(Item::If(Place::Start)),
            b'z' => return Ok(Item::If(Place::End)),
            b'b' => return Ok(Item::If(Place::Edge)),
            b'B' => return Ok(Item::If(Place::NoEdge)),
            b't' => b'\t',
            b'n' => b'\n',
            b'r' => b'\r',
            b'x' => self.hex_digit()? << 4 | self.hex_digit()?,
            byte if byte.is_ascii() && !byte.is_ascii_alphanumeric() => byte,
            _ => return Err(Reason::Unknown),
        };
        Ok(Item::Bytes(Bytes::Range(byte, byte)))
    }

    #[inline(never)]
    fn hex_digit(&mut self) -> Result<u8, Reason> {
        let digit = char::from(self.next()).to_digit(16);
        digit.map(|digit| digit as u8).ok_or(Reason::Unknown)
    }
}
