//! Joint hypotheses of which request made which call.

use super::intensity::{self, Kind};
use super::ports::{Evidence, Ports};
use super::states::{NOWHERE, Past, States};

pub(super) const REQUESTS: usize = 48;
const TRACKS: usize = 64;
/// The most calls of a request that are under way at once and told apart.
const OPEN: usize = 8;
/// How much less likely than the best one may be that has to be reckoned with, as a logarithm.
const LIKELY: f32 = -4.0;
const NODES: usize = 250;
/// How much less likely than the best a hypothesis is that is given up, as a logarithm.
const FAR: f32 = 9.0;
pub(super) const NONE: u8 = u8::MAX;
/// The most calls of which marginals are kept, and requests that each may belong to.
pub(super) const MARGINALS: usize = 32;
pub(super) const BLOCK: usize = 4;

/// A request, by a number of its own.
pub type RequestId = u32;
/// A call, by a number of its own.
pub type CallId = u32;

#[derive(Clone, Copy, Debug)]
enum Event {
    Arrived,
    Called { host: u8 },
    Answered,
    Responded,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    before: u8,
    past: Past,
    time: u64,
    event: Event,
    weight: f32,
}

#[derive(Clone, Copy, Debug)]
struct Track {
    is_used: bool,
    node: u8,
    state: u16,
    time: u64,
    past: Past,
    open: [CallId; OPEN],
    /// What its latest call was made by.
    port: u16,
    // As of the event that is looked at.
    lasting: f32,
    rate: f32,
    next: u8,
    weight: f32,
}

const ARRIVED: Track = Track {
    is_used: true,
    node: 0,
    state: NOWHERE,
    time: 0,
    past: Past::ARRIVED,
    open: [0; OPEN],
    port: 0,
    lasting: 0.0,
    rate: 0.0,
    next: NONE,
    weight: 0.0,
};

#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: RequestId,
    route: u8,
    is_taken: bool,
    pub(super) responded: Option<u64>,
    pub(super) arrived: u64,
    nodes: Vec<Node>,
    tracks: [Track; TRACKS],
}

type Shares = [u16; BLOCK];
const WHOLE: f32 = 65535.0;

#[derive(Clone)]
struct Hypothesis {
    weight: f32,
    signature: u64,
    of: [u8; REQUESTS],
    /// Of each call, how likely it belongs to each slot.
    said: [Shares; MARGINALS],
}

impl Hypothesis {
    /// Adds one that will fare the same.
    fn merge(&mut self, other: &Self, calls: usize) {
        let difference = other.weight - self.weight;
        let share = 1.0 / (1.0 + (-difference).exp());
        for (said, other) in self.said.iter_mut().zip(&other.said).take(calls) {
            if said != other {
                for (a, b) in said.iter_mut().zip(other) {
                    *a = (*a as f32 + (*b as f32 - *a as f32) * share + 0.5) as u16;
                }
            }
        }
        self.weight = added(self.weight, other.weight);
    }
}

fn added(a: f32, b: f32) -> f32 {
    let (a, b) = if a > b { (a, b) } else { (b, a) };
    a + (1.0 + (b - a).exp()).ln()
}

fn code(slot: u8, track: u8) -> u64 {
    let mut bits = (slot as u64) << 8 | track as u64 | 1 << 20;
    bits = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^ (bits >> 27)
}

fn us(from: u64, to: u64) -> f32 {
    to.saturating_sub(from) as f32
}

pub(super) struct Beam {
    most: usize,
    pub(super) requests: Vec<Request>,
    pub(super) live: Vec<u8>,
    hypotheses: Vec<Hypothesis>,
    next: Vec<Hypothesis>,
    children: Vec<(f32, u16, u8)>,
    random: u32,
    /// Whether connections tell whose a call is after the response, too.
    pub(super) keeps_ports: bool,
    /// Of how many calls marginals are kept.
    calls: usize,
    /// The share of hypotheses that was given up at the latest call.
    pub(super) lost: f32,
}

