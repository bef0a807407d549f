use super::beam::{HYPOTHESES, REQUESTS};
use super::states::{MOST_STATES, Turn};
use super::*;
use crate::trace::{Decision, SpanId, TraceFlags, TraceId};
use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const AGE: f32 = 60e6;
const THRESHOLD: f32 = 0.98;
const LINKED: f32 = 0.9;

fn context(stream: u32) -> Context {
    Context {
        trace_id: TraceId::new(7).unwrap(),
        span_id: SpanId::new(stream.into()).unwrap(),
        decision: Decision::Sample,
        threshold: None,
        flags: TraceFlags { random: true },
    }
}

/// A request comes; whether there was room.
fn arrive(infer: &mut Infer, time: u64, stream: u32, route: u64) -> bool {
    let (what, context) = (super::What::Arrived, Some(context(stream)));
    let event = Event { what, time, stream, digest: route, port: 0, context };
    infer.happened(&event, AGE, 0)
}

/// A call, perhaps of a request that is known.
fn call(time: u64, stream: u32, host: u64, port: u16, known: Option<u32>) -> Event {
    let (what, context) = (super::What::Called, known.map(context));
    Event { what, time, stream, digest: host, port, context }
}

/// What happens to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrives {
        route: u64,
    },
    Calls {
        cause: u32,
        host: u64,
        port: u16,
    },
    IsAnswered,
    IsRefused,
    /// Its connection is known.
    CameBy {
        port: u16,
    },
    Ends,
    /// A second later.
    IsLookedAt {
        cause: u32,
    },
}

/// Events of streams, in microseconds.
#[derive(Default)]
struct Load(Vec<(u64, u32, What)>);

#[derive(Debug, Default)]
struct Outcome {
    calls: u32,
    right: u32,
    wrong: u32,
    /// How confidently which, and whether it is right.
    said: Vec<(f32, bool)>,
    link_right: u32,
    link_wrong: u32,
}

impl Load {
    /// A request with one call, which begins and is answered then.
    fn add_whole(&mut self, number: u32, arrived: u64, begun: u64, answered: u64) {
        let (request, call) = (number * 2 + 1, number * 2 + 2);
        self.add(arrived, request, What::Arrives { route: 1 });
        self.add(begun, call, What::Calls { cause: request, host: 1, port: 0 });
        self.add(answered, call, What::IsAnswered);
        self.add(answered + 300, request, What::Ends);
    }

    fn add(&mut self, time: u64, stream: u32, what: What) {
        self.0.push((time, stream, what));
    }

    /// What is said of the calls that begin from `since` on.
    fn run(mut self, since: u64) -> Outcome {
        let looks = self.0.iter().filter_map(|(time, stream, what)| match what {
            What::Calls { cause, .. } => {
                Some((time + 1_010_000, *stream, What::IsLookedAt { cause: *cause }))
            }
            _ => None,
        });
        let looks: Vec<_> = looks.collect();
        self.0.extend(looks);
        self.0.sort_unstable();
        let mut infer = Infer::new();
        let mut outcome = Outcome::default();
        let mut watched = std::collections::HashMap::new();
        let mut unlinked = std::collections::HashSet::new();
        let mut in_flight = 0;
        for (time, stream, what) in self.0 {
            match what {
                What::Arrives { route } => {
                    in_flight += 1;
                    arrive(&mut infer, time, stream, route);
                }
                What::Ends => {
                    in_flight -= 1;
                    infer.responded(time, stream);
                }
                What::IsAnswered | What::IsRefused => {
                    if let Some((host, port)) = watched.remove(&stream) {
                        let is_refused = what == What::IsRefused;
                        infer.answered(time, stream, host, port, is_refused);
                    }
                }
                What::CameBy { port } => infer.came_by(time, stream, port),
                What::IsLookedAt { cause } => {
                    if !unlinked.contains(&stream) {
                        continue;
                    }
                    match infer.look(time, stream).filter(|it| it.1 >= LINKED) {
                        Some((it, _)) if it == context(cause) => outcome.link_right += 1,
                        Some(_) => outcome.link_wrong += 1,
                        None => {}
                    }
                }
                What::Calls { cause, host, port } => {
                    let found =
                        infer.call(&call(time, stream, host, port, None), AGE, in_flight, true);
                    watched.insert(stream, (host, port));
                    if time >= since {
                        outcome.calls += 1;
                        outcome.said.extend(found.map(|(it, share)| (share, it == context(cause))));
                        match found.filter(|(_, share)| *share >= THRESHOLD) {
                            Some((it, _)) if it == context(cause) => outcome.right += 1,
                            Some(_) => outcome.wrong += 1,
                            None => {
                                unlinked.insert(stream);
                            }
                        }
                    }
                }
            }
        }
        outcome
    }
}

