//! How soon a request does what it does next: events per exposure, in bins of the logarithm of time.

/// Bins of an octave, as a power of two, and the octaves from [`FIRST`] on, a power of two of microseconds.
const SUB: u32 = 2;
const OCTAVES: u32 = 17;
const FIRST: u32 = 6;

/// Bins of time since a request's own last event: the first up to 64 us, four an octave up to 8 s, and
/// the last beyond.
const BINS: usize = (OCTAVES << SUB) as usize + 2;

/// The most kinds of event that are told apart in one state.
const MOST_KINDS: usize = 9;

/// How many observations what is known from elsewhere counts as, and what neighbouring bins say.
const BACK: f32 = 2.0;
const NEAR: f32 = 4.0;
/// How many observations what nobody would expect counts as at least: what has never happened in a state or in those that
/// it is one of would else become impossible by the product of both, and what is impossible is never learnt.
const LEAST: f32 = 0.05;
/// Bins to each side that are near, and the part of them that counts.
const REACH: usize = 4;
const NEIGHBOURS: [f32; 2 * REACH + 1] = [0.2, 0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4, 0.2];
/// Which share of all observations has to be new before rates are reckoned anew, and how many at least.
const NEWS: f32 = 0.05;
const LEAST_NEWS: f32 = 0.3;
/// After so many observations they count half, at first; the next time after twice as many, and at last after so
/// many. What was learnt first was learnt with the least knowledge.
const FEW_OBSERVATIONS: f32 = 20.0;
const MOST_OBSERVATIONS: f32 = 4000.0;

type Bins = [f32; BINS];

fn first_width() -> f32 {
    (1_u32 << FIRST) as f32
}

/// A bin and the part of it that has passed.
#[inline(never)]
fn bin(microseconds: f32) -> (usize, f32) {
    if microseconds < first_width() {
        return (0, microseconds.max(0.0) / first_width());
    }
    let bits = microseconds.to_bits();
    let number = ((bits >> (23 - SUB)) - ((127 + FIRST) << SUB) + 1) as usize;
    if number >= BINS - 1 {
        return (BINS - 1, 1.0);
    }
    let part = (bits & ((1 << (23 - SUB)) - 1)) as f32 / (1_u32 << (23 - SUB)) as f32;
    (number, part)
}

/// How long a bin is, in microseconds.
fn width(bin: usize) -> f32 {
    match bin.checked_sub(1) {
        None => first_width(),
        Some(above) => (1_u64 << (FIRST + (above as u32 >> SUB))) as f32 / (1_u32 << SUB) as f32,
    }
}

/// How many microseconds the bin is long that it is in.
pub(super) fn width_at(microseconds: f32) -> f32 {
    width(bin(microseconds).0)
}

fn at(bins: &[f32], bin: usize) -> f32 {
    bins.get(bin).copied().unwrap_or(0.0)
}

/// What ends a state from within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(u8);

impl Kind {
    /// The request is over.
    pub(super) const RESPONSE: Self = Self(0);

    /// A call to this host.
    pub(super) fn call(host: u8) -> Self {
        Self(host.saturating_add(1))
    }
}

/// How likely events are in a bin that nothing is known of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prior {
    pub(super) response: f32,
    pub(super) call: f32,
}

impl Prior {
    pub(super) fn of(self, kind: Kind) -> f32 {
        if kind == Kind::RESPONSE { self.response } else { self.call }
    }
}

#[derive(Debug)]
struct Events {
    kind: Kind,
    counts: Bins,
    /// Events a bin that is passed.
    rates: Bins,
}

/// What is known of one state of requests.
#[derive(Debug)]
pub(super) struct Intensity {
    exposure: Bins,
    events: Vec<Events>,
    /// The sum of all rates of the bins before each, and of all.
    passed: [f32; BINS + 1],
    /// The microseconds after which an event is hardly to be expected any more.
    pub(super) horizon: f32,
    /// Observations since rates were reckoned.
    news: f32,
    pub(super) observations: f32,
    /// How many of them there are before they count half.
    most: f32,
}

