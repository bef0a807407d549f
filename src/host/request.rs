//! The context of one request.

use super::abi;
use super::attributes::text;
use super::facts;
use super::shared::Shared;
use crate::attributes::Recording;
use crate::pairs;
use crate::propagation::Edit;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MapType};
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
    shared: Option<Rc<Shared>>,
    life: Life,
}

/// How far a request has come with us.
enum Life {
    /// Its headers have not reached us: a filter before ours may keep them.
    New,
    /// It is recorded.
    Recorded(Box<Recording>),
    /// It is not recorded, or its span is finished.
    Over,
}

impl Request {
    pub(super) fn new(shared: Option<Rc<Shared>>) -> Self {
        Self { shared, life: Life::New }
    }
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let bytes = abi::request_headers();
        if let (Some(shared), Some(headers)) = (&self.shared, pairs::parse(&bytes)) {
            let started = shared.tracer.borrow_mut().start(&headers);
            for edit in &started.edits {
                apply(edit);
            }
            self.life = started.recording.map_or(Life::Over, |it| Life::Recorded(Box::new(it)));
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        let Some(shared) = &self.shared else { return };
        let recording = match core::mem::replace(&mut self.life, Life::Over) {
            Life::New => start_late(shared),
            Life::Recorded(recording) => Some(*recording),
            Life::Over => None,
        };
        if let Some(recording) = recording {
            finish(shared, recording);
        }
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
    shared.tracer.borrow_mut().start(&headers).recording
}

fn apply(edit: &Edit) {
    let request = MapType::HttpRequestHeaders;
    // Envoy takes every change to a request's headers before they have gone on.
    let _ = match edit {
        Edit::Add(header, value) => {
            hostcalls::add_map_value_bytes(request, header.name(), value.as_bytes())
        }
        Edit::Replace(header, value) => {
            hostcalls::set_map_value_bytes(request, header.name(), Some(value.as_bytes()))
        }
        Edit::Remove(header) => hostcalls::remove_map_value(request, header.name()),
    };
}

fn finish(shared: &Shared, recording: Recording) {
    let mut tracer = shared.tracer.borrow_mut();
    let facts = facts::read(shared.facts, &mut tracer, &recording);
    tracer.finish(recording, facts);
    let due = tracer.exporter.is_due();
    drop(tracer);
    if due {
        shared.wake();
    }
}
