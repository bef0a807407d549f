//! Joint hypotheses of which request made which call.

use super::hypothesis::{Hypothesis, Queue, at};
use super::intensity::Kind;
use super::maths::{exp, us};
use super::ports::{CLASSES, Evidence, HOMES, Homes, NOBODY, Ports};
use super::request::{NODES, NONE, Request, SAID, TRACKS, Track, bit, bits};
use super::states::{States, Turn};
use crate::correlation::origin::Context;
use std::collections::BinaryHeap;

/// The most requests that are known, those included that have ended and may still make calls.
pub(super) const REQUESTS: usize = 48;
/// The most hypotheses; with many requests there are fewer, so that the work for a call has a bound.
pub(super) const HYPOTHESES: usize = 48;
const LEAST_HYPOTHESES: usize = 8;
const WORK: usize = 360;
/// The most where it is kept what is said of each call.
const KEPT: usize = 64;
/// The most states of one hypothesis in which it is looked at whose turn it is.
const QUEUES: usize = 4;
/// How likely a call has to be a request's for that to be remembered.
const TO_SAY: f32 = 0.9;
/// How many such calls that turn out to be another's count for it that there is no surprise in them, and when counts
/// are halved.
const CALM: f32 = 2.0;
const MOST_SURPRISES: f32 = 20.0;
/// How much less likely than the best a hypothesis is that is given up, as a logarithm.
const FAR: f32 = 9.0;
/// How much less likely than the best one may be that has to be reckoned with, as a logarithm.
const LIKELY: f32 = -4.0;
/// How many microseconds a request is expected to go on where little is known of it, and at least and at
/// most where more is.
const UNKNOWN: f32 = 1e6;
const LEAST: f32 = 5e3;
const MOST: f32 = 2e6;
/// The most requests that a call's is said to be among.
pub(super) const CANDIDATES: usize = 6;

/// By the places of requests.
pub(super) type Shares = [f32; CANDIDATES];

/// A hypothesis with a call added to a request or to nobody.
#[derive(Clone, Copy, Debug)]
struct Child {
    score: f32,
    number: u8,
    slot: u8,
    /// What the connection says of it.
    class: u8,
    /// How much likelier whose turn it is makes it, as a logarithm.
    by_turn: f32,
}

/// A call that begins.
pub(super) struct Call<'c> {
    pub(super) stream: u32,
    pub(super) host: u8,
    /// The logarithm of how often one belongs to nobody, a microsecond.
    pub(super) stray: f32,
    pub(super) ports: &'c Evidence,
    pub(super) homes: &'c Homes,
    /// What it is known to belong to.
    pub(super) known: Option<&'c Context>,
}

/// What a call belongs to.
pub(super) struct Belief {
    /// The likeliest, and how likely.
    pub(super) best: Option<(Context, f32)>,
    /// The streams of the likeliest, the first first; zeros where there are fewer.
    pub(super) candidates: [(u32, f32); CANDIDATES],
    pub(super) nobody: f32,
    /// The share of hypotheses that had to be given up.
    pub(super) lost: f32,
}

#[derive(Debug)]
pub(super) struct Beam {
    requests: Vec<Request>,
    live: Vec<u8>,
    hypotheses: Vec<Hypothesis>,
    next: Vec<Hypothesis>,
    children: Vec<Child>,
    random: u32,
    /// Whether it is kept what is said of each call, nothing is learnt, and nobody waits for those who are not
    /// known here.
    keeps: bool,
    /// The share of hypotheses that have not been given up since [`Self::restart`].
    pub(super) kept: f32,
    /// How many calls were another's in hindsight than the one whose they most likely were, and how many were
    /// expected to be.
    wrong: f32,
    expected: f32,
}

fn best_of(hypotheses: &[Hypothesis]) -> f32 {
    hypotheses.iter().fold(f32::MIN, |best, it| best.max(it.weight))
}

/// Learns by whose connections calls are made, from how likely each class is after timing was considered, too.
#[inline(never)]
fn learn_ports(ports: &Evidence, by_class: &[f32; CLASSES], total: f32, learning: &mut Ports) {
    if ports.port == 0 {
        return;
    }
    let (mut of_owner, mut timing) = (0.0, 0.0);
    for (class, share) in by_class.iter().enumerate() {
        // What the timing alone says.
        let prior = share * exp(-ports.likely(class));
        of_owner += prior * ports.of_owner(class);
        timing += prior;
        if class != NOBODY {
            learning.learn(ports, class, share / total);
        }
    }
    learning.foretold(ports, of_owner / timing);
}

