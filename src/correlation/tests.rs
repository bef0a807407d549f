use super::*;
use crate::config::Attribute;
use crate::correlation::flights::MOST_FLIGHTS;
use crate::trace::{Decision, IdGenerator, SpanId, Threshold, TraceFlags, TraceId};
use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

mod timing;

/// Values with their versions.
type Values = HashMap<Vec<u8>, (Vec<u8>, u32)>;

/// Envoy's shared data, as the workers of one proxy see it.
#[derive(Default)]
struct Store {
    values: RefCell<Values>,
    reads: Cell<usize>,
    writes: Cell<usize>,
    bytes_read: Cell<usize>,
    crowd: Cell<u64>,
    /// How often that number was read or changed.
    crowd_calls: Cell<usize>,
    source_port: Cell<Option<u16>>,
    /// How often it was asked for.
    source_ports: Cell<usize>,
    /// In nanoseconds.
    clock: Cell<u64>,
}

impl Surroundings for Store {
    fn attribute(&self, _: Attribute) -> Vec<u8> {
        Vec::new()
    }

    fn clock(&self) -> u64 {
        self.clock.get()
    }

    fn shared_data(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.reads.set(self.reads.get() + 1);
        let found = self.values.borrow().get(key).cloned();
        let bytes = found.as_ref().map_or(0, |(value, _)| value.len());
        self.bytes_read.set(self.bytes_read.get() + bytes);
        found
    }

    fn set_shared_data(&self, key: &[u8], value: &[u8], version: u32) -> bool {
        self.writes.set(self.writes.get() + 1);
        let mut values = self.values.borrow_mut();
        let (old, at) = values.entry(key.to_vec()).or_default();
        let is_current = version == 0 || version == *at;
        if is_current {
            (*old, *at) = (value.to_vec(), *at + 1);
        }
        is_current
    }
}

impl Sidecar for Store {
    fn crowd(&self) -> u64 {
        self.crowd_calls.set(self.crowd_calls.get() + 1);
        self.crowd.get()
    }

    fn change_crowd(&self, change: i64) {
        self.crowd_calls.set(self.crowd_calls.get() + 1);
        self.crowd.set(self.crowd.get().wrapping_add(change as u64));
    }

    fn source_port(&self) -> Option<u16> {
        self.source_ports.set(self.source_ports.get() + 1);
        self.source_port.get()
    }

    fn is_refused(&self) -> bool {
        false
    }

    /// A connection of its own for each hundredth stream.
    fn upstream_port(&self, stream: u32, _: u32) -> Option<u16> {
        Some((stream % 100) as u16)
    }
}

const NOW: u32 = 1_700_000_000;

/// A worker, and the settings of its root context.
struct Worker {
    correlation: Correlation,
    settings: Settings,
    stats: Stats,
    /// The latest that Envoy made.
    stream: u32,
}

type Headers<'a> = [(&'a str, &'a str)];

