//! Replays what sidecars saw, as `make bench-links LINKS="--record FOLDER"` writes it, through correlation.
//!
//! `cargo run --release --example links -- sure FOLDER/*.trace` says how many calls are linked rightly
//! and wrongly, in percent of all; the same input gives the same output. With `--workers 2` behind the mode
//! the connections are shared out to as many workers.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is a tool of ours"
)]

use meshspan::config::{Attribute, Correlation as Settings, CorrelationMode};
use meshspan::correlation::{Context, Correlation, Sidecar, Ticket};
use meshspan::sampling::Surroundings;
use meshspan::stats::Stats;
use meshspan::trace::{Decision, SpanId, TraceFlags, TraceId};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

/// A request or call, with the truth.
struct Row {
    is_call: bool,
    begin: u64,
    end: u64,
    serial: String,
    cause: String,
    /// A request's path, or a call's host.
    what: String,
    port: u16,
    is_refused: bool,
}

/// Values with their versions.
type Values = HashMap<Vec<u8>, (Vec<u8>, u32)>;

/// What Envoy would say.
#[derive(Default)]
struct Envoy {
    values: RefCell<Values>,
    crowd: Cell<u64>,
    now: Cell<u64>,
    source_port: Cell<u16>,
    is_refused: Cell<bool>,
    /// By worker and stream.
    upstream_ports: RefCell<HashMap<(usize, u32), u16>>,
    /// Whose callback it is.
    worker: Cell<usize>,
}

impl Surroundings for Envoy {
    fn attribute(&self, _: Attribute) -> Vec<u8> {
        Vec::new()
    }

    fn clock(&self) -> u64 {
        self.now.get()
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

impl Sidecar for Envoy {
    fn crowd(&self) -> u64 {
        self.crowd.get()
    }

    fn change_crowd(&self, change: i64) {
        self.crowd.set(self.crowd.get().wrapping_add(change as u64));
    }

    fn source_port(&self) -> Option<u16> {
        Some(self.source_port.get())
    }

    fn is_refused(&self) -> bool {
        self.is_refused.get()
    }

    fn upstream_port(&self, stream: u32, _: u32) -> Option<u16> {
        self.upstream_ports.borrow().get(&(self.worker.get(), stream)).copied()
    }
}

fn read(path: &str) -> Vec<Row> {
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        Row {
            is_call: words[0] == "out",
            begin: words[1].parse().unwrap(),
            end: words[2].parse().unwrap(),
            serial: words[3].to_owned(),
            cause: words[4].to_owned(),
            what: words[5].to_owned(),
            port: words[6].parse().unwrap(),
            is_refused: words.get(7).is_some_and(|status| *status != "200"),
        }
    };
    std::fs::read_to_string(path).unwrap().lines().map(row).collect()
}

/// What happens to a request or call, and what a sidecar does afterwards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Begins,
    Ends,
    IsLookedAt,
    IsLinked,
}

/// Calls by what became of them.
#[derive(Clone, Copy, Default)]
struct Score {
    right: u32,
    wrong: u32,
    link_right: u32,
    link_wrong: u32,
    unlinked: u32,
    apart: u32,
}

impl Score {
    fn add(&mut self, other: Self) {
        self.right += other.right;
        self.wrong += other.wrong;
        self.link_right += other.link_right;
        self.link_wrong += other.link_wrong;
        self.unlinked += other.unlinked;
        self.apart += other.apart;
    }

    fn print(self, name: &str) {
        let Self { right, wrong, link_right, link_wrong, unlinked, apart } = self;
        let all = [right, wrong, link_right, link_wrong, unlinked, apart];
        let sum = f64::from(all.iter().sum::<u32>()).max(1.0);
        let [right, wrong, link_right, link_wrong, unlinked, apart] =
            all.map(|count| 100.0 * f64::from(count) / sum);
        println!(
            "{name:40} {sum:6} right {right:6.2} wrong {wrong:6.2} link right {link_right:6.2} link wrong \
             {link_wrong:6.2} unlinked {unlinked:6.2} apart {apart:6.2}",
        );
    }
}

/// The worker that has a connection, and its number of the stream.
fn place(row: &Row, streams: &mut [u32]) -> (usize, u32) {
    let worker = (usize::from(row.port).wrapping_mul(0x9e37) >> 8) % streams.len();
    streams[worker] += 1;
    (worker, streams[worker])
}

