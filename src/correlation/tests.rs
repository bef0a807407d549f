use super::*;
use crate::trace::{Decision, IdGenerator, SpanId, TraceFlags, TraceId};
use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

/// Values with their versions.
type Values = HashMap<Vec<u8>, (Vec<u8>, u32)>;

/// Envoy's shared data, as the workers of one proxy see it.
#[derive(Default)]
struct Store {
    values: RefCell<Values>,
}

impl SharedData for Store {
    fn get(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.values.borrow().get(key).cloned()
    }

    fn set(&self, key: &[u8], value: &[u8], version: u32) -> bool {
        let mut values = self.values.borrow_mut();
        let (old, at) = values.entry(key.to_vec()).or_default();
        let is_current = version == 0 || version == *at;
        if is_current {
            (*old, *at) = (value.to_vec(), *at + 1);
        }
        is_current
    }
}

const NOW: u32 = 1_700_000_000;

fn workers(count: usize, settings: &Settings, store: &Store) -> Vec<Correlation> {
    let worker = |_| {
        let mut worker = Correlation::default();
        worker.configure(settings.clone(), NOW, store);
        worker
    };
    (0..count).map(worker).collect()
}

fn settings(headers: &[&str]) -> Settings {
    let headers = headers.iter().map(|name| (*name).to_owned()).collect();
    Settings { headers, ..Settings::default() }
}

fn keys(worker: &Correlation, headers: &[(&str, &str)]) -> Keys {
    let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    worker.keys(&headers).unwrap()
}

fn context(trace: u128, span: u64) -> Context {
    Context {
        trace_id: TraceId::new(trace).unwrap(),
        span_id: SpanId::new(span).unwrap(),
        decision: Decision::Sample,
        flags: TraceFlags { random: true },
    }
}

/// An inbound request that has to find room.
fn arrive(
    worker: &mut Correlation,
    headers: &[(&str, &str)],
    it: Context,
    store: &Store,
) -> Ticket {
    let keys = keys(worker, headers);
    worker.arrived(keys, it, store, || panic!("the table is full")).unwrap()
}

/// Trace, whether it is the parent, and by what, of a call with these headers.
fn origin(
    worker: &mut Correlation,
    headers: &[(&str, &str)],
    store: &Store,
) -> Option<(Context, bool, String)> {
    let keys = keys(worker, headers);
    let Origin { context, is_parent, evidence } = worker.origin(&keys, store)?;
    Some((context, is_parent, evidence.name()))
}

#[test]
fn a_call_belongs_to_the_request_in_flight_whose_id_it_forwards() {
    let store = Store::default();
    let [one] = &mut workers(1, &settings(&["x-session-id"]), &store)[..] else { panic!() };
    let (a, b) = (context(1, 1), context(2, 2));
    let first = arrive(one, &[("x-request-id", "a"), ("x-session-id", "s")], a, &store);
    let second = arrive(one, &[("x-request-id", "b"), ("x-session-id", "t")], b, &store);
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
        assert_eq!(origin(one, &headers, &store), expected, "{name}");
    }
    one.ended(first, &store);
    assert_eq!(origin(one, &[("x-request-id", "a")], &store), None, "it has ended");
    one.ended(second, &store);
    assert_eq!(origin(one, &[("x-request-id", "b")], &store), None);
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
                arrive(worker, &[("x-request-id", "a")], context(*trace, *span), &store);
            }
            for worker in &mut workers {
                let found = origin(worker, &[("x-request-id", "a")], &store);
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
    let first = arrive(one, &[("x-request-id", "a")], context(1, 1), &store);
    arrive(one, &[("x-request-id", "b")], context(2, 2), &store);
    let mut full = 0;
    let keys_of_c = keys(one, &[("x-request-id", "c")]);
    assert_eq!(one.arrived(keys_of_c, context(3, 3), &store, || full += 1), None);
    assert_eq!(full, 1);
    two.tick(NOW + 5, &store);
    assert_eq!(
        origin(two, &[("x-request-id", "a")], &store),
        None,
        "the other worker sees its age"
    );
    one.tick(NOW + 4, &store);
    assert!(origin(one, &[("x-request-id", "a")], &store).is_some());
    one.tick(NOW + 5, &store);
    assert_eq!(origin(one, &[("x-request-id", "a")], &store), None);
    arrive(one, &[("x-request-id", "c")], context(3, 3), &store);
    arrive(one, &[("x-request-id", "d")], context(4, 4), &store);
    one.ended(first, &store);
    assert!(origin(one, &[("x-request-id", "c")], &store).is_some(), "an old ticket ends nothing");
}