struct Random(Xoshiro256PlusPlus);

impl Random {
    fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    fn below(&mut self, most: u64) -> u64 {
        self.0.next_u64() % most
    }

    /// As moments that know nothing of each other are apart.
    fn pause(&mut self, mean: f64) -> u64 {
        let share = (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        (-(1.0 - share).ln() * mean) as u64
    }
}

/// Requests of a service that thinks for `think` microseconds and a spread, calls, and answers at once.
fn chain(seed: u64, requests: u32, mean: f64, think: u64, spread: u64) -> Load {
    let mut random = Random::new(seed);
    let mut load = Load::default();
    let mut now = 1_000_000;
    for number in 0..requests {
        now += 1 + random.pause(mean);
        let begun = now + think + random.below(spread.max(1));
        load.add_whole(number, now, begun, begun + 5_000 + random.below(3_000));
    }
    load
}

#[test]
fn a_service_that_takes_the_same_time_for_each_request_gets_parents_with_several_in_flight() {
    // Some three in flight.
    let outcome = chain(1, 4_000, 5_000.0, 8_000, 400).run(10_000_000);
    assert!(outcome.right * 10 > outcome.calls * 6, "{outcome:?}");
    assert!(outcome.wrong * 200 < outcome.calls, "{outcome:?}");
}

/// The first that is free at a moment, which is taken until another.
fn take(free_at: &mut [u64], from: u64, until: u64) -> u16 {
    let place = free_at.iter().position(|free| *free < from).unwrap_or(0);
    free_at[place] = until;
    place as u16
}

/// Requests of a service of so many processes that thinks for now little and now much; who calls it and each of its
/// processes take a connection that is free.
fn processes(requests: u32, processes: u16) -> Load {
    let mut random = Random::new(6);
    let mut load = Load::default();
    let mut now = 1_000_000;
    let mut free_at = [[0; 32]; 16];
    let mut homes = [0; 32];
    for number in 0..requests {
        now += 1 + random.pause(6_000.0);
        let begun = now + 2_000 + random.below(15_000);
        let answered = begun + 5_000 + random.below(3_000);
        let (request, call) = (number * 2 + 1, number * 2 + 2);
        let home = take(&mut homes, now, answered + 300);
        load.add(now, request, What::Arrives { route: 1 });
        load.add(now + 1, request, What::CameBy { port: 100 + home });
        let process = home % processes;
        let port = take(&mut free_at[usize::from(process)], begun, answered);
        let port = 200 + process * 32 + port;
        load.add(begun, call, What::Calls { cause: request, host: 1, port });
        load.add(answered, call, What::IsAnswered);
        load.add(answered + 300, request, What::Ends);
    }
    load
}

#[test]
fn connections_tell_as_much_as_they_have_been_seen_to() {
    let outcomes = [16, 2, 1].map(|count| processes(4_000, count).run(10_000_000));
    let [each, _, all] = &outcomes;
    assert!(each.right * 4 > each.calls * 3, "{outcomes:?}");
    assert!(each.right > all.right * 4, "{outcomes:?}");
    for outcome in &outcomes {
        assert!(outcome.wrong * 200 <= outcome.calls, "{outcome:?}");
    }
}

#[test]
fn what_is_called_of_a_host_is_told_apart() {
    let load = |first, second| {
        let mut random = Random::new(5);
        let mut load = Load::default();
        let mut now = 1_000_000;
        for number in 0..3_000_u32 {
            now += 1 + random.pause(12_000.0);
            let request = number * 3 + 1;
            let mut time = now;
            load.add(now, request, What::Arrives { route: 1 });
            for (call, host) in [(request + 1, first), (request + 2, second)] {
                time += 5_000 + random.below(3_000);
                load.add(time, call, What::Calls { cause: request, host, port: 0 });
                time += 3_000 + random.below(3_000);
                load.add(time, call, What::IsAnswered);
            }
            load.add(time + 300, request, What::Ends);
        }
        load.run(10_000_000)
    };
    let host = 7 << 32;
    let (told, untold) = (load(host | 1, host | 2), load(host | 1, host | 1));
    assert!(told.right * 10 > untold.right * 12, "{told:?} {untold:?}");
    assert!(told.wrong * 200 < told.calls, "{told:?}");
}

#[test]
fn what_many_are_called_of_a_host_is_one() {
    let mut infer = Infer::new();
    let host = |host: u64, operation: u64| host << 32 | operation;
    for (name, digest, expected) in [
        ("the first", host(1, 1), 0),
        ("another of its host", host(1, 2), 1),
        ("another host's", host(2, 1), 2),
        ("a third of its host", host(1, 3), 3),
        ("the first again", host(1, 1), 0),
        ("a fourth of its host is any", host(1, 4), 4),
        ("so is a fifth", host(1, 5), 4),
        ("and those that are known stay", host(1, 3), 3),
    ] {
        assert_eq!(infer.host(digest), Some(expected), "{name}");
        assert_eq!(infer.place(digest), Some(expected), "{name}");
    }
}

#[test]
fn what_was_refused_is_called_again() {
    let load = |is_told| {
        let mut random = Random::new(3);
        let mut load = Load::default();
        let mut now = 1_000_000;
        for number in 0..3_000_u32 {
            now += 1 + random.pause(8_000.0);
            let [request, first, second] = [1, 2, 3].map(|it| number * 3 + it);
            let call = What::Calls { cause: request, host: 1, port: 0 };
            load.add(now, request, What::Arrives { route: 1 });
            let (mut time, is_refused) = (now + 3_000 + random.below(1_000), number % 2 == 0);
            load.add(time, first, call);
            time += 4_000 + random.below(8_000);
            let refused = if is_told { What::IsRefused } else { What::IsAnswered };
            load.add(time, first, if is_refused { refused } else { What::IsAnswered });
            if is_refused {
                load.add(time + 4_000, second, call);
                load.add(time + 9_000, second, What::IsAnswered);
            }
            load.add(time + 12_000, request, What::Ends);
        }
        load.run(8_000_000)
    };
    let (told, untold) = (load(true), load(false));
    assert!(told.right > untold.right, "{told:?} {untold:?}");
    assert!(told.wrong * 200 < told.calls, "{told:?}");
}

/// Requests of a service with one worker, which takes one after the other.
fn in_turn(seed: u64, requests: u32, mean: f64) -> Load {
    let mut random = Random::new(seed);
    let mut load = Load::default();
    let (mut now, mut free) = (1_000_000, 0);
    for number in 0..requests {
        now += 1 + random.pause(mean);
        let begun = free.max(now) + 2_000 + random.pause(3_000.0);
        free = begun;
        load.add_whole(number, now, begun, begun + 1_000 + random.below(4_000));
    }
    load
}

#[test]
fn requests_that_are_served_in_turn_get_parents_though_others_wait() {
    let outcome = in_turn(4, 6_000, 7_000.0).run(10_000_000);
    assert!(outcome.right * 10 > outcome.calls * 6, "{outcome:?}");
    assert!(outcome.wrong * 200 < outcome.calls, "{outcome:?}");
}

#[test]
fn whose_turn_it_is_counts_as_far_as_it_is_kept() {
    let late = Turn { is_early: false, expected: 0.5 };
    let early = Turn { is_early: true, expected: 0.5 };
    let alone = Turn::default();
    for (name, turn, kept, expected) in [
        ("nobody waits", early, 1.0, 1.0),
        ("nobody else is there", alone, 0.1, 1.0),
        ("one came early where few do", early, 0.1, 0.1),
        ("it was the first's turn", late, 0.1, 1.9),
        ("half of all keep it", early, 0.5, 0.5),
    ] {
        let likely = turn.likely(kept).exp();
        assert!((likely - expected).abs() < 0.01, "{name}: {likely}");
    }
}

#[test]
fn what_cannot_be_told_when_a_call_is_made_and_can_a_second_later_gets_a_link() {
    // Each thinks for now little and now much, and ends soon after its call.
    let outcome = chain(4, 4_000, 6_000.0, 2_000, 30_000).run(10_000_000);
    assert!(outcome.right * 10 < outcome.calls * 3, "{outcome:?}");
    assert!(outcome.link_right * 10 > outcome.calls * 5, "{outcome:?}");
    assert!(outcome.link_wrong * 50 < outcome.calls, "{outcome:?}");
}

#[test]
fn calls_that_cannot_be_told_apart_get_no_parent() {
    // Both requests of a pair come and call at the same moment.
    let mut load = Load::default();
    for pair in 0..2_000_u32 {
        let begin = 1_000_000 + u64::from(pair) * 30_000;
        for number in [0, 1] {
            let (request, call) = (pair * 4 + number * 2 + 1, pair * 4 + number * 2 + 2);
            load.add(begin, request, What::Arrives { route: 1 });
            load.add(begin + 4_000, call, What::Calls { cause: request, host: 1, port: 0 });
            load.add(begin + 9_000, call, What::IsAnswered);
            load.add(begin + 10_000, request, What::Ends);
        }
    }
    let outcome = load.run(0);
    assert_eq!((outcome.calls, outcome.right, outcome.wrong), (4_000, 0, 0));
    assert_eq!((outcome.link_right, outcome.link_wrong), (0, 0));
}

#[test]
fn calls_of_nobody_get_no_parent() {
    let mut load = chain(2, 3_000, 20_000.0, 8_000, 30_000);
    let mut random = Random::new(3);
    let mut now = 1_000_000;
    for stream in 100_000..103_000 {
        now += 1 + random.pause(20_000.0);
        load.add(now, stream, What::Calls { cause: 1, host: 1, port: 0 });
        load.add(now + 5_000, stream, What::IsAnswered);
    }
    let outcome = load.run(10_000_000);
    assert!(outcome.wrong * 100 < outcome.calls, "{outcome:?}");
    assert!(outcome.link_wrong * 50 < outcome.calls, "{outcome:?}");
}

/// Services that think for a while or hardly, call one host or several after each other, at several loads.
#[test]
fn of_services_of_all_kinds_fewer_are_wrong_than_confidence_says() {
    let mut total = Outcome::default();
    for seed in 0..24 {
        let mut random = Random::new(seed);
        let spread = [200, 5_000, 40_000][seed as usize % 3];
        let mean = [40_000.0, 15_000.0, 6_000.0, 3_000.0][seed as usize % 4];
        let mut load = Load::default();
        let (mut now, mut stream) = (1_000_000, 0);
        for _ in 0..800 {
            now += 1 + random.pause(mean);
            stream += 1;
            let request = stream;
            let mut time = now;
            load.add(time, request, What::Arrives { route: random.below(2) });
            for host in 0..=random.below(3) {
                stream += 1;
                time += 1_000 + random.below(spread);
                let port = 40_000 + random.below(6) as u16;
                load.add(time, stream, What::Calls { cause: request, host, port });
                time += 2_000 + random.below(6_000);
                load.add(time, stream, What::IsAnswered);
            }
            load.add(time + 200, request, What::Ends);
        }
        let outcome = load.run(3_000_000);
        total.calls += outcome.calls;
        total.right += outcome.right;
        total.wrong += outcome.wrong;
        total.said.extend(outcome.said);
        total.link_right += outcome.link_right;
        total.link_wrong += outcome.link_wrong;
    }
    for threshold in [0.7, 0.9, 0.95, THRESHOLD, 0.99] {
        let said = total.said.iter().filter(|(share, _)| *share >= threshold);
        let all = said.clone().count() as f32;
        let right = said.filter(|(_, is_right)| *is_right).count() as f32;
        assert!(right >= threshold * all, "{threshold}: {right} of {all}");
    }
    assert!(total.wrong * 100 < total.calls, "{} {} of {}", total.right, total.wrong, total.calls);
    assert!(total.right * 10 > total.calls, "{} {} of {}", total.right, total.wrong, total.calls);
    assert!(total.link_wrong * 33 < total.calls, "{} of {}", total.link_wrong, total.calls);
    assert!(total.link_right * 10 > total.calls, "{} of {}", total.link_right, total.calls);
}

#[test]
fn confidence_is_greater_than_what_the_least_likely_is_and_less_after_surprises() {
    for (likely, surprise, expected) in [
        (1.0, 1.0, 1.0),
        (0.95, 1.0, 0.986),
        (0.95, 3.0, 0.958),
        (0.8, 1.0, 0.944),
        (0.0, 1.0, 0.72),
        (0.0, 9.0, 0.0),
    ] {
        let said = confidence(likely, surprise);
        assert!((said - expected).abs() < 1e-6, "{likely} {surprise}: {said}");
    }
}

#[test]
fn what_a_call_is_known_to_belong_to_is_learnt() {
    let mut infer = Infer::new();
    for stream in [1, 2] {
        assert!(arrive(&mut infer, 1_000, stream, 1));
    }
    let (it, share) = infer.call(&call(2_000, 3, 1, 0, Some(2)), AGE, 2, true).unwrap();
    assert!(it == context(2) && share > 0.99, "{share}");
    assert!(infer.call(&call(2_500, 4, 1, 0, Some(9)), AGE, 2, true).is_none(), "nobody knows it");
}

#[test]
fn nothing_is_said_where_more_is_in_flight_than_is_known() {
    let mut infer = Infer::new();
    for stream in 1..=IN_FLIGHT as u32 {
        assert!(arrive(&mut infer, 1_000, stream, 1));
    }
    assert!(!arrive(&mut infer, 1_100, 99, 1), "there is no room");
    infer.responded(2_000, 1);
    for (in_flight, expected) in [(IN_FLIGHT, false), (IN_FLIGHT - 1, true)] {
        let found = infer.call(&call(3_000, 200, 1, 0, None), AGE, in_flight, true);
        assert_eq!(found.is_some(), expected, "{in_flight}");
    }
}

#[test]
fn random_events_never_panic_and_what_is_kept_has_a_cap() {
    for seed in 0..6 {
        let mut random = Random::new(seed);
        let mut infer = Infer::new();
        let mut now = [0, 1_000_000, u64::MAX / 2000][seed as usize % 3];
        let spread = [10, 1_000, 3_000_000][seed as usize % 3];
        let mut watched = Vec::new();
        for stream in 1..4_000_u32 {
            now = match random.below(50) {
                // A clock that goes back.
                0 => now.saturating_sub(random.below(spread)),
                _ => now + random.below(spread),
            };
            let other = 1 + random.below(stream.into()) as u32;
            match random.below(5) {
                0 => {
                    arrive(&mut infer, now, stream, random.below(100));
                }
                1 | 2 => {
                    let (host, port) =
                        (random.below(30) << 32 | random.below(3), random.below(200) as u16);
                    let known = (random.below(9) == 0).then_some(other);
                    let found = infer.call(&call(now, stream, host, port, known), AGE, 1, true);
                    watched.push((stream, host, port));
                    assert!(found.is_none_or(|(_, share)| (0.0..=1.001).contains(&share)));
                }
                3 if !watched.is_empty() => {
                    let place = random.below(watched.len() as u64) as usize;
                    let (stream, host, port) = watched.swap_remove(place);
                    infer.answered(now, stream, host, port, false);
                }
                _ if random.below(4) == 0 => {
                    // One that was made some time ago, or none.
                    let found = infer.look(now, other.max(stream.saturating_sub(200)));
                    assert!(found.is_none_or(|(_, share)| (0.0..=1.001).contains(&share)));
                }
                _ => {
                    for request in other.saturating_sub(8)..other {
                        infer.responded(now, request);
                    }
                }
            }
            let [hypotheses, live, requests] = infer.beam.sizes();
            assert!((1..=HYPOTHESES).contains(&hypotheses));
            assert!(live <= REQUESTS && requests <= REQUESTS);
            assert!(infer.states.len() <= MOST_STATES);
            let [requests, calls] = infer.looks.sizes();
            assert!(requests <= look::REQUESTS && calls <= look::CALLS);
        }
        assert_eq!((infer.hosts.len(), infer.routes.len()), (MOST_HOSTS, ROUTES));
        assert_eq!(infer.states.full > 0, infer.states.len() == MOST_STATES);
        assert!(infer.take_full() > 0 && infer.take_full() == 0);
    }
}

/// When a request came and ended, its route, and when its call began and was answered, if it made one.
type Served = (u64, u64, u64, Option<(u64, u64)>);

/// How a cache began in a real Envoy.
const BEGINNING: [Served; 10] = [
    (0, 43809, 1, None),
    (158012, 191775, 2, None),
    (358830, 396888, 0, None),
    (407990, 519685, 1, Some((431214, 508739))),
    (428135, 574089, 2, Some((472257, 512809))),
    (599224, 636137, 0, None),
    (656293, 684013, 1, None),
    (704023, 742792, 2, None),
    (805922, 872166, 0, Some((821428, 844028))),
    (914180, 966204, 1, None),
];

const START: u64 = 1_000_000;

#[test]
fn what_is_believed_at_first_is_not_believed_for_good() {
    let mut random = Random::new(1);
    let mut requests = BEGINNING.to_vec();
    let mut now = BEGINNING[9].0;
    for _ in 0..600 {
        now += random.pause(100_000.0);
        let route = random.below(3);
        let (mut end, mut call) = (now + 30_000 + random.below(15_000), None);
        if random.below(10) < 6 {
            let begun = now + 10_000 + random.below(10_000);
            let answered = begun + 15_000 + random.below(20_000);
            (end, call) = (answered + 300 + random.below(10_000), Some((begun, answered)));
        }
        requests.push((now, end, route, call));
    }
    let mut load = Load::default();
    for (number, (arrived, end, route, call)) in (0..).zip(requests) {
        let (request, its_call) = (number * 2 + 1, number * 2 + 2);
        load.add(START + arrived, request, What::Arrives { route });
        if let Some((begun, answered)) = call {
            load.add(START + begun, its_call, What::Calls { cause: request, host: 1, port: 0 });
            load.add(START + answered, its_call, What::IsAnswered);
        }
        load.add(START + end, request, What::Ends);
    }
    let outcome = load.run(20_000_000);
    assert!(outcome.right * 2 > outcome.calls, "{outcome:?}");
    assert!(outcome.wrong * 100 <= outcome.calls, "{outcome:?}");
}