/// What a call belongs to: by slot how likely, and nobody.
pub(super) struct Belief {
    pub(super) shares: [f32; REQUESTS],
    pub(super) nobody: f32,
}

impl Beam {
    pub(super) fn new(most: usize) -> Self {
        let mut new = Self {
            most,
            requests: Vec::new(),
            live: Vec::new(),
            hypotheses: Vec::new(),
            next: Vec::new(),
            children: Vec::new(),
            random: 1,
            keeps_ports: false,
            calls: 0,
            lost: 0.0,
        };
        new.clear();
        new
    }

    pub(super) fn clear(&mut self) {
        self.live.clear();
        for request in &mut self.requests {
            request.is_taken = false;
        }
        self.hypotheses.clear();
        self.hypotheses.push(Hypothesis { weight: 0.0, signature: 0, of: [NONE; REQUESTS], said: [[0; BLOCK]; MARGINALS] });
        self.calls = 0;
    }

    /// Whether there is room for one more.
    pub(super) fn has_room(&self) -> bool {
        self.requests.len() < REQUESTS || self.requests.iter().any(|it| !it.is_taken)
    }

    /// How many have not responded.
    pub(super) fn in_flight(&self) -> usize {
        self.live.iter().filter(|it| self.requests[**it as usize].responded.is_none()).count()
    }

    pub(super) fn arrived(&mut self, now: u64, id: RequestId, route: u8, states: &States) -> Option<u8> {
        let mut slot = self.requests.iter().position(|it| !it.is_taken);
        if slot.is_none() && self.requests.len() < REQUESTS {
            self.requests.push(Request {
                id: 0,
                route: 0,
                is_taken: false,
                responded: None,
                arrived: 0,
                nodes: Vec::new(),
                tracks: [ARRIVED; TRACKS],
            });
            slot = Some(self.requests.len() - 1);
        }
        let slot = slot?;
        let state = states.find(route, Past::ARRIVED);
        let request = &mut self.requests[slot];
        request.id = id;
        request.route = route;
        request.is_taken = true;
        request.responded = None;
        request.arrived = now;
        request.nodes.clear();
        request.nodes.push(Node { before: NONE, past: Past::ARRIVED, time: now, event: Event::Arrived, weight: 0.0 });
        for track in &mut request.tracks {
            track.is_used = false;
        }
        request.tracks[0] = Track { state, time: now, ..ARRIVED };
        for hypothesis in &mut self.hypotheses {
            hypothesis.of[slot] = 0;
            hypothesis.signature ^= code(slot as u8, 0);
        }
        self.live.push(slot as u8);
        Some(slot as u8)
    }

    /// What is known of each track at this moment, and how likely each makes an event.
    fn look(&mut self, slot: u8, now: u64, kind: Kind, states: &mut States) {
        let request = &mut self.requests[slot as usize];
        for track in request.tracks.iter_mut().filter(|it| it.is_used) {
            let time = us(track.time, now);
            let otherwise = states.prior(track.past, kind);
            match states.of(track.state) {
                Some(known) => {
                    track.lasting = known.lasting(time);
                    track.rate = known.rate(time, kind, otherwise).max(1e-12).ln();
                }
                None => {
                    track.lasting = 0.0;
                    track.rate = (otherwise / intensity::width(intensity::bin(time).0)).max(1e-12).ln();
                }
            }
            track.next = NONE;
        }
    }

    fn look_at_all(&mut self, now: u64, kind: Kind, states: &mut States) {
        for place in 0..self.live.len() {
            self.look(self.live[place], now, kind, states);
        }
    }

