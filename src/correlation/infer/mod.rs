//! Which request a call belongs to, by how long requests take from one thing that they do to the next.

mod beam;
mod intensity;
mod ports;
mod states;

use beam::{BLOCK, Beam, MARGINALS, REQUESTS};
pub use beam::{CallId, RequestId};
use ports::{Evidence, Ports};
use states::{MOST_HOSTS, States};

const HYPOTHESES: usize = 32;
const BLOCK_HYPOTHESES: usize = 24;
/// The most requests in flight among which a call's is looked for.
const IN_FLIGHT: usize = 24;
/// The share of calls that are at least taken to belong to nobody who is known.
const UNEXPLAINED: f32 = 0.003;
/// For how many microseconds nothing is sure after a request had to be let go of early.
const EVICTED: f32 = 100e3;
const TEMPER: f32 = 0.65;
/// What is left of doubt after another call.
const DOUBT: f32 = 0.6;
const ROUTES: usize = 32;
/// Requests and calls that are remembered after their end.
const OLD_REQUESTS: usize = 512;
const OLD_CALLS: usize = 1024;

#[derive(Clone, Copy, Debug, Default)]
struct OldRequest {
    id: RequestId,
    route: u8,
    arrived: u64,
    responded: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct OldCall {
    id: CallId,
    host: u8,
    begun: u64,
    answered: u64,
    ports: Evidence,
    candidates: [(RequestId, f32); BLOCK],
    /// What it is taken to belong to.
    of: RequestId,
}

#[derive(Clone, Copy, Debug)]
struct Host {
    digest: u64,
    stray: f32,
    calls: f32,
}

pub struct Infer {
    states: States,
    hosts: Vec<Host>,
    routes: Vec<u64>,
    watched: f32,
    since: u64,
    ports: Ports,
    beam: Beam,
    block: Beam,
    requests: Vec<OldRequest>,
    calls: Vec<OldCall>,
    last_request: RequestId,
    last_call: CallId,
    /// Requests in flight that there was no room for.
    beyond: u32,
    /// When a request was let go of early.
    evicted: u64,
    /// The share of hypotheses that was given up lately.
    doubt: f32,
}

fn us(from: u64, to: u64) -> f32 {
    to.saturating_sub(from) as f32
}

/// What is said afterwards takes other requests' calls for known.
fn tempered(share: f32) -> f32 {
    let share = share.clamp(1e-6, 1.0 - 1e-6);
    let odds = ((share / (1.0 - share)).ln() * TEMPER).exp();
    odds / (1.0 + odds)
}

impl Infer {
    pub fn new() -> Self {
        Self {
            states: States::new(),
            hosts: Vec::new(),
            routes: Vec::new(),
            watched: 0.0,
            since: 0,
            ports: Ports::new(),
            beam: Beam::new(HYPOTHESES),
            block: Beam::new(BLOCK_HYPOTHESES),
            requests: vec![OldRequest::default(); OLD_REQUESTS],
            calls: vec![OldCall::default(); OLD_CALLS],
            last_request: 0,
            last_call: 0,
            beyond: 0,
            evicted: 0,
            doubt: 0.0,
        }
    }

    fn watch(&mut self, now: u64) {
        if self.since != 0 {
            self.watched += us(self.since, now) / 1e6;
        }
        self.since = now;
    }

