//! The context of one request.

use super::abi;
use super::attributes::text;
use super::facts;
use super::shared::Shared;
use super::surroundings::Envoy;
use crate::attributes::Recording;
use crate::config::AccessLog;
use crate::correlation::Ticket;
use crate::pairs;
use crate::propagation::{Edit, traceparent};
use crate::tracer::Started;
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

pub(super) struct Request {
    /// Envoy's number of it.
    stream: u32,
    shared: Rc<Shared>,
    /// What is recorded of it; nothing before its headers reach us, which a filter before ours may
    /// keep.
    recording: Option<Box<Recording>>,
    has_body: bool,
    /// Of a request whose end is of interest to others.
    ticket: Option<Ticket>,
}

impl Request {
    pub(super) fn new(stream: u32, shared: Rc<Shared>) -> Self {
        Self { stream, shared, recording: None, has_body: true, ticket: None }
    }

    /// Its headers are here; whether its end is of interest.
    pub(super) fn start(&mut self, has_body: bool) -> bool {
        self.has_body = has_body;
        let bytes = abi::request_headers();
        if let Some(headers) = pairs::parse(&bytes) {
            let Shared { tracer, in_flight, .. } = &*self.shared;
            let mut tracer = tracer.borrow_mut();
            let started = in_flight.start(&mut tracer, self.stream, &headers, &mut self.ticket);
            drop(tracer);
            for edit in &started.edits {
                apply(edit);
            }
            show(self.shared.access_log, &started);
            self.recording = started.recording.map(Box::new);
        }
        self.recording.is_some() || self.ticket.is_some()
    }

    /// It has ended.
    pub(super) fn finish(self) {
        let Self { shared, recording, has_body, ticket, .. } = self;
        shared.in_flight.end(ticket);
        let recording = match recording {
            Some(recording) => Some(*recording),
            None if ticket.is_some() => None,
            None => start_late(&shared),
        };
        if let Some(recording) = recording {
            finish(&shared, recording, has_body);
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
fn start_late(shared: &Shared) -> Option<Recording> {
    let details = text(&["response", "code_details"]).unwrap_or_default();
    let bytes = abi::request_headers();
    let headers = pairs::parse(&bytes).filter(|headers| !headers.is_empty())?;
    if UNTRACED.iter().any(|untraced| details.starts_with(untraced)) {
        return None;
    }
    let started = shared.tracer.borrow_mut().start(&headers, &Envoy);
    show(shared.access_log, &started);
    started.recording
}

/// Has access logs show the ids that go on with a request.
fn show(access_log: AccessLog, started: &Started) {
    let is_shown = match access_log {
        AccessLog::None => false,
        AccessLog::Sampled => started.recording.is_some(),
        AccessLog::All => true,
    };
    if is_shown {
        let text = traceparent(&started.context, started.decision);
        for (name, place) in [("trace_id", 3..35), ("span_id", 36..52), ("trace_flags", 53..55)] {
            abi::set_property(name, text.as_bytes().get(place).unwrap_or_default());
        }
    }
}

/// Envoy takes every change to a request's headers before they have gone on.
fn apply(edit: &Edit) {
    match edit {
        Edit::Add(header, value) => abi::add_header(header.name(), value.as_bytes()),
        Edit::Replace(header, value) => abi::replace_header(header.name(), value.as_bytes()),
        Edit::Remove(header) => abi::remove_header(header.name()),
    }
}

fn finish(shared: &Shared, recording: Recording, has_body: bool) {
    let mut tracer = shared.tracer.borrow_mut();
    let facts = facts::read(shared.expressions, &mut tracer, &recording, has_body);
    tracer.finish(recording, facts);
    let due = tracer.exporter.is_due();
    drop(tracer);
    if due {
        shared.wake();
    }
}
