//! What is inferred, in one worker and in several.

use super::*;
use crate::correlation::infer::IN_FLIGHT;
use crate::correlation::rings::EVENTS;
use crate::correlation::workers::{TIMES, name};
use std::ops::Range;

fn inferring() -> Settings {
    Settings { mode: CorrelationMode::Infer, ..Settings::default() }
}

const REQUEST: &Headers = &[(":authority", "app"), (":method", "GET"), (":path", "/a")];

/// Calls whose parent was inferred, and others.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdicts {
    right: usize,
    wrong: usize,
    other: usize,
}

/// A pod whose requests each call after 4 ms, are answered after 3 ms more, and end one later.
struct Pod {
    store: Store,
    /// The last is on the main thread, and nothing comes to it.
    workers: Vec<Worker>,
    /// Of which no callback is called.
    stopped: Option<usize>,
    /// In milliseconds.
    now: u64,
    requests: HashMap<u64, (usize, Ticket)>,
    calls: HashMap<u64, (usize, Ticket)>,
    /// All calls by their requests, with their workers and streams.
    made: Vec<(u64, usize, u32)>,
    /// Whether every third request is of a trace that is not recorded.
    drops_some: bool,
}

impl Pod {
    fn of(count: usize, settings: &Settings) -> Self {
        let store = Store::default();
        let workers = workers(count + 1, settings, &store);
        let (requests, calls) = (HashMap::new(), HashMap::new());
        let made = Vec::new();
        let mut pod = Self {
            store,
            workers,
            stopped: None,
            now: 0,
            requests,
            calls,
            made,
            drops_some: false,
        };
        pod.goes_on(4_000);
        pod
    }

    /// So many milliseconds pass.
    fn goes_on(&mut self, milliseconds: u64) {
        let end = self.now + milliseconds;
        while self.now < end {
            self.now = end.min((self.now / 1000 + 1) * 1000);
            self.store.clock.set(self.now * 1_000_000);
            if self.now.is_multiple_of(1000) {
                for (number, worker) in self.workers.iter_mut().enumerate() {
                    if self.stopped != Some(number) {
                        worker.tick(NOW + (self.now / 1000) as u32, &self.store);
                    }
                }
            }
        }
    }

    fn arrives(&mut self, request: u64, worker: usize) {
        let mut it = context(u128::from(request) + 1, request + 1);
        if self.drops_some && request.is_multiple_of(3) {
            it.decision = Decision::Drop;
        }
        let ticket = self.workers[worker].arrive(REQUEST, it, &self.store);
        self.requests.extend(ticket.map(|ticket| (request, (worker, ticket))));
    }

    /// Whether the parent was inferred, and rightly.
    fn calls(&mut self, request: u64, worker: usize) -> Option<bool> {
        let Worker { correlation, settings, stream, .. } = &mut self.workers[worker];
        let mut ticket = None;
        *stream += 1;
        let found = correlation.origin(settings, *stream, &bytes(CALL), &mut ticket, &self.store);
        let number = ticket.as_ref().and_then(Ticket::call);
        self.made.extend(number.map(|stream| (request, worker, stream)));
        self.calls.extend(ticket.map(|ticket| (request, (worker, ticket))));
        let found = found?;
        let confidence = found.evidence.confidence;
        assert_eq!(confidence.is_some(), found.evidence.name == "inferred");
        assert!(confidence.is_none_or(|it| (980..1000).contains(&it)));
        let its = context(u128::from(request) + 1, request + 1);
        confidence.map(|_| found.is_parent && found.context == its)
    }

    fn ends(&mut self, request: u64, is_call: bool) {
        let of = if is_call { &mut self.calls } else { &mut self.requests };
        if let Some((worker, ticket)) = of.remove(&request) {
            self.workers[worker].end(Some(ticket), &self.store);
        }
    }

