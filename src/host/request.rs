//! The context of one request.

use super::abi::{self, Map};
use super::attributes::text;
use super::facts;
use super::root::status_code;
use super::shared::Shared;
use super::surroundings::Envoy;
use crate::attributes::{Facts, Recording, Way, is_on};
use crate::config::{AccessLog, TRACERESPONSE, TagSource};
use crate::correlation::Ticket;
use crate::pairs;
use crate::propagation::{Edit, traceparent};
use crate::trace::{Decision, TraceContext};
use crate::tracer::{Started, Tracer, Unsampled};
use std::cell::RefMut;
use std::mem;
use std::ops::Range;
use std::rc::Rc;

/// How `response.code_details` begins where Envoy's own tracers trace nothing either: what the
/// connection manager refuses before any filter, and health checks that a filter before ours answers.
const UNTRACED: [&str; 7] = [
    "absolute_path_rejected",
    "health_check",
    "low_version",
    "missing_host_header",
    "missing_path_rejected",
    "overload",
    "path_normalization_failed",
];

/// How many calls the end of another looks at for the first time at the most, and for the second: as many begin.
const MOST_LOOKS: usize = 1;

/// Where the trace id stands in the form of `traceparent`.
const TRACE_ID: Range<usize> = 3..35;

pub(super) struct Request {
    /// Envoy's number of it.
    stream: u32,
    shared: Rc<Shared>,
    state: State,
    /// What its response says of the trace, until it has said so; or nothing.
    answer: Vec<u8>,
    has_body: bool,
    /// When it was first seen to go on; zero where it was not, and the end of times once it has been shown.
    seen: u64,
    /// How its response passed, where events are wanted.
    way: Way,
    /// Of a request whose end is of interest to others.
    ticket: Option<Ticket>,
}

/// What is remembered of a request until it ends.
enum State {
    /// Nothing: its headers have not reached us, and a filter before ours may keep them.
    Expected,
    Recorded(Box<Recording>),
    Unsampled(Box<Unsampled>),
    /// Nothing is left to say of it.
    Done,
}

impl State {
    fn of(started: Started) -> Self {
        match (started.recording, started.unsampled) {
            (Some(recording), _) => Self::Recorded(recording),
            (None, Some(unsampled)) => Self::Unsampled(Box::new(unsampled)),
            (None, None) => Self::Done,
        }
    }
}

impl Request {
    pub(super) fn new(stream: u32, shared: Rc<Shared>) -> Self {
        let (state, answer, way) = (State::Expected, Vec::new(), Way::default());
        Self { stream, shared, state, answer, has_body: true, seen: 0, way, ticket: None }
    }

    /// Its headers are here; whether anything is left to be said of it, or its end is of account.
    pub(super) fn start(&mut self, has_body: bool) -> bool {
        self.has_body = has_body;
        self.state = State::Done;
        let bytes = abi::request_headers();
        if let Some(headers) = pairs::parse(&bytes) {
            let Shared { tracer, in_flight, .. } = &*self.shared;
            let mut tracer = tracer.borrow_mut();
            let mut started = in_flight.start(&mut tracer, self.stream, &headers, &mut self.ticket);
            drop(tracer);
            for edit in &started.edits {
                apply(edit);
            }
            show(self.shared.access_log, &started);
            self.answer = mem::take(&mut started.answer);
            self.state = State::of(started);
        }
        self.is_kept() || !self.answer.is_empty()
    }

    /// Its trailers are here, which nothing can read later.
    pub(super) fn read_trailers(&mut self) {
        let tracer = self.shared.tracer.borrow();
        if let State::Recorded(recording) = &mut self.state
            && tracer.asks()
        {
            tracer.ask(recording, &|tag| {
                let is_trailer = tag.source == TagSource::RequestTrailer;
                is_trailer.then(|| abi::header(Map::RequestTrailers, &tag.key))?
            });
        }
    }

    /// The headers of its response are here; whether its end is of interest. What an upstream says of
    /// the same name is replaced.
    #[inline(never)]
    pub(super) fn answer(&mut self) -> bool {
        let value = mem::take(&mut self.answer);
        if !value.is_empty() {
            let response = &self.shared.response;
            if response.traceresponse {
                abi::replace_header(Map::ResponseHeaders, TRACERESPONSE, &value);
            }
            if let Some(name) = &response.header {
                let trace_id = value.get(TRACE_ID).unwrap_or_default();
                abi::replace_header(Map::ResponseHeaders, name, trace_id);
            }
        }
        if let Some(moments) = self.shared.moments
            && !matches!(self.state, State::Done)
        {
            self.way = moments.answered();
        }
        if let State::Recorded(recording) = &self.state
            && recording.asks_for_upgrade()
            && self.shared.shows_streams()
            && let Some(code) =
                abi::header(Map::ResponseHeaders, ":status").and_then(|it| status_code(&it))
            && recording.is_upgraded_by(code)
        {
            self.show(Some(code));
        }
        // Where its own headers have not come yet, a filter before ours answers it.
        self.is_kept()
    }

    /// Whether it is one of these whose beginning is to be shown: it has been seen to go on for that long.
    pub(super) fn has_lasted(&mut self, long: u64, now: u64, shared: &Rc<Shared>) -> bool {
        if !matches!(self.state, State::Recorded(_)) || !Rc::ptr_eq(&self.shared, shared) {
            return false;
        }
        if self.seen == 0 {
            self.seen = now;
        }
        now.saturating_sub(self.seen) >= long
    }

