//! A request that is sampled, from its first header to its span.

use super::custom_tags::{Asked, CustomTags, Values};
use super::facts::SWITCHING_PROTOCOLS;
use super::{Facts, Redaction, Resource, Service, ServiceNames, flags};
use crate::sampling::{Reason, Verdict};
use crate::trace::{
    Decision, Endpoint, Evidence, Extent, GrpcRequest, HttpRequest, HttpResponse, Kept, Link,
    Sampling, Span, SpanId, SpanKind, TraceContext, known_method,
};
use std::net::SocketAddr;

/// Whether a request asks for its connection to become something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upgrade {
    No,
    /// `CONNECT`.
    Tunnel,
    /// By the header `upgrade`; of HTTP/2 Envoy makes that too.
    Protocol,
}

/// What is kept of a sampled request until it ends.
#[derive(Clone, Debug)]
pub struct Recording {
    extent: Extent,
    /// What else it may become: a tunnel or another protocol's connection.
    upgrade: Upgrade,
    context: TraceContext,
    verdict: Verdict,
    trace_state: String,
    links: Vec<Link>,
    correlation: Option<Evidence>,
    kept: Option<Kept>,
    operation: Option<usize>,
    request: HttpRequest,
    values: Values,
}

impl Recording {
    /// Begins the span that `context` names, from the request's lower-case headers. It stays where it is until
    /// it ends: to move it is a call out of the module each time.
    pub fn begin(
        context: TraceContext,
        verdict: Verdict,
        headers: &[(&[u8], &[u8])],
        tags: &CustomTags,
        redaction: &Redaction,
    ) -> Box<Self> {
        let own = OwnHeaders::pick(headers);
        let word = |value: Option<&[u8]>| value.map(|value| redaction.word(value));
        let text = |value: Option<&[u8]>| value.map(|value| redaction.value(value));
        // Envoy's tracers prefer what a rewrite has left of the path that was asked for.
        let asked_path = own.original_path.or(own.path).unwrap_or_default();
        let grpc = own.content_type.filter(|value| is_grpc(value)).map(|value| GrpcRequest {
            path: redaction.path(own.path.unwrap_or_default()),
            content_type: redaction.word(value),
            timeout: word(own.grpc_timeout),
        });
        let upgrade = match own.method {
            Some(b"CONNECT") => Upgrade::Tunnel,
            _ if own.upgrade.is_some() => Upgrade::Protocol,
            _ => Upgrade::No,
        };
        Box::new(Self {
            extent: Extent::Whole,
            upgrade,
            context,
            verdict,
            trace_state: String::new(),
            links: Vec::new(),
            correlation: None,
            kept: None,
            operation: None,
            request: HttpRequest {
                method: redaction.common_word(own.method.unwrap_or_default()),
                scheme: redaction.common_word(own.scheme.unwrap_or_default()),
                authority: redaction.authority(own.authority.unwrap_or_default()),
                path: redaction.path(asked_path),
                user_agent: text(own.user_agent),
                request_id: word(own.request_id),
                client_trace_id: word(own.client_trace_id),
                downstream_cluster: text(own.downstream_cluster),
                grpc,
            },
            values: tags.begin(redaction, headers, asked_path),
        })
    }

    /// The `tracestate` that goes on with the request.
    pub fn with_trace_state(mut self: Box<Self>, trace_state: String) -> Box<Self> {
        self.trace_state = trace_state;
        self
    }

    /// Spans of other traces that came in with the request.
    pub fn with_links(mut self: Box<Self>, links: Vec<Link>) -> Box<Self> {
        self.links = links;
        self
    }

    /// How its parent is known, where the application forwarded no context.
    pub fn with_correlation(mut self: Box<Self>, correlation: Option<Evidence>) -> Box<Self> {
        self.correlation = correlation;
        self
    }

    /// Why it is exported, where the trace is not sampled.
    pub fn with_kept(mut self: Box<Self>, kept: Kept) -> Box<Self> {
        self.kept = Some(kept);
        self
    }

    /// The place of the operation that it asks for.
    pub fn with_operation(mut self: Box<Self>, operation: Option<usize>) -> Box<Self> {
        self.operation = operation;
        self
    }