    pub fn arrived(&mut self, now: u64, route: u64) -> Option<RequestId> {
        self.watch(now);
        self.forget(now);
        let route = match self.routes.iter().position(|it| *it == route) {
            Some(place) => place,
            None if self.routes.len() < ROUTES => {
                self.routes.push(route);
                self.routes.len() - 1
            }
            None => ROUTES,
        } as u8;
        if self.beam.in_flight() >= IN_FLIGHT {
            self.beyond += 1;
            return None;
        }
        if !self.beam.has_room() {
            // One that has been answered for the longest has to go.
            let requests = &self.beam.requests;
            let old = self.beam.live.iter().copied().filter(|it| requests[*it as usize].responded.is_some());
            let Some(oldest) = old.min_by_key(|it| requests[*it as usize].responded) else {
                self.beyond += 1;
                return None;
            };
            self.beam.finish(oldest, now, &mut self.states);
            if self.beam.requests[oldest as usize].responded.is_none_or(|it| us(it, now) < EVICTED) {
                self.evicted = now;
            }
        }
        let id = self.last_request + 1;
        self.beam.arrived(now, id, route, &self.states)?;
        self.last_request = id;
        self.requests[id as usize % OLD_REQUESTS] = OldRequest { id, route, arrived: now, responded: 0 };
        Some(id)
    }

    fn host(&mut self, host: u64) -> Option<u8> {
        let place = self.hosts.iter().position(|it| it.digest == host);
        let place = place.or_else(|| {
            (self.hosts.len() < MOST_HOSTS).then(|| {
                self.hosts.push(Host { digest: host, stray: 0.0, calls: 0.0 });
                self.states.hosts(self.hosts.len());
                self.hosts.len() - 1
            })
        });
        place.map(|place| place as u8)
    }

    fn stray(&self, host: u8) -> f32 {
        let host = &self.hosts[host as usize];
        ((host.stray + 0.3).max(UNEXPLAINED * host.calls) / (self.watched + 1.0) / 1e6).ln()
    }

    /// A call to a host begins: its number, and the most likely request with its probability.
    pub fn call(&mut self, now: u64, host: u64, port: u16) -> Option<(CallId, Option<(RequestId, f32)>)> {
        self.watch(now);
        self.forget(now);
        let host = self.host(host)?;
        self.last_call += 1;
        let id = self.last_call;
        let stray = self.stray(host);
        let in_flight = self.beam.in_flight();
        let ports = self.ports.call(port, now, in_flight);
        let belief = self.beam.call(now, id, host, stray, &ports, Some(&mut self.ports), None, &mut self.states);
        let mut candidates = [(0, 0.0); BLOCK];
        let mut left = belief.shares;
        for candidate in &mut candidates {
            let Some(place) = (0..REQUESTS).max_by(|a, b| left[*a].total_cmp(&left[*b])) else { continue };
            if left[place] > 0.0 {
                *candidate = (self.beam.requests[place].id, left[place]);
                left[place] = 0.0;
            }
        }
        let best = candidates[0];
        let of = if best.1 > belief.nobody { best.0 } else { 0 };
        self.calls[id as usize % OLD_CALLS] = OldCall { id, host, begun: now, answered: 0, ports, candidates, of };
        self.hosts[host as usize].stray += belief.nobody;
        self.hosts[host as usize].calls += 1.0;
        self.doubt = (self.doubt * DOUBT).max(self.beam.lost);
        let is_complete = self.beyond == 0 && (self.evicted == 0 || us(self.evicted, now) > EVICTED);
        Some((id, (best.1 > 0.0 && is_complete).then_some((best.0, best.1 * (1.0 - self.doubt)))))
    }

    /// A call has been answered.
    pub fn answered(&mut self, now: u64, call: CallId) {
        self.watch(now);
        let Some(old) = self.calls.get_mut(call as usize % OLD_CALLS).filter(|it| it.id == call) else { return };
        old.answered = now;
        self.ports.answered(old.ports.port, now);
        self.beam.answered(now, call, old.host, &mut self.states);
    }

    /// A request has ended that there was no room for.
    pub fn left(&mut self) {
        self.beyond -= 1;
    }

    /// The response of a request is over.
    pub fn responded(&mut self, now: u64, request: RequestId) {
        self.watch(now);
        if let Some(old) = self.requests.get_mut(request as usize % OLD_REQUESTS).filter(|it| it.id == request) {
            old.responded = now;
        }
        let Some(slot) = self.beam.slot(request) else { return };
        self.beam.keeps_ports = self.ports.have_owners();
        self.block.keeps_ports = self.beam.keeps_ports;
        self.beam.responded(now, slot, &mut self.states);
    }

