use super::*;
use crate::correlation::Context;
use crate::correlation::flights::Flight;
use crate::trace::{Decision, SpanId, TraceFlags, TraceId};
use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A request in flight as Envoy's stream of this number, by the connection from this port.
fn flight(stream: u32, port: u16) -> Flight {
    let context = Context {
        trace_id: TraceId::new(1).unwrap(),
        span_id: SpanId::new(u64::from(stream)).unwrap(),
        decision: Decision::Sample,
        threshold: None,
        flags: TraceFlags { random: true },
    };
    Flight { stream, context, port: Some(port), untold: 0, place: 0, expires: u32::MAX }
}

/// How an application chooses the connection that it calls by.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Application {
    /// Each connection that comes in has a thread, and the thread a connection.
    Threads,
    /// Whichever was idle last.
    Pool,
    /// Threads take turns.
    Turns,
}

/// Requests that come, call and end at random, about `load` at a time; Envoy takes the connection that was
/// idle last. How many calls were linked rightly and wrongly, of all.
fn run(application: Application, load: u64, calls: u32, seed: u64) -> (u32, u32, u32) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut connections, mut flights) = (Connections::UNKNOWN, Flights::NONE);
    let mut idle: Vec<u16> = (1..=64).rev().collect();
    let mut pool: Vec<u16> = (101..=164).rev().collect();
    // Those that wait to call, and those that do, with the call's stream and port.
    let mut waiting: Vec<(u32, u16)> = Vec::new();
    let mut calling: Vec<(u32, u16, u32, u16)> = Vec::new();
    let (mut right, mut wrong, mut all, mut stream, mut turn) = (0, 0, 0, 0, 0);
    while all < calls {
        let pick = random.next_u64() as usize;
        match random.next_u64() % (3 * load) {
            it if it < load => {
                let Some(port) = idle.pop() else { continue };
                stream += 1;
                flights.push(flight(stream, port));
                waiting.push((stream, port));
            }
            it if it < load + waiting.len() as u64 => {
                let (own, port) = waiting.swap_remove(pick % waiting.len());
                let source = match application {
                    Application::Threads => 100 + port,
                    Application::Pool => pool.pop().unwrap(),
                    Application::Turns => {
                        turn = (turn + 1) % 8;
                        200 + turn
                    }
                };
                stream += 1;
                all += 1;
                if connections.is_worth(true) {
                    match connections.call(stream, source, &flights) {
                        Some(found) if found == own => right += 1,
                        Some(_) => wrong += 1,
                        None => {}
                    }
                }
                calling.push((stream, source, own, port));
            }
            _ if !calling.is_empty() => {
                let (call, source, own, port) = calling.swap_remove(pick % calling.len());
                connections.ended(call, &flights);
                if application == Application::Pool {
                    pool.push(source);
                }
                flights.remove(own);
                idle.push(port);
            }
            _ => {}
        }
    }
    (right, wrong, all)
}

#[test]
fn connections_of_threads_are_soon_bound() {
    for (load, seed) in [(1, 1), (2, 2), (4, 3), (8, 4), (16, 5)] {
        let (right, wrong, all) = run(Application::Threads, load, 5_000, seed);
        assert_eq!(wrong, 0, "{load} in flight");
        assert!(right * 10 > all * 8, "{load} in flight: {right} of {all}");
    }
}

#[test]
fn connections_that_take_turns_are_never_bound() {
    let mut pooled = 0;
    for application in [Application::Pool, Application::Turns] {
        for load in [1, 2, 4, 8, 16] {
            for seed in 0..10 {
                let (_, wrong, all) = run(application, load, 3_000, seed);
                pooled += wrong;
                assert!(wrong * 500 <= all, "{application:?}, {load}, {seed}: {wrong} of {all}");
            }
        }
    }
    assert!(pooled <= 30, "{pooled} of 300,000");
}

