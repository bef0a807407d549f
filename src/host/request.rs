//! The context of one request.

use super::attributes::{address, bytes, number, size, text};
use super::shared::Shared;
use crate::attributes::{Facts, Naming, Recording};
use crate::propagation::Edit;
use crate::trace::SpanKind;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MapType};
use std::rc::Rc;

/// `xds.listener_direction` of a listener that receives for the application, and of one that the
/// application or a gateway sends through.
const INBOUND: i64 = 1;
const OUTBOUND: i64 = 2;

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
        if let Some(shared) = &self.shared {
            let started = shared.tracer.borrow_mut().start(&headers());
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

fn headers() -> Vec<(String, Vec<u8>)> {
    hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default()
}

/// A request that ended before its headers reached us, because a filter before ours answered it
/// (a rate limit, an authorization) or the client left meanwhile. It goes nowhere, so no header
/// is changed.
fn start_late(shared: &Shared) -> Option<Recording> {
    let details = text(&["response", "code_details"]).unwrap_or_default();
    let headers = headers();
    if headers.is_empty() || UNTRACED.iter().any(|untraced| details.starts_with(untraced)) {
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
    let kind = kind();
    let mut tracer = shared.tracer.borrow_mut();
    let cluster = text(&["xds", "cluster_name"]);
    let service = tracer.service(cluster.as_deref(), &Envoy);
    // In a trailers-only answer gRPC's status is among the headers.
    let grpc = |name| {
        let read = |part| bytes(&["response", part, name]);
        recording.is_grpc().then(|| read("trailers").or_else(|| read("headers"))).flatten()
    };
    let facts = Facts {
        kind,
        start_time: size(&["request", "time"]).unwrap_or_default(),
        duration: size(&["request", "duration"]).unwrap_or_default(),
        protocol: bytes(&["request", "protocol"]).unwrap_or_default(),
        status_code: size(&["response", "code"])
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| *code != 0),
        request_size: request_size(),
        response_size: size(&["response", "size"]).unwrap_or_default(),
        flags: size(&["response", "flags"]).unwrap_or_default(),
        source: address(&["source", "address"]),
        destination: address(&["destination", "address"]),
        upstream: address(&["upstream", "address"]),
        upstream_local: match kind {
            SpanKind::Server => None,
            SpanKind::Client => address(&["upstream", "local_address"]),
        },
        grpc_status: grpc("grpc-status"),
        grpc_message: grpc("grpc-message"),
        cluster,
        service,
    };
    tracer.finish(recording, facts);
    let due = tracer.exporter.is_due();
    drop(tracer);
    if due {
        shared.wake();
    }
}

/// Bytes of the request's body that arrived. `request.size` is what content-length promises where
/// there is one, and Envoy may answer before the body has come; it is enough where it is zero.
fn request_size() -> u64 {
    let request = |name| size(&["request", name]);
    match request("size") {
        Some(0) => 0,
        promised => match (request("total_size"), request("headers_bytes")) {
            (Some(total), Some(headers)) => total.saturating_sub(headers),
            _ => promised.unwrap_or_default(),
        },
    }
}

/// Like Envoy's own tracers, a listener that names no direction is taken for one that receives.
/// Asked for each request: listeners of both directions share a root context where their plugin
/// configurations are the same.
fn kind() -> SpanKind {
    match number(&["xds", "listener_direction"]) {
        Some(OUTBOUND) => SpanKind::Client,
        Some(INBOUND) | Some(_) | None => SpanKind::Server,
    }
}

struct Envoy;

impl Naming for Envoy {
    fn virtual_host(&self) -> Option<String> {
        text(&["xds", "virtual_host_name"])
    }

    fn cluster_service_host(&self) -> Option<String> {
        text(&["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", "host"])
    }
}