    /// A call begins; `stray` is the logarithm of how often one belongs to nobody, a microsecond; `place`
    /// is where its marginal is kept.
    pub(super) fn call(&mut self, now: u64, id: CallId, host: u8, stray: f32, ports: &Evidence, learning: Option<&mut Ports>, place: Option<usize>, states: &mut States) -> Belief {
        self.look_at_all(now, Kind::call(host), states);
        // Every hypothesis with every request.
        let mut children = core::mem::take(&mut self.children);
        children.clear();
        let mut best = f32::MIN;
        let mut owners = [NONE; 256];
        for (number, hypothesis) in self.hypotheses.iter().enumerate() {
            let mut all = hypothesis.weight;
            let mut owner = NONE;
            for slot in &self.live {
                let track = &self.requests[*slot as usize].tracks[hypothesis.of[*slot as usize] as usize];
                all += track.lasting;
                if track.port == ports.port && ports.port != 0 && self.requests[*slot as usize].responded.is_none() {
                    owner = *slot;
                }
            }
            owners[number] = owner;
            for slot in &self.live {
                let request = &self.requests[*slot as usize];
                let track = &request.tracks[hypothesis.of[*slot as usize] as usize];
                let score = all + track.rate + ports.of(track.port, owner != NONE);
                best = best.max(score);
                children.push((score, number as u16, *slot));
            }
            let score = all + stray + ports.of_nobody;
            best = best.max(score);
            children.push((score, number as u16, NONE));
        }
        let mut belief = Belief { shares: [0.0; REQUESTS], nobody: 0.0 };
        let mut total = 0.0;
        children.retain_mut(|(score, _, slot)| {
            *score -= best;
            if *score < -FAR {
                return false;
            }
            let share = score.exp();
            total += share;
            match belief.shares.get_mut(*slot as usize) {
                Some(place) => *place += share,
                None => belief.nobody += share,
            }
            true
        });
        let mut timing = 0.0;
        if let Some(learning) = learning
            && ports.port != 0
        {
            let mut of_owner = 0.0;
            for (score, number, slot) in &children {
                let own = match self.requests.get(*slot as usize) {
                    Some(request) => request.tracks[self.hypotheses[*number as usize].of[*slot as usize] as usize].port,
                    None => 0,
                };
                let (is_later, whose) = ports.kind(own, owners[*number as usize] != NONE);
                // What the timing alone says.
                let share = score.exp() / total;
                let said = if *slot == NONE { ports.of_nobody } else { ports.of(own, owners[*number as usize] != NONE) };
                let prior = (score - said).exp();
                of_owner += prior * if *slot == NONE { ports.of_nobody.exp() } else { ports.of_owner(is_later, whose) };
                timing += prior;
                if *slot != NONE {
                    learning.learn(ports, is_later, whose, share);
                }
            }
            learning.foretold(ports, of_owner / timing);
        }
        for share in &mut belief.shares {
            *share /= total;
        }
        belief.nobody /= total;
        children.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        if let Some(place) = place {
            self.calls = self.calls.max(place + 1);
        }
        let mut next = core::mem::take(&mut self.next);
        next.clear();
        let mut lost = 0.0;
        for (score, number, slot) in children.drain(..) {
            let (mut weight, mut signature) = {
                let old = &self.hypotheses[number as usize];
                (old.weight, old.signature)
            };
            let mut made = NONE;
            let track = self.hypotheses[number as usize].of.get(slot as usize).copied().unwrap_or(NONE);
            // The rest that has lasted is counted when it ends.
            let has_owner = owners[number as usize] != NONE;
            if slot == NONE {
                weight += stray + ports.of_nobody;
            } else {
                let it = &self.requests[slot as usize].tracks[track as usize];
                weight += it.lasting + it.rate + ports.of(it.port, has_owner);
                match self.branch(slot, track, now, id, host, ports.port, states) {
                    Some(place) => made = place,
                    None => {
                        lost += score.exp();
                        continue;
                    }
                }
                signature ^= code(slot, track) ^ code(slot, made);
            }
            let same = next.iter().position(|it: &Hypothesis| it.signature == signature);
            if same.is_none() && next.len() >= self.most {
                lost += score.exp();
                continue;
            }
            let mut new = self.hypotheses[number as usize].clone();
            (new.weight, new.signature) = (weight, signature);
            if let Some(place) = new.of.get_mut(slot as usize) {
                *place = made;
            }
            if let Some(said) = place.and_then(|place| new.said.get_mut(place)) {
                for (other, said) in said.iter_mut().enumerate() {
                    *said = if other == slot as usize { u16::MAX } else { 0 };
                }
            }
            match same {
                Some(same) => next[same].merge(&new, self.calls),
                None => next.push(new),
            }
        }
        self.lost = lost / total;
        self.children = children;
        if next.is_empty() {
            self.next = next;
        } else {
            self.next = core::mem::replace(&mut self.hypotheses, next);
        }
        self.sweep();
        belief
    }

