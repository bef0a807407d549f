//! What the workers of this proxy tell each other of when requests come and calls are made.
//!
//! Each writes its latest events as a ring under one key of its own in Envoy's shared data, one write for
//! each event, and reads the rings of the others before it has to know what is in flight, or lest they
//! overrun. It looks at all events in the order of their times, its own among them, so that each worker
//! learns the same of the whole pod. Where events are missing all that is in flight is forgotten, and
//! nothing is said until what was in flight then has ended.

use super::entry::{Entry, put};
use super::event::{Event, What};
use super::infer::Infer;
use super::sidecar::Sidecar;
use super::workers::{TIMES, name};

/// The most workers that tell each other; with more each would read too much for a call.
pub(super) const MOST_TELLING: u8 = 8;

/// The latest events of a worker that others can read, and what comes before them.
pub(super) const EVENTS: usize = 128;
const HEADER: usize = 32;
const EVENT: usize = Entry::BYTES + 11;

/// What the bytes of a ring begin with.
const MARK: [u8; 8] = *b"mspan:t1";

/// After so many events of its own, or so many microseconds, a worker reads what others have told.
const PATIENCE: usize = EVENTS / 4;
const PAUSE: u64 = 50_000;

/// For how many microseconds a worker that says nothing at all is waited for; it does each second.
const SILENCE: u64 = 10_000_000;

impl Event {
    fn write(&self, bytes: &mut Vec<u8>) {
        let Entry(entry) = Entry::new(self.digest, self.context.as_ref(), self.stream);
        bytes.extend_from_slice(&entry);
        bytes.extend_from_slice(&self.time.to_le_bytes());
        bytes.extend_from_slice(&self.port.to_le_bytes());
        bytes.push(self.what as u8);
    }

    /// What another worker has told, or anything.
    #[inline(never)]
    fn read(bytes: &[u8; EVENT]) -> Option<Self> {
        let (entry, rest) = bytes.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (port, what) = rest.split_first_chunk()?;
        let entry = Entry(*entry);
        let all = {
            use What::{Answered, Arrived, Called, CameBy, Refused, Responded};
            [Arrived, Called, Answered, Responded, Refused, CameBy]
        };
        Some(Self {
            what: *all.get(usize::from(*what.first()?))?,
            time: u64::from_le_bytes(*time),
            stream: entry.expires(),
            digest: entry.key(),
            port: u16::from_le_bytes(*port),
            context: entry.context(),
        })
    }
}

/// The events of one worker.
#[derive(Debug)]
struct Ring {
    worker: u8,
    /// As they are shared: a header, and then the events, the latest last.
    bytes: Vec<u8>,
    /// How many of the latest have not been looked at.
    new: usize,
    /// When it began, which tells it from others of this number; zero of one that is not known.
    epoch: u64,
    /// How many there have been, which wraps.
    total: u32,
    /// How many requests are in flight in it.
    in_flight: u32,
    /// When it was written, and whether that was too long ago when it was read.
    written: u64,
    is_silent: bool,
}

impl Ring {
    /// Of a worker that has not told anything by now.
    const fn new(worker: u8, epoch: u64, now: u64) -> Self {
        Self {
            worker,
            bytes: Vec::new(),
            new: 0,
            epoch,
            total: 0,
            in_flight: 0,
            written: now,
            is_silent: false,
        }
    }

    fn events(&self) -> &[[u8; EVENT]] {
        self.bytes.get(HEADER..).unwrap_or_default().as_chunks().0
    }

    /// The first of those that have not been looked at.
    #[inline(never)]
    fn first(&self) -> Option<Event> {
        let events = self.events();
        Event::read(events.get(events.len().checked_sub(self.new)?)?)
    }

    fn push(&mut self, event: &Event) {
        if self.events().len() >= EVENTS {
            self.bytes.copy_within(HEADER + EVENT.., HEADER);
            self.bytes.truncate(HEADER + EVENT * (EVENTS - 1));
        } else if self.bytes.is_empty() {
            self.bytes.resize(HEADER, 0);
        }
        event.write(&mut self.bytes);
        self.total = self.total.wrapping_add(1);
    }

    fn write(&mut self, envoy: &dyn Sidecar) {
        let mut rest = put(&mut self.bytes, MARK);
        rest = put(rest, self.epoch.to_le_bytes());
        rest = put(rest, self.written.to_le_bytes());
        rest = put(rest, self.total.to_le_bytes());
        put(rest, self.in_flight.to_le_bytes());
        envoy.set_shared_data(&name(self.worker, TIMES), &self.bytes, 0);
    }

    /// Reads what another worker has written; whether something is missing.
    fn read(&mut self, now: u64, envoy: &dyn Sidecar) -> bool {
        self.bytes = envoy.shared_data(&name(self.worker, TIMES)).unwrap_or_default().0;
        self.new = 0;
        let is_whole = self.take_header(now);
        let was_silent = self.is_silent;
        self.is_silent = !self.bytes.is_empty() && self.written.saturating_add(SILENCE) < now;
        // What it had in flight never ends, or what it has was not looked at.
        if self.is_silent { !was_silent } else { was_silent || !is_whole }
    }