impl Beam {
    pub(super) fn new() -> Self {
        let mut new = Self {
            requests: Vec::new(),
            live: Vec::new(),
            hypotheses: Vec::new(),
            next: Vec::new(),
            children: Vec::new(),
            random: 1,
            keeps: false,
            kept: 1.0,
            wrong: 0.0,
            expected: 0.0,
        };
        new.clear();
        new
    }

    /// Nothing is known any more.
    fn clear(&mut self) {
        self.requests.iter_mut().for_each(|request| request.is_taken = false);
        self.live.clear();
        self.hypotheses.clear();
        let of = [NONE; REQUESTS];
        self.hypotheses.push(Hypothesis { weight: 0.0, signature: 0, of, shares: Vec::new() });
    }

    /// The same, and from now on it is kept what is said of each call, and nothing is learnt.
    pub(super) fn restart(&mut self) {
        self.clear();
        (self.keeps, self.kept) = (true, 1.0);
    }

    /// How likely each call since [`Self::restart`] is each of the first requests', as of now.
    pub(super) fn shares(&mut self, now: u64, states: &mut States) -> Vec<Shares> {
        for slot in &self.live {
            if let Some(request) = self.requests.get_mut(usize::from(*slot)) {
                request.look(now, Kind::RESPONSE, states);
            }
        }
        let mut all: Option<Hypothesis> = None;
        for mut it in self.hypotheses.drain(..) {
            for slot in &self.live {
                it.weight += at(&self.requests, &it, *slot).map_or(0.0, |(_, it)| it.lasting);
            }
            match &mut all {
                Some(all) => all.add(&it),
                None => all = Some(it),
            }
        }
        self.clear();
        all.map_or_else(Vec::new, |all| all.shares)
    }

    /// How many times as many were wrong in hindsight as were expected to be.
    pub(super) fn surprise(&self) -> f32 {
        ((self.wrong + CALM) / (self.expected + CALM)).max(1.0)
    }

    /// How many have not responded.
    pub(super) fn in_flight(&self) -> usize {
        self.known().filter(|request| !request.has_responded).count()
    }

    fn known(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(|request| request.is_taken)
    }

    /// A request arrives; whether there was room.
    pub(super) fn arrived(
        &mut self,
        now: u64,
        stream: u32,
        route: u8,
        home: u8,
        context: Context,
        states: &States,
    ) -> bool {
        let place = self.requests.iter().position(|it| !it.is_taken);
        let place = place.unwrap_or(self.requests.len());
        if place >= REQUESTS {
            return false;
        }
        let request = Request::new(now, stream, route, home, context, states);
        match self.requests.get_mut(place) {
            Some(free) => *free = request,
            None => self.requests.push(request),
        }
        let slot = place as u8;
        for hypothesis in &mut self.hypotheses {
            hypothesis.set(slot, 0);
        }
        self.live.push(slot);
        true
    }