    /// Requests so many milliseconds apart, each with the workers that it and its call come to.
    fn play(&mut self, all: Range<u64>, apart: u64, places: fn(u64) -> [usize; 2]) -> Verdicts {
        let first = all.start;
        let mut events: Vec<(u64, u64, u8)> = all
            .flat_map(|request| {
                let moments = [(0, 0), (4, 1), (7, 2), (8, 3)];
                moments.map(|(after, what)| ((request - first) * apart + after, request, what))
            })
            .collect();
        events.sort_unstable();
        let begin = self.now;
        let mut verdicts = Verdicts::default();
        for (time, request, what) in events {
            self.goes_on((begin + time).saturating_sub(self.now));
            let [arriving, calling] = places(request);
            match what {
                0 => self.arrives(request, arriving),
                1 => match self.calls(request, calling) {
                    Some(true) => verdicts.right += 1,
                    Some(false) => verdicts.wrong += 1,
                    None => verdicts.other += 1,
                },
                _ => self.ends(request, what == 2),
            }
        }
        verdicts
    }

    /// One at a time, from which is learnt, and then three in flight.
    fn learn(&mut self, places: fn(u64) -> [usize; 2]) -> Verdicts {
        self.play(1..200, 40, places);
        self.play(200..400, 3, places)
    }

    /// How often something was missing, as of the last tick.
    fn missed(&mut self, worker: usize) -> u64 {
        let mut missed = 0;
        self.workers[worker].stats.flush(|metric, change| {
            if metric == Metric::CorrelationInferenceMissed {
                missed = change;
            }
        });
        missed as u64
    }

    fn rings(&self) -> Vec<u8> {
        let values = self.store.values.borrow();
        let all = (0..64).filter(|number| {
            values.get(&name(*number, TIMES)[..]).is_some_and(|(value, _)| !value.is_empty())
        });
        all.collect()
    }
}

const SAME: fn(u64) -> [usize; 2] = |_| [0, 0];
const CROSSED: fn(u64) -> [usize; 2] = |_| [0, 1];
const ALL_OVER: fn(u64) -> [usize; 2] = |request| [request as usize % 3, request as usize / 3 % 3];

/// A second later, and to requests that are recorded and as surely as is asked for.
#[test]
fn a_call_is_linked_to_its_request_whichever_worker_that_came_to() {
    for (name, count, places) in [("one", 1, SAME), ("two", 2, CROSSED)] {
        let mut pod = Pod::of(count, &inferring());
        pod.drops_some = true;
        pod.learn(places);
        pod.goes_on(1_000);
        let made = core::mem::take(&mut pod.made);
        let Pod { workers, store, .. } = &mut pod;
        let mut links = 0;
        for (request, worker, stream) in made.into_iter().filter(|made| made.0 > 250) {
            let Worker { correlation, settings, .. } = &mut workers[worker];
            let link = correlation.link(settings, stream, store);
            let strict = Settings { link_threshold: 1.0, ..settings.clone() };
            assert_eq!(correlation.link(&strict, stream, store), None, "{name}");
            assert_eq!(correlation.link(settings, stream + 100_000, store), None, "{name}");
            let Some(link) = link else { continue };
            links += 1;
            let its = context(u128::from(request) + 1, request + 1);
            assert_eq!((link.trace_id, link.span_id), (its.trace_id, its.span_id), "{name}");
            assert!(link.confidence.is_some_and(|it| (900..1000).contains(&it)), "{name}");
            assert!(!request.is_multiple_of(3), "{name}: it is not recorded");
        }
        assert!(links > 50, "{name}: {links}");
    }
}

/// Streams have the same numbers in each worker.
#[test]
fn what_one_worker_infers_several_infer_as_well() {
    let one = Pod::of(1, &inferring()).learn(SAME);
    assert!(one.right > 150 && one.wrong == 0, "{one:?}");
    for (name, count, places) in [
        ("all in the same of two", 2, SAME),
        ("requests in the one and calls in the other", 2, CROSSED),
        ("all over three", 3, ALL_OVER),
        ("all over three of eight", 8, ALL_OVER),
    ] {
        let mut pod = Pod::of(count, &inferring());
        assert_eq!(pod.learn(places), one, "{name}");
        assert_eq!(pod.missed(0), 0, "{name}");
    }
}

#[test]
fn more_than_eight_workers_infer_nothing() {
    let mut pod = Pod::of(9, &inferring());
    let found = pod.learn(|request| [request as usize % 9, request as usize / 9 % 9]);
    assert_eq!((found.right, found.wrong), (0, 0));
    assert!(pod.workers.iter().all(|worker| worker.correlation.infer.is_none()));
}

