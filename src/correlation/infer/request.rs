//! A request that is known, and what it has done according to hypotheses.

use super::intensity::{Kind, width_at};
use super::maths::{ln, us};
use super::ports::{Evidence, Homes};
use super::states::{NOWHERE, Past, States, Turn};
use crate::correlation::origin::Context;

/// The most pasts of a request that are told apart, as many as a number has bits.
pub(super) const TRACKS: usize = 64;
/// The most calls under way that may be a request's and are told apart, as many as a number has bits.
pub(super) const OPEN: usize = 32;
/// The most calls of a request of which it is remembered that they were most likely its, as many as a number has
/// bits.
pub(super) const SAID: usize = 64;
/// The most events of a request, over all its pasts, that are learnt from.
pub(super) const NODES: usize = 250;
/// No request, and no node.
pub(super) const NONE: u8 = u8::MAX;

/// What a request has done according to some hypotheses: its events, each with the one before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) before: u8,
    pub(super) past: Past,
    pub(super) time: u64,
    /// What it has done by itself.
    pub(super) kind: Option<Kind>,
    pub(super) turn: Turn,
    pub(super) weight: f32,
}

/// Where a request is according to some hypotheses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Track {
    pub(super) node: u8,
    pub(super) state: u16,
    pub(super) time: u64,
    pub(super) past: Past,
    /// Which of the calls under way are its.
    pub(super) open: u32,
    /// What its latest call was made by.
    pub(super) port: u16,
    // As of the event that is looked at.
    pub(super) lasting: f32,
    pub(super) rate: f32,
    pub(super) often: f32,
    /// How often those in its state come before their turn, as a share of how often they would by chance.
    pub(super) early: f32,
    /// How likely it makes a call, and what the connection says of that: where that is no other's, and
    /// where it is.
    pub(super) makes: [(u8, f32); 2],
    pub(super) next: u8,
    pub(super) weight: f32,
}

/// A request, and where it may be.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) stream: u32,
    pub(super) context: Context,
    pub(super) route: u8,
    /// The place of the connection it came by.
    pub(super) home: u8,
    pub(super) is_taken: bool,
    pub(super) has_responded: bool,
    /// When it arrived or responded.
    pub(super) time: u64,
    /// For how many microseconds something is to be expected of one that has responded.
    pub(super) horizon: f32,
    /// Calls under way that may be its.
    pub(super) open: [u32; OPEN],
    pub(super) nodes: Vec<Node>,
    /// When calls began that were most likely its, and how likely each is not.
    pub(super) said: Vec<(u64, f32)>,
    /// Which tracks there are.
    pub(super) used: u64,
    pub(super) tracks: Vec<Track>,
}

/// The numbers of the bits that are set.
pub(super) fn bits(mut set: u64) -> impl Iterator<Item = u8> {
    core::iter::from_fn(move || {
        let bit = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (bit < 64).then_some(bit as u8)
    })
}

/// The number in which only this bit is set.
pub(super) fn bit(track: u8) -> u64 {
    1_u64.checked_shl(track.into()).unwrap_or(0)
}

impl Request {
    /// One that arrives, for which there is one track.
    pub(super) fn new(
        now: u64,
        stream: u32,
        route: u8,
        home: u8,
        context: Context,
        states: &States,
    ) -> Self {
        let mut new = Self {
            stream,
            context,
            route,
            home,
            is_taken: true,
            has_responded: false,
            time: now,
            horizon: 0.0,
            open: [0; OPEN],
            nodes: Vec::new(),
            said: Vec::new(),
            used: 0,
            tracks: Vec::new(),
        };
        let track = Track {
            node: NONE,
            state: NOWHERE,
            time: now,
            past: Past::ARRIVED,
            open: 0,
            port: 0,
            lasting: 0.0,
            rate: 0.0,
            often: 0.0,
            early: 1.0,
            makes: [(0, 0.0); 2],
            next: NONE,
            weight: 0.0,
        };
        new.add(0, track);
        new.step(0, now, None, Turn::default(), states);
        new
    }