    /// A call begins. Nothing if it is known to belong to what is not known here.
    pub(super) fn call(
        &mut self,
        now: u64,
        call: &Call<'_>,
        learning: Option<&mut Ports>,
        states: &mut States,
    ) -> Option<Belief> {
        let mut possible = 0;
        for slot in &self.live {
            let Some(request) = self.requests.get_mut(usize::from(*slot)) else { continue };
            request.look(now, Kind::call(call.host), states);
            if call.known.is_none_or(|known| request.context == *known) {
                possible |= bit(*slot);
                request.look_at_ports(call.ports, call.homes);
            }
        }
        let mut children = core::mem::take(&mut self.children);
        children.clear();
        let best = self.breed(call, possible, &mut children);
        children.retain(|it| it.score > best - FAR);
        let mut shares = [0.0; REQUESTS];
        let mut by_class = [0.0; CLASSES];
        let (mut total, mut nobody, mut rest) = (0.0, 0.0, 0.0);
        for child in &mut children {
            child.score -= best;
            let share = exp(child.score);
            total += share;
            *shares.get_mut(usize::from(child.slot)).unwrap_or(&mut nobody) += share;
            *by_class.get_mut(usize::from(child.class)).unwrap_or(&mut rest) += share;
        }
        let mut belief = None;
        if !children.is_empty() {
            if let Some(learning) = learning {
                learn_ports(call.ports, &by_class, total, learning);
                let mut by_home = [nobody; HOMES];
                by_home.iter_mut().skip(1).for_each(|it| *it = 0.0);
                for (share, request) in shares.iter().zip(&self.requests) {
                    *by_home.get_mut(usize::from(request.home)).unwrap_or(&mut rest) += share;
                }
                learning.learn_homes(call.ports.port, call.homes, &by_home);
            }
            let lost = self.go_on(now, call, &mut children, total, states);
            self.kept *= 1.0 - lost;
            let mut best = None;
            let mut candidates = [(0, 0.0); CANDIDATES];
            for candidate in &mut candidates {
                let likeliest = shares.iter_mut().zip(&mut self.requests);
                let likeliest = likeliest.max_by(|(a, _), (b, _)| a.total_cmp(b));
                let Some((share, request)) = likeliest.filter(|(share, _)| **share > 0.0) else {
                    break;
                };
                *candidate = (request.stream, core::mem::take(share) / total);
                if best.is_none() {
                    best = Some((request.context, candidate.1));
                    if !self.keeps && candidate.1 > TO_SAY && request.said.len() < SAID {
                        request.said.push((now, 1.0 - candidate.1));
                    }
                }
            }
            belief = Some(Belief { best, candidates, nobody: nobody / total, lost });
        }
        self.children = children;
        belief
    }

    /// The connection that a request has come by is known.
    pub(super) fn came_by(&mut self, stream: u32, home: u8) {
        let known = self.requests.iter_mut().filter(|it| it.is_taken && it.stream == stream);
        known.for_each(|it| it.home = home);
    }

    /// Every hypothesis with every request to which the call may belong, and with nobody, except those far
    /// behind; the best score.
    fn breed(&self, call: &Call<'_>, possible: u64, children: &mut Vec<Child>) -> f32 {
        let of_nobody = call.stray + call.ports.likely(NOBODY);
        let mut best = f32::MIN;
        for (number, hypothesis) in self.hypotheses.iter().enumerate() {
            let (mut all, mut has_owner) = (hypothesis.weight, false);
            // Those that wait for their turn.
            let mut queues = [Queue::EMPTY; QUEUES];
            for slot in &self.live {
                if let Some((request, track)) = at(&self.requests, hypothesis, *slot) {
                    all += track.lasting;
                    has_owner |= !request.has_responded && track.port == call.ports.port;
                    if !self.keeps && track.early < 1.0 {
                        queues.iter_mut().any(|queue| queue.add(track));
                    }
                }
            }
            let mut add = |slot: u8, class: u8, by_turn: f32, more: f32| {
                let score = all + more + by_turn;
                if score > best - FAR {
                    best = best.max(score);
                    children.push(Child { score, number: number as u8, slot, class, by_turn });
                }
            };
            for slot in bits(possible) {
                let Some((_, track)) = at(&self.requests, hypothesis, slot) else { continue };
                let [free, taken] = track.makes;
                let (class, more) = if has_owner { taken } else { free };
                let mut by_turn = 0.0;
                if !self.keeps
                    && track.early < 1.0
                    && let Some(queue) = queues.iter().find(|it| it.state == track.state)
                {
                    by_turn = queue.turn(track).likely(track.early);
                }
                add(slot, class, by_turn, more);
            }
            if call.known.is_none() {
                add(NONE, NOBODY as u8, 0.0, of_nobody);
            }
        }
        best
    }

    /// Whether it would be another's turn before that of one on this track.
    fn turn(&self, hypothesis: &Hypothesis, track: &Track) -> Turn {
        let mut queue = Queue { state: track.state, ..Queue::EMPTY };
        for slot in &self.live {
            if let Some((_, track)) = at(&self.requests, hypothesis, *slot) {
                queue.add(track);
            }
        }
        queue.turn(track)
    }