    /// Exports what there is of it, while it goes on. `status_code` is that of its response, where only
    /// the response's own callback knows it.
    #[inline(never)]
    pub(super) fn show(&mut self, status_code: Option<u16>) {
        let Self { shared, state: State::Recorded(recording), .. } = self else { return };
        let mut tracer = shared.tracer.borrow_mut();
        let mut facts = facts::read_open(shared.expressions, &mut tracer, recording.is_grpc());
        facts.status_code = facts.status_code.or(status_code);
        facts.way = shared.moments.map(|moments| moments.ended(mem::take(&mut self.way)));
        let beginning = tracer.take_beginning(recording);
        export(shared, tracer, beginning, facts, None);
        self.seen = u64::MAX;
    }

    fn is_kept(&self) -> bool {
        !matches!(self.state, State::Done) || self.ticket.is_some()
    }

    /// It has ended.
    pub(super) fn finish(self) {
        let Self { shared, mut state, has_body, way, ticket, .. } = self;
        let call = ticket.as_ref().and_then(Ticket::call);
        shared.in_flight.end(ticket);
        if matches!(state, State::Expected) {
            state = start_late(&shared).map_or(State::Done, State::of);
        }
        match state {
            State::Recorded(recording) => {
                finish(&shared, recording, has_body, way, call);
                if call.is_some() {
                    // Each that ends looks at some that did, so that a tick has few left.
                    let mut tracer = shared.tracer.borrow_mut();
                    shared.in_flight.link(&mut tracer, abi::now(), MOST_LOOKS);
                }
            }
            State::Unsampled(unsampled) => keep(&shared, *unsampled, has_body, way),
            State::Expected | State::Done => {}
        }
    }

    /// It has ended without a word of how.
    pub(super) fn abandon(self) {
        self.shared.in_flight.end(self.ticket);
    }
}

/// A request that ended before its headers reached us, because a filter before ours answered it
/// (a rate limit, an authorization) or the client left meanwhile. It goes nowhere, so no header
/// is changed.
fn start_late(shared: &Shared) -> Option<Started> {
    let details = text(&["response", "code_details"]).unwrap_or_default();
    let bytes = abi::request_headers();
    let headers = pairs::parse(&bytes).filter(|headers| !headers.is_empty())?;
    if UNTRACED.iter().any(|untraced| details.starts_with(untraced)) {
        return None;
    }
    let started = shared.tracer.borrow_mut().start(&headers, &Envoy);
    show(shared.access_log, &started);
    Some(started)
}

/// Has access logs show the ids that go on with a request.
fn show(access_log: AccessLog, started: &Started) {
    let is_shown = match access_log {
        AccessLog::None => false,
        AccessLog::Sampled => started.recording.is_some(),
        AccessLog::All => true,
    };
    if is_shown {
        show_ids(&started.context, started.decision);
    }
}

fn show_ids(context: &TraceContext, decision: Decision) {
    let text = traceparent(context, decision);
    for (name, place) in [("trace_id", TRACE_ID), ("span_id", 36..52), ("trace_flags", 53..55)] {
        abi::set_property(name, text.as_bytes().get(place).unwrap_or_default());
    }
}

/// Envoy takes every change to a request's headers before they have gone on.
fn apply(edit: &Edit) {
    match edit {
        Edit::Add(header, value) => abi::add_header(header.name(), value.as_bytes()),
        Edit::Replace(header, value) => {
            abi::replace_header(Map::RequestHeaders, header.name(), value.as_bytes());
        }
        Edit::Remove(_) | Edit::RemoveOther(_) => abi::remove_header(edit.name()),
    }
}

fn finish(shared: &Shared, recording: Box<Recording>, has_body: bool, way: Way, call: Option<u32>) {
    let mut tracer = shared.tracer.borrow_mut();
    let is_grpc = recording.is_grpc();
    let mut facts = facts::read(shared.expressions, &mut tracer, is_grpc, has_body);
    facts.way = shared.moments.map(|moments| moments.ended(way));
    export(shared, tracer, recording, facts, call);
}

/// A request that is not sampled has ended. Its headers are read again, since few are kept.
fn keep(shared: &Shared, unsampled: Unsampled, has_body: bool, way: Way) {
    let Unsampled { context, is_grpc, .. } = unsampled;
    if shared.suspicions.is_some_and(|it| !it.suspects(is_grpc)) {
        return;
    }
    let bytes = abi::request_headers();
    let headers = pairs::parse(&bytes).unwrap_or_default();
    let mut tracer = shared.tracer.borrow_mut();
    let mut facts = facts::read(shared.expressions, &mut tracer, is_grpc, has_body);
    if let Some(recording) = tracer.keep(unsampled, &headers, &facts, &Envoy) {
        facts.way = shared.moments.map(|moments| moments.ended(way));
        if shared.access_log == AccessLog::Sampled {
            show_ids(&context, Decision::Drop);
        }
        export(shared, tracer, recording, facts, None);
    }
}

#[inline(never)]
fn export(
    shared: &Shared,
    mut tracer: RefMut<Tracer>,
    mut recording: Box<Recording>,
    mut facts: Facts,
    call: Option<u32>,
) {
    if tracer.asks_for_route() {
        facts.route = text(&["xds", "route_name"]);
    }
    if tracer.asks() {
        tracer.ask(&mut recording, &|tag| match tag.source {
            TagSource::ResponseHeader
            | TagSource::ResponseTrailer
            | TagSource::Metadata
            | TagSource::Attribute
                if is_on(tag, facts.kind) =>
            {
                abi::property(&tag.key)
            }
            _ => None,
        });
    }
    tracer.finish_call(recording, facts, call);
    let due = tracer.exporter.is_due();
    drop(tracer);
    if due {
        shared.wake();
    }
}