fn replay(rows: &[Row], settings: &Settings, count: usize) -> Vec<(u64, Score)> {
    let envoy = Envoy::default();
    // And one on the main thread, to which nothing comes.
    let mut workers: Vec<_> = (0..=count).map(|_| Correlation::NEW).collect();
    workers.iter_mut().for_each(|worker| worker.begin(1_000_000, &envoy));
    let mut streams = vec![0; count];
    let places: Vec<_> = rows.iter().map(|row| place(row, &mut streams)).collect();
    let mut events: Vec<(u64, What, usize)> = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        events.push((row.begin, What::Begins, number));
        events.push((row.end, What::Ends, number));
        if row.is_call {
            events.push((row.end + 500_000, What::IsLookedAt, number));
            events.push((row.end + 1_000_000, What::IsLinked, number));
        }
    }
    events.sort();
    let mut tickets: HashMap<usize, Ticket> = HashMap::new();
    let mut second = 0;
    let mut stats = Stats::default();
    let mut scores: Vec<(u64, Score)> = Vec::new();
    // The scores of calls that may be linked.
    let mut unlinked: HashMap<usize, usize> = HashMap::new();
    for (time, what, number) in events {
        // The clock that workers share has begun at any time.
        envoy.now.set(5_000_000_000 + time * 1000);
        while second < time / 1_000_000 {
            second += 1;
            for (number, worker) in workers.iter_mut().enumerate() {
                envoy.worker.set(number);
                worker.tick(1_000_000 + second as u32, &mut stats, &envoy);
            }
        }
        let row = &rows[number];
        let (worker, stream) = places[number];
        let correlation = &mut workers[worker];
        envoy.worker.set(worker);
        if matches!(what, What::IsLookedAt | What::IsLinked) {
            let Some(place) = unlinked.get(&number).copied() else { continue };
            let link = correlation.link(settings, stream, &envoy);
            if let (What::IsLinked, Some(link)) = (what, link) {
                let is_right = rows[link.span_id.value() as usize - 1].serial == row.cause;
                let (link_right, link_wrong) = (u32::from(is_right), u32::from(!is_right));
                scores[place].1 = Score { link_right, link_wrong, ..Score::default() };
            }
            continue;
        }
        if what == What::Ends {
            envoy.is_refused.set(row.is_refused);
            if let Some(ticket) = tickets.remove(&number) {
                correlation.ended(ticket, &envoy);
            }
            continue;
        }
        let host = format!("{}.demo:8080", row.what);
        if !row.is_call {
            envoy.upstream_ports.borrow_mut().insert((worker, stream), row.port);
            let headers: [(&[u8], &[u8]); 4] = [
                (b":authority", b"application.demo"),
                (b":path", row.what.as_bytes()),
                (b":method", b"POST"),
                (b"x-request-id", row.serial.as_bytes()),
            ];
            let context = Context {
                trace_id: TraceId::new(1 + number as u128).unwrap(),
                span_id: SpanId::new(1 + number as u64).unwrap(),
                decision: Decision::Sample,
                threshold: None,
                flags: TraceFlags::default(),
            };
            let ticket =
                correlation.arrived(settings, stream, &headers, &context, &mut stats, &envoy);
            tickets.extend(ticket.map(|ticket| (number, ticket)));
            continue;
        }
        envoy.source_port.set(row.port);
        let headers: [(&[u8], &[u8]); 3] =
            [(b":authority", host.as_bytes()), (b":path", b"/"), (b":method", b"POST")];
        let mut ticket = None;
        let origin = correlation.origin(settings, stream, &headers, &mut ticket, &envoy);
        if origin.is_none() && ticket.as_ref().and_then(Ticket::call).is_some() {
            unlinked.insert(number, scores.len());
        }
        tickets.extend(ticket.map(|ticket| (number, ticket)));
        let mut score = Score::default();
        match origin {
            Some(origin) => {
                let cause = &rows[origin.context.span_id.value() as usize - 1].serial;
                *(if *cause == row.cause { &mut score.right } else { &mut score.wrong }) += 1;
            }
            None if row.cause == "-" => score.apart += 1,
            None => score.unlinked += 1,
        }
        scores.push((time, score));
    }
    scores
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap();
    let (_, mode) = CorrelationMode::NAMED.into_iter().find(|(name, _)| *name == mode).unwrap();
    let settings = Settings { mode, ..Settings::default() };
    let mut arguments = arguments.peekable();
    let has_number = arguments.next_if(|it| it == "--workers").is_some();
    let workers = if has_number { arguments.next().unwrap().parse().unwrap() } else { 1 };
    let mut pooled: BTreeMap<u32, Score> = BTreeMap::new();
    for path in arguments {
        let rows = read(&path);
        let scores = replay(&rows, &settings, workers);
        // Of each twentieth of a trace the number in flight in the mean.
        let name = path.rsplit('/').next().unwrap();
        let end = rows.iter().map(|row| row.end).max().unwrap();
        let width = 1 + end / 20;
        let mut by_load: BTreeMap<u32, Score> = BTreeMap::new();
        let mut load = [0.0; 20];
        for row in rows.iter().filter(|row| !row.is_call) {
            load[(row.begin / width) as usize] += (row.end - row.begin) as f64 / width as f64;
        }
        for (time, score) in scores {
            let load = load[(time / width) as usize];
            let class = [1, 2, 4, 8, 16].into_iter().min_by(|a, b| {
                let far = |class: u32| (f64::from(class).ln() - load.ln()).abs();
                far(*a).total_cmp(&far(*b))
            });
            by_load.entry(class.unwrap()).or_default().add(score);
        }
        for (load, score) in by_load {
            score.print(&format!("{name} at {load}"));
            pooled.entry(load).or_default().add(score);
        }
    }
    for (load, score) in pooled {
        score.print(&format!("all at {load}"));
    }
}