    /// The track of a request to which this call is added; one for all hypotheses.
    fn branch(&mut self, slot: u8, track: u8, now: u64, call: CallId, host: u8, port: u16, states: &States) -> Option<u8> {
        let request = &mut self.requests[slot as usize];
        let old = request.tracks[track as usize];
        if old.next != NONE {
            return Some(old.next);
        }
        let mut open = old.open;
        if let Some(place) = open.iter_mut().find(|it| **it == 0) {
            *place = call;
        }
        let past = old.past.called(host);
        // One whose past differs in nothing that matters.
        let same = request.tracks.iter().position(|it| it.is_used && it.time == now && it.past == past && it.open == open);
        if let Some(same) = same {
            request.tracks[track as usize].next = same as u8;
            return Some(same as u8);
        }
        if request.nodes.len() >= NODES {
            return None;
        }
        let place = request.tracks.iter().position(|it| !it.is_used)?;
        let state = states.find(request.route, past);
        request.nodes.push(Node { before: old.node, past, time: now, event: Event::Called { host }, weight: 0.0 });
        let node = request.nodes.len() as u8 - 1;
        request.tracks[place] = Track { node, state, time: now, past, open, port, ..ARRIVED };
        request.tracks[track as usize].next = place as u8;
        Some(place as u8)
    }

    /// Frees tracks that no hypothesis has, and keeps weights near zero.
    fn sweep(&mut self) {
        let best = self.hypotheses.iter().map(|it| it.weight).fold(f32::MIN, f32::max);
        for hypothesis in &mut self.hypotheses {
            hypothesis.weight -= best;
        }
        for slot in &self.live {
            let mut used = [false; TRACKS];
            for hypothesis in &self.hypotheses {
                used[hypothesis.of[*slot as usize] as usize] = true;
            }
            for (track, used) in self.requests[*slot as usize].tracks.iter_mut().zip(used) {
                track.is_used &= used;
            }
        }
    }

    /// A call has been answered.
    pub(super) fn answered(&mut self, now: u64, call: CallId, host: u8, states: &mut States) {
        for place in 0..self.live.len() {
            let slot = self.live[place];
            let mut has = false;
            for track in &self.requests[slot as usize].tracks {
                has |= track.is_used && track.open.contains(&call);
            }
            if !has {
                continue;
            }
            self.look(slot, now, Kind::RESPONSE, states);
            let Self { requests, hypotheses, .. } = self;
            let request = &mut requests[slot as usize];
            for number in 0..TRACKS {
                let track = &mut request.tracks[number];
                if !track.is_used || !track.open.contains(&call) {
                    continue;
                }
                for hypothesis in hypotheses.iter_mut().filter(|it| it.of[slot as usize] == number as u8) {
                    hypothesis.weight += track.lasting;
                }
                if let Some(place) = track.open.iter().position(|it| *it == call) {
                    track.open[place..].rotate_left(1);
                    let last = track.open.len() - 1;
                    track.open[last] = 0;
                }
                track.past = track.past.answered(host);
                step(&mut request.nodes, track, states.find(request.route, track.past), now, Event::Answered);
            }
            self.join(slot);
        }
    }

