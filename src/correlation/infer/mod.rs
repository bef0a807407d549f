//! Which request a call belongs to, by how long requests take from one thing that they do to the next.
//!
//! What a request does next is told by what it has done so far and how long ago. Several hypotheses of who
//! made which call are kept, and a call's parent is said where nearly all of them agree. At most 3 MB for
//! a worker.

mod beam;
mod hypothesis;
mod intensity;
mod look;
mod maths;
mod ports;
mod request;
mod states;
#[cfg(test)]
mod tests;

use super::event::{Event, What};
use super::origin::Context;
use beam::{Beam, Call};
use look::{Looks, Made};
use maths::{ln, us};
use ports::{NO_HOME, Ports};
use states::{MOST_HOSTS, States};

/// The most requests in flight; with more nothing is said.
pub(super) const IN_FLIGHT: usize = 24;
/// The most routes that are told apart.
const ROUTES: usize = 32;
/// What of a digest tells hosts apart; the rest tells apart what is called of one.
pub(super) const HOST: u64 = 0xffff_ffff << 32;
/// How much is told apart of what is called of a host; more is taken for one thing. So it is where there are many hosts.
const OPERATIONS: usize = 3;
/// The share of calls that are at least taken to belong to nobody who is known.
const UNEXPLAINED: f32 = 0.003;
/// For how many microseconds nothing is sure after a request had to be let go of early.
const EVICTED: f32 = 100e3;
/// How many parents are wrong of those that are at least so likely, as a share of how many would be if all were
/// just so likely: about a third, on hundreds of random applications, at any likelihood.
const WRONG: f32 = 0.28;
/// After so many calls twice as many are taken to be wrong as after very many: what was learnt first is known least.
const COLD: f32 = 50.0;
/// How many calls a second each request that is in flight and not known is taken to make.
const UNSEEN: f32 = 30.0;
/// How many calls that came while nothing was in flight are taken for chance, and after how many in all twice as many
/// are believed to be nobody's as those tell.
const IDLE_CALLS: f32 = 1.0;
const BELIEVED: f32 = 20.0;
/// How many calls of nobody count for it in all the time that was watched that there are some.
const STRAYS: f32 = 0.3;
/// After so many calls those of a host count half, at first; the next time after twice as many, and at last after
/// so many. What was learnt first was learnt with the least knowledge.
const FEW_CALLS: f32 = 50.0;
const MOST_CALLS: f32 = 2000.0;
/// What is left of doubt after another call.
const DOUBT: f32 = 0.6;

#[derive(Debug)]
struct Host {
    digest: u64,
    /// Calls that belong to nobody, all, and how many of them there are before they count half.
    stray: f32,
    calls: f32,
    most: f32,
    /// Seconds that had been watched when they began to count.
    since: f32,
    /// Calls while nothing was in flight, and seconds of that before they began to count.
    idle_calls: f32,
    idle_since: f32,
    /// All calls.
    seen: f32,
}

impl Host {
    /// The logarithm of how often a call to it belongs to nobody, a microsecond, after so many seconds and with
    /// so many requests that are not known.
    fn stray(&self, watched: f32, idle: f32, unseen: f32) -> f32 {
        let often = self.stray.max(UNEXPLAINED * self.calls) / (watched - self.since + 1.0);
        // Nobody's would also come while nothing is in flight. Where that is not believed at first, all may be taken for
        // nobody's before anything is learnt of requests, and stay so.
        let while_idle = (self.idle_calls + IDLE_CALLS) / (idle - self.idle_since + 0.1);
        let often = often.min(while_idle * (1.0 + self.seen / BELIEVED));
        ln((often + STRAYS / (watched + 1.0) + unseen * UNSEEN) / 1e6)
    }
}

/// What is known of one application, and what is in flight. Times are microseconds of a clock that is
/// not set.
#[derive(Debug)]
pub struct Infer {
    states: States,
    hosts: Vec<Host>,
    routes: Vec<u64>,
    /// Seconds in which it was watched, in which nothing was in flight, and since when.
    watched: f32,
    idle: f32,
    since: u64,
    ports: Ports,
    beam: Beam,
    looks: Looks,
    /// Until when something is missing.
    missing: u64,
    /// The share of hypotheses that was given up lately.
    doubt: f32,
    /// How many calls there were.
    calls: f32,
    /// Requests by routes and calls to hosts for which there was no room.
    full: u32,
}

