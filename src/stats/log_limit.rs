//! A limit on repeated log lines.

/// Lets one line of a kind through in each period, and counts those it held back.
#[derive(Debug, Default)]
pub struct LogLimit {
    next: u64,
    held_back: u64,
}

impl LogLimit {
    /// One line a minute, in nanoseconds.
    const PERIOD: u64 = 60_000_000_000;

    /// At `now` (nanoseconds): the number of lines held back before this one if it may be
    /// written, nothing if it may not.
    pub fn permit(&mut self, now: u64) -> Option<u64> {
        if now < self.next {
            self.held_back += 1;
            return None;
        }
        self.next = now.saturating_add(Self::PERIOD);
        Some(core::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_passes_and_says_how_many_did_not() {
        let mut limit = LogLimit::default();
        let minute = LogLimit::PERIOD;
        for (now, expected) in [
            (5, Some(0)),
            (6, None),
            (minute, None),
            (minute + 5, Some(2)),
            (minute + 6, None),
            (3 * minute, Some(1)),
        ] {
            assert_eq!(limit.permit(now), expected, "{now}");
        }
    }
}