    /// Whether all that it has told since it was read is there.
    fn take_header(&mut self, now: u64) -> bool {
        let Some((epoch, written, total, in_flight)) = header(&self.bytes) else {
            self.in_flight = 0;
            return self.bytes.is_empty() && self.epoch == 0;
        };
        let events = self.events().len();
        let known = if self.epoch == epoch { self.total } else { 0 };
        let new = total.wrapping_sub(known) as usize;
        let is_whole = new <= events && (self.epoch == epoch || self.epoch == 0);
        self.new = new.min(events);
        (self.epoch, self.total, self.in_flight) = (epoch, total, in_flight);
        self.written = written.min(now);
        is_whole
    }
}

/// Epoch, time, number of events and of requests in flight of a ring, if it is one.
fn header(bytes: &[u8]) -> Option<(u64, u64, u32, u32)> {
    let (mark, rest) = bytes.split_first_chunk()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let (written, rest) = rest.split_first_chunk()?;
    let (total, rest) = rest.split_first_chunk()?;
    let (in_flight, events) = rest.split_first_chunk()?;
    let is_sound = *mark == MARK && events.len() % EVENT == 0 && events.len() <= EVENTS * EVENT;
    is_sound.then_some((
        u64::from_le_bytes(*epoch),
        u64::from_le_bytes(*written),
        u32::from_le_bytes(*total),
        u32::from_le_bytes(*in_flight),
    ))
}

/// The events of all workers.
#[derive(Debug)]
pub(super) struct Rings {
    own: Ring,
    others: Vec<Ring>,
    /// When those were last read.
    read: u64,
    /// For how many microseconds a request may last.
    pub(super) age: f32,
    /// How many requests were in flight then that are not known.
    unseen: usize,
    /// Requests of this worker for which there was no room.
    pub(super) full: u32,
    /// How often something was missing.
    pub(super) missed: u32,
}

impl Rings {
    /// Of the worker of this number.
    pub(super) fn new(worker: u8, now: u64) -> Self {
        let own = Ring::new(worker, now.max(1), now);
        Self { own, others: Vec::new(), read: now, age: 0.0, unseen: 0, full: 0, missed: 0 }
    }

    /// How many requests are in flight in the pod, of which so many in this worker, as far as the others were
    /// read.
    pub(super) fn in_flight(&self, own: u16) -> usize {
        let others = self.others.iter().filter(|ring| !ring.is_silent);
        others.fold(usize::from(own), |sum, ring| sum.saturating_add(ring.in_flight as usize))
    }

    /// Tells others that something has happened, and how many requests are in flight in this worker.
    pub(super) fn tell(&mut self, event: &Event, in_flight: u16, envoy: &dyn Sidecar) {
        self.own.push(event);
        self.beat(event.time, in_flight, envoy);
    }

    /// Another event is told with the next.
    pub(super) fn note(&mut self, event: &Event) {
        self.own.push(event);
        self.own.new += 1;
    }

    /// Tells others that this worker is there.
    pub(super) fn beat(&mut self, now: u64, in_flight: u16, envoy: &dyn Sidecar) {
        (self.own.written, self.own.in_flight) = (now, in_flight.into());
        self.own.write(envoy);
    }

    /// The latest event of this worker is to be looked at in its turn; whether that is due.
    pub(super) fn leave(&mut self, now: u64) -> bool {
        self.own.new += 1;
        self.own.new >= PATIENCE || now.saturating_sub(self.read) > PAUSE
    }

    /// Reads what others have told, whose numbers are below `known`, and looks at it; those that have been silent
    /// for long are read if `all` are.
    pub(super) fn read(
        &mut self,
        now: u64,
        known: u8,
        all: bool,
        infer: &mut Infer,
        envoy: &dyn Sidecar,
    ) {
        for worker in 0..known.min(MOST_TELLING) {
            let is_known = self.others.iter().any(|ring| ring.worker == worker);
            if worker != self.own.worker && !is_known {
                self.others.push(Ring::new(worker, 0, now));
            }
        }
        let mut is_missing = known > MOST_TELLING;
        for ring in self.others.iter_mut().filter(|ring| all || !ring.is_silent) {
            is_missing |= ring.read(now, envoy);
        }
        self.read = now;
        if is_missing {
            // What is there was of several times, and would be taken for all that happened then.
            self.missed += 1;
            self.rings().for_each(|ring| ring.new = 0);
            infer.forget(now);
        }
        self.look(now, infer);
        let in_flight = self.in_flight(self.own.in_flight as u16);
        self.unseen = in_flight.saturating_sub(infer.in_flight());
    }

