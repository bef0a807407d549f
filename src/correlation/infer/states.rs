//! The states that requests go through, by what they have done so far.

use super::intensity::{Intensity, Kind, Prior};
use super::maths::ln;
use crate::correlation::keys::mixed;

/// The most states, and the places where they are looked for.
pub(super) const MOST_STATES: usize = 160;
/// How many requests count for it that turns say nothing; the share of early ones below which they say
/// something, and at least; what the first's share is at least taken for; and when counts are halved.
const CAUTION: f32 = 5.0;
const HARDLY: f32 = 0.95;
const LEAST_EARLY: f32 = 0.02;
const LEAST_FIRST: f32 = 0.1;
const MOST_TURNS: f32 = 500.0;
const INDEX: usize = 512;
/// The most hosts; calls to others are not looked at. Counts of four bits each are a number of 64.
pub(super) const MOST_HOSTS: usize = 16;

/// What stands for any route.
const ANY: u8 = 255;
/// The place of states that there is no room for.
pub(super) const NOWHERE: u16 = u16::MAX;

/// What a request did last, of which the texts that keys are made of begin with these.
const CALLED: u16 = 0x100;
const ANSWERED: u16 = 0x200;
const REFUSED: u16 = 0x300;
const RESPONDED: u16 = 0x400;

/// What a request has done so far, without times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Past {
    last: u16,
    has_responded: bool,
    /// Calls begun, and those not answered, by host: four bits each.
    made: u64,
    open: u64,
}

impl Past {
    pub(super) const ARRIVED: Self = Self { last: 0, has_responded: false, made: 0, open: 0 };

    pub(super) fn called(mut self, host: u8) -> Self {
        self.last = CALLED | u16::from(host);
        self.made = changed(self.made, host, true);
        self.open = changed(self.open, host, true);
        self
    }

    pub(super) fn answered(mut self, host: u8, is_refused: bool) -> Self {
        self.last = if is_refused { REFUSED } else { ANSWERED } | u16::from(host);
        self.open = changed(self.open, host, false);
        self
    }

    /// What comes after is told by the response, whatever was before.
    pub(super) fn responded(self) -> Self {
        Self { last: RESPONDED, has_responded: true, made: 0, open: self.open }
    }

    fn key(self, route: u8) -> u64 {
        let last = u64::from(self.last) | u64::from(self.has_responded) << 12;
        mixed(mixed(mixed(last | u64::from(route) << 16) ^ self.made) ^ self.open)
    }

    /// How likely events are in a bin that nothing is known of.
    fn prior(self, hosts: usize) -> Prior {
        let (response, call) = match (self.has_responded, self.open != 0) {
            (true, _) => (0.0, 0.002),
            (false, true) => (0.002, 0.01),
            (false, false) => (0.02, 0.03),
        };
        Prior { response, call: call / hosts.max(1) as f32 }
    }
}

fn changed(counts: u64, host: u8, is_more: bool) -> u64 {
    let shift = 4 * (u32::from(host) % 16);
    match (counts >> shift & 15, is_more) {
        (..15, true) => counts + (1 << shift),
        (1.., false) => counts - (1 << shift),
        _ => counts,
    }
}

#[derive(Debug)]
struct State {
    key: u64,
    past: Past,
    /// The same state of any route.
    back: Option<u16>,
    intensity: Intensity,
    /// How many came before their turn, and how many would have if they did not wait for each other.
    early: f32,
    expected: f32,
}

/// Whether a request did something before one that had been in the same state for longer, and how likely it is
/// that the first is not first, if they do not wait for each other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    pub(super) is_early: bool,
    pub(super) expected: f32,
}

impl Turn {
    /// How much likelier it is, as a logarithm, than if nobody waited for anybody, where so many times as
    /// many come early as if they did not.
    pub(super) fn likely(self, early: f32) -> f32 {
        if self.is_early {
            ln(early)
        } else {
            ln((1.0 - early * self.expected) / (1.0 - self.expected).max(LEAST_FIRST))
        }
    }
}

