//! A second look at a call, when what came after it is known, too.
//!
//! The requests that it is most likely of and the calls that may be theirs are gone through again,
//! all else being as it was said. What is kept for it is at most 400 kB.

use super::beam::{Beam, CANDIDATES, Call, Shares};
use super::maths::{exp, ln};
use super::ports::{Evidence, NO_HOME, Ports};
use super::states::States;
use crate::correlation::origin::Context;
use std::collections::{BinaryHeap, VecDeque};

/// The most requests and calls that are remembered; of a call that was made before those nothing is said.
pub(super) const REQUESTS: usize = 512;
pub(super) const CALLS: usize = 1024;
/// The most calls that may belong to the requests that one is most likely of.
const BLOCK: usize = 32;
/// How likely a request has to have been to be one of these, and of theirs a call that belongs to nobody.
const LIKELY: f32 = 1e-4;
const PERHAPS: f32 = 1e-3;

/// The part of the logarithm of odds that is said, since what is said of other requests is taken for known.
const TEMPER: f32 = 0.8;

#[derive(Clone, Copy, Debug)]
struct Request {
    stream: u32,
    context: Context,
    route: u8,
    home: u8,
    arrived: u64,
    /// Zero as long as it has not.
    responded: u64,
}

/// A call as it was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    pub(super) stream: u32,
    pub(super) host: u8,
    pub(super) time: u64,
    pub(super) ports: Evidence,
    /// The requests that it is most likely of, by their streams.
    pub(super) candidates: [(u32, f32); CANDIDATES],
    /// How likely it belongs to nobody.
    pub(super) nobody: f32,
    /// Whether all requests were known.
    pub(super) is_complete: bool,
}

#[derive(Clone, Copy, Debug)]
struct Old {
    made: Made,
    /// Zero as long as it was not.
    answered: u64,
    is_refused: bool,
    /// The stream of what it is taken to belong to, or zero.
    of: u32,
}

/// What happens to a request or a call, in the order in which it is gone through where times are equal.
#[derive(Clone, Copy)]
enum Event {
    Answered = 0,
    Responded = 1,
    Called = 2,
    Arrived = 3,
}

/// What is remembered of requests and calls.
#[derive(Debug)]
pub(super) struct Looks {
    requests: VecDeque<Request>,
    calls: VecDeque<Old>,
    beam: Beam,
}

impl Looks {
    pub(super) fn new() -> Self {
        Self { requests: VecDeque::new(), calls: VecDeque::new(), beam: Beam::new() }
    }

    pub(super) fn arrived(&mut self, now: u64, stream: u32, route: u8, context: Context) {
        if self.requests.len() >= REQUESTS {
            self.requests.pop_front();
        }
        let (home, responded) = (NO_HOME, 0);
        self.requests.push_back(Request { stream, context, route, home, arrived: now, responded });
    }

    pub(super) fn came_by(&mut self, stream: u32, home: u8) {
        if let Some(known) = self.requests.iter_mut().rev().find(|it| it.stream == stream) {
            known.home = home;
        }
    }

    pub(super) fn responded(&mut self, now: u64, stream: u32) {
        let known = self.requests.iter_mut().rev().find(|it| it.stream == stream);
        if let Some(known) = known {
            known.responded = now;
        }
    }

    /// A call is made.
    pub(super) fn made(&mut self, made: Made) {
        let (stream, share) = made.candidates.first().copied().unwrap_or_default();
        let of = if share > made.nobody { stream } else { 0 };
        if self.calls.len() >= CALLS {
            self.calls.pop_front();
        }
        self.calls.push_back(Old { made, answered: 0, is_refused: false, of });
    }

    pub(super) fn answered(&mut self, now: u64, stream: u32, is_refused: bool) {
        if let Some(call) = self.calls.iter_mut().rev().find(|it| it.made.stream == stream) {
            (call.answered, call.is_refused) = (now, is_refused);
        }
    }