fn bytes<'a>(headers: &Headers<'a>) -> Vec<(&'a [u8], &'a [u8])> {
    headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

impl Worker {
    /// An inbound request.
    fn arrive(&mut self, headers: &Headers, it: Context, store: &Store) -> Option<Ticket> {
        let Self { correlation, settings, stats, stream } = self;
        *stream += 1;
        correlation.arrived(settings, *stream, &bytes(headers), &it, stats, store)
    }

    fn end(&mut self, ticket: Option<Ticket>, store: &Store) {
        self.correlation.ended(ticket.unwrap(), store);
    }

    /// Trace, whether it is the parent, and by what, of a call with these headers.
    fn origin(&mut self, headers: &Headers, store: &Store) -> Option<(Context, bool, String)> {
        let headers = bytes(headers);
        self.stream += 1;
        let Self { correlation, settings, stream, .. } = self;
        let origin = correlation.origin(settings, *stream, &headers, &mut None, store)?;
        Some((origin.context, origin.is_parent, origin.evidence.name))
    }

    fn tick(&mut self, now: u32, store: &Store) {
        self.correlation.tick(now, &mut self.stats, store);
    }
}

fn workers(count: usize, settings: &Settings, store: &Store) -> Vec<Worker> {
    let worker = |_| {
        let mut correlation = Correlation::NEW;
        correlation.begin(NOW, store);
        Worker { correlation, settings: settings.clone(), stats: Stats::default(), stream: 0 }
    };
    (0..count).map(worker).collect()
}

fn settings(headers: &[&str]) -> Settings {
    let headers = headers.iter().map(|name| (*name).to_owned()).collect();
    Settings { headers, ..Settings::default() }
}

fn context(trace: u128, span: u64) -> Context {
    Context {
        trace_id: TraceId::new(trace).unwrap(),
        span_id: SpanId::new(span).unwrap(),
        decision: Decision::Sample,
        threshold: Some(Threshold::ALWAYS),
        flags: TraceFlags { random: true },
    }
}

#[test]
fn a_call_belongs_to_the_request_in_flight_whose_id_it_forwards() {
    let store = Store::default();
    let [one] = &mut workers(1, &settings(&["x-session-id"]), &store)[..] else { panic!() };
    let (a, b) = (context(1, 1), context(2, 2));
    let first = one.arrive(&[("x-request-id", "a"), ("x-session-id", "s")], a, &store);
    let second = one.arrive(&[("x-request-id", "b"), ("x-session-id", "t")], b, &store);
    let known = |it, by: &str| Some((it, true, by.to_owned()));
    for (name, headers, expected) in [
        ("its id", vec![("x-request-id", "a")], known(a, "request_id")),
        ("the other's id", vec![("x-request-id", "b")], known(b, "request_id")),
        ("a new id", vec![("x-request-id", "c")], None),
        (
            "another header",
            vec![("x-session-id", "t"), ("x-request-id", "c")],
            known(b, "header:x-session-id"),
        ),
        (
            "the id comes first",
            vec![("x-session-id", "t"), ("x-request-id", "a")],
            known(a, "request_id"),
        ),
        ("an id is no session", vec![("x-session-id", "a")], None),
    ] {
        assert_eq!(one.origin(&headers, &store), expected, "{name}");
    }
    one.end(first, &store);
    assert_eq!(one.origin(&[("x-request-id", "a")], &store), None, "it has ended");
    one.end(second, &store);
    assert_eq!(one.origin(&[("x-request-id", "b")], &store), None);
}

#[test]
fn several_in_flight_under_one_id_give_their_trace_if_it_is_one() {
    for (name, traces, expected) in [
        ("one", vec![(1, 1)], Some((1, true))),
        ("the same trace comes back", vec![(1, 1), (1, 2)], Some((1, false))),
        ("another trace under the same id", vec![(1, 1), (2, 2)], None),
        ("three, of which one is of another trace", vec![(1, 1), (1, 2), (2, 3)], None),
    ] {
        for count in [1, 2] {
            let store = Store::default();
            let mut workers = workers(count, &settings(&[]), &store);
            for (number, (trace, span)) in traces.iter().enumerate() {
                let worker = &mut workers[number % count];
                worker.arrive(&[("x-request-id", "a")], context(*trace, *span), &store);
            }
            for worker in &mut workers {
                let found = worker.origin(&[("x-request-id", "a")], &store);
                let found =
                    found.map(|(context, is_parent, _)| (context.trace_id.value(), is_parent));
                assert_eq!(found, expected, "{name}, {count} workers");
            }
        }
    }
}

#[test]
fn a_request_that_never_ends_is_forgotten_and_makes_room() {
    let store = Store::default();
    let limited =
        Settings { max_in_flight: 2, max_age: Duration::from_secs(5), ..Settings::default() };
    let [one, two] = &mut workers(2, &limited, &store)[..] else { panic!() };
    let first = one.arrive(&[("x-request-id", "a")], context(1, 1), &store);
    one.arrive(&[("x-request-id", "b")], context(2, 2), &store);
    assert_eq!(one.arrive(&[("x-request-id", "c")], context(3, 3), &store), None);
    assert_eq!(one.arrive(&[("x-request-id", "")], context(3, 3), &store), None);
    let mut told = Vec::new();
    one.stats.flush(|metric, change| told.push((metric, change)));
    assert_eq!(told, [(Metric::CorrelationTableFull, 1)], "what has no key takes no room");
    two.tick(NOW + 5, &store);
    assert_eq!(two.origin(&[("x-request-id", "a")], &store), None, "the other worker sees its age");
    one.tick(NOW + 4, &store);
    assert!(one.origin(&[("x-request-id", "a")], &store).is_some());
    one.tick(NOW + 5, &store);
    assert_eq!(one.origin(&[("x-request-id", "a")], &store), None);
    one.arrive(&[("x-request-id", "c")], context(3, 3), &store);
    one.arrive(&[("x-request-id", "d")], context(4, 4), &store);
    one.end(first, &store);
    assert!(one.origin(&[("x-request-id", "c")], &store).is_some(), "an old ticket ends nothing");
}

#[test]
fn a_worker_that_is_silent_gives_its_number_away() {
    let store = Store::default();
    let limited = Settings { max_age: Duration::from_secs(5), ..Settings::default() };
    let mut all = workers(4, &limited, &store);
    for (number, worker) in all.iter_mut().enumerate().take(3) {
        worker.arrive(&[("x-request-id", "a")], context(1, 1), &store);
        assert_eq!(worker.correlation.workers.own(), Some(number as u8));
    }
    // The second has been replaced; the others beat on.
    for second in 1..=16 {
        all[0].tick(NOW + second, &store);
        all[2].tick(NOW + second, &store);
    }
    all[3].tick(NOW + 16, &store);
    all[3].arrive(&[("x-request-id", "b")], context(2, 2), &store);
    assert_eq!(all[3].correlation.workers.own(), Some(1));
    assert!(all[0].origin(&[("x-request-id", "b")], &store).is_some());
}

#[test]
fn a_gateway_soon_looks_for_workers_once_a_second_only() {
    let store = Store::default();
    let [gateway, other] = &mut workers(2, &settings(&[]), &store)[..] else { panic!() };
    let reads = |worker: &mut Worker| {
        let before = store.reads.get();
        assert_eq!(worker.origin(&[("x-request-id", "new")], &store), None);
        store.reads.get() - before
    };
    for _ in 0..4096 {
        assert_eq!(reads(gateway), 1);
    }
    assert_eq!(reads(gateway), 0);
    other.arrive(&[("x-request-id", "a")], context(1, 1), &store);
    assert_eq!(reads(gateway), 0);
    gateway.tick(NOW + 1, &store);
    assert_eq!(reads(gateway), 1);
    assert!(gateway.origin(&[("x-request-id", "a")], &store).is_some());
}

/// The main thread has a machine, too, to which no request comes.
#[test]
fn a_worker_that_is_alone_shares_nothing_until_there_is_another() {
    let store = Store::default();
    let all = &mut workers(4, &settings(&[]), &store)[..];
    let [main, one, other, third] = all else { panic!() };
    let early = one.arrive(&[("x-request-id", "early")], context(1, 1), &store);
    for second in 1..=3 {
        main.tick(NOW + second, &store);
        one.tick(NOW + second, &store);
    }
    let in_flight = |store: &Store| {
        let values = store.values.borrow();
        values.values().filter(|(value, _)| value.len() >= Entry::BYTES).count()
    };
    assert_eq!(in_flight(&store), 0, "what it had shared is taken back");
    let late = one.arrive(&[("x-request-id", "late")], context(2, 2), &store);
    assert_eq!(in_flight(&store), 0);
    let before = store.reads.get();
    assert!(one.origin(&[("x-request-id", "late")], &store).is_some());
    assert_eq!(one.origin(&[("x-request-id", "new")], &store), None);
    assert_eq!(store.reads.get(), before, "nor does it look at what others share");
    other.tick(NOW + 4, &store);
    one.tick(NOW + 4, &store);
    assert_eq!(in_flight(&store), 2);
    assert!(other.origin(&[("x-request-id", "late")], &store).is_some());
    one.end(early, &store);
    one.end(late, &store);
    assert_eq!(in_flight(&store), 0);
    third.tick(NOW + 5, &store);
    one.tick(NOW + 5, &store);
    one.arrive(&[("x-request-id", "a")], context(3, 3), &store);
    assert!(third.origin(&[("x-request-id", "a")], &store).is_some());
}

/// If Envoy had no machine on its main thread.
#[test]
fn the_first_request_of_another_worker_ends_that_a_worker_is_alone() {
    let store = Store::default();
    let [one, other] = &mut workers(2, &settings(&[]), &store)[..] else { panic!() };
    for second in 1..=3 {
        one.tick(NOW + second, &store);
        other.tick(NOW + second, &store);
    }
    one.arrive(&[("x-request-id", "a")], context(1, 1), &store);
    other.arrive(&[("x-request-id", "b")], context(2, 2), &store);
    one.tick(NOW + 4, &store);
    other.tick(NOW + 4, &store);
    assert!(one.origin(&[("x-request-id", "b")], &store).is_some());
    assert!(other.origin(&[("x-request-id", "a")], &store).is_some());
}

/// What the application knows of a request.
struct Truth {
    worker: usize,
    id: String,
    context: Context,
    ticket: Option<Ticket>,
}

/// Every call is linked to the request that it forwards the id of, in whichever worker either is, and
/// no other call to any; with thousands of requests in flight slots have several.
#[test]
fn random_traffic_over_several_workers_is_linked_without_fault() {
    for (count, seed, most) in [(1, 1, 3), (2, 2, 50), (4, 3, 3_000)] {
        let store = Store::default();
        let mut workers = workers(count, &settings(&[]), &store);
        let (mut random, mut ids) =
            (Xoshiro256PlusPlus::seed_from_u64(seed), IdGenerator::new([9; 32]));
        let mut in_flight: Vec<Truth> = Vec::new();
        let mut next = 0_u64;
        for _ in 0..20_000 {
            let worker = random.next_u64() as usize % count;
            let pick = random.next_u64() as usize;
            match random.next_u64() % 3 {
                0 if in_flight.len() < most => {
                    next += 1;
                    let id = format!("id-{next}");
                    let context = Context {
                        span_id: ids.span_id(),
                        trace_id: ids.trace_id(),
                        ..context(1, 1)
                    };
                    let ticket = workers[worker].arrive(&[("x-request-id", &id)], context, &store);
                    in_flight.push(Truth { worker, id, context, ticket });
                }
                1 if !in_flight.is_empty() => {
                    let truth = &in_flight[pick % in_flight.len()];
                    let found = workers[worker].origin(&[("x-request-id", &truth.id)], &store);
                    assert_eq!(found, Some((truth.context, true, "request_id".to_owned())));
                    let new = format!("new-{pick}");
                    assert_eq!(workers[worker].origin(&[("x-request-id", &new)], &store), None);
                }
                2 if !in_flight.is_empty() => {
                    let Truth { worker: its, ticket, id, .. } =
                        in_flight.swap_remove(pick % in_flight.len());
                    workers[its].end(ticket, &store);
                    assert_eq!(workers[worker].origin(&[("x-request-id", &id)], &store), None);
                }
                _ => {}
            }
        }
        assert!(next > 5_000 || most < 10, "{next}");
        // No key for each request: the slots of each worker, the workers and the machines.
        assert!(store.values.borrow().len() <= count * 1024 + 64 + 65);
    }
}

impl Store {
    fn wait(&self, milliseconds: u64) {
        self.clock.set(self.clock.get() + milliseconds * 1_000_000);
    }
}

const CALL: &Headers = &[(":authority", "stock")];

fn sure() -> Settings {
    Settings { mode: CorrelationMode::Sure, ..Settings::default() }
}

/// Requests one at a time, each of which makes a call, and long pauses between.
fn quiet_pod(arriving: usize, calling: usize, workers: &mut [Worker], store: &Store) {
    for number in 0..40 {
        store.wait(500);
        for worker in &mut *workers {
            worker.tick(NOW + number / 2, store);
        }
        let id = number.to_string();
        let it = workers[arriving].arrive(&[("x-request-id", &id)], context(1, 1), store);
        store.wait(10);
        workers[calling].origin(CALL, store);
        store.wait(10);
        workers[arriving].end(it, store);
    }
}

#[test]
fn the_only_request_in_flight_is_the_parent_in_a_pod_without_calls_of_its_own() {
    let single = Some((context(7, 8), true, "single".to_owned()));
    for (name, arriving, calling, count) in
        [("one worker", 0, 0, 1), ("the same of two", 0, 0, 2), ("another", 0, 1, 2)]
    {
        let store = Store::default();
        // The main thread has a machine, too.
        let mut workers = workers(count + 1, &sure(), &store);
        quiet_pod(arriving, calling, &mut workers, &store);
        let it = workers[arriving].arrive(&[("x-request-id", "a")], context(7, 8), &store);
        assert_eq!(workers[calling].origin(CALL, &store), single, "{name}");
        let other = workers[arriving].arrive(&[("x-request-id", "b")], context(9, 9), &store);
        assert_eq!(workers[calling].origin(CALL, &store), None, "{name}: two are in flight");
        workers[arriving].end(other, &store);
        assert_eq!(workers[calling].origin(CALL, &store), single, "{name}");
        assert_eq!(workers[calling].origin(&[(":authority", "new")], &store), None, "{name}");
        workers[arriving].end(it, &store);
        assert_eq!(workers[calling].origin(CALL, &store), None, "{name}: nothing is in flight");
        workers[arriving].arrive(&[("x-request-id", "c")], context(7, 8), &store);
        assert_eq!(workers[calling].origin(CALL, &store), None, "{name}: the pod calls by itself");
    }
}

#[test]
fn what_is_in_flight_in_the_pod_is_counted_for_the_mode_sure_alone() {
    let store = Store::default();
    let mut all = workers(3, &settings(&[]), &store);
    quiet_pod(1, 1, &mut all[..2], &store);
    quiet_pod(1, 2, &mut all, &store);
    assert_eq!(store.crowd_calls.get(), 0);
    let mut sure = workers(3, &sure(), &store);
    quiet_pod(1, 2, &mut sure, &store);
    assert!(store.crowd_calls.get() > 0);
}

#[test]
fn a_worker_that_shares_reads_no_bytes_of_others_in_a_tick() {
    let store = Store::default();
    let [main, one, other] = &mut workers(3, &settings(&[]), &store)[..] else { panic!() };
    let all = [main, one, other];
    for (number, worker) in (0..).zip(all) {
        worker.arrive(&[("x-request-id", "a")], context(1, 1), &store);
        for second in 1..=5 {
            worker.tick(NOW + 5 * number + second, &store);
        }
        store.bytes_read.set(0);
        worker.tick(NOW + 5 * number + 6, &store);
    }
    assert_eq!(store.bytes_read.get(), 0);
}

#[test]
fn routes_and_hosts_beyond_those_that_are_told_apart_are_counted() {
    let store = Store::default();
    let settings = Settings { mode: CorrelationMode::Infer, ..Settings::default() };
    let [main, one] = &mut workers(2, &settings, &store)[..] else { panic!() };
    for second in 1..=3 {
        main.tick(NOW + second, &store);
        one.tick(NOW + second, &store);
    }
    // As many as there is room for, and three more, twice.
    for number in (1..=32 + 3).chain(1..=32 + 3) {
        let path = format!("/route{}", number % 35);
        let ticket = one.arrive(&[(":path", &path)], context(1, number), &store);
        one.end(ticket, &store);
    }
    one.arrive(&[(":path", "/route1")], context(1, 1), &store);
    for number in (1..=16 + 2).chain(1..=16 + 2) {
        one.origin(&[(":authority", &format!("host{}", number % 18))], &store);
    }
    one.tick(NOW + 4, &store);
    let mut told = Vec::new();
    one.stats.flush(|metric, change| told.push((metric, change)));
    assert_eq!(told, [(Metric::CorrelationInferenceFull, 2 * 3 + 2 * 2)]);
}

#[test]
fn a_worker_that_becomes_alone_or_gets_company_keeps_count() {
    let store = Store::default();
    let mut all = workers(3, &sure(), &store);
    let first = all[1].arrive(&[("x-request-id", "a")], context(1, 1), &store);
    for second in 1..=3 {
        all[0].tick(NOW + second, &store);
        all[1].tick(NOW + second, &store);
    }
    assert_eq!(store.crowd.get() as u32, 0, "it keeps its count to itself");
    let second = all[1].arrive(&[("x-request-id", "b")], context(2, 2), &store);
    all[2].tick(NOW + 4, &store);
    all[1].tick(NOW + 4, &store);
    assert_eq!(store.crowd.get() >> 32 & 0xffff, 2);
    all[1].end(first, &store);
    all[1].end(second, &store);
    all[1].tick(NOW + 5, &store);
    assert_eq!(store.crowd.get() & 0xffff_ffff_ffff, 0);
}

#[test]
fn what_never_ends_and_what_has_no_room_does_not_count_for_ever() {
    let store = Store::default();
    let limited = Settings { max_in_flight: 1, max_age: Duration::from_secs(5), ..sure() };
    let [one, other] = &mut sidecar_of_two(&limited, &store)[..] else { panic!() };
    let in_flight = || requests(&store);
    let old = one.arrive(&[("x-request-id", "a")], context(1, 1), &store);
    let beyond = one.arrive(&[("x-request-id", "b")], context(2, 2), &store);
    other.origin(CALL, &store);
    other.tick(NOW + 1, &store);
    one.tick(NOW + 1, &store);
    assert_eq!(in_flight(), 2);
    one.end(beyond, &store);
    assert_eq!(in_flight(), 1);
    other.tick(NOW + 5, &store);
    one.tick(NOW + 5, &store);
    assert_eq!(in_flight(), 0);
    one.end(old, &store);
    assert_eq!(store.crowd.get() & 0xffff_ffff_ffff, 0, "it is not counted twice");
}

/// As many as `maxInFlight` may ask for, without anything that they could be recognised by.
#[test]
fn a_worker_keeps_so_many_requests_in_mind_and_counts_the_others() {
    let store = Store::default();
    let many = Settings { max_in_flight: 65_536, max_age: Duration::from_secs(5), ..sure() };
    let [one] = &mut workers(1, &many, &store)[..] else { panic!() };
    let tickets: Vec<_> = (0..MOST_FLIGHTS as u64 + 70)
        .map(|span| one.arrive(&[], context(1, span + 1), &store))
        .collect();
    assert_eq!(one.correlation.sure.flights.len(), MOST_FLIGHTS);
    assert_eq!(one.origin(CALL, &store), None);
    one.tick(NOW + 4, &store);
    let mut told = Vec::new();
    one.stats.flush(|metric, change| told.push((metric, change)));
    assert_eq!(told, [(Metric::CorrelationEvidenceFull, 70)]);
    one.tick(NOW + 5, &store);
    assert_eq!(one.correlation.sure.flights.len(), 0, "all are too old");
    assert_eq!(one.correlation.sure.crowd.own().requests(), 70, "of these nobody keeps the age");
    for ticket in tickets {
        one.end(ticket, &store);
    }
    assert_eq!(one.correlation.sure.crowd.own().requests(), 0);
}

#[test]
fn calls_of_which_nothing_can_be_kept_in_mind_are_counted() {
    let store = Store::default();
    let [one] = &mut workers(1, &sure(), &store)[..] else { panic!() };
    for number in 0..70 {
        one.origin(&[(":authority", &number.to_string())], &store);
    }
    store.source_port.set(Some(1));
    one.arrive(&[], context(1, 1), &store);
    for _ in 0..67 {
        one.origin(&[(":authority", "1")], &store);
    }
    one.tick(NOW + 1, &store);
    let mut told = Vec::new();
    one.stats.flush(|metric, change| told.push((metric, change)));
    let expected = 6 + 3;
    assert_eq!(told, [(Metric::CorrelationEvidenceFull, expected)], "64 hosts, 64 calls at a time");
}

/// Two workers; the main thread's machine ticks, too.
fn sidecar_of_two(settings: &Settings, store: &Store) -> Vec<Worker> {
    let mut all = workers(3, settings, store);
    all.iter_mut().for_each(|worker| worker.correlation.workers.beat(NOW, &Table::EMPTY, store));
    all.truncate(2);
    all
}

/// The number of the pod as the others see it.
fn requests(store: &Store) -> u64 {
    store.crowd.get() >> 32 & 0xffff
}

#[test]
fn while_nobody_asks_a_worker_tells_once_a_second_that_it_does_not_tell() {
    let store = Store::default();
    let [one, other] = &mut sidecar_of_two(&sure(), &store)[..] else { panic!() };
    for second in 1..=10 {
        store.crowd_calls.set(0);
        one.tick(NOW + second, &store);
        other.tick(NOW + second, &store);
        for _ in 0..100 {
            let first = one.arrive(&[("x-request-id", "a")], context(1, 1), &store);
            assert_eq!(requests(&store), 2, "neither none nor one");
            let second = one.arrive(&[("x-request-id", "b")], context(1, 1), &store);
            one.end(first, &store);
            one.end(second, &store);
            assert_eq!(requests(&store), 2);
        }
        assert!(store.crowd_calls.get() <= 2, "taken back at the tick, and said again");
    }
    one.tick(NOW + 11, &store);
    assert_eq!(requests(&store), 0, "nothing is in flight");
}

#[test]
fn a_worker_tells_all_while_another_asks_and_for_some_seconds_more() {
    let store = Store::default();
    let [one, other] = &mut sidecar_of_two(&sure(), &store)[..] else { panic!() };
    let tickets =
        [(1, 1), (2, 2), (3, 3)].map(|(trace, span)| one.arrive(&[], context(trace, span), &store));
    one.tick(NOW + 1, &store);
    assert_eq!(requests(&store), 2);
    other.origin(CALL, &store);
    assert_eq!(requests(&store), 2, "not before the other has asked, and this one has heard");
    other.tick(NOW + 2, &store);
    one.tick(NOW + 2, &store);
    store.crowd_calls.set(0);
    let fourth = one.arrive(&[], context(4, 4), &store);
    one.end(fourth, &store);
    assert_eq!(store.crowd_calls.get(), 0, "nothing to tell");
    for (ticket, expected) in tickets.into_iter().zip([2, 2, 1]) {
        assert_eq!(requests(&store), expected, "more than two are told as two");
        one.end(ticket, &store);
    }
    assert_eq!(requests(&store), 0);
    let late = one.arrive(&[], context(4, 4), &store);
    for (second, expected) in [(3, 1), (6, 1), (7, 2), (8, 2)] {
        one.tick(NOW + second, &store);
        assert_eq!(requests(&store), expected, "{second} s");
    }
    one.correlation.leave(&store);
    assert_eq!(requests(&store), 1, "it may not tick again");
    one.end(late, &store);
    assert_eq!(store.crowd.get() & 0xffff_ffff_ffff, 0);
}

/// Requests come to both, and each call belongs to one that is in flight in either.
#[test]
fn a_worker_that_does_not_tell_makes_nothing_single() {
    let store = Store::default();
    let mut workers = workers(3, &sure(), &store);
    workers[2].tick(NOW + 1, &store);
    quiet_pod(0, 1, &mut workers[..2], &store);
    assert!(single_of(&mut workers, 1, &store));
    // The third has not been told to tell: it has not ticked since.
    let silent = workers[2].arrive(&[("x-request-id", "s")], context(5, 5), &store);
    assert!(!single_of(&mut workers, 1, &store));
    assert_eq!(workers[1].origin(CALL, &store), None);
    workers[2].end(silent, &store);
    assert!(!single_of(&mut workers, 1, &store), "until it ticks");
    workers[2].tick(NOW + 30, &store);
    assert!(single_of(&mut workers, 1, &store));
    workers[2].arrive(&[("x-request-id", "s")], context(5, 5), &store);
    assert!(!single_of(&mut workers, 1, &store), "two are in flight");
}

/// Whether a call that a worker makes while one request is in flight in the first is taken for its.
fn single_of(workers: &mut [Worker], calling: usize, store: &Store) -> bool {
    let it = workers[0].arrive(&[("x-request-id", "one")], context(7, 8), store);
    let found = workers[calling].origin(CALL, store);
    workers[0].end(it, store);
    assert!(found.as_ref().is_none_or(|(it, ..)| *it == context(7, 8)), "{found:?}");
    found.is_some()
}

/// Three workers and the main thread's machine, each of which has received something.
#[test]
fn a_call_looks_for_workers_only_while_one_may_have_taken_a_number() {
    let store = Store::default();
    let mut all = workers(4, &settings(&[]), &store);
    let reads = |worker: &mut Worker| {
        let before = store.reads.get();
        assert_eq!(worker.origin(&[("x-request-id", "new")], &store), None);
        store.reads.get() - before
    };
    for number in [1, 2] {
        all[number].arrive(&[("x-request-id", "a")], context(1, 1), &store);
    }
    for second in 1..=4 {
        all.iter_mut().for_each(|worker| worker.tick(NOW + second, &store));
    }
    assert_eq!(reads(&mut all[1]), 2, "the third has no number, and may take one at any time");
    all[3].arrive(&[("x-request-id", "third")], context(3, 3), &store);
    assert!(all[1].origin(&[("x-request-id", "third")], &store).is_some());
    assert_eq!(reads(&mut all[1]), 2, "two others");
    // One is replaced after a trap.
    let new = workers(1, &settings(&[]), &store).remove(0);
    all[2] = new;
    all[2].arrive(&[("x-request-id", "again")], context(4, 4), &store);
    assert_eq!(reads(&mut all[1]), 2, "it has not ticked yet");
    all[2].tick(NOW + 5, &store);
    all[1].tick(NOW + 5, &store);
    assert!(all[1].origin(&[("x-request-id", "again")], &store).is_some());
}

/// Threads, each with a connection of either side, and two requests in flight at any time.
#[test]
fn a_connection_that_is_bound_gives_the_parent_among_several() {
    let store = Store::default();
    let [one] = &mut workers(1, &sure(), &store)[..] else { panic!() };
    let mut by = HashMap::new();
    for round in 1..200_u32 {
        let threads = [round % 7, (round + 1 + round % 3) % 7];
        let streams = threads.map(|thread| round * 100 + thread);
        let tickets = streams.map(|stream| {
            let (settings, stats) = (&one.settings, &mut one.stats);
            let context = context(1, u64::from(stream));
            one.correlation.arrived(settings, stream, &[], &context, stats, &store)
        });
        for (thread, stream) in threads.iter().zip(streams) {
            store.source_port.set(Some(1_000 + *thread as u16));
            let mut ticket = None;
            let (settings, call) = (&one.settings, round * 100 + 50);
            let headers = bytes(CALL);
            let found = one.correlation.origin(settings, call, &headers, &mut ticket, &store);
            if let Some(origin) = &found {
                assert_eq!(origin.context.span_id.value(), u64::from(stream));
            }
            *by.entry(found.map(|origin| origin.evidence.name)).or_insert(0) += 1;
            one.end(ticket, &store);
        }
        for ticket in tickets {
            one.end(ticket, &store);
        }
    }
    let bound = by[&Some("connection".to_owned())];
    assert!(bound > 200 && by.len() == 2, "{by:?}");
}

#[test]
fn bytes_of_others_are_read_without_trust() {
    let store = Store::default();
    let [one, two] = &mut workers(2, &settings(&[]), &store)[..] else { panic!() };
    one.arrive(&[("x-request-id", "a")], context(1, 1), &store);
    two.arrive(&[("x-request-id", "b")], context(2, 2), &store);
    let written: Vec<_> = store.values.borrow().keys().cloned().collect();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
    for length in (0..700).chain([usize::pow(2, 16)]) {
        for key in &written {
            let mut bytes = vec![0; length];
            random.fill_bytes(&mut bytes);
            store.set_shared_data(key, &bytes, 0);
        }
        one.origin(&[("x-request-id", "b")], &store);
        two.origin(&[("x-request-id", "a")], &store);
        for place in [0, 1, 1_024, 65_535, NOWHERE, u32::MAX] {
            one.correlation.workers.only(place, NOW, &store);
        }
    }
}

#[test]
fn what_a_replaced_worker_left_in_a_slot_is_no_obstacle_once_it_is_old() {
    let store = Store::default();
    let limited = Settings { max_age: Duration::from_secs(5), ..Settings::default() };
    let [gone, one] = &mut workers(2, &limited, &store)[..] else { panic!() };
    for span in 1..=40 {
        gone.arrive(&[("x-request-id", "a")], context(1, span), &store);
    }
    assert_eq!(one.origin(&[("x-request-id", "a")], &store), None, "more than are shared");
    one.tick(NOW + 5, &store);
    one.arrive(&[("x-request-id", "a")], context(2, 2), &store);
    let found = one.origin(&[("x-request-id", "a")], &store);
    assert_eq!(found, Some((context(2, 2), true, "request_id".to_owned())));
}

/// As many as there can be, all under one id and all too old at once.
#[test]
fn a_second_looks_at_so_many_requests_only_and_those_that_are_too_old_go_in_turn() {
    let store = Store::default();
    let settings = Settings {
        max_in_flight: 4 * MOST_SWEPT,
        max_age: Duration::from_secs(5),
        ..Settings::default()
    };
    let [one] = &mut workers(1, &settings, &store)[..] else { panic!() };
    let tickets: Vec<_> = (1..=4 * MOST_SWEPT as u64)
        .map(|span| one.arrive(&[("x-request-id", "a")], context(1, span), &store))
        .collect();
    assert_eq!(one.origin(&[("x-request-id", "a")], &store), None, "more than are compared");
    // The first of them is the last of its slot.
    one.end(tickets[0], &store);
    for second in 0..4 {
        one.tick(NOW + 5 + second, &store);
        let left = (3 - second as usize) * MOST_SWEPT;
        assert_eq!(one.correlation.table.requests(), left, "after {second} s more");
    }
    assert!(one.arrive(&[("x-request-id", "a")], context(2, 2), &store).is_some());
    let found = one.origin(&[("x-request-id", "a")], &store);
    assert_eq!(found.map(|(context, ..)| context.trace_id.value()), Some(2));
}

#[test]
fn the_65th_worker_keeps_to_itself() {
    let store = Store::default();
    let mut all = workers(65, &settings(&[]), &store);
    for (number, worker) in all.iter_mut().enumerate() {
        let id = number.to_string();
        let it = context(1, number as u64 + 1);
        assert!(worker.arrive(&[("x-request-id", &id)], it, &store).is_some());
    }
    let [first, .., last_but_one, last] = &mut all[..] else { panic!() };
    assert_eq!(
        (last_but_one.correlation.workers.own(), last.correlation.workers.own()),
        (Some(63), None)
    );
    let mut finds = |id: &str| first.origin(&[("x-request-id", id)], &store).is_some();
    assert_eq!((finds("63"), finds("64")), (true, false));
    assert!(last.origin(&[("x-request-id", "64")], &store).is_some());
}
