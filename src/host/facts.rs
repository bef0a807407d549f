//! What Envoy knows of a request that has ended.

use super::abi;
use super::attributes::{bytes, text};
use super::expression::{self, Expression};
use super::surroundings::Envoy;
use crate::address;
use crate::attributes::{Facts, Naming, Way};
use crate::config::Keep;
use crate::trace::SpanKind;
use crate::tracer::Tracer;
use std::net::SocketAddr;

/// What `xds.listener_direction` is for a listener that receives for the application.
pub(super) const INBOUND: i64 = 1;

/// What it is for one that the application or a gateway sends through.
pub(super) const OUTBOUND: i64 = 2;

/// The attributes that every span shows, at once. One that is absent fails the whole expression, so
/// those that may be are asked for first; only then comes the expression that asks of each with
/// `has()` whether it is there, which costs 2,500 instructions each.
#[derive(Clone, Copy)]
pub(super) struct Expressions {
    without_body: Expression,
    with_body: Expression,
    failed: Expression,
}

impl Expressions {
    /// To be called in the root context; nothing where Envoy has no expressions.
    pub(super) fn compile() -> Option<Self> {
        let plain = |name: &str, _: &str| name.to_owned();
        let guarded = |name: &str, or: &str| format!("has({name})?{name}:{or}");
        Some(Self {
            without_body: Expression::compile(&list(plain, ""))?,
            with_body: Expression::compile(&list(plain, SIZES))?,
            failed: Expression::compile(&list(guarded, SIZES))?,
        })
    }
}

/// Whether a request that is not sampled may have to be kept, by one hostcall: the healthy ones are
/// most of them.
#[derive(Clone, Copy)]
pub(super) struct Suspicions {
    of_http: Expression,
    of_grpc: Expression,
}

impl Suspicions {
    /// To be called in the root context; nothing where Envoy has no expressions.
    pub(super) fn compile(keep: &Keep) -> Option<Self> {
        let mut digits = itoa::Buffer::new();
        let limit = keep.slower_than.map_or(0, |limit| limit.as_nanos() as u64);
        let slow = ["||request.duration>duration('", digits.format(limit), "ns')"].concat();
        let slow = if limit == 0 { "" } else { &slow };
        // Of an answer that there is none of, the code is absent, and the flags say something.
        let errors = if keep.errors { "response.code>=500||response.flags!=0" } else { "false" };
        let of_grpc = if keep.errors { "||response.grpc_status!=0" } else { "" };
        let expression =
            |grpc: &str| Expression::compile(&[errors, grpc, slow, "?1:null"].concat());
        Some(Self { of_http: expression("")?, of_grpc: expression(of_grpc)? })
    }

    /// Of the request whose callback this is; also where Envoy cannot say.
    pub(super) fn suspects(self, is_grpc: bool) -> bool {
        let expression = if is_grpc { self.of_grpc } else { self.of_http };
        !expression.is_null()
    }
}

/// What is asked of a request's way, where events are wanted, by two hostcalls more.
#[derive(Clone, Copy)]
pub(super) struct Moments {
    way: Expression,
    /// Null for an answer that is the upstream's. At the end its details may be those of the end.
    answers: Expression,
}

impl Moments {
    /// To be called in the root context; nothing where Envoy has no expressions.
    pub(super) fn compile() -> Option<Self> {
        let list = "[has(upstream.cx_pool_ready_duration)?upstream.cx_pool_ready_duration:duration('0s'),\
                    upstream.request_attempt_count,\
                    has(response.backend_latency)?response.backend_latency:duration('0s')]";
        Some(Self {
            way: Expression::compile(list)?,
            answers: Expression::compile("response.code_details=='via_upstream'?null:1")?,
        })
    }

    /// The headers of its response pass.
    #[inline(never)]
    pub(super) fn answered(self) -> Way {
        Way { responded: abi::now(), is_upstreams: self.answers.is_null(), ..Way::default() }
    }

