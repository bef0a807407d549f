//! Requests that come, go and ask in any order, in several workers, against a list of what is in flight.

use meshspan::config::{Attribute, Correlation as Settings};
use meshspan::correlation::{Context, Correlation, Sidecar, Ticket};
use meshspan::sampling::Surroundings;
use meshspan::stats::{Metric, Stats};
use meshspan::trace::{Decision, SpanId, TraceFlags, TraceId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

const MAX_AGE: u32 = 5;
const BEGIN: u32 = 1_700_000_000;

/// Beyond so many in one slot others are not told, and nothing may be found.
const MOST_SHARED: usize = 16;

/// Values with their versions.
type Values = BTreeMap<Vec<u8>, (Vec<u8>, u32)>;

/// Envoy's shared data.
#[derive(Default)]
struct Store(RefCell<Values>);

impl Surroundings for Store {
    fn attribute(&self, _: Attribute) -> Vec<u8> {
        Vec::new()
    }

    fn clock(&self) -> u64 {
        0
    }

    fn shared_data(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.0.borrow().get(key).cloned()
    }

    fn set_shared_data(&self, key: &[u8], value: &[u8], version: u32) -> bool {
        let mut values = self.0.borrow_mut();
        let (old, at) = values.entry(key.to_vec()).or_default();
        let is_current = version == 0 || version == *at;
        if is_current {
            (*old, *at) = (value.to_vec(), *at + 1);
        }
        is_current
    }
}

/// What only other evidence than ids asks for.
impl Sidecar for Store {
    fn crowd(&self) -> u64 {
        0
    }

    fn change_crowd(&self, _: i64) {}

    fn source_port(&self) -> Option<u16> {
        None
    }

    fn upstream_port(&self, _: u32, _: u32) -> Option<u16> {
        None
    }
}

/// A request as its application knows it.
#[derive(Clone)]
struct Truth {
    worker: usize,
    request_id: u8,
    session: u8,
    context: Context,
    ticket: Ticket,
    expires: u32,
}

struct Proxy {
    store: Store,
    settings: Settings,
    workers: Vec<Correlation>,
    stats: Stats,
    now: u32,
    in_flight: Vec<Truth>,
    /// Of a worker that was replaced: others may find them, until they are too old.
    stale: Vec<Truth>,
    ended: Vec<(usize, Ticket)>,
    /// Another plugin has written where only workers do.
    is_foreign: bool,
}

/// The first byte says how many workers there are and how many requests each keeps; then come three
/// bytes for each event.
pub fn check(input: &[u8]) {
    let Some((first, events)) = input.split_first() else { return };
    let store = Store::default();
    let settings = Settings {
        headers: vec!["x-session-id".to_owned()],
        max_in_flight: [1, 3, 20][usize::from(first / 4) % 3],
        max_age: Duration::from_secs(MAX_AGE.into()),
        ..Settings::default()
    };
    // And one on the main thread, to which no request comes.
    let workers = (0..2 + first % 4).map(|_| begun(BEGIN, &store)).collect();
    let mut proxy = Proxy {
        store,
        settings,
        workers,
        stats: Stats::default(),
        now: BEGIN,
        in_flight: Vec::new(),
        stale: Vec::new(),
        ended: Vec::new(),
        is_foreign: false,
    };
    for (number, event) in events.as_chunks::<3>().0.iter().enumerate() {
        proxy.event(*event, number as u64 + 1);
    }
    let keys = proxy.store.0.borrow().len();
    assert!(keys <= 64 * 1024 + 64 + 66, "{keys} keys");
}

fn begun(now: u32, store: &Store) -> Correlation {
    let mut worker = Correlation::NEW;
    worker.begin(now, store);
    worker
}

impl Proxy {
    fn event(&mut self, [kind, which, what]: [u8; 3], number: u64) {
        let worker = usize::from(which) % (self.workers.len() - 1);
        let pick = usize::from(what);
        match kind % 8 {
            0 | 1 => self.arrive(worker, what, number),
            2 | 3 => self.ask(worker, what),
            4 if !self.in_flight.is_empty() => {
                let it = self.in_flight.swap_remove(pick % self.in_flight.len());
                self.workers[it.worker].ended(it.ticket, &self.store);
                self.ended.push((it.worker, it.ticket));
            }
            5 if !self.ended.is_empty() => {
                let (worker, ticket) = self.ended[pick % self.ended.len()];
                self.workers[worker].ended(ticket, &self.store);
            }
            6 => self.tick(u32::from(what % 4)),
            7 if which == 255 => self.overwrite(what),
            7 if which > 250 => self.replace(worker),
            _ => {}
        }
    }

    /// A second or more have passed, for all.
    fn tick(&mut self, seconds: u32) {
        self.now += seconds;
        for worker in &mut self.workers {
            worker.tick(self.now, &mut self.stats, &self.store);
        }
        let now = self.now;
        let is_young = |it: &Truth| it.expires > now;
        let old = self.in_flight.iter().filter(|it| !is_young(it)).map(|it| (it.worker, it.ticket));
        self.ended.extend(old);
        self.in_flight.retain(is_young);
        self.stale.retain(is_young);
    }

    /// The module of a worker is replaced by one that knows nothing.
    fn replace(&mut self, worker: usize) {
        self.workers[worker] = begun(self.now, &self.store);
        self.ended.retain(|(its, _)| *its != worker);
        let (gone, left) = self.in_flight.iter().cloned().partition(|it| it.worker == worker);
        self.in_flight = left;
        let gone: Vec<Truth> = gone;
        self.stale.extend(gone);
    }

    fn overwrite(&mut self, what: u8) {
        let mut values = self.store.0.borrow_mut();
        let place = usize::from(what) % values.len().max(1);
        if let Some((value, version)) = values.values_mut().nth(place) {
            *value = vec![what; usize::from(what) * 7];
            *version += 1;
        }
        self.is_foreign = true;
    }

    fn arrive(&mut self, worker: usize, what: u8, number: u64) {
        let (request_id, session) = (what % 4, what / 4 % 4);
        let context = Context {
            trace_id: TraceId::new(u128::from(what / 16 % 4 + 1)).unwrap(),
            span_id: SpanId::new(number).unwrap(),
            decision: if what > 127 { Decision::Sample } else { Decision::Drop },
            threshold: None,
            flags: TraceFlags { random: true },
        };
        let Self { settings, store, stats, .. } = self;
        let its = &mut self.workers[worker];
        let ticket = with(request_id, session, |headers| {
            its.arrived(settings, number as u32, headers, &context, stats, store)
        });
        let count = self.in_flight.iter().filter(|it| it.worker == worker).count();
        let has_key = request_id > 0 || session > 0;
        let is_full = count >= settings.max_in_flight;
        assert_eq!(ticket.is_some(), has_key && !is_full, "{count} are in flight there");
        let mut full = 0;
        stats.flush(|metric, change| {
            full += change * i64::from(metric == Metric::CorrelationTableFull)
        });
        assert_eq!(full, i64::from(has_key && is_full));
        let expires = self.now + MAX_AGE;
        let truth =
            ticket.map(|ticket| Truth { worker, request_id, session, context, ticket, expires });
        self.in_flight.extend(truth);
    }

    fn ask(&mut self, worker: usize, what: u8) {
        let (request_id, session) = (what % 4, what / 4 % 4);
        let Self { settings, store, .. } = self;
        let its = &mut self.workers[worker];
        let found = with(request_id, session, |headers| {
            its.origin(settings, u32::MAX, headers, &mut None, store)
        });
        if self.is_foreign {
            return;
        }
        let by_id = |it: &&Truth| request_id > 0 && it.request_id == request_id;
        let by_session = |it: &&Truth| session > 0 && it.session == session;
        let all = || self.in_flight.iter();
        let stale = || self.stale.iter();
        let (known, perhaps): (Vec<&Truth>, Vec<&Truth>) = match &found {
            Some(it) if it.evidence == "request_id" => {
                (all().filter(by_id).collect(), stale().filter(by_id).collect())
            }
            Some(it) => {
                assert_eq!(it.evidence, "header:x-session-id");
                (all().filter(by_session).collect(), stale().filter(by_session).collect())
            }
            // Nobody, or several of different traces.
            None if self.in_flight.len() + self.stale.len() <= MOST_SHARED => {
                for one_of in [all().filter(by_id).collect(), all().filter(by_session).collect()] {
                    let one_of: Vec<&Truth> = one_of;
                    let traces: Vec<TraceId> =
                        one_of.iter().map(|it| it.context.trace_id).collect();
                    let is_one = traces.iter().all(|it| *it == traces[0]) && !traces.is_empty();
                    assert!(!is_one || !self.stale.is_empty(), "it was not found");
                }
                return;
            }
            None => return,
        };
        let found = found.unwrap();
        let mut it = known.iter().chain(&perhaps);
        assert!(it.any(|it| it.context == found.context), "nobody has that: {found:?}");
        assert!(known.iter().all(|it| it.context.trace_id == found.context.trace_id), "{found:?}");
        assert!(!found.is_parent || known.len() <= 1, "{} may be the parent", known.len());
    }
}

/// Zero is a header that is absent.
fn with<T>(request_id: u8, session: u8, call: impl FnOnce(&[(&[u8], &[u8])]) -> T) -> T {
    let values = [[b'r', request_id], [b's', session]];
    let mut headers: Vec<(&[u8], &[u8])> = Vec::new();
    if request_id > 0 {
        headers.push((b"x-request-id", &values[0]));
    }
    if session > 0 {
        headers.push((b"x-session-id", &values[1]));
    }
    call(&headers)
}