/// How many of all parents that are at least so likely are right. Whoever says those above a threshold wants to
/// know this, and not how likely the least of them is. `surprise` times as many are wrong as expected, in hindsight and
/// because little is known yet.
fn confidence(likely: f32, surprise: f32) -> f32 {
    (1.0 - (1.0 - likely) * WRONG * surprise).max(0.0)
}

impl Infer {
    pub fn new() -> Self {
        Self {
            states: States::new(),
            hosts: Vec::new(),
            routes: Vec::new(),
            watched: 0.0,
            idle: 0.0,
            since: 0,
            ports: Ports::NONE,
            beam: Beam::new(),
            looks: Looks::new(),
            missing: 0,
            doubt: 0.0,
            calls: 0.0,
            full: 0,
        }
    }

    /// Something that has happened is not known: nothing is sure until what is in flight has ended.
    pub fn forget(&mut self, now: u64) {
        self.beam = Beam::new();
        self.looks = Looks::new();
        self.missing = now.saturating_add(EVICTED as u64);
    }

    fn watch(&mut self, now: u64, max_age: f32) {
        if self.since != 0 {
            let seconds = us(self.since, now) / 1e6;
            self.watched += seconds;
            if self.beam.in_flight() == 0 {
                self.idle += seconds;
            }
        }
        self.since = now;
        self.beam.forget(now, max_age, &mut self.states);
    }

    /// Something has happened while so many requests are in flight that are not known, each of which may last so many
    /// microseconds; whether there was room.
    #[inline(never)]
    pub fn happened(&mut self, event: &Event, max_age: f32, unseen: usize) -> bool {
        let Event { what, time, stream, digest, port, context } = *event;
        match (what, context) {
            (What::Arrived, Some(context)) => {
                self.watch(time, max_age);
                return self.arrived(time, stream, digest, context);
            }
            (What::Arrived, None) => {}
            (What::Called, _) => {
                let in_flight = self.in_flight().saturating_add(unseen);
                self.call(event, max_age, in_flight, false);
            }
            (What::Answered | What::Refused, _) => {
                self.answered(time, stream, digest, port, what == What::Refused);
            }
            (What::Responded, _) => self.responded(time, stream),
            (What::CameBy, _) => self.came_by(time, stream, port),
        }
        true
    }

    /// A request comes by this route; whether there was room.
    fn arrived(&mut self, now: u64, stream: u32, route: u64, context: Context) -> bool {
        let route = self.routes.iter().position(|it| *it == route).unwrap_or_else(|| {
            if self.routes.len() < ROUTES {
                self.routes.push(route);
                self.routes.len() - 1
            } else {
                self.full += 1;
                ROUTES
            }
        });
        if self.beam.in_flight() >= IN_FLIGHT {
            return false;
        }
        if self.beam.make_room(now, &mut self.states).is_some_and(|ago| ago < EVICTED) {
            self.missing = now.saturating_add(EVICTED as u64);
        }
        self.looks.arrived(now, stream, route as u8, context);
        self.beam.arrived(now, stream, route as u8, NO_HOME, context, &self.states)
    }

    /// Whether it is worth asking by which connections those that are in flight have come.
    pub fn wants_homes(&self) -> bool {
        self.in_flight() <= IN_FLIGHT && self.ports.wants_homes(self.calls as u32)
    }

    /// The connection towards the application is known that a request has come by.
    fn came_by(&mut self, now: u64, stream: u32, port: u16) {
        let home = self.ports.home(port, now);
        self.looks.came_by(stream, home);
        self.beam.came_by(stream, home);
    }

    /// The place of what is called, or of all that is called of its host.
    fn place(&self, digest: u64) -> Option<usize> {
        let place = |digest| self.hosts.iter().position(|it| it.digest == digest);
        place(digest).or_else(|| place(digest & HOST))
    }

    #[inline(never)]
    fn host(&mut self, mut digest: u64) -> Option<usize> {
        let place = self.place(digest);
        if place.is_some() {
            return place;
        }
        let same = self.hosts.iter().filter(|it| (it.digest ^ digest) & HOST == 0);
        if same.count() >= OPERATIONS || self.hosts.len() >= MOST_HOSTS / 2 {
            digest &= HOST;
        }
        if self.hosts.len() == MOST_HOSTS {
            self.full += 1;
            return None;
        }
        let (most, since) = (FEW_CALLS, self.watched);
        self.hosts.push(Host {
            digest,
            stray: 0.0,
            calls: 0.0,
            most,
            since,
            idle_calls: 0.0,
            idle_since: self.idle,
            seen: 0.0,
        });
        self.states.hosts = self.hosts.len();
        Some(self.hosts.len() - 1)
    }