    fn rings(&mut self) -> impl Iterator<Item = &mut Ring> {
        core::iter::once(&mut self.own).chain(&mut self.others)
    }

    /// Looks at all events that have not been looked at, in the order of their times.
    fn look(&mut self, now: u64, infer: &mut Infer) {
        loop {
            let rings = core::iter::once(&mut self.own).chain(&mut self.others);
            let rings = rings.filter(|ring| ring.new > 0);
            let Some(ring) = rings.min_by_key(|ring| ring.first().map(|it| it.time)) else {
                return;
            };
            let event = ring.first();
            ring.new -= 1;
            let Some(mut event) = event else { continue };
            event.time = event.time.min(now);
            let has_room = infer.happened(&event, self.age, self.unseen);
            if !has_room && ring.worker == self.own.worker {
                self.full += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: Ring = Ring::new(0, 0, 0);

    /// Events that have been told one after the other.
    fn told(total: u32, events: usize) -> Ring {
        let mut ring = Ring { total, ..Ring::new(0, 9, 0) };
        for time in 0..events as u64 {
            let event =
                Event { what: What::Responded, time, stream: 1, digest: 2, port: 3, context: None };
            ring.push(&event);
        }
        ring
    }

    /// As another worker sees it that had read so much.
    fn seen(ring: &mut Ring, epoch: u64, total: u32) -> (bool, usize) {
        put(put(&mut ring.bytes, MARK), ring.epoch.to_le_bytes());
        let rest = ring.bytes.get_mut(24..).unwrap();
        put(rest, ring.total.to_le_bytes());
        let mut seen = Ring { bytes: ring.bytes.clone(), epoch, total, ..EMPTY };
        let is_whole = seen.take_header(1);
        (is_whole, seen.new)
    }

    #[test]
    fn what_is_missing_is_known_by_the_number_of_events() {
        for (name, began, events, epoch, read, expected) in [
            ("all of a new one", 0, 5, 0, 0, (true, 5)),
            ("nothing new", 0, 5, 9, 5, (true, 0)),
            ("some are new", 0, 5, 9, 3, (true, 2)),
            ("as many as there can be", 0, 200, 9, 200 - EVENTS as u32, (true, EVENTS)),
            ("one more", 0, 200, 9, 199 - EVENTS as u32, (false, EVENTS)),
            ("a new one that has told more than that", 0, 200, 0, 0, (false, EVENTS)),
            ("another of its number", 0, 5, 7, 5, (false, 5)),
            ("its count goes round", u32::MAX - 2, 5, 9, u32::MAX - 1, (true, 4)),
            ("it goes back", 0, 5, 9, 6, (false, 5)),
        ] {
            assert_eq!(seen(&mut told(began, events), epoch, read), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_ring_has_no_events() {
        let mut ring = told(0, 5);
        assert_eq!(seen(&mut ring, 9, 4), (true, 1));
        for (name, bytes, expected) in [
            ("nothing, where nothing was", vec![], true),
            ("another mark", vec![0; HEADER + EVENT], false),
            ("a header cut short", ring.bytes[..HEADER - 1].to_vec(), false),
            ("an event cut short", ring.bytes[..HEADER + EVENT - 1].to_vec(), false),
            ("too many", [&ring.bytes[..], &[0; EVENT * EVENTS]].concat(), false),
        ] {
            let mut seen = Ring { bytes, in_flight: 3, ..EMPTY };
            assert_eq!((seen.take_header(1), seen.new, seen.in_flight), (expected, 0, 0), "{name}");
        }
        let mut gone = Ring { epoch: 9, ..EMPTY };
        assert!(!gone.take_header(1), "nothing, where something was");
    }

    #[test]
    fn an_event_of_no_known_kind_is_passed_over() {
        let mut ring = told(0, 3);
        ring.new = 2;
        assert_eq!(
            ring.first().map(|it| (it.time, it.stream, it.digest, it.port)),
            Some((1, 1, 2, 3))
        );
        for byte in ring.bytes.iter_mut() {
            *byte = 255;
        }
        assert!(ring.first().is_none());
    }

    #[test]
    fn calls_of_requests_that_are_not_known_are_not_taken_for_nobodys() {
        let share = |unseen| {
            let mut infer = Infer::new();
            let event = |what, time, stream, context| Event {
                what,
                time,
                stream,
                digest: 1,
                port: 0,
                context,
            };
            for number in 1..200 {
                let call = event(What::Called, u64::from(number) * 10_000, number, None);
                assert!(infer.happened(&call, 60e6, unseen));
            }
            let context = Entry([1; Entry::BYTES]).context();
            infer.happened(&event(What::Arrived, 3_000_000, 500, context), 60e6, 0);
            infer.call(&event(What::Called, 3_001_000, 501, None), 60e6, 1, true).unwrap().1
        };
        assert!(share(1) > share(0) + 0.03, "{} {}", share(1), share(0));
    }
}