    /// The likeliest hypotheses are what is gone on with; the share of the others.
    #[inline(never)]
    fn go_on(
        &mut self,
        now: u64,
        call: &Call<'_>,
        children: &mut [Child],
        total: f32,
        states: &States,
    ) -> f32 {
        let most = match self.keeps {
            true => KEPT,
            false => (WORK / self.live.len().max(1)).clamp(LEAST_HYPOTHESES, HYPOTHESES),
        };
        // Numbers that are not negative have the order of their bits.
        let order = |(place, child): (usize, &Child)| {
            u64::from((child.score + FAR).max(0.0).to_bits()) << 32
                | (u32::MAX - place as u32) as u64
        };
        let mut heap: BinaryHeap<u64> = children.iter().enumerate().map(order).collect();
        let mut next = core::mem::take(&mut self.next);
        next.clear();
        let mut kept = 0.0;
        for _ in 0..most * 3 {
            let Some(key) = heap.pop() else { break };
            let place = (u32::MAX - key as u32) as usize;
            let Some(child) = children.get(place).copied() else { continue };
            let Some(old) = self.hypotheses.get(usize::from(child.number)) else { continue };
            let mut new = old.clone();
            new.weight += call.ports.likely(child.class.into());
            // That the others have lasted is counted when that ends.
            match at(&self.requests, old, child.slot) {
                None => new.weight += call.stray,
                Some((_, track)) => {
                    new.weight += track.lasting + track.rate + child.by_turn;
                    let Some(made) = self.branch(child.slot, &new, now, call, states) else {
                        continue;
                    };
                    new.set(child.slot, made);
                }
            }
            if self.keeps {
                let mut shares = [0.0; CANDIDATES];
                shares.iter_mut().skip(child.slot.into()).take(1).for_each(|it| *it = 1.0);
                new.shares.push(shares);
            }
            let has_room = next.len() < most;
            match next.iter_mut().find(|it| it.signature == new.signature) {
                Some(same) => same.add(&new),
                None if has_room => next.push(new),
                None => continue,
            }
            kept += exp(child.score);
        }
        self.next =
            if next.is_empty() { next } else { core::mem::replace(&mut self.hypotheses, next) };
        self.sweep();
        1.0 - kept / total
    }

    /// The track of a request to which this call is added; one for all hypotheses.
    #[inline(never)]
    fn branch(
        &mut self,
        slot: u8,
        hypothesis: &Hypothesis,
        now: u64,
        call: &Call<'_>,
        states: &States,
    ) -> Option<u8> {
        let (_, track) = at(&self.requests, hypothesis, slot)?;
        if track.next != NONE {
            return Some(track.next);
        }
        let (mut new, turn) = (*track, self.turn(hypothesis, track));
        let track = hypothesis.of(slot);
        let request = self.requests.get_mut(usize::from(slot))?;
        let open = &mut request.open;
        let known = open.iter().position(|it| *it == call.stream);
        if let Some(place) = known.or_else(|| open.iter().position(|it| *it == 0)) {
            open.iter_mut().skip(place).take(1).for_each(|it| *it = call.stream);
            new.open |= 1_u32.wrapping_shl(place as u32);
        }
        new.past = new.past.called(call.host);
        new.port = call.ports.port;
        // One whose past differs in nothing that matters.
        let mut same = None;
        for other in bits(request.used) {
            let it = request.track(other)?;
            if it.time == now && it.past == new.past && it.open == new.open {
                same = Some(other);
                break;
            }
        }
        let made = match same {
            Some(same) => same,
            None => {
                let made = (!request.used).trailing_zeros() as u8;
                if usize::from(made) >= TRACKS || request.nodes.len() >= NODES {
                    return None;
                }
                request.add(made, new);
                request.step(made, now, Some(Kind::call(call.host)), turn, states);
                made
            }
        };
        request.track(track)?.next = made;
        Some(made)
    }

    /// Frees tracks that no hypothesis has, and keeps weights near zero.
    fn sweep(&mut self) {
        let best = best_of(&self.hypotheses);
        for hypothesis in &mut self.hypotheses {
            hypothesis.weight -= best;
        }
        for slot in &self.live {
            let used = self.hypotheses.iter().fold(0, |used, it| used | bit(it.of(*slot)));
            if let Some(request) = self.requests.get_mut(usize::from(*slot)) {
                request.used &= used;
            }
        }
    }

    /// All hypotheses by which a request is on this track are so much likelier.
    #[inline(never)]
    fn weigh(&mut self, slot: u8, track: u8, more: f32) {
        for hypothesis in self.hypotheses.iter_mut().filter(|it| it.of(slot) == track) {
            hypothesis.weight += more;
        }
    }