    /// A call begins while so many requests are in flight; `is_asked`: this worker's own, of which more is asked
    /// later. The most likely request with [`confidence`] in it.
    #[inline(never)]
    pub fn call(
        &mut self,
        call: &Event,
        max_age: f32,
        in_flight: usize,
        is_asked: bool,
    ) -> Option<(Context, f32)> {
        let Event { time: now, stream, digest: host, port, ref context, .. } = *call;
        self.watch(now, max_age);
        let place = self.host(host)?;
        let homes = self.ports.homes(port);
        let ports = self.ports.call(port, now, self.beam.in_flight());
        let Self { hosts, watched, idle, beam, states, .. } = self;
        let host = hosts.get_mut(place)?;
        let unseen = in_flight.saturating_sub(beam.in_flight()) as f32;
        let stray = host.stray(*watched, *idle, unseen) + homes.likely(0);
        let call = Call {
            stream,
            host: place as u8,
            stray,
            ports: &ports,
            homes: &homes,
            known: context.as_ref(),
        };
        let belief = beam.call(now, &call, Some(&mut self.ports), states)?;
        // Those of requests that are not known are no measure of nobody's.
        if unseen == 0.0 {
            host.stray += belief.nobody;
            host.calls += 1.0;
            host.seen += 1.0;
            if in_flight == 0 {
                host.idle_calls += 1.0;
            }
        }
        if host.calls > host.most {
            (host.stray, host.calls) = (host.stray * 0.5, host.calls * 0.5);
            host.since += (self.watched - host.since) * 0.5;
            host.most = (host.most * 2.0).min(MOST_CALLS);
        }
        self.calls += 1.0;
        self.doubt = (self.doubt * DOUBT).max(belief.lost);
        let is_complete = beam.in_flight() >= in_flight && now >= self.missing;
        self.looks.made(Made {
            stream,
            host: place as u8,
            time: now,
            ports,
            candidates: belief.candidates,
            nobody: belief.nobody,
            is_complete: is_complete && is_asked,
        });
        let (context, share) = belief.best.filter(|_| is_complete)?;
        let surprise = self.beam.surprise() * (1.0 + COLD / self.calls);
        Some((context, confidence(share * (1.0 - self.doubt), surprise)))
    }

    /// A call to a host has been answered, or refused.
    fn answered(&mut self, now: u64, stream: u32, host: u64, port: u16, is_refused: bool) {
        if let Some(place) = self.place(host) {
            self.ports.answered(port, now);
            self.looks.answered(now, stream, is_refused);
            self.beam.answered(now, stream, place as u8, is_refused, &mut self.states);
        }
    }

    /// How often there was no room for a route, a host or a state, since this was last asked.
    pub fn take_full(&mut self) -> u32 {
        core::mem::take(&mut self.full) + core::mem::take(&mut self.states.full)
    }

    /// How many hypotheses, requests, places for these, routes, hosts, states and connections are kept.
    pub fn sizes(&self) -> [usize; 7] {
        let [hypotheses, requests, places] = self.beam.sizes();
        let Self { routes, hosts, states, ports, .. } = self;
        [hypotheses, requests, places, routes.len(), hosts.len(), states.len(), ports.len()]
    }

    /// The response of a request is over.
    fn responded(&mut self, now: u64, stream: u32) {
        self.looks.responded(now, stream);
        self.beam.responded(now, stream, self.ports.have_owners(), &mut self.states);
    }

    /// What a call belongs to, now that it is known what came after it: the most likely request with its
    /// probability.
    pub fn look(&mut self, now: u64, stream: u32) -> Option<(Context, f32)> {
        let Self { looks, hosts, watched, idle, states, ports, .. } = self;
        let stray = |host: u8| {
            hosts.get(usize::from(host)).map_or(0.0, |it| it.stray(*watched, *idle, 0.0))
        };
        looks.look(now, stream, ports, &stray, states)
    }

    /// How many requests are known that have not responded.
    pub fn in_flight(&self) -> usize {
        self.beam.in_flight()
    }
}