#[test]
fn a_worker_that_is_silent_gives_its_number_away() {
    let store = Store::default();
    let limited = Settings { max_age: Duration::from_secs(5), ..Settings::default() };
    let mut all = workers(4, &limited, &store);
    for (number, worker) in all.iter_mut().enumerate().take(3) {
        arrive(worker, &[("x-request-id", "a")], context(1, 1), &store);
        assert_eq!(worker.workers.own(), Some(number as u8));
    }
    // The second has been replaced; the others beat on.
    for second in 1..=16 {
        all[0].tick(NOW + second, &store);
        all[2].tick(NOW + second, &store);
    }
    all[3].tick(NOW + 16, &store);
    arrive(&mut all[3], &[("x-request-id", "b")], context(2, 2), &store);
    assert_eq!(all[3].workers.own(), Some(1));
    assert!(origin(&mut all[0], &[("x-request-id", "b")], &store).is_some());
}

#[test]
fn off_means_nothing_is_on() {
    let store = Store::default();
    let off = Settings { mode: CorrelationMode::Off, ..Settings::default() };
    let [one] = &mut workers(1, &off, &store)[..] else { panic!() };
    assert!(!one.is_on());
    assert!(store.values.borrow().is_empty());
}

/// What the application knows of a request.
struct Truth {
    worker: usize,
    id: String,
    context: Context,
    ticket: Ticket,
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
                    let ticket =
                        arrive(&mut workers[worker], &[("x-request-id", &id)], context, &store);
                    in_flight.push(Truth { worker, id, context, ticket });
                }
                1 if !in_flight.is_empty() => {
                    let truth = &in_flight[pick % in_flight.len()];
                    let found =
                        origin(&mut workers[worker], &[("x-request-id", &truth.id)], &store);
                    assert_eq!(found, Some((truth.context, true, "request_id".to_owned())));
                    let new = format!("new-{pick}");
                    assert_eq!(
                        origin(&mut workers[worker], &[("x-request-id", &new)], &store),
                        None
                    );
                }
                2 if !in_flight.is_empty() => {
                    let Truth { worker: its, ticket, id, .. } =
                        in_flight.swap_remove(pick % in_flight.len());
                    workers[its].ended(ticket, &store);
                    assert_eq!(
                        origin(&mut workers[worker], &[("x-request-id", &id)], &store),
                        None
                    );
                }
                _ => {}
            }
        }
        assert!(next > 5_000 || most < 10, "{next}");
        // No key for each request: the slots of each worker, and the workers.
        assert!(store.values.borrow().len() <= count * 1024 + 64);
    }
}

#[test]
fn bytes_of_others_are_read_without_trust() {
    let store = Store::default();
    let [one, two] = &mut workers(2, &settings(&[]), &store)[..] else { panic!() };
    arrive(one, &[("x-request-id", "a")], context(1, 1), &store);
    arrive(two, &[("x-request-id", "b")], context(2, 2), &store);
    let written: Vec<_> = store.values.borrow().keys().cloned().collect();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
    for length in (0..700).chain([usize::pow(2, 16)]) {
        for key in &written {
            let mut bytes = vec![0; length];
            random.fill_bytes(&mut bytes);
            store.set(key, &bytes, 0);
        }
        origin(one, &[("x-request-id", "b")], &store);
        origin(two, &[("x-request-id", "a")], &store);
    }
}