/// Calls one after the other by one connection, each while the request of that stream and port is in flight.
fn train(connections: &mut Connections, source: u16, port: u16, streams: core::ops::Range<u32>) {
    for stream in streams {
        let mut flights = Flights::NONE;
        flights.push(flight(stream, port));
        connections.call(stream, source, &flights);
        connections.ended(stream, &flights);
    }
}

fn trained() -> Connections {
    let mut connections = Connections::UNKNOWN;
    for round in 0..20 {
        train(&mut connections, 101, 1, 1_000 + round..1_001 + round);
        train(&mut connections, 102, 2, 2_000 + round..2_001 + round);
    }
    connections
}

#[test]
fn what_is_bound_is_dropped_at_the_first_contradiction() {
    let mut connections = trained();
    let mut flights = Flights::NONE;
    flights.push(flight(1, 1));
    flights.push(flight(2, 2));
    assert_eq!(connections.call(10, 101, &flights), Some(1));
    assert_eq!(connections.call(11, 102, &flights), Some(2));
    flights.remove(1);
    assert_eq!(connections.call(12, 101, &flights), None, "nothing came by its connection");
    flights.push(flight(3, 1));
    assert_eq!(connections.call(13, 101, &flights), None, "it was dropped");
    assert_eq!(connections.call(14, 102, &flights), Some(2), "the other was not");
}

#[test]
fn a_call_that_outlasts_its_request_is_a_contradiction() {
    let mut connections = trained();
    let mut flights = Flights::NONE;
    flights.push(flight(1, 1));
    assert_eq!(connections.call(10, 101, &flights), Some(1));
    flights.remove(1);
    connections.ended(10, &flights);
    flights.push(flight(3, 1));
    assert_eq!(connections.call(13, 101, &flights), None);
}

#[test]
fn several_requests_by_one_connection_are_not_told_apart() {
    let mut connections = trained();
    let mut flights = Flights::NONE;
    flights.push(flight(1, 1));
    flights.push(flight(3, 1));
    assert_eq!(connections.call(10, 101, &flights), None);
}

#[test]
fn what_has_no_room_is_counted() {
    type Case = (&'static str, fn(&mut Connections), u32);
    let cases: [Case; 4] = [
        (
            "a connection of the application beyond the most",
            |it| (0..=MOST as u16).for_each(|port| train(it, port, 1, 1..2)),
            1,
        ),
        ("one of the sidecar", |it| (0..=MOST as u16).for_each(|port| train(it, 1, port, 1..2)), 1),
        (
            "calls beyond the most that are watched",
            |it| {
                for stream in 0..MOST_WATCHED as u32 + 3 {
                    it.call(stream, 1, &Flights::NONE);
                }
            },
            3,
        ),
        (
            "a call while too much is in flight",
            |it| {
                let mut flights = Flights::NONE;
                (1..=MOST_CANDIDATES as u32).for_each(|stream| flights.push(flight(stream, 1)));
                it.call(1_000, 1, &flights);
                assert_eq!(it.full, 0);
                flights.push(flight(999, 1));
                it.call(1_001, 1, &flights);
            },
            1,
        ),
    ];
    for (name, run, expected) in cases {
        let mut connections = Connections::UNKNOWN;
        run(&mut connections);
        assert_eq!(connections.full, expected, "{name}");
    }
}

#[test]
fn all_that_is_remembered_has_a_limit() {
    let mut connections = Connections::UNKNOWN;
    for number in 0..3_000_u16 {
        train(&mut connections, 1_000 + number, 10_000 + number, 1..2);
        let mut flights = Flights::NONE;
        for stream in 0..100 {
            flights.push(flight(stream + 1, stream as u16));
        }
        connections.call(5, number, &flights);
        flights.remove(1);
        connections.call(6, number, &Flights::NONE);
    }
    assert!(connections.bonds.len() <= MOST && connections.uses.len() <= MOST);
    assert!(connections.watched.len() <= MOST_WATCHED);
}
