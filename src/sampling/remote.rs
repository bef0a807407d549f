//! Sampling by a server's word: when it is asked, and what its answers say.

use std::time::Duration;

use crate::config::Strategy;

/// The longest pause while there was no good answer yet, in nanoseconds: when Envoy starts, its clusters
/// may not be ready.
const FIRST_PAUSE: u64 = 5_000_000_000;

/// The longest that an answer may take, which is less than the pause before the next question.
const LONGEST_ANSWER: u64 = 4_000_000_000;

/// Asks a server of Jaeger's remote sampling again and again. It makes no calls itself: the host sees
/// whether it is time, calls, and says what came of it.
///
/// A pause is up to a tenth longer or shorter than the interval, by a random number that comes along, so
/// that proxies that start together do not ask together.
#[derive(Debug)]
pub struct Remote {
    /// From one question to the next, and when that is, in nanoseconds.
    interval: u64,
    next: u64,
    /// The call that has not been answered.
    call: Option<u32>,
    /// Whether there has been a good answer.
    has_answered: bool,
}

impl Remote {
    /// The most bytes of an answer to read: one more than there may be.
    pub const MAX_BODY: usize = Strategy::MAX_BYTES + 1;

    /// Nothing is known yet, and it is time to ask.
    pub fn new(interval: Duration) -> Self {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Self { interval, next: 0, call: None, has_answered: false }
    }

    /// How long an answer may take: it comes, or fails to, before the next question.
    pub fn timeout(&self) -> Duration {
        Duration::from_nanos(LONGEST_ANSWER.min(self.interval / 2))
    }

    /// Whether there has been a good answer.
    pub fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Whether it is this call that has not been answered.
    pub fn waits_for(&self, call: u32) -> bool {
        self.call == Some(call)
    }

    /// Whether to ask at `now`, in nanoseconds.
    pub fn is_due(&self, now: u64) -> bool {
        now >= self.next
    }

    /// The server was asked at `now` by the call with this token, or no call could be made.
    pub fn asked(&mut self, call: Option<u32>, now: u64, random: u16) {
        self.call = call;
        self.pause(now, random);
    }

    /// What has come at `now` of the call that is waited for: a status, unless it broke off, and a body.
    /// An error says why it is no good answer; what is known stays then.
    pub fn answered(
        &mut self,
        status: Option<u16>,
        body: &[u8],
        now: u64,
        random: u16,
    ) -> Result<Strategy, String> {
        self.call = None;
        let strategy = match status {
            Some(200) => Strategy::parse(body).map_err(|error| error.to_string()),
            Some(status) => Err(format!("it answered {status}")),
            None => Err("its answer broke off".to_owned()),
        };
        if strategy.is_ok() && !self.has_answered {
            self.has_answered = true;
            // The pause was that of one who knows nothing.
            self.pause(now, random);
        }
        strategy
    }

    fn pause(&mut self, now: u64, random: u16) {
        let pause = match self.has_answered {
            true => self.interval,
            false => FIRST_PAUSE.min(self.interval),
        };
        let fifth = pause / 5;
        let more = fifth.saturating_mul(random.into()) >> 16;
        self.next = now.saturating_add(pause - fifth / 2).saturating_add(more);
    }
}

/// The `:path` that asks for a service: for `/api/sampling` and `reviews.default` it is
/// `/api/sampling?service=reviews.default`; a path may have a query of its own.
pub fn question(path: &str, service: &str) -> String {
    let sign = if path.contains('?') { "&" } else { "?" };
    let mut question = [path, sign, "service="].concat();
    for byte in service.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            push(&mut question, byte);
            continue;
        }
        push(&mut question, b'%');
        for digit in [byte >> 4, byte & 15] {
            push(&mut question, if digit < 10 { b'0' + digit } else { b'a' - 10 + digit });
        }
    }
    question
}

/// A character of ASCII.
#[inline(never)]
fn push(text: &mut String, ascii: u8) {
    text.push(char::from(ascii & 0x7f));
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