    /// It has ended, and its response passed so.
    #[inline(never)]
    pub(super) fn ended(self, answered: Way) -> Way {
        let list = self.way.evaluate().unwrap_or_default();
        match expression::items(&list).as_deref() {
            Some([(pool_ready, _), (attempts, _), (backend_latency, _)]) => Way {
                pool_ready: size(pool_ready),
                attempts: size(attempts),
                backend_latency: size(backend_latency),
                ..answered
            },
            _ => answered,
        }
    }
}

/// Of a request that has a body.
const SIZES: &str = ",request.total_size,request.headers_bytes";

/// A list in the order of [`Attributes::of_items`], longer by one for a listener that sends. `of`
/// writes an attribute that may be absent, with what then comes in its place.
fn list(of: impl Fn(&str, &str) -> String, sizes: &str) -> String {
    // There is none before the end.
    let duration = of("request.duration", "duration('0s')");
    let common = [
        &of("xds.cluster_name", "''"),
        &of("response.code", "0"),
        &of("request.protocol", "''"),
        "request.time",
        &duration,
        "response.size,response.flags,source.address",
    ]
    .join(",");
    let upstream = of("upstream.address", "''");
    let local = of("upstream.local_address", "destination.address");
    format!(
        "xds.listener_direction=={OUTBOUND}\
        ?[{common},{upstream},{local}{sizes}]\
        :[{common},destination.address{sizes}]"
    )
}

/// What is known of the request whose callback this is and which goes on.
pub(super) fn read_open(
    expressions: Option<Expressions>,
    tracer: &mut Tracer,
    is_grpc: bool,
) -> Facts {
    // It has no duration, which `failed` can do without.
    let all = expressions.map(|all| Expressions { without_body: all.failed, ..all });
    let mut facts = read(all, tracer, is_grpc, false);
    facts.duration = abi::now().saturating_sub(facts.start_time);
    facts
}

/// The facts of the request whose callback this is.
#[inline(never)]
pub(super) fn read(
    expressions: Option<Expressions>,
    tracer: &mut Tracer,
    is_grpc: bool,
    has_body: bool,
) -> Facts {
    let at_once = expressions.and_then(|all| {
        let first = if has_body { all.with_body } else { all.without_body };
        [first, all.failed].into_iter().find_map(Attributes::at_once)
    });
    let attributes = at_once.unwrap_or_else(Attributes::singly);
    let service = tracer.service(attributes.cluster.as_deref(), &Envoy);
    let grpc = |name| is_grpc.then(|| grpc_field(name)).flatten();
    Facts {
        kind: attributes.kind,
        start_time: attributes.start_time,
        duration: attributes.duration,
        protocol: attributes.protocol,
        status_code: u16::try_from(attributes.status_code).ok().filter(|code| *code != 0),
        request_size: attributes.total_size.saturating_sub(attributes.headers_size),
        response_size: attributes.response_size,
        flags: attributes.flags,
        cluster: attributes.cluster,
        route: None,
        service,
        peer: attributes.source,
        local: attributes.local,
        upstream: attributes.upstream,
        grpc_status: grpc("grpc-status"),
        grpc_message: grpc("grpc-message"),
        way: None,
    }
}

/// Envoy's attributes that every span shows; what is absent is zero or empty.
struct Attributes {
    start_time: u64,
    duration: u64,
    protocol: Vec<u8>,
    status_code: u64,
    /// Of the request: what arrived of its body, and [`Self::headers_size`]. `request.size` would be
    /// what content-length promises, and Envoy may answer before the body has come.
    total_size: u64,
    headers_size: u64,
    response_size: u64,
    flags: u64,
    cluster: Option<String>,
    kind: SpanKind,
    source: Option<SocketAddr>,
    /// Of a server the address that was called, of a client its end of the connection upstream.
    local: Option<SocketAddr>,
    /// Of a client only.
    upstream: Option<SocketAddr>,
}