    /// A call has been answered, or refused.
    #[inline(never)]
    pub(super) fn answered(
        &mut self,
        now: u64,
        stream: u32,
        host: u8,
        is_refused: bool,
        states: &mut States,
    ) {
        for place in 0..self.live.len() {
            let Some(slot) = self.live.get(place).copied() else { break };
            let Some(request) = self.requests.get_mut(usize::from(slot)) else { continue };
            let Some(place) = request.open.iter().position(|it| *it == stream) else { continue };
            request.open.iter_mut().skip(place).take(1).for_each(|it| *it = 0);
            let open = 1_u32.wrapping_shl(place as u32);
            request.look(now, Kind::RESPONSE, states);
            for number in bits(request.used) {
                let Some(request) = self.requests.get_mut(usize::from(slot)) else { break };
                let Some(track) = request.track(number) else { break };
                if track.open & open == 0 {
                    continue;
                }
                track.open &= !open;
                track.past = track.past.answered(host, is_refused);
                let lasting = track.lasting;
                request.step(number, now, None, Turn::default(), states);
                self.weigh(slot, number, lasting);
            }
            self.join(slot);
        }
    }

    /// Makes one of tracks of a request that differ no more.
    fn join(&mut self, slot: u8) {
        let Self { requests, hypotheses, random, .. } = self;
        let Some(request) = requests.get_mut(usize::from(slot)) else { return };
        let all = request.used;
        for a in bits(all) {
            for b in bits(request.used & !(bit(a) | (bit(a) - 1))) {
                let (Some(one), Some(other)) = (
                    request.tracks.get(usize::from(a)).copied(),
                    request.tracks.get(usize::from(b)).copied(),
                ) else {
                    continue;
                };
                let is_same = one.time == other.time
                    && one.past == other.past
                    && one.open == other.open
                    && one.port == other.port;
                if !is_same || request.used & bit(a) == 0 {
                    continue;
                }
                let mut weights = [f32::MIN; 2];
                for hypothesis in hypotheses.iter_mut() {
                    let of = hypothesis.of(slot);
                    let [of_one, of_other] = &mut weights;
                    if of == a {
                        *of_one = of_one.max(hypothesis.weight);
                    } else if of == b {
                        *of_other = of_other.max(hypothesis.weight);
                        hypothesis.set(slot, a);
                    }
                }
                let [of_one, of_other] = weights;
                // One of both is remembered, by their weights.
                *random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let share = 1.0 / (1.0 + exp(of_one - of_other));
                if (*random >> 8) as f32 / (1_u32 << 24) as f32 <= share
                    && let Some(track) = request.track(a)
                {
                    track.node = other.node;
                }
                request.used &= !bit(b);
            }
        }
        if request.used != all {
            self.merge();
        }
    }

    /// Makes one of hypotheses that differ no more.
    fn merge(&mut self) {
        let mut kept = core::mem::take(&mut self.next);
        kept.clear();
        for it in self.hypotheses.drain(..) {
            match kept.iter_mut().find(|other| other.signature == it.signature) {
                Some(other) => other.add(&it),
                None => kept.push(it),
            }
        }
        self.next = core::mem::replace(&mut self.hypotheses, kept);
        self.sweep();
    }

    /// The response of a request is over, if it is known. Whether connections tell whose a call is
    /// after that, too.
    #[inline(never)]
    pub(super) fn responded(
        &mut self,
        now: u64,
        stream: u32,
        has_owners: bool,
        states: &mut States,
    ) {
        let Some(slot) = self.live.iter().copied().find(|slot| {
            let request = self.requests.get(usize::from(*slot));
            request.is_some_and(|it| it.stream == stream && !it.has_responded)
        }) else {
            return;
        };
        let Some(request) = self.requests.get_mut(usize::from(slot)) else { return };
        request.look(now, Kind::RESPONSE, states);
        (request.has_responded, request.time) = (true, now);
        for number in bits(request.used) {
            let Some(request) = self.requests.get_mut(usize::from(slot)) else { break };
            let Some(track) = request.track(number) else { break };
            track.past = track.past.responded();
            if !has_owners {
                track.port = 0;
            }
            let more = track.lasting + track.rate;
            request.step(number, now, Some(Kind::RESPONSE), Turn::default(), states);
            self.weigh(slot, number, more);
        }
        let best = best_of(&self.hypotheses);
        self.hypotheses.retain(|it| it.weight > best - FAR);
        self.sweep();
        self.join(slot);
        if !self.keeps
            && let Some(request) = self.requests.get_mut(usize::from(slot))
        {
            let [wrong, expected] = request.settle(states);
            (self.wrong, self.expected) = (self.wrong + wrong, self.expected + expected);
            if self.wrong.max(self.expected) > MOST_SURPRISES {
                (self.wrong, self.expected) = (self.wrong * 0.5, self.expected * 0.5);
            }
        }
        self.expect(slot, states);
    }

