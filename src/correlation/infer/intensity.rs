//! How soon a request does what it does next: events per exposure, in bins of the logarithm of time.

/// Bins of an octave, as a power of two, and the octaves from [`FIRST`] microseconds on.
const SUB: u32 = 2;
const OCTAVES: u32 = 17;
const FIRST: u32 = 6;

/// Bins of time since a request's own last event: the first up to 64 us, four an octave up to 8 s, and the last beyond.
pub(super) const BINS: usize = (OCTAVES << SUB) as usize + 2;

/// The most kinds of event that are told apart in one state.
const MOST_KINDS: usize = 9;

/// How many observations what is known from elsewhere counts as, and what neighbouring bins say.
const BACK: f32 = 2.0;
const NEAR: f32 = 4.0;
/// Bins to each side that are near.
const REACH: usize = 4;

/// A bin and the part of it that has passed.
pub(super) fn bin(microseconds: f32) -> (usize, f32) {
    let first = (1u32 << FIRST) as f32;
    if microseconds < first {
        return (0, microseconds.max(0.0) / first);
    }
    let bits = microseconds.to_bits();
    let number = (bits >> (23 - SUB)) - ((127 + FIRST) << SUB) + 1;
    if number as usize >= BINS - 1 {
        return (BINS - 1, 1.0);
    }
    let part = (bits & ((1 << (23 - SUB)) - 1)) as f32 / (1u32 << (23 - SUB)) as f32;
    (number as usize, part)
}

/// How long a bin is, in microseconds.
pub(super) fn width(bin: usize) -> f32 {
    match bin.checked_sub(1) {
        None => (1u32 << FIRST) as f32,
        Some(above) => (1u64 << (FIRST + (above as u32 >> SUB))) as f32 / (1u32 << SUB) as f32,
    }
}

/// What ends a state from within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(pub(super) u8);

impl Kind {
    pub(super) const RESPONSE: Self = Self(0);

    pub(super) fn call(host: u8) -> Self {
        Self(host + 1)
    }
}

#[derive(Clone, Debug)]
struct Events {
    kind: Kind,
    counts: [f32; BINS],
    /// Events a bin that is passed.
    rates: [f32; BINS],
}

/// What is known of one state of requests.
#[derive(Clone, Debug)]
pub(super) struct Intensity {
    exposure: [f32; BINS],
    events: Vec<Events>,
    /// The sum of all rates of the bins before each.
    passed: [f32; BINS + 1],
    is_stale: bool,
    pub(super) observations: f32,
}

impl Intensity {
    pub(super) fn new() -> Self {
        Self { exposure: [0.0; BINS], events: Vec::new(), passed: [0.0; BINS + 1], is_stale: true, observations: 0.0 }
    }

    fn kind(&mut self, kind: Kind) -> Option<&mut Events> {
        let place = match self.events.iter().position(|known| known.kind == kind) {
            Some(place) => place,
            None if self.events.len() < MOST_KINDS => {
                self.events.push(Events { kind, counts: [0.0; BINS], rates: [0.0; BINS] });
                self.events.len() - 1
            }
            None => return None,
        };
        self.events.get_mut(place)
    }

    /// A request was in this state for so long, and left it by an event of its own or by none.
    pub(super) fn learn(&mut self, microseconds: f32, event: Option<Kind>, weight: f32) {
        let (last, part) = bin(microseconds);
        for passed in self.exposure.iter_mut().take(last) {
            *passed += weight;
        }
        if let Some(passed) = self.exposure.get_mut(last) {
            *passed += weight * part;
        }
        if let Some(kind) = event
            && let Some(count) = self.kind(kind).and_then(|it| it.counts.get_mut(last))
        {
            *count += weight;
        }
        self.observations += weight;
        self.is_stale = true;
    }

    /// Brings rates up to date with what was learnt; `back` is what is known of the states that this is one of.
    pub(super) fn refresh(&mut self, back: Option<&Self>, prior: impl Fn(Kind) -> f32) {
        if !self.is_stale {
            return;
        }
        self.is_stale = false;
        let _ = self.kind(Kind::RESPONSE);
        if let Some(back) = back {
            for events in &back.events {
                let _ = self.kind(events.kind);
            }
        }
        let mut near = [0.0; BINS];
        spread(&self.exposure, &mut near);
        let mut total = [0.0; BINS];
        for events in &mut self.events {
            let elsewhere = back.and_then(|back| back.events.iter().find(|it| it.kind == events.kind));
            let prior = prior(events.kind);
            let mut counts = [0.0; BINS];
            spread(&events.counts, &mut counts);
            for bin in 0..BINS {
                let known = elsewhere.map_or(prior, |it| it.rates[bin]);
                let wide = (counts[bin] + BACK * known) / (near[bin] + BACK);
                let rate = (events.counts[bin] + NEAR * wide) / (self.exposure[bin] + NEAR);
                events.rates[bin] = rate;
                total[bin] += rate;
            }
        }
        let mut sum = 0.0;
        for bin in 0..BINS {
            self.passed[bin] = sum;
            sum += total[bin];
        }
        self.passed[BINS] = sum;
    }

    /// The logarithm of how likely a request is still in this state after so long.
    pub(super) fn lasting(&self, microseconds: f32) -> f32 {
        let (bin, part) = bin(microseconds);
        let (before, after) = (self.passed[bin], self.passed[bin + 1]);
        -(before + (after - before) * part)
    }

    /// Events of a kind a microsecond, after so long.
    pub(super) fn rate(&self, microseconds: f32, kind: Kind, otherwise: f32) -> f32 {
        let (bin, _) = bin(microseconds);
        let events = self.events.iter().find(|it| it.kind == kind);
        events.map_or(otherwise / (1.0 + self.exposure[bin]), |it| it.rates[bin]) / width(bin)
    }

    /// The time after which an event of these kinds is hardly to be expected any more.
    pub(super) fn horizon(&self) -> f32 {
        let mut last = 0;
        for events in self.events.iter() {
            for bin in 0..BINS {
                if events.counts[bin] > 0.02 * 1.0 && events.counts[bin] > 0.002 * self.exposure[bin] {
                    last = last.max(bin);
                }
            }
        }
        (0..=last + 1).map(width).sum()
    }

    pub(super) fn fade(&mut self) {
        for events in &mut self.events {
            events.counts.iter_mut().for_each(|it| *it *= 0.5);
        }
        self.exposure.iter_mut().for_each(|it| *it *= 0.5);
        self.observations *= 0.5;
    }
}

fn spread(from: &[f32; BINS], to: &mut [f32; BINS]) {
    for bin in 0..BINS {
        let mut sum = 0.0;
        for other in bin.saturating_sub(REACH)..(bin + REACH + 1).min(BINS) {
            sum += from[other] * (REACH + 1 - other.abs_diff(bin)) as f32 / (REACH + 1) as f32;
        }
        to[bin] = sum;
    }
}