impl Attributes {
    fn at_once(expression: Expression) -> Option<Self> {
        let list = expression.evaluate()?;
        Self::of_items(&expression::items(&list)?)
    }

    fn of_items(items: &[(&[u8], &[u8])]) -> Option<Self> {
        let (first, rest) = items.split_first_chunk()?;
        let [cluster, status_code, protocol, start_time, duration, response_size, flags, source] =
            first.map(|(item, _)| item);
        let (upstream, local, sizes) = match rest {
            [(local, _)] => (None, local, None),
            [(upstream, _), (local, _)] => (Some(upstream), local, None),
            [(local, _), (total, _), (headers, _)] => (None, local, Some((total, headers))),
            [(upstream, _), (local, _), (total, _), (headers, _)] => {
                (Some(upstream), local, Some((total, headers)))
            }
            _ => return None,
        };
        Some(Self {
            start_time: size(start_time),
            duration: size(duration),
            protocol: protocol.to_vec(),
            status_code: size(status_code),
            total_size: sizes.map_or(0, |(total, _)| size(total)),
            headers_size: sizes.map_or(0, |(_, headers)| size(headers)),
            response_size: size(response_size),
            flags: size(flags),
            cluster: core::str::from_utf8(cluster)
                .ok()
                .filter(|cluster| !cluster.is_empty())
                .map(str::to_owned),
            kind: upstream.map_or(SpanKind::Server, |_| SpanKind::Client),
            source: address::socket(source),
            local: address::socket(local),
            upstream: upstream.and_then(|upstream| address::socket(upstream)),
        })
    }

    fn singly() -> Self {
        let size = |path: &[&str]| bytes(path).map_or(0, |value| size(&value));
        let address = |path: &[&str]| bytes(path).and_then(|value| address::socket(&value));
        let kind = kind(bytes(&["xds", "listener_direction"]).and_then(|value| number(&value)));
        let of_client = |path: &[&str]| (kind == SpanKind::Client).then(|| address(path)).flatten();
        Self {
            start_time: size(&["request", "time"]),
            duration: size(&["request", "duration"]),
            protocol: bytes(&["request", "protocol"]).unwrap_or_default(),
            status_code: size(&["response", "code"]),
            total_size: size(&["request", "total_size"]),
            headers_size: size(&["request", "headers_bytes"]),
            response_size: size(&["response", "size"]),
            flags: size(&["response", "flags"]),
            cluster: text(&["xds", "cluster_name"]),
            kind,
            source: address(&["source", "address"]),
            local: of_client(&["upstream", "local_address"])
                .or_else(|| address(&["destination", "address"])),
            upstream: of_client(&["upstream", "address"]),
        }
    }
}

/// Like Envoy's own tracers, a listener that names no direction is taken for one that receives.
/// Asked for each request: listeners of both directions share a root context where their plugin
/// configurations are the same.
fn kind(direction: Option<i64>) -> SpanKind {
    match direction {
        Some(OUTBOUND) => SpanKind::Client,
        _ => SpanKind::Server,
    }
}

/// A number, a timestamp or a duration (both in nanoseconds).
pub(super) fn number(value: &[u8]) -> Option<i64> {
    Some(i64::from_le_bytes(value.try_into().ok()?))
}

/// A number that cannot be negative.
fn size(value: &[u8]) -> u64 {
    number(value).and_then(|number| number.try_into().ok()).unwrap_or_default()
}

/// A field of gRPC's status, which a trailers-only answer has among its headers.
fn grpc_field(name: &str) -> Option<Vec<u8>> {
    bytes(&["response", "trailers", name]).or_else(|| bytes(&["response", "headers", name]))
}

impl Naming for Envoy {
    fn virtual_host(&self) -> Option<String> {
        text(&["xds", "virtual_host_name"])
    }

    fn cluster_service_host(&self) -> Option<String> {
        text(&["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", "host"])
    }
}