impl Intensity {
    pub(super) fn new() -> Self {
        let (exposure, passed) = ([0.0; BINS], [0.0; BINS + 1]);
        let (news, horizon, observations, most) = (f32::MAX, 0.0, 0.0, FEW_OBSERVATIONS);
        Self { exposure, events: Vec::new(), passed, horizon, news, observations, most }
    }

    fn kind(&mut self, kind: Kind) -> Option<&mut Events> {
        let place = match self.events.iter().position(|known| known.kind == kind) {
            Some(place) => place,
            None if self.events.len() < MOST_KINDS => {
                self.events.push(Events { kind, counts: [0.0; BINS], rates: [0.0; BINS] });
                self.news = f32::MAX;
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
        self.news += weight;
        if self.observations > self.most {
            self.observations *= 0.5;
            self.most = (self.most * 2.0).min(MOST_OBSERVATIONS);
            let counts = self.events.iter_mut().map(|it| &mut it.counts);
            for bins in counts.chain([&mut self.exposure]) {
                bins.iter_mut().for_each(|it| *it *= 0.5);
            }
        }
    }

    /// Brings rates up to date with what was learnt; `back` is what is known of the states that this is
    /// one of.
    pub(super) fn refresh(&mut self, back: Option<&Self>, prior: Prior) {
        if self.news <= (self.observations * NEWS).max(LEAST_NEWS) {
            return;
        }
        let _ = self.kind(Kind::RESPONSE);
        for events in back.iter().flat_map(|back| &back.events) {
            let _ = self.kind(events.kind);
        }
        self.news = 0.0;
        let Self { exposure, events, passed, .. } = self;
        let near = spread(exposure);
        let mut total = [0.0; BINS];
        let mut last = 0;
        for events in events {
            let elsewhere =
                back.and_then(|back| back.events.iter().find(|it| it.kind == events.kind));
            let counts = spread(&events.counts);
            for (bin, (rate, total)) in events.rates.iter_mut().zip(&mut total).enumerate() {
                let known = elsewhere.map_or(prior.of(events.kind), |it| at(&it.rates, bin));
                let wide = (at(&counts, bin) + BACK * known) / (at(&near, bin) + BACK);
                let least = LEAST * prior.of(events.kind);
                *rate = (at(&events.counts, bin) + (NEAR * wide).max(least))
                    / (at(exposure, bin) + NEAR);
                *total += *rate;
                let count = at(&events.counts, bin);
                if count > 0.02 && count > 0.002 * at(exposure, bin) {
                    last = last.max(bin);
                }
            }
        }
        self.horizon = (0..=last + 1).map(width).sum();
        let mut sum = 0.0;
        for (passed, total) in passed.iter_mut().zip(total.iter().chain([&0.0])) {
            *passed = sum;
            sum += total;
        }
    }

    /// The logarithm of how likely a request is still in this state after so long.
    pub(super) fn lasting(&self, microseconds: f32) -> f32 {
        let (bin, part) = bin(microseconds);
        let (before, after) = (at(&self.passed, bin), at(&self.passed, bin + 1));
        -(before + (after - before) * part)
    }

    /// Events of a kind a microsecond, after so long.
    pub(super) fn rate(&self, microseconds: f32, kind: Kind, otherwise: f32) -> f32 {
        let (bin, _) = bin(microseconds);
        let rate = match self.events.iter().find(|it| it.kind == kind) {
            Some(events) => at(&events.rates, bin),
            None => otherwise / (1.0 + at(&self.exposure, bin)),
        };
        rate / width(bin)
    }
}

/// Each bin with a part of its neighbours.
fn spread(from: &Bins) -> Bins {
    let mut padded = [0.0; BINS + 2 * REACH];
    for (padded, from) in padded.iter_mut().skip(REACH).zip(from) {
        *padded = *from;
    }
    let mut to = [0.0; BINS];
    for (to, near) in to.iter_mut().zip(padded.windows(NEIGHBOURS.len())) {
        *to = near.iter().zip(NEIGHBOURS).map(|(from, part)| from * part).sum();
    }
    to
}