    /// Whether nothing is said yet of what caused it.
    pub fn is_unlinked(&self) -> bool {
        self.correlation.is_none() && self.links.is_empty()
    }

    /// Whether the answer's `grpc-status` will be wanted.
    pub fn is_grpc(&self) -> bool {
        self.request.grpc.is_some()
    }

    /// Whether it asks for its connection to become something else.
    pub fn asks_for_upgrade(&self) -> bool {
        self.upgrade != Upgrade::No
    }

    /// Whether an answer with this status gives it that.
    pub fn is_upgraded_by(&self, status_code: u16) -> bool {
        match self.upgrade {
            Upgrade::No => false,
            Upgrade::Tunnel => matches!(status_code, 200..300),
            Upgrade::Protocol => status_code == SWITCHING_PROTOCOLS,
        }
    }

    /// Takes its beginning, whose span has the id that others know. What stays is to have the id `rest`.
    pub fn take_beginning(&mut self, rest: SpanId) -> Box<Self> {
        let beginning = Box::new(Self { extent: Extent::Open, ..self.clone() });
        self.extent = Extent::Closed;
        self.links = vec![self.context.link()];
        self.correlation = None;
        self.context.parent_id = Some(self.context.span_id);
        self.context.span_id = rest;
        beginning
    }

    /// What decided that it is sampled.
    pub fn reason(&self) -> Reason {
        self.verdict.reason
    }

    /// Takes the values of tags for which `ask` has one.
    pub fn ask(&mut self, tags: &CustomTags, redaction: &Redaction, ask: Asked) {
        tags.ask(&mut self.values, redaction, ask);
    }

    /// Ends the span. `rule` is the name of [`Self::reason`].
    pub fn finish<'t>(
        self: Box<Self>,
        facts: Facts,
        rule: &'t str,
        resource: &Resource,
        names: &mut ServiceNames,
        tags: &'t CustomTags,
        redaction: &Redaction,
    ) -> Span<'t> {
        let grpc_status = facts.grpc_status_number();
        let has_no_answer = facts.status_code.is_none() && self.extent != Extent::Open;
        let is_5xx = facts.status_code.is_some_and(|code| code >= 500);
        let error = has_no_answer || is_5xx || facts.is_grpc_error();
        let peer = facts.peer.and_then(|peer| redaction.client(peer));
        let method = self.request.known_method();
        let way = facts.way.unwrap_or_default();
        let is_upgraded = facts.status_code.is_some_and(|code| self.is_upgraded_by(code));
        let events = way.events(&facts, is_upgraded);
        let service = facts.service.or_else(|| names.of_authority(&self.request.authority));
        let counts = self.verdict.reason == Reason::Remote && self.context.parent_id.is_none();
        Span {
            trace_id: self.context.trace_id,
            span_id: self.context.span_id,
            parent_id: self.context.parent_id,
            flags: self.context.flags,
            trace_state: self.trace_state,
            links: self.links,
            correlation: self.correlation,
            kind: facts.kind,
            extent: self.extent,
            name: names.span_name(service.as_ref(), method, self.operation, facts.route.as_deref()),
            start_time: facts.start_time,
            duration: facts.duration,
            debug: self.verdict.decision == Decision::Debug,
            sampling: Sampling { rule, threshold: self.verdict.threshold, counts, kept: self.kept },
            local: local(facts.kind, resource, facts.local),
            remote: match facts.kind {
                // Of a call that has been shown backends are not to count another.
                _ if self.extent == Extent::Closed => Endpoint::default(),
                SpanKind::Server => Endpoint::new("", peer),
                SpanKind::Client => Endpoint::new(
                    service.map(|service| service.service_name()).unwrap_or_default(),
                    facts.upstream,
                ),
            },
            request: self.request,
            response: HttpResponse {
                status_code: facts.status_code,
                protocol: redaction.common_word(&facts.protocol),
                request_size: facts.request_size,
                response_size: facts.response_size,
                flags: flags::names(facts.flags),
                upstream_cluster: facts.cluster.map(|cluster| redaction.owned_word(cluster)),
                peer: peer.map(|peer| peer.ip()),
                grpc_status,
                grpc_message: facts.grpc_message.map(|value| redaction.value(&value)),
                error,
                resend_count: way.resend_count(),
                pool_ready: way.pool_ready,
            },
            events,
            custom_tags: tags.tags(self.values, facts.kind),
        }
    }
}