    pub(super) fn track(&mut self, track: u8) -> Option<&mut Track> {
        self.tracks.get_mut(usize::from(track))
    }

    pub(super) fn add(&mut self, track: u8, it: Track) {
        match self.track(track) {
            Some(track) => *track = it,
            None => self.tracks.push(it),
        }
        self.used |= bit(track);
    }

    /// A track goes on to what it is now.
    pub(super) fn step(
        &mut self,
        track: u8,
        now: u64,
        kind: Option<Kind>,
        turn: Turn,
        states: &States,
    ) {
        let Some(track) = self.tracks.get_mut(usize::from(track)) else { return };
        track.state = states.find(self.route, track.past);
        track.time = now;
        if self.nodes.len() < NODES {
            let node =
                Node { before: track.node, past: track.past, time: now, kind, turn, weight: 0.0 };
            track.node = self.nodes.len() as u8;
            self.nodes.push(node);
        }
    }

    /// What it has done is learnt, by the weights of its last nodes.
    #[inline(never)]
    pub(super) fn learn(&mut self, states: &mut States) {
        while let Some(node) = self.nodes.pop() {
            if let Some(before) = self.nodes.get_mut(usize::from(node.before)) {
                before.weight += node.weight;
                let time = us(before.time, node.time);
                states.learn(self.route, before.past, time, node.kind, node.turn, node.weight);
            }
        }
    }

    /// Where only one track is left, what has been done on it is learnt at once, not when all is over. How many
    /// calls were wrongly taken for its, in hindsight, and how many that was likely for.
    pub(super) fn settle(&mut self, states: &mut States) -> [f32; 2] {
        let [mut wrong, mut expected] = [0.0; 2];
        let only = self.used.trailing_zeros() as u8;
        let Some(track) = self.tracks.get_mut(usize::from(only)) else { return [0.0; 2] };
        if self.used != bit(only) {
            return [0.0; 2];
        }
        let (mut its, mut at) = (0, track.node);
        while let Some(node) = self.nodes.get(usize::from(at)) {
            for (place, _) in self.said.iter().enumerate().filter(|(_, it)| it.0 == node.time) {
                its |= bit(place as u8);
            }
            at = node.before;
        }
        for (place, (_, unlikely)) in self.said.drain(..).enumerate() {
            expected += unlikely;
            if its & bit(place as u8) == 0 {
                wrong += 1.0;
            }
        }
        if let Some(last) = self.nodes.get_mut(usize::from(track.node)) {
            last.weight = 1.0;
            let last = Node { before: NONE, kind: None, weight: 0.0, ..*last };
            track.node = 0;
            self.learn(states);
            self.nodes.push(last);
        }
        [wrong, expected]
    }

    /// What is known of each track at this moment, and how likely each makes an event.
    pub(super) fn look(&mut self, now: u64, kind: Kind, states: &mut States) {
        for place in bits(self.used) {
            let Some(track) = self.tracks.get_mut(usize::from(place)) else { continue };
            let time = us(track.time, now);
            let otherwise = states.prior(track.past, kind);
            (track.lasting, track.often, track.early) = match states.of(track.state) {
                Some((known, early)) => {
                    (known.lasting(time), known.rate(time, kind, otherwise), early)
                }
                None => (0.0, otherwise / width_at(time), 1.0),
            };
            track.next = NONE;
            track.rate = ln(track.often.max(1e-12));
        }
    }

    /// How likely each track makes a call by this connection.
    pub(super) fn look_at_ports(&mut self, ports: &Evidence, homes: &Homes) {
        let by_home = homes.likely(self.home);
        for place in bits(self.used) {
            let Some(track) = self.tracks.get_mut(usize::from(place)) else { continue };
            track.rate += by_home;
            track.makes = [false, true].map(|is_others| {
                let class = ports.class(track.port, is_others);
                (class as u8, track.rate + ports.likely(class))
            });
        }
    }
}
