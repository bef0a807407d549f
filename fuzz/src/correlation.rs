//! Requests that come, go and ask in any order, in several workers, against a list of what is in flight.

use meshspan::config::{Attribute, Correlation as Settings, CorrelationMode};
use meshspan::correlation::{Context, Correlation, Origin, Sidecar, Ticket};
use meshspan::sampling::Surroundings;
use meshspan::stats::{Metric, Stats};
use meshspan::trace::{Decision, SpanId, TraceFlags, TraceId};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

const MAX_AGE: u32 = 5;
const BEGIN: u32 = 1_700_000_000;

/// After so many ticks others know of a worker that was replaced.
const NOTICED: u32 = 2;

/// Beyond so many in one slot others are not told, and nothing may be found.
const MOST_SHARED: usize = 16;

/// By how many nanoseconds the clock goes on before an event, or back.
const STEPS: [i64; 16] = [
    0,
    20_000,
    300_000,
    1_000_000,
    3_000_000,
    10_000_000,
    40_000_000,
    150_000_000,
    600_000_000,
    2_500_000_000,
    6_000_000_000,
    3_600_000_000_000,
    i64::MAX,
    -1_000,
    -2_000_000,
    -3_600_000_000_000,
];

/// How many requests by as many routes, or calls of as many hosts and ports, may come in one event, and how
/// often that is.
const MANY: usize = 1024;
const MOST_BURSTS: usize = 4;

/// The most that is kept of what is told by times: hypotheses, requests, places for these, routes, hosts, states,
/// connections.
const MOST_KEPT: [usize; 7] = [48, 48, 48, 32, 16, 160, 64];

/// Values with their versions.
type Values = BTreeMap<Vec<u8>, (Vec<u8>, u32)>;

/// Envoy's shared data, the number of the pod, and what chooses ports.
#[derive(Default)]
struct Store {
    values: RefCell<Values>,
    crowd: Cell<u64>,
    clock: Cell<u64>,
    ports: Cell<u8>,
    port: Cell<Option<u16>>,
}

impl Surroundings for Store {
    fn attribute(&self, _: Attribute) -> Vec<u8> {
        Vec::new()
    }

    fn clock(&self) -> u64 {
        self.clock.get()
    }

    fn shared_data(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.values.borrow().get(key).cloned()
    }

    fn set_shared_data(&self, key: &[u8], value: &[u8], version: u32) -> bool {
        let mut values = self.values.borrow_mut();
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
        self.crowd.get()
    }

    fn change_crowd(&self, change: i64) {
        self.crowd.set(self.crowd.get().wrapping_add(change as u64));
    }

    fn source_port(&self) -> Option<u16> {
        let few = Some(u16::from(self.ports.get() % 16)).filter(|port| *port < 15);
        self.port.get().or(few)
    }

    fn is_refused(&self) -> bool {
        self.ports.get().is_multiple_of(3)
    }