#[test]
fn workers_tell_each_other_of_times_in_mode_infer_alone_and_where_there_are_several() {
    for (mode, count, expected) in [
        (CorrelationMode::Exact, 2, &[][..]),
        (CorrelationMode::Sure, 2, &[]),
        (CorrelationMode::Infer, 1, &[]),
        (CorrelationMode::Infer, 2, &[0, 1]),
    ] {
        let mut pod = Pod::of(count, &Settings { mode, ..Settings::default() });
        pod.play(1..200, 3, if count == 1 { SAME } else { CROSSED });
        assert_eq!(pod.rings(), expected, "{mode:?}, {count} workers");
    }
}

#[test]
fn each_event_is_told_by_one_write_and_a_call_reads_each_other_worker_once() {
    let mut pod = Pod::of(3, &inferring());
    pod.play(1..100, 40, ALL_OVER);
    let mut costs = |done: &mut dyn FnMut(&mut Pod)| {
        pod.store.reads.set(0);
        pod.store.writes.set(0);
        done(&mut pod);
        (pod.store.reads.get(), pod.store.writes.get())
    };
    costs(&mut |pod| pod.goes_on(1));
    assert_eq!(costs(&mut |pod| pod.arrives(500, 0)), (0, 1));
    assert_eq!(costs(&mut |pod| pod.calls(500, 1).map(|_| ()).unwrap_or_default()), (2, 1));
    assert_eq!(costs(&mut |pod| pod.ends(500, true)), (0, 1));
    assert_eq!(costs(&mut |pod| pod.ends(500, false)), (0, 1));
    costs(&mut |pod| pod.goes_on(60));
    assert_eq!(costs(&mut |pod| pod.arrives(501, 0)), (2, 1), "the last has been a while ago");
}

/// The second worker has something to do only after more has happened in the first than it tells.
#[test]
fn a_worker_that_has_missed_something_infers_nothing_until_that_has_ended() {
    let mut pod = Pod::of(2, &inferring());
    let found = pod.learn(CROSSED);
    assert!(found.right > 150, "{found:?}");
    for (number, expected) in [(EVENTS as u64 / 5, 0), (EVENTS as u64 / 5 + 1, 1)] {
        pod.goes_on(1_000 - pod.now % 1_000);
        pod.stopped = Some(1);
        pod.arrives(1_000, 0);
        pod.play(1_001..1_001 + number, 3, SAME);
        assert_eq!(pod.missed(1), 0);
        pod.stopped = None;
        let found = pod.calls(1_000, 1);
        assert!(found != Some(false));
        pod.goes_on(1_000 - pod.now % 1_000);
        assert_eq!(pod.missed(1), expected, "{number} requests");
        // The first of them is still in flight, and the second worker does not know of it.
        let found = pod.play(2_000..2_100, 3, CROSSED);
        assert_eq!(found.right > 0, expected == 0, "{found:?}");
        assert_eq!(found.wrong, 0);
        pod.ends(1_000, true);
        pod.ends(1_000, false);
        let found = pod.play(3_000..3_100, 3, CROSSED);
        assert!(found.right > 50 && found.wrong == 0, "{found:?}");
    }
}

#[test]
fn what_was_in_flight_in_a_worker_that_was_replaced_is_forgotten_after_some_seconds() {
    let mut pod = Pod::of(3, &inferring());
    pod.learn(ALL_OVER);
    pod.arrives(1_000, 2);
    // Its machine is made anew, and that request never ends.
    pod.workers[2] = workers(1, &inferring(), &pod.store).remove(0);
    let two: fn(u64) -> [usize; 2] = |request| [request as usize % 2, request as usize / 2 % 2];
    let in_flight = |pod: &Pod| {
        let infer = pod.workers[0].correlation.infer.as_ref();
        infer.map(|infer| infer.in_flight())
    };
    let found = pod.play(2_000..2_100, 3, two);
    pod.goes_on(1_000);
    assert_eq!((found.wrong, in_flight(&pod), pod.missed(0)), (0, Some(1), 0));
    pod.goes_on(11_000);
    assert_eq!((in_flight(&pod), pod.missed(0)), (Some(0), 1));
    let found = pod.play(3_000..3_100, 3, two);
    assert!(found.right > 50 && found.wrong == 0, "{found:?}");
    // The new one takes a number of its own, and has to learn first.
    pod.play(4_000..4_100, 40, ALL_OVER);
    let found = pod.play(5_000..5_100, 3, ALL_OVER);
    assert!(found.right > 50 && found.wrong == 0, "{found:?}");
    assert_eq!((pod.rings(), pod.missed(0)), (vec![0, 1, 2, 3], 0));
}