    /// For how long something is to be expected of one that has responded.
    fn expect(&mut self, slot: u8, states: &mut States) {
        let mut likely = 0;
        for hypothesis in self.hypotheses.iter().filter(|it| it.weight > LIKELY) {
            likely |= bit(hypothesis.of(slot));
        }
        let Some(request) = self.requests.get_mut(usize::from(slot)) else { return };
        request.horizon = 0.0;
        for track in bits(likely) {
            let Some(track) = request.tracks.get(usize::from(track)) else { continue };
            let horizon = match states.of(track.state) {
                Some((known, _)) if known.observations > 10.0 => known.horizon.clamp(LEAST, MOST),
                _ => UNKNOWN,
            };
            request.horizon = request.horizon.max(horizon);
        }
    }

    /// Lets go of requests from which nothing is to be expected any more.
    pub(super) fn forget(&mut self, now: u64, max_age: f32, states: &mut States) {
        let mut place = 0;
        while let Some(slot) = self.live.get(place).copied() {
            let is_over = |it: &Request| {
                us(it.time, now) > if it.has_responded { it.horizon } else { max_age }
            };
            let mut is_old = self.requests.get(usize::from(slot)).is_none_or(is_over);
            if is_old {
                // It may have done something meanwhile.
                self.expect(slot, states);
                is_old = self.requests.get(usize::from(slot)).is_none_or(is_over);
            }
            if is_old {
                self.finish(slot, now, states);
            } else {
                place += 1;
            }
        }
    }

    /// Lets go of the one that has responded first, if there is no room for one more: for how long that had
    /// been over.
    pub(super) fn make_room(&mut self, now: u64, states: &mut States) -> Option<f32> {
        if self.live.len() < REQUESTS {
            return None;
        }
        let time =
            |slot: &u8| self.requests.get(usize::from(*slot)).map(|it| (it.has_responded, it.time));
        let old = self.live.iter().copied().filter(|it| time(it).is_some_and(|(has, _)| has));
        let slot = old.min_by_key(time)?;
        let (_, time) = time(&slot)?;
        self.finish(slot, now, states);
        Some(us(time, now))
    }

    /// A request is over: what it has done is learnt.
    fn finish(&mut self, slot: u8, now: u64, states: &mut States) {
        self.live.retain(|it| *it != slot);
        let Some(request) = self.requests.get_mut(usize::from(slot)) else { return };
        request.look(now, Kind::RESPONSE, states);
        for hypothesis in &mut self.hypotheses {
            hypothesis.weight += request.track(hypothesis.of(slot)).map_or(0.0, |it| it.lasting);
        }
        request.tracks.iter_mut().for_each(|track| track.weight = 0.0);
        let best = best_of(&self.hypotheses);
        let mut total = 0.0;
        for hypothesis in &self.hypotheses {
            let share = exp(hypothesis.weight - best);
            total += share;
            if let Some(track) = request.track(hypothesis.of(slot)) {
                track.weight += share;
            }
        }
        let Request { route, used, tracks, nodes, .. } = &mut *request;
        for track in bits(*used) {
            let Some(track) = tracks.get(usize::from(track)) else { continue };
            let weight = track.weight / total;
            if let Some(node) = nodes.get_mut(usize::from(track.node)) {
                node.weight += weight;
            }
            states.learn(*route, track.past, us(track.time, now), None, Turn::default(), weight);
        }
        request.learn(states);
        request.is_taken = false;
        for hypothesis in &mut self.hypotheses {
            hypothesis.set(slot, NONE);
        }
        self.merge();
    }

    /// How many hypotheses, requests, and places for these there are.
    pub(super) fn sizes(&self) -> [usize; 3] {
        [self.hypotheses.len(), self.live.len(), self.requests.len()]
    }
}