/// All states that are known.
#[derive(Debug)]
pub(super) struct States {
    all: Vec<State>,
    index: Vec<u16>,
    /// How many hosts are called.
    pub(super) hosts: usize,
    /// How often a state was learnt from for which there was no room.
    pub(super) full: u32,
}

impl States {
    pub(super) fn new() -> Self {
        Self { all: Vec::new(), index: vec![NOWHERE; INDEX], hosts: 0, full: 0 }
    }

    fn place(&self, key: u64) -> Result<u16, usize> {
        let mut place = key as usize % INDEX;
        loop {
            let number = self.index.get(place).copied().unwrap_or(NOWHERE);
            match self.all.get(usize::from(number)) {
                Some(state) if state.key == key => return Ok(number),
                // There are fewer states than places.
                Some(_) => place = (place + 1) % INDEX,
                None => return Err(place),
            }
        }
    }

    /// The place of a state, or that of the same state of any route, or none.
    pub(super) fn find(&self, route: u8, past: Past) -> u16 {
        let exact = self.place(past.key(route));
        exact.or_else(|_| self.place(past.key(ANY))).unwrap_or(NOWHERE)
    }

    /// The place of a state, which is made where there is none.
    fn make(&mut self, route: u8, past: Past, back: Option<u16>) -> u16 {
        let key = past.key(route);
        match self.place(key) {
            Ok(number) => number,
            Err(_) if self.all.len() >= MOST_STATES => {
                self.full += 1;
                back.unwrap_or(NOWHERE)
            }
            Err(place) => {
                let number = self.all.len() as u16;
                if let Some(index) = self.index.get_mut(place) {
                    *index = number;
                }
                self.all.push(State {
                    key,
                    past,
                    back,
                    intensity: Intensity::new(),
                    early: 0.0,
                    expected: 0.0,
                });
                number
            }
        }
    }

    pub(super) fn learn(
        &mut self,
        route: u8,
        past: Past,
        microseconds: f32,
        event: Option<Kind>,
        turn: Turn,
        weight: f32,
    ) {
        let is_known = self.place(past.key(ANY)).is_ok();
        if weight < 0.01 || !is_known && weight < 0.5 {
            return;
        }
        let back = self.make(ANY, past, None);
        let mut place = back;
        if back != NOWHERE {
            place = self.make(route, past, Some(back));
        }
        while let Some(state) = self.all.get_mut(usize::from(place)) {
            state.intensity.learn(microseconds, event, weight);
            state.expected += turn.expected * weight;
            if turn.is_early {
                state.early += weight;
            }
            if state.expected > MOST_TURNS {
                (state.early, state.expected) = (state.early * 0.5, state.expected * 0.5);
            }
            place = state.back.unwrap_or(NOWHERE);
        }
    }

    /// What is known of a state by now, and how often requests in it come before their turn, as a share of
    /// how often they would if they did not wait for each other.
    pub(super) fn of(&mut self, state: u16) -> Option<(&Intensity, f32)> {
        let (before, after) = self.all.split_at_mut_checked(usize::from(state))?;
        let State { past, back, intensity, early, expected, .. } = after.first_mut()?;
        let prior = past.prior(self.hosts);
        // A state of any route comes before all that are of one.
        let back = back.and_then(|back| before.get_mut(usize::from(back)));
        let back = back.map(|back| {
            back.intensity.refresh(None, prior);
            &back.intensity
        });
        intensity.refresh(back, prior);
        let early = (*early + CAUTION) / (*expected + CAUTION);
        Some((intensity, if early < HARDLY { early.max(LEAST_EARLY) } else { 1.0 }))
    }

    /// How likely an event is in a bin that nothing is known of.
    pub(super) fn prior(&self, past: Past, kind: Kind) -> f32 {
        past.prior(self.hosts).of(kind)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}