    fn upstream_port(&self, stream: u32, _: u32) -> Option<u16> {
        let ports = u32::from(self.ports.get() / 16) + 1;
        Some((stream % ports) as u16).filter(|port| *port < 15)
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

/// What has become of a request, and when: by the clock, and by how often that had been set back.
struct Life {
    context: Context,
    came: (u64, u32),
    ended: Option<(u64, u32)>,
}

struct Proxy {
    store: Store,
    settings: Settings,
    workers: Vec<Correlation>,
    stats: Stats,
    now: u32,
    /// The number of the latest request or call.
    serial: u64,
    /// How often the clock was set back.
    set_back: u32,
    bursts: usize,
    /// Of every request so far, by its span.
    lives: BTreeMap<u64, Life>,
    in_flight: Vec<Truth>,
    /// Of a worker that was replaced: others may find them, until they are too old.
    stale: Vec<Truth>,
    /// With their spans.
    ended: Vec<(usize, Ticket, u64)>,
    /// Calls that are watched.
    calls: Vec<(usize, Ticket)>,
    /// A worker has been replaced, which has told of requests that it never tells the end of.
    is_replaced: bool,
    /// How many ticks there were, and until which workers may not know that one has been replaced, nor that another
    /// has taken the next number.
    ticks: u32,
    unknown_until: u32,
    /// For each worker, after how many ticks its first request with an id came; a worker that was replaced before it ticked may
    /// have others wait for the next to see that.
    began: Vec<Option<u32>>,
    /// Another plugin has written where only workers do.
    is_foreign: bool,
}

/// The first byte says how many workers there are, how many requests each keeps, and whether there may be
/// other evidence than ids, or times; then come three bytes for each event.
pub fn check(input: &[u8]) {
    let Some((first, events)) = input.split_first() else { return };
    let store = Store::default();
    let settings = Settings {
        headers: vec!["x-session-id".to_owned()],
        max_in_flight: [1, 3, 20][usize::from(first / 4) % 3],
        max_age: Duration::from_secs(MAX_AGE.into()),
        mode: match first {
            ..128 => CorrelationMode::Exact,
            128..192 => CorrelationMode::Sure,
            _ => CorrelationMode::Infer,
        },
        parent_threshold: if *first < 224 { 0.98 } else { 0.5 },
        ..Settings::default()
    };
    store.clock.set(u64::from(BEGIN) * 1_000_000_000);
    // And one on the main thread, to which no request comes.
    let workers = (0..2 + first % 4).map(|_| begun(BEGIN, &store)).collect();
    let mut proxy = Proxy {
        store,
        settings,
        workers,
        stats: Stats::default(),
        now: BEGIN,
        serial: 0,
        set_back: 0,
        bursts: 0,
        lives: BTreeMap::new(),
        in_flight: Vec::new(),
        stale: Vec::new(),
        ended: Vec::new(),
        calls: Vec::new(),
        is_replaced: false,
        ticks: 0,
        unknown_until: 0,
        began: vec![None; usize::from(2 + first % 4)],
        is_foreign: false,
    };
    if proxy.settings.mode == CorrelationMode::Infer {
        // Until a worker knows whether it is alone.
        (0..4).for_each(|_| proxy.tick(1));
    }
    for event in events.as_chunks::<3>().0 {
        proxy.event(*event);
        let sizes = proxy.workers.iter().map(Correlation::timing_sizes);
        for (kept, most) in sizes.flat_map(|it| it.into_iter().zip(MOST_KEPT)) {
            assert!(kept <= most, "{kept} are kept, at most {most}");
        }
    }
    let keys = proxy.store.values.borrow().len();
    assert!(keys <= 64 * 1024 + 64 + 66 + 8, "{keys} keys");
}

fn begun(now: u32, store: &Store) -> Correlation {
    let mut worker = Correlation::NEW;
    worker.begin(now, store);
    worker
}

impl Proxy {
    fn event(&mut self, [kind, which, what]: [u8; 3]) {
        if self.settings.mode == CorrelationMode::Infer {
            self.step(STEPS[usize::from(kind / 8) % STEPS.len()]);
        }
        let worker = usize::from(which) % (self.workers.len() - 1);
        let pick = usize::from(what);
        match kind % 8 {
            0 | 1 => self.arrive(worker, what, u16::from(which / 8)),
            2 | 3 => self.ask(worker, which, what, 0),
            4 if !self.in_flight.is_empty() => self.end(pick % self.in_flight.len()),
            5 if !self.ended.is_empty() => {
                let (worker, ticket, span) = self.ended[pick % self.ended.len()];
                self.has_ended(span);
                // What is only counted is known by its ticket alone, which Envoy hands back once.
                if !matches!(ticket, Ticket::Request { place: Some(_), .. }) {
                    self.workers[worker].ended(ticket, &self.store);
                }
            }
            6 => self.tick(u32::from(what % 4)),
            7 if which == 255 => self.overwrite(what),
            7 if which > 250 => self.replace(worker),
            7 if which > 100 && !self.calls.is_empty() => {
                let (worker, ticket) = self.calls.swap_remove(pick % self.calls.len());
                self.workers[worker].ended(ticket, &self.store);
            }
            7 if which < 100 => self.burst(worker, which, pick),
            _ => {}
        }
    }

    /// The clock goes on, or back.
    fn step(&mut self, step: i64) {
        let clock = &self.store.clock;
        clock.set(clock.get().saturating_add_signed(step));
        self.set_back += u32::from(step < 0);
    }

    fn moment(&self) -> (u64, u32) {
        (self.store.clock.get(), self.set_back)
    }

    fn has_ended(&mut self, span: u64) {
        let moment = self.moment();
        if let Some(life) = self.lives.get_mut(&span) {
            life.ended.get_or_insert(moment);
        }
    }

    fn end(&mut self, place: usize) {
        let it = self.in_flight.swap_remove(place);
        let span = it.context.span_id.value();
        self.workers[it.worker].ended(it.ticket, &self.store);
        self.has_ended(span);
        self.ended.push((it.worker, it.ticket, span));
    }

    /// As many requests come as there are routes, or as many calls are made as there are hosts.
    fn burst(&mut self, worker: usize, which: u8, pick: usize) {
        let is_one_more = self.bursts < MOST_BURSTS && self.settings.mode == CorrelationMode::Infer;
        if !is_one_more {
            return;
        }
        self.bursts += 1;
        for count in 0..pick * MANY / 255 {
            let number = count as u16 + u16::from(which) * 256;
            if which < 50 {
                self.arrive(worker, 0, number);
                if which.is_multiple_of(2) {
                    self.end(self.in_flight.len() - 1);
                }
            } else {
                self.store.port.set(which.is_multiple_of(2).then_some(number));
                self.ask(worker, which, 0, number);
                self.store.port.set(None);
            }
        }
    }

    /// A second or more have passed, for all.
    fn tick(&mut self, seconds: u32) {
        self.now += seconds;
        self.ticks += u32::from(seconds > 0);
        self.step(i64::from(seconds) * 1_000_000_000);
        for worker in &mut self.workers {
            worker.tick(self.now, &mut self.stats, &self.store);
        }
        let now = self.now;
        let is_young = |it: &Truth| it.expires > now;
        let old = self.in_flight.iter().filter(|it| !is_young(it));
        self.ended.extend(old.map(|it| (it.worker, it.ticket, it.context.span_id.value())));
        self.in_flight.retain(is_young);
        self.stale.retain(is_young);
    }

    /// The module of a worker is replaced by one that knows nothing.
    fn replace(&mut self, worker: usize) {
        self.workers[worker] = begun(self.now, &self.store);
        self.is_replaced = true;
        self.began[worker] = None;
        self.unknown_until = self.ticks + NOTICED;
        self.ended.retain(|(its, _, _)| *its != worker);
        self.calls.retain(|(its, _)| *its != worker);
        let (gone, left) = self.in_flight.iter().cloned().partition(|it| it.worker == worker);
        self.in_flight = left;
        let gone: Vec<Truth> = gone;
        self.stale.extend(gone);
    }

    fn overwrite(&mut self, what: u8) {
        let mut values = self.store.values.borrow_mut();
        let place = usize::from(what) % values.len().max(1);
        if let Some((value, version)) = values.values_mut().nth(place) {
            *value = vec![what; usize::from(what) * 7];
            *version += 1;
        }
        self.is_foreign = true;
    }

    fn arrive(&mut self, worker: usize, what: u8, route: u16) {
        self.serial += 1;
        let number = self.serial;
        let (request_id, session) = (what % 4, what / 4 % 4);
        let context = Context {
            trace_id: TraceId::new(u128::from(what / 16 % 4 + 1)).unwrap(),
            span_id: SpanId::new(number).unwrap(),
            decision: if what > 127 { Decision::Sample } else { Decision::Drop },
            threshold: None,
            flags: TraceFlags { random: true },
        };
        let life = Life { context, came: self.moment(), ended: None };
        self.lives.insert(number, life);
        let own = self.in_flight.iter().filter(|it| it.worker == worker).count();
        if (request_id > 0 || session > 0) && own < self.settings.max_in_flight {
            self.began[worker].get_or_insert(self.ticks);
        }
        let Self { settings, store, stats, .. } = self;
        let its = &mut self.workers[worker];
        let ticket = with(request_id, session, 0, route, |headers| {
            its.arrived(settings, number as u32, headers, &context, stats, store)
        });
        let is_kept = |it: &Ticket| matches!(it, Ticket::Request { keys: Some(_), .. });
        let its = self.in_flight.iter().filter(|it| it.worker == worker);
        let count = its.filter(|it| is_kept(&it.ticket)).count();
        let has_key = request_id > 0 || session > 0;
        let is_full = count >= settings.max_in_flight;
        let expected = has_key && !is_full;
        assert_eq!(ticket.as_ref().is_some_and(is_kept), expected, "{count} are in flight there");
        assert_eq!(ticket.is_some(), expected || settings.mode != CorrelationMode::Exact);
        // What there is no room for is found by no id.
        let (request_id, session) = if is_full { (0, 0) } else { (request_id, session) };
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

    fn ask(&mut self, worker: usize, ports: u8, what: u8, host: u16) {
        self.serial += 1;
        let number = self.serial;
        let host = if host == 0 { u16::from(what / 16 % 4) } else { host };
        let (request_id, session) = (what % 4, what / 4 % 4);
        let Self { settings, store, .. } = self;
        store.ports.set(ports);
        let its = &mut self.workers[worker];
        let mut ticket = None;
        let found = with(request_id, session, host, 0, |headers| {
            its.origin(settings, number as u32, headers, &mut ticket, store)
        });
        self.calls.extend(ticket.map(|ticket| (worker, ticket)));
        if self.is_foreign {
            return;
        }
        if let Some(it) = &found
            && it.evidence.name == "inferred"
        {
            self.check_inferred(it);
            return;
        }
        assert!(found.as_ref().is_none_or(|it| it.evidence.confidence.is_none()));
        if let Some(it) = &found
            && matches!(it.evidence.name.as_str(), "connection" | "single")
        {
            assert!(settings.mode != CorrelationMode::Exact && it.is_parent);
            let mut own = self.in_flight.iter().chain(&self.stale);
            assert!(own.any(|own| own.context == it.context), "nobody has that: {it:?}");
            let is_one = self.in_flight.len() == 1;
            assert!(
                it.evidence.name == "connection" || is_one || self.is_replaced,
                "it is not single"
            );
            return;
        }
        let by_id = |it: &&Truth| request_id > 0 && it.request_id == request_id;
        let by_session = |it: &&Truth| session > 0 && it.session == session;
        let is_seen = |it: &Truth| {
            let has_begun = self.began[it.worker].is_some_and(|ticks| ticks < self.ticks);
            let is_known = self.unknown_until <= self.ticks && (has_begun || !self.is_replaced);
            is_known || it.worker == worker
        };
        let all = || self.in_flight.iter();
        let stale = || self.stale.iter();
        let (known, perhaps): (Vec<&Truth>, Vec<&Truth>) = match &found {
            Some(it) if it.evidence.name == "request_id" => {
                (all().filter(by_id).collect(), stale().filter(by_id).collect())
            }
            Some(it) => {
                assert_eq!(it.evidence.name, "header:x-session-id");
                (all().filter(by_session).collect(), stale().filter(by_session).collect())
            }
            // Nobody, or several of different traces.
            None if self.in_flight.len() + self.stale.len() <= MOST_SHARED => {
                for one_of in [all().filter(by_id).collect(), all().filter(by_session).collect()] {
                    let one_of: Vec<&Truth> = one_of;
                    let traces: Vec<TraceId> =
                        one_of.iter().map(|it| it.context.trace_id).collect();
                    let is_one = traces.iter().all(|it| *it == traces[0]) && !traces.is_empty();
                    let is_seen = one_of.iter().any(|it| is_seen(it));
                    assert!(!is_one || !is_seen || !self.stale.is_empty(), "it was not found");
                }
                return;
            }
            None => return,
        };
        let found = found.unwrap();
        let mut it = known.iter().chain(&perhaps);
        assert!(it.any(|it| it.context == found.context), "nobody has that: {found:?}");
        let mut seen = known.iter().filter(|it| is_seen(it));
        assert!(seen.all(|it| it.context.trace_id == found.context.trace_id), "{found:?}");
        let parents = known.iter().filter(|it| is_seen(it)).count();
        assert!(!found.is_parent || parents <= 1, "{parents} may be the parent");
    }

    /// It is a request that goes on or has ended lately, and nothing is certain.
    fn check_inferred(&self, found: &Origin) {
        assert!(self.settings.mode == CorrelationMode::Infer && found.is_parent);
        let least = (self.settings.parent_threshold * 1000.0) as u16 - 1;
        assert!((least..1000).contains(&found.evidence.confidence.unwrap()), "{found:?}");
        let life = &self.lives[&found.context.span_id.value()];
        assert_eq!(life.context, found.context, "nobody has that");
        let (clock, set_back) = self.moment();
        let (since, then) = life.ended.unwrap_or(life.came);
        // By how much numbers of 32 bits may be off.
        let most = u64::from(MAX_AGE) * 1_001_000_000;
        assert!(then != set_back || clock - since <= most, "{} ns are too long", clock - since);
    }
}

/// Zero is a header that is absent.
fn with<T>(
    request_id: u8,
    session: u8,
    host: u16,
    route: u16,
    call: impl FnOnce(&[(&[u8], &[u8])]) -> T,
) -> T {
    let values = [[b'r', request_id], [b's', session]];
    let [high, low] = host.to_be_bytes();
    let host = [b'h', high, low];
    let path = format!("/r{route}");
    let mut headers: Vec<(&[u8], &[u8])> =
        vec![(b":authority", &host), (b":path", path.as_bytes())];
    if request_id > 0 {
        headers.push((b"x-request-id", &values[0]));
    }
    if session > 0 {
        headers.push((b"x-session-id", &values[1]));
    }
    call(&headers)
}