    /// Makes one of tracks of a request that differ no more.
    fn join(&mut self, slot: u8) {
        let Self { requests, hypotheses, random, .. } = self;
        let request = &mut requests[slot as usize];
        let mut has_joined = false;
        for a in 0..TRACKS {
            for b in a + 1..TRACKS {
                let (one, other) = (&request.tracks[a], &request.tracks[b]);
                let is_same = one.is_used && other.is_used && one.time == other.time && one.past == other.past && one.open == other.open && one.port == other.port;
                if !is_same {
                    continue;
                }
                has_joined = true;
                let node = other.node;
                let (mut of_one, mut of_other) = (f32::MIN, f32::MIN);
                for hypothesis in hypotheses.iter_mut() {
                    let of = &mut hypothesis.of[slot as usize];
                    if *of == a as u8 {
                        of_one = of_one.max(hypothesis.weight);
                    } else if *of == b as u8 {
                        of_other = of_other.max(hypothesis.weight);
                        *of = a as u8;
                        hypothesis.signature ^= code(slot, a as u8) ^ code(slot, b as u8);
                    }
                }
                // One of both is remembered, by their weights.
                *random = random.wrapping_mul(1664525).wrapping_add(1013904223);
                let share = 1.0 / (1.0 + (of_one - of_other).exp());
                if ((*random >> 8) as f32 / (1u32 << 24) as f32) < share {
                    request.tracks[a].node = node;
                }
                request.tracks[b].is_used = false;
            }
        }
        if has_joined {
            self.merge();
        }
    }

    pub(super) fn slot(&self, request: RequestId) -> Option<u8> {
        self.live.iter().copied().find(|it| self.requests[*it as usize].id == request)
    }

    /// The response of a request is over.
    pub(super) fn responded(&mut self, now: u64, slot: u8, states: &mut States) {
        self.look(slot, now, Kind::RESPONSE, states);
        let Self { requests, hypotheses, .. } = self;
        let request = &mut requests[slot as usize];
        request.responded = Some(now);
        for number in 0..TRACKS {
            let track = &mut request.tracks[number];
            if !track.is_used {
                continue;
            }
            for hypothesis in hypotheses.iter_mut().filter(|it| it.of[slot as usize] == number as u8) {
                hypothesis.weight += track.lasting + track.rate;
            }
            track.past = track.past.responded();
            if !self.keeps_ports {
                track.port = 0;
            }
            step(&mut request.nodes, track, states.find(request.route, track.past), now, Event::Responded);
        }
        let best = hypotheses.iter().map(|it| it.weight).fold(f32::MIN, f32::max);
        hypotheses.retain(|it| it.weight > best - FAR);
        self.sweep();
        self.join(slot);
    }

    /// The time after which nothing is to be expected any more of one that has responded.
    pub(super) fn horizon(&self, slot: u8, states: &mut States) -> f32 {
        let mut horizon = 0.0f32;
        let request = &self.requests[slot as usize];
        for (number, track) in request.tracks.iter().enumerate().filter(|(_, it)| it.is_used) {
            let is_likely = |it: &Hypothesis| it.of[slot as usize] == number as u8 && it.weight > LIKELY;
            if !self.hypotheses.iter().any(is_likely) {
                continue;
            }
            horizon = horizon.max(match states.of(track.state) {
                Some(known) if known.observations > 30.0 => known.horizon().clamp(30e3, 2e6),
                _ => 1e6,
            });
        }
        horizon
    }

