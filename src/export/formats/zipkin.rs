//! Zipkin v2 JSON, with the tags that Envoy's own Zipkin tracer and Istio set.
//!
//! <https://zipkin.io/zipkin-api/#/default/post_spans>

use super::json::Json;
use super::{CONFIDENCE, Encoder, POOL_READY, RESEND_COUNT, SAMPLER_TYPE, address};
use crate::attributes::{Istio, Resource};
use crate::trace::{Endpoint, Event, Extent, Link, Span, SpanKind, Tag, TraceId};
use std::net::IpAddr;

/// The encoder for Zipkin's `/api/v2/spans`.
#[derive(Debug)]
pub struct Zipkin {
    resource: Resource,
    /// The tags that are the same for every span, as long as no custom tag replaces one of them.
    constant: Vec<u8>,
    /// The end of a call that is nearly always the same, and what it is written as.
    local: (Endpoint, Vec<u8>),
    /// Where a span is written.
    json: Json,
}

impl Zipkin {
    /// An encoder of this proxy's spans.
    pub fn new(resource: Resource) -> Self {
        let mut json = Json::default();
        Tags { json: &mut json, custom: &[] }.set_constant(&resource);
        // With the comma behind the last.
        let constant = json.0.take();
        Self { resource, constant, local: Default::default(), json }
    }
}

impl Encoder for Zipkin {
    fn content_type(&self) -> &'static str {
        "application/json"
    }

    fn span(&mut self, span: &Span) -> Vec<u8> {
        let mut json = core::mem::take(&mut self.json);
        json.open();
        json.plain_member("traceId", trace_id_digits(span.trace_id, &span.trace_id.hex()));
        if let Some(parent_id) = span.parent_id {
            json.plain_member("parentId", &parent_id.hex());
        }
        json.plain_member("id", &span.span_id.hex());
        let kind = match span.kind {
            SpanKind::Server => "SERVER",
            SpanKind::Client => "CLIENT",
        };
        // What has been shown as a call is not to be counted as another.
        if span.extent != Extent::Closed {
            json.plain_member("kind", kind.as_bytes());
        }
        json.member("name", &span.name);
        json.key("timestamp");
        json.number(span.start_time / 1000);
        json.key("duration");
        // Zipkin takes zero for absent.
        json.number((span.duration / 1000).max(1));
        if span.debug {
            json.key("debug");
            json.0.extend(b"true,");
        }
        json.key("localEndpoint");
        self.local(&span.local, &mut json);
        if span.remote != Endpoint::default() {
            json.key("remoteEndpoint");
            endpoint(&span.remote, &mut json);
        }
        if !span.events.is_empty() {
            annotations(&span.events, &mut json);
        }
        json.key("tags");
        json.open();
        self.tags(span, &mut json);
        json.close();
        json.close();
        let bytes = json.take();
        self.json = json;
        bytes
    }

    fn batch(&self, spans: &[Vec<u8>]) -> Vec<u8> {
        let size: usize = spans.iter().map(|span| span.len() + 1).sum();
        let mut body = Vec::with_capacity(size + 1);
        body.push(b'[');
        for (index, span) in spans.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(span);
        }
        body.push(b']');
        body
    }
}

/// A trace id of 64 bits is written with 16 digits, as Zipkin does.
fn trace_id_digits(id: TraceId, hex: &[[u8; 16]; 2]) -> &[u8] {
    let [_, lower] = hex;
    if id.is_64_bit() { lower } else { hex.as_flattened() }
}

fn ascii(digits: &[u8]) -> &str {
    core::str::from_utf8(digits).unwrap_or_default()
}

#[inline(never)]
fn annotations(events: &[Event], json: &mut Json) {
    json.key("annotations");
    json.open_list();
    for event in events {
        json.open();
        json.key("timestamp");
        json.number(event.time / 1000);
        json.plain_member("value", event.name.as_bytes());
        json.close();
    }
    json.close_list();
}

fn endpoint(endpoint: &Endpoint, json: &mut Json) {
    json.open();
    if !endpoint.service_name.is_empty() {
        json.member("serviceName", &endpoint.service_name);
    }
    if let Some(ip) = endpoint.ip {
        let version = match ip {
            IpAddr::V4(_) => "ipv4",
            IpAddr::V6(_) => "ipv6",
        };
        json.plain_member(version, address::text(ip).as_bytes());
    }
    if let Some(port) = endpoint.port {
        json.key("port");
        json.number(port.into());
    }
    json.close();
}

impl Zipkin {
    fn local(&mut self, local: &Endpoint, json: &mut Json) {
        if self.local.0 != *local || self.local.1.is_empty() {
            let mut own = Json::default();
            endpoint(local, &mut own);
            self.local = (local.clone(), own.0.take());
        }
        json.0.extend(&self.local.1);
    }