/// Its number is free again after the longest that a request may last.
#[test]
fn a_worker_that_takes_the_number_of_another_is_not_taken_for_it() {
    let limited = Settings { max_age: Duration::from_secs(5), ..inferring() };
    let mut pod = Pod::of(2, &limited);
    pod.learn(CROSSED);
    pod.arrives(1_000, 1);
    pod.workers[1] = workers(1, &limited, &pod.store).remove(0);
    pod.goes_on(17_000);
    pod.play(2_000..2_100, 40, CROSSED);
    assert_eq!(pod.rings(), [0, 1]);
    let found = pod.play(3_000..3_100, 3, CROSSED);
    assert!(found.right > 50 && found.wrong == 0, "{found:?}");
}

/// As where its root context is never given a timer.
#[test]
fn a_worker_that_never_ticks_is_listened_to_all_the_same() {
    let mut pod = Pod::of(2, &inferring());
    pod.stopped = Some(1);
    let found = pod.learn(CROSSED);
    assert!(found.right > 150 && found.wrong == 0, "{found:?}");
}

#[test]
fn nothing_is_inferred_from_bytes_that_no_worker_wrote() {
    let mut pod = Pod::of(2, &inferring());
    pod.learn(CROSSED);
    let key = name(0, TIMES);
    let (sound, _) = pod.store.values.borrow()[&key[..]].clone();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    for round in 0..3_000_usize {
        let request = 1_000 + round as u64;
        let mut foreign = sound.clone();
        match round % 5 {
            0 => foreign.truncate(random.next_u64() as usize % sound.len()),
            1 => foreign.extend_from_slice(&sound),
            2 => random.fill_bytes(&mut foreign),
            3 => random.fill_bytes(&mut foreign[8..]),
            _ => {
                let place = random.next_u64() as usize % foreign.len();
                random.fill_bytes(&mut foreign[place..]);
            }
        }
        pod.arrives(request, 0);
        pod.goes_on(4);
        pod.store.set_shared_data(&key, &foreign, 0);
        let found = pod.calls(request, 1);
        assert!(round % 5 > 2 || found.is_none(), "{round}");
        pod.goes_on(random.next_u64() % 40);
        pod.ends(request, true);
        pod.ends(request, false);
    }
    // The worker whose place it is writes there again.
    pod.goes_on(2_000);
    let found = pod.play(100_000..100_200, 40, CROSSED);
    assert!(found.wrong == 0, "{found:?}");
    let found = pod.play(200_000..200_100, 3, CROSSED);
    assert!(found.right > 50 && found.wrong == 0, "{found:?}");
}

#[test]
fn a_call_is_asked_for_its_port_once_where_both_connections_and_times_are_watched() {
    for count in [1, 2] {
        let mut pod = Pod::of(count, &inferring());
        pod.store.source_port.set(Some(40_000));
        pod.arrives(1, 0);
        for calls in 1..=3 {
            pod.calls(1, 0);
            assert_eq!(pod.store.source_ports.get(), calls, "{count} workers");
        }
    }
}

#[test]
fn requests_beyond_those_that_are_timed_are_counted() {
    for count in [1, 2] {
        let mut pod = Pod::of(count, &inferring());
        for request in 1..=IN_FLIGHT as u64 + 3 {
            pod.arrives(request, 0);
        }
        pod.goes_on(1_000);
        let mut told = HashMap::new();
        pod.workers[0].stats.flush(|metric, change| {
            told.insert(metric.name(), change);
        });
        assert_eq!(told.get(Metric::CorrelationInferenceFull.name()), Some(&3), "{count} workers");
        assert_eq!(pod.calls(1, 0), None);
    }
}