    /// What a call most likely belongs to as of now, and how likely. `stray` is the logarithm of how
    /// often a call to a host belongs to nobody, a microsecond.
    pub(super) fn look(
        &mut self,
        now: u64,
        stream: u32,
        ports: &Ports,
        stray: &dyn Fn(u8) -> f32,
        states: &mut States,
    ) -> Option<(Context, f32)> {
        let target = self.calls.iter().rev().find(|it| it.made.stream == stream)?.made;
        if !target.is_complete {
            return None;
        }
        let candidates = target.candidates;
        let is_likely = |stream| candidates.iter().any(|it| it.0 == stream && it.1 > LIKELY);
        let requests = self.requests.iter().filter(|it| is_likely(it.stream)).copied();
        let requests: Vec<Request> = requests.take(CANDIDATES).collect();
        let calls = self.calls_of(&requests)?;
        let target = calls.iter().position(|(_, call)| call.made.stream == stream)?;
        let said = self.go_through(now, &requests, &calls, ports, stray, states);
        let mut found = None;
        for (place, (call, _)) in calls.iter().enumerate() {
            let said = said.get(place)?;
            let nobody = 1.0 - said.iter().sum::<f32>();
            let best = requests.iter().zip(said).max_by(|(_, a), (_, b)| a.total_cmp(b));
            let best = best.filter(|(_, share)| **share > nobody);
            if let Some(old) = self.calls.get_mut(*call) {
                old.of = best.map_or(0, |(request, _)| request.stream);
            }
            if place == target {
                let kept = self.beam.kept;
                found = best.map(|(request, share)| (request.context, tempered(*share * kept)));
            }
        }
        found
    }

    /// The calls, by their places, that may belong to some of these requests, in the order of time; nothing
    /// where there are too many.
    fn calls_of(&self, requests: &[Request]) -> Option<Vec<(usize, Old)>> {
        let is_one = |stream| requests.iter().any(|it| it.stream == stream);
        let first = requests.iter().map(|it| it.arrived).min()?;
        let mut found = Vec::new();
        for (place, call) in self.calls.iter().enumerate() {
            let may_be = |it: &(u32, f32)| it.1 > PERHAPS && is_one(it.0);
            if call.made.time >= first
                && (is_one(call.of) || call.of == 0 && call.made.candidates.iter().any(may_be))
            {
                found.push((place, *call));
            }
        }
        (found.len() <= BLOCK).then_some(found)
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 2] {
        [self.requests.len(), self.calls.len()]
    }

    /// What is said of each of these calls when all that happened is gone through.
    fn go_through(
        &mut self,
        now: u64,
        requests: &[Request],
        calls: &[(usize, Old)],
        ports: &Ports,
        stray: &dyn Fn(u8) -> f32,
        states: &mut States,
    ) -> Vec<Shares> {
        let first = requests.iter().map(|it| it.arrived).min().unwrap_or(0);
        // The earliest of numbers whose bits are turned around is the greatest.
        let mut events = Vec::new();
        let mut add = |time: u64, event: Event, place: usize| {
            if time != 0 {
                let time = time.saturating_sub(first).min(1 << 40);
                events.push(!(time << 16 | (event as u64) << 8 | place as u64));
            }
        };
        for (place, request) in requests.iter().enumerate() {
            add(request.arrived, Event::Arrived, place);
            add(request.responded, Event::Responded, place);
        }
        for (place, (_, call)) in calls.iter().enumerate() {
            add(call.made.time, Event::Called, place);
            add(call.answered, Event::Answered, place);
        }
        let Self { beam, .. } = self;
        beam.restart();
        let mut events = BinaryHeap::from(events);
        while let Some(event) = events.pop() {
            let (time, place) = ((!event >> 16) + first, (!event & 0xff) as usize);
            let (request, call) = (requests.get(place), calls.get(place));
            match ((!event >> 8) & 0xff, request, call) {
                (0, _, Some((_, call))) => {
                    let Old { made: Made { stream, host, .. }, is_refused, .. } = *call;
                    beam.answered(time, stream, host, is_refused, states);
                }
                (1, Some(it), _) => beam.responded(time, it.stream, ports.have_owners(), states),
                (2, _, Some((_, Old { made, .. }))) => {
                    let Made { stream, host, ports: ref by, .. } = *made;
                    let homes = ports.homes(by.port);
                    let stray = stray(host) + homes.likely(0);
                    let call = Call { stream, host, stray, ports: by, homes: &homes, known: None };
                    beam.call(time, &call, None, states);
                }
                (3, Some(it), _) => {
                    beam.arrived(time, it.stream, it.route, it.home, it.context, states);
                }
                _ => {}
            }
        }
        beam.shares(now, states)
    }
}

fn tempered(share: f32) -> f32 {
    let share = share.clamp(1e-6, 1.0 - 1e-6);
    1.0 / (1.0 + exp(-TEMPER * ln(share / (1.0 - share))))
}