    /// A request is over: what it has done is learnt.
    pub(super) fn finish(&mut self, slot: u8, now: u64, states: &mut States) {
        self.look(slot, now, Kind::RESPONSE, states);
        let Self { requests, hypotheses, live, .. } = self;
        let request = &mut requests[slot as usize];
        let mut total = 0.0;
        for hypothesis in hypotheses.iter_mut() {
            hypothesis.weight += request.tracks[hypothesis.of[slot as usize] as usize].lasting;
        }
        let best = hypotheses.iter().map(|it| it.weight).fold(f32::MIN, f32::max);
        for track in &mut request.tracks {
            track.weight = 0.0;
        }
        for hypothesis in hypotheses.iter() {
            let share = (hypothesis.weight - best).exp();
            total += share;
            request.tracks[hypothesis.of[slot as usize] as usize].weight += share;
        }
        for track in request.tracks.iter().filter(|it| it.is_used) {
            let weight = track.weight / total;
            if let Some(node) = request.nodes.get_mut(track.node as usize) {
                node.weight += weight;
            }
            if weight > 0.01 {
                states.learn(request.route, track.past, us(track.time, now), None, weight);
            }
        }
        for number in (0..request.nodes.len()).rev() {
            let node = request.nodes[number];
            if node.weight < 1e-4 {
                continue;
            }
            if let Some(before) = request.nodes.get_mut(node.before as usize) {
                before.weight += node.weight;
                let event = match node.event {
                    Event::Called { host } => Some(Kind::call(host)),
                    Event::Responded => Some(Kind::RESPONSE),
                    _ => None,
                };
                if node.weight > 0.01 {
                    states.learn(request.route, before.past, us(before.time, node.time), event, node.weight);
                }
            }
        }
        request.is_taken = false;
        live.retain(|it| *it != slot);
        for hypothesis in hypotheses.iter_mut() {
            hypothesis.signature ^= code(slot, hypothesis.of[slot as usize]);
            hypothesis.of[slot as usize] = NONE;
        }
        self.merge();
    }

    /// Makes one of hypotheses that differ no more.
    fn merge(&mut self) {
        let mut kept = 0;
        let calls = self.calls;
        for number in 0..self.hypotheses.len() {
            let (before, rest) = self.hypotheses.split_at_mut(number);
            let Some(it) = rest.first() else { break };
            match before[..kept].iter_mut().find(|other| other.signature == it.signature) {
                Some(other) => other.merge(it, calls),
                None => {
                    self.hypotheses.swap(kept, number);
                    kept += 1;
                }
            }
        }
        self.hypotheses.truncate(kept);
        self.sweep();
    }

    /// How likely the calls whose marginals are kept belong to each slot, as of now.
    pub(super) fn marginals(&mut self, now: u64, states: &mut States) -> [[f32; BLOCK]; MARGINALS] {
        self.look_at_all(now, Kind::RESPONSE, states);
        let weight = |hypothesis: &Hypothesis| {
            let lasting = self.live.iter().map(|slot| self.requests[*slot as usize].tracks[hypothesis.of[*slot as usize] as usize].lasting);
            hypothesis.weight + lasting.sum::<f32>()
        };
        let best = self.hypotheses.iter().map(weight).fold(f32::MIN, f32::max);
        let mut total = 0.0;
        let mut found = [[0.0; BLOCK]; MARGINALS];
        for hypothesis in &self.hypotheses {
            let share = (weight(hypothesis) - best).exp();
            total += share;
            for (found, said) in found.iter_mut().zip(&hypothesis.said) {
                for (found, said) in found.iter_mut().zip(said) {
                    *found += share * *said as f32 / WHOLE;
                }
            }
        }
        for found in found.as_flattened_mut() {
            *found /= total;
        }
        found
    }

    pub(super) fn len(&self) -> usize {
        self.hypotheses.len()
    }
}

fn step(nodes: &mut Vec<Node>, track: &mut Track, state: u16, now: u64, event: Event) {
    track.state = state;
    track.time = now;
    if nodes.len() >= NODES {
        return;
    }
    nodes.push(Node { before: track.node, past: track.past, time: now, event, weight: 0.0 });
    track.node = nodes.len() as u8 - 1;
}
