//! The context of one request.

use super::attributes::{address, bytes, number, size, text};
use super::root::Shared;
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

pub(super) struct Request {
    shared: Option<Rc<Shared>>,
    recording: Option<Recording>,
}

impl Request {
    pub(super) fn new(shared: Option<Rc<Shared>>) -> Self {
        Self { shared, recording: None }
    }
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        if let Some(shared) = &self.shared {
            let headers = hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default();
            let started = shared.tracer.borrow_mut().start(&headers);
            for edit in &started.edits {
                apply(edit);
            }
            self.recording = started.recording;
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        if let (Some(shared), Some(recording)) = (&self.shared, self.recording.take()) {
            finish(shared, recording);
        }
    }
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
    // Each attribute that is read costs about 12,000 instructions.
    let when = |wanted: bool, path: &[&str]| wanted.then(|| address(path)).flatten();
    let client = kind == SpanKind::Client;
    let upstream_local =
        when(client && !tracer.knows_its_address(), &["upstream", "local_address"]);
    let facts = Facts {
        kind,
        start_time: size(&["request", "time"]).unwrap_or_default(),
        duration: size(&["request", "duration"]).unwrap_or_default(),
        protocol: bytes(&["request", "protocol"]).unwrap_or_default(),
        status_code: size(&["response", "code"])
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| *code != 0),
        request_size: size(&["request", "size"]).unwrap_or_default(),
        response_size: size(&["response", "size"]).unwrap_or_default(),
        flags: size(&["response", "flags"]).unwrap_or_default(),
        source: address(&["source", "address"]),
        destination: when(
            !client || !(tracer.knows_its_address() || upstream_local.is_some()),
            &["destination", "address"],
        ),
        upstream: when(client, &["upstream", "address"]),
        upstream_local,
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