    /// Lets go of requests from which nothing is to be expected any more.
    fn forget(&mut self, now: u64) {
        let mut place = 0;
        while place < self.beam.live.len() {
            let slot = self.beam.live[place];
            let request = &self.beam.requests[slot as usize];
            let is_over = match request.responded {
                None => us(request.arrived, now) > 60e6,
                Some(time) => us(time, now) > self.beam.horizon(slot, &mut self.states),
            };
            if is_over {
                self.beam.finish(slot, now, &mut self.states);
            } else {
                place += 1;
            }
        }
    }

    /// What is known of a call by now: the most likely request with its probability.
    pub fn verdict(&mut self, now: u64, call: CallId) -> Option<(RequestId, f32)> {
        let it = *self.calls.get(call as usize % OLD_CALLS).filter(|it| it.id == call)?;
        // The requests that it may belong to, and all calls that may be theirs.
        let mut block = [OldRequest::default(); BLOCK];
        let mut members = 0;
        for (candidate, share) in it.candidates {
            let old = self.requests.get(candidate as usize % OLD_REQUESTS).filter(|it| it.id == candidate && candidate != 0);
            if let Some(old) = old
                && (share > 1e-4)
            {
                block[members] = *old;
                members += 1;
            }
        }
        let is_member = |id: RequestId| block[..members].iter().position(|it| it.id == id);
        // (time, what: 0 answer, 1 response, 2 call, 3 arrival; place)
        let mut events: Vec<(u64, u8, usize)> = Vec::new();
        for (place, request) in block[..members].iter().enumerate() {
            events.push((request.arrived, 3, place));
            if request.responded != 0 {
                events.push((request.responded, 1, place));
            }
        }
        let mut calls: Vec<OldCall> = Vec::new();
        for old in &self.calls {
            let belongs = old.id != 0
                && (is_member(old.of).is_some() || old.of == 0 && old.candidates.iter().any(|(id, share)| *share > 1e-3 && is_member(*id).is_some()));
            if belongs && calls.len() < MARGINALS {
                events.push((old.begun, 2, calls.len()));
                if old.answered != 0 {
                    events.push((old.answered, 0, calls.len()));
                }
                calls.push(*old);
            }
        }
        let target = calls.iter().position(|it| it.id == call)?;
        events.sort_unstable();
        self.block.clear();
        let mut slots = [0u8; BLOCK];
        let mut kept = 1.0;
        for (time, what, place) in events {
            match what {
                3 => slots[place] = self.block.arrived(time, block[place].id, block[place].route, &self.states)?,
                2 => {
                    let stray = self.stray(calls[place].host);
                    self.block.call(time, calls[place].id, calls[place].host, stray, &calls[place].ports, None, Some(place), &mut self.states);
                    if place >= target {
                        kept *= 1.0 - self.block.lost;
                    }
                }
                1 => self.block.responded(time, slots[place], &mut self.states),
                _ => self.block.answered(time, calls[place].id, calls[place].host, &mut self.states),
            }
        }
        let found = self.block.marginals(now, &mut self.states);
        let mut best = None;
        for (place, old) in calls.iter().enumerate() {
            let mut top = (0, 1.0 - found[place].iter().sum::<f32>());
            for member in 0..members {
                let share = found[place][slots[member] as usize];
                if share > top.1 {
                    top = (block[member].id, share);
                }
            }
            self.calls[old.id as usize % OLD_CALLS].of = top.0;
            if place == target && top.0 != 0 {
                best = Some((top.0, tempered(top.1 * kept)));
            }
        }
        best
    }

    pub fn size(&self) -> (usize, usize) {
        (self.states.len(), self.beam.len())
    }
}