    fn tags(&self, span: &Span, json: &mut Json) {
        let Span { request, response, .. } = span;
        let mut tags = Tags { json, custom: &span.custom_tags };
        if span.custom_tags.iter().any(|(name, _)| CONSTANT.contains(name)) {
            tags.set_constant(&self.resource);
        } else {
            tags.json.0.extend(&self.constant);
        }
        tags.set_some("guid:x-request-id", request.request_id.as_deref());
        tags.set_all("http.url", &[&request.scheme, "://", &request.authority, &request.path]);
        tags.set("http.method", &request.method);
        tags.set("downstream_cluster", or_dash(request.downstream_cluster.as_deref()));
        tags.set("user_agent", or_dash(request.user_agent.as_deref()));
        tags.set("http.protocol", &response.protocol);
        if let Some(peer) = response.peer {
            tags.set_plain("peer.address", address::text(peer).as_bytes());
        }
        tags.set_some("guid:x-client-trace-id", request.client_trace_id.as_deref());
        if let Some(grpc) = &request.grpc {
            tags.set("grpc.path", &grpc.path);
            tags.set("grpc.authority", &request.authority);
            tags.set("grpc.content_type", &grpc.content_type);
            tags.set_some("grpc.timeout", grpc.timeout.as_deref());
        }
        tags.set_number("request_size", response.request_size);
        tags.set_number("response_size", response.response_size);
        if let Some(cluster) = &response.upstream_cluster {
            tags.set("upstream_cluster", cluster);
            tags.set("upstream_cluster.name", cluster);
        }
        // No status is a failure, unless it may still come.
        if response.status_code.is_some() || span.extent != Extent::Open {
            tags.set_number("http.status_code", response.status_code.unwrap_or(0).into());
        }
        let flags = Some(response.flags.as_str()).filter(|flags| !flags.is_empty());
        tags.set("response_flags", or_dash(flags));
        if response.error {
            tags.set("error", "true");
        }
        if response.resend_count > 0 {
            tags.set_number(RESEND_COUNT, response.resend_count);
        }
        if response.pool_ready > 0 {
            tags.set_number(POOL_READY, response.pool_ready);
        }
        if let Some(status) = response.grpc_status {
            tags.set_number("grpc.status_code", status.into());
        }
        tags.set_some("grpc.message", response.grpc_message.as_deref());
        tags.set("sampling.rule", span.sampling.rule);
        if let Some(threshold) = span.sampling.threshold {
            let probability = threshold.probability();
            tags.set("sampling.probability", &probability);
            if span.sampling.counts {
                tags.set("sampler.type", SAMPLER_TYPE);
                tags.set("sampler.param", &probability);
            }
        }
        tags.set_some("meshspan.stream", span.extent.name());
        if let Some(evidence) = &span.correlation {
            tags.set("meshspan.correlation", &evidence.name);
            if let Some(confidence) = evidence.confidence {
                tags.set(CONFIDENCE, &thousandths(confidence));
            }
        }
        if let Some(kept) = span.sampling.kept {
            tags.set("sampling.kept", kept.name());
        }
        if !span.links.is_empty() {
            tags.set("meshspan.link", &ids_of(&span.links));
        }
        for (name, value) in span.custom_tags.iter().filter(|(_, value)| !value.is_empty()) {
            tags.json.entry(name, value);
        }
    }
}

/// A number below one as text: `0.985`.
fn thousandths(number: u16) -> String {
    let digits = [number / 100, number / 10, number].map(|it| char::from(b'0' + (it % 10) as u8));
    "0.".chars().chain(digits).collect()
}

/// Zipkin has no links, so their ids are text: `<trace id>-<span id>`, joined by commas.
fn ids_of(links: &[Link]) -> String {
    let ids = links.iter().map(|link| {
        let trace_id = link.trace_id.hex();
        let digits = ascii(trace_id_digits(link.trace_id, &trace_id));
        format!("{digits}-{}", ascii(&link.span_id.hex()))
    });
    ids.collect::<Vec<_>>().join(",")
}

fn or_dash(value: Option<&str>) -> &str {
    value.unwrap_or("-")
}

/// The names of [`Tags::set_constant`].
const CONSTANT: [&str; 8] = [
    "node_id",
    "zone",
    "component",
    "istio.canonical_service",
    "istio.canonical_revision",
    "istio.mesh_id",
    "istio.namespace",
    "istio.cluster_id",
];

/// Tags, in which a custom one takes the place of a standard one of the same name. Like Envoy's
/// tracer it has no tag whose value is empty.
struct Tags<'a> {
    json: &'a mut Json,
    custom: &'a [Tag<'a>],
}

impl Tags<'_> {
    fn set_constant(&mut self, resource: &Resource) {
        self.set("node_id", &resource.node_id);
        self.set("zone", &resource.zone);
        self.set("component", "proxy");
        if let Some(istio) = &resource.istio {
            let Istio { canonical_service, canonical_revision, mesh_id, namespace, cluster_id } =
                istio;
            self.set("istio.canonical_service", canonical_service);
            self.set("istio.canonical_revision", canonical_revision);
            self.set("istio.mesh_id", mesh_id);
            self.set("istio.namespace", namespace);
            self.set("istio.cluster_id", cluster_id);
        }
    }

    /// Whether a custom tag has this name.
    fn is_replaced(&self, name: &str) -> bool {
        self.custom.iter().any(|(custom, value)| *custom == name && !value.is_empty())
    }

    #[inline(never)]
    fn set(&mut self, name: &str, value: &str) {
        if !value.is_empty() && !self.is_replaced(name) {
            self.json.member(name, value);
        }
    }

    /// A value that has nothing to escape and is not empty.
    #[inline(never)]
    fn set_plain(&mut self, name: &str, value: &[u8]) {
        if !self.is_replaced(name) {
            self.json.plain_member(name, value);
        }
    }

    /// Several texts as one value, some of which is not empty.
    fn set_all(&mut self, name: &str, values: &[&str]) {
        if !self.is_replaced(name) {
            self.json.key(name);
            self.json.texts(values);
        }
    }

    fn set_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// A number as text: all values of tags are.
    fn set_number(&mut self, name: &str, value: u64) {
        self.set_plain(name, itoa::Buffer::new().format(value).as_bytes());
    }
}

#[cfg(test)]
#[path = "zipkin_tests.rs"]
mod tests;
