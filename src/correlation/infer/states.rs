//! The states that requests go through, by what they have done so far.

use super::intensity::{Intensity, Kind};

const MOST_STATES: usize = 160;
const INDEX: usize = 512;
pub(super) const MOST_HOSTS: usize = 16;

/// What a request did last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Arrived,
    Called(u8),
    Answered(u8),
    Responded,
}

/// What a request has done so far, without times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Past {
    pub(super) last: Last,
    /// Calls begun, and those not answered, by host: four bits each.
    pub(super) made: u64,
    pub(super) open: u64,
    pub(super) has_responded: bool,
}

impl Past {
    pub(super) const ARRIVED: Self = Self { last: Last::Arrived, made: 0, open: 0, has_responded: false };

    pub(super) fn called(mut self, host: u8) -> Self {
        self.last = Last::Called(host);
        self.made = changed(self.made, host, true);
        self.open = changed(self.open, host, true);
        self
    }

    pub(super) fn answered(mut self, host: u8) -> Self {
        self.last = Last::Answered(host);
        self.open = changed(self.open, host, false);
        self
    }

    pub(super) fn responded(mut self) -> Self {
        self.last = Last::Responded;
        // What comes after is told by the response, whatever was before.
        self.made = 0;
        self.has_responded = true;
        self
    }

    fn key(self, route: u8) -> u64 {
        let last = match self.last {
            Last::Arrived => 0,
            Last::Called(host) => 0x100 + host as u64,
            Last::Answered(host) => 0x200 + host as u64,
            Last::Responded => 0x300,
        };
        let mut key = mixed(last | (self.has_responded as u64) << 12 | (route as u64) << 16);
        key = mixed(key ^ self.made);
        mixed(key ^ self.open)
    }
}

fn changed(counts: u64, host: u8, is_more: bool) -> u64 {
    let shift = 4 * (host as u32 % 16);
    let count = counts >> shift & 15;
    match is_more {
        true if count < 15 => counts + (1 << shift),
        false if count > 0 => counts - (1 << shift),
        _ => counts,
    }
}

fn mixed(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^ (bits >> 29)
}

#[derive(Clone, Debug)]
struct State {
    key: u64,
    past: Past,
    back: Option<u16>,
    intensity: Intensity,
}

/// All states that are known.
#[derive(Debug)]
pub(super) struct States {
    all: Vec<State>,
    index: Vec<u16>,
    hosts: usize,
}

/// What stands for any route.
const ANY: u8 = 255;
/// The place of states that there is no room for.
pub(super) const NOWHERE: u16 = u16::MAX;

impl States {
    pub(super) const fn new() -> Self {
        Self { all: Vec::new(), index: Vec::new(), hosts: 0 }
    }

    pub(super) fn hosts(&mut self, hosts: usize) {
        self.hosts = hosts;
    }

    fn place(&self, key: u64) -> Result<u16, usize> {
        let mut place = key as usize % INDEX;
        loop {
            let number = self.index.get(place).copied().unwrap_or(NOWHERE);
            match self.all.get(number as usize) {
                Some(state) if state.key == key => return Ok(number),
                Some(_) => place = (place + 1) % INDEX,
                None => return Err(place),
            }
        }
    }

    /// The place of a state, or that of the same state on any route, or none.
    pub(super) fn find(&self, route: u8, past: Past) -> u16 {
        let exact = self.place(past.key(route));
        exact.or_else(|_| self.place(past.key(ANY))).unwrap_or(NOWHERE)
    }

    /// The place of a state, which is made where there is none.
    fn make(&mut self, route: u8, past: Past) -> u16 {
        if self.index.is_empty() {
            self.index.resize(INDEX, NOWHERE);
        }
        let key = past.key(route);
        if let Ok(number) = self.place(key) {
            return number;
        }
        let back = if route == ANY { None } else { Some(self.make(ANY, past)) };
        if self.all.len() >= MOST_STATES || back == Some(NOWHERE) {
            return back.unwrap_or(NOWHERE);
        }
        let Err(place) = self.place(key) else { return NOWHERE };
        let number = self.all.len() as u16;
        self.index[place] = number;
        self.all.push(State { key, past, back, intensity: Intensity::new() });
        number
    }

    pub(super) fn learn(&mut self, route: u8, past: Past, microseconds: f32, event: Option<Kind>, weight: f32) {
        let is_known = self.place(past.key(ANY)).is_ok();
        if !is_known && weight < 0.5 {
            return;
        }
        let mut place = Some(self.make(route, past));
        while let Some(state) = place.and_then(|place| self.all.get_mut(place as usize)) {
            state.intensity.learn(microseconds, event, weight);
            if state.intensity.observations > 4000.0 {
                state.intensity.fade();
            }
            place = state.back;
        }
    }

    /// What is known of a state by now.
    pub(super) fn of(&mut self, state: u16) -> Option<&Intensity> {
        let hosts = self.hosts;
        let place = state as usize;
        let back = self.all.get(place)?.back.map(usize::from);
        let past = self.all.get(place)?.past;
        let prior = |kind| prior(past, kind, hosts);
        if let Some(back) = back {
            // A state of any route comes before all that are of one.
            let (before, after) = self.all.split_at_mut(place);
            let back = before.get_mut(back)?;
            back.intensity.refresh(None, prior);
            after.first_mut()?.intensity.refresh(Some(&back.intensity), prior);
        } else {
            self.all.get_mut(place)?.intensity.refresh(None, prior);
        }
        self.all.get(place).map(|state| &state.intensity)
    }

    /// How likely an event is in a bin that nothing is known of.
    pub(super) fn prior(&self, past: Past, kind: Kind) -> f32 {
        prior(past, kind, self.hosts)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

/// How likely an event is in a bin that nothing is known of.
pub(super) fn prior(past: Past, kind: Kind, hosts: usize) -> f32 {
    match (past.has_responded, past.open != 0, kind == Kind::RESPONSE) {
        (false, false, true) => 0.02,
        (false, true, true) => 0.002,
        (true, _, true) => 0.0,
        (true, _, false) => 0.002 / hosts.max(1) as f32,
        (false, true, false) => 0.01 / hosts.max(1) as f32,
        (false, false, false) => 0.03 / hosts.max(1) as f32,
    }
}