/// The headers that every span tells of, picked in one pass; of a repeated one the first line.
#[derive(Default)]
struct OwnHeaders<'h> {
    method: Option<&'h [u8]>,
    scheme: Option<&'h [u8]>,
    authority: Option<&'h [u8]>,
    path: Option<&'h [u8]>,
    original_path: Option<&'h [u8]>,
    user_agent: Option<&'h [u8]>,
    request_id: Option<&'h [u8]>,
    client_trace_id: Option<&'h [u8]>,
    downstream_cluster: Option<&'h [u8]>,
    content_type: Option<&'h [u8]>,
    upgrade: Option<&'h [u8]>,
    grpc_timeout: Option<&'h [u8]>,
}

impl<'h> OwnHeaders<'h> {
    fn pick(headers: &[(&'h [u8], &'h [u8])]) -> Self {
        let mut own = Self::default();
        for (name, value) in headers {
            // Beginnings first: most names end here at their first byte.
            let place = match *name {
                [b':', rest @ ..] => match rest {
                    b"method" => &mut own.method,
                    b"scheme" => &mut own.scheme,
                    b"authority" => &mut own.authority,
                    b"path" => &mut own.path,
                    _ => continue,
                },
                [b'x', b'-', rest @ ..] => match rest {
                    b"request-id" => &mut own.request_id,
                    b"client-trace-id" => &mut own.client_trace_id,
                    b"envoy-original-path" => &mut own.original_path,
                    b"envoy-downstream-service-cluster" => &mut own.downstream_cluster,
                    _ => continue,
                },
                [b'u', rest @ ..] => match rest {
                    b"ser-agent" => &mut own.user_agent,
                    b"pgrade" => &mut own.upgrade,
                    _ => continue,
                },
                [b'c', rest @ ..] if rest == b"ontent-type" => &mut own.content_type,
                [b'g', rest @ ..] if rest == b"rpc-timeout" => &mut own.grpc_timeout,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        own
    }
}

/// Whether the request with these headers is gRPC's.
pub fn is_grpc_request(headers: &[(&[u8], &[u8])]) -> bool {
    let content_type = headers.iter().find(|(name, _)| *name == b"content-type");
    content_type.is_some_and(|(_, value)| is_grpc(value))
}

/// `application/grpc`, alone or with a message format such as `+proto`.
fn is_grpc(content_type: &[u8]) -> bool {
    content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The name that the span of a request with these lower-case headers will have, which has only just
/// come and whose `route`, by its name, leads to `service`.
pub fn name_ahead(
    headers: &[(&[u8], &[u8])],
    service: Option<Service>,
    route: Option<&str>,
    names: &mut ServiceNames,
    redaction: &Redaction,
) -> String {
    let header = |name: &str| header(headers, name).unwrap_or_default();
    let service =
        service.or_else(|| names.of_authority(&redaction.authority(header(":authority"))));
    let operation = names.operation(headers);
    names.span_name(service.as_ref(), known_method(header(":method")), operation, route)
}

fn header<'h>(headers: &[(&[u8], &'h [u8])], name: &str) -> Option<&'h [u8]> {
    let found = headers.iter().find(|(key, _)| *key == name.as_bytes());
    found.map(|(_, value)| *value)
}

/// The pod's own address: from Istio, else as the connections say. The port is the one that was
/// called, where it is the pod's.
fn local(kind: SpanKind, resource: &Resource, address: Option<SocketAddr>) -> Endpoint {
    let own = address.filter(|_| !resource.is_waypoint());
    let mut endpoint = Endpoint::new(resource.service_name.clone(), own);
    endpoint.ip = resource.ip.or(endpoint.ip);
    if kind == SpanKind::Client {
        endpoint.port = None;
    }
    endpoint
}

#[cfg(test)]
#[rustfmt::skip] // One case a line reads better than one field a line.
#[path = "recording_tests.rs"]
mod tests;
