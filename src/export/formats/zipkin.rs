//! Zipkin v2 JSON, with the tags that Envoy's own Zipkin tracer and Istio set.
//!
//! <https://zipkin.io/zipkin-api/#/default/post_spans>

use super::json::Json;
use super::{CONFIDENCE, Encoder, POOL_READY, RESEND_COUNT, SAMPLER_TYPE};
use crate::address;
use crate::attributes::{Istio, Resource};
use crate::trace::{
    Endpoint, Event, Extent, Link, Sampling, Span, SpanKind, Tag, Threshold, TraceId,
};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::IpAddr;

/// The encoder for Zipkin's `/api/v2/spans`.
#[derive(Debug)]
pub struct Zipkin {
    resource: Resource,
    /// By how a span was sampled the tags that are the same for each, as long as no custom tag replaces one
    /// of them. At most [`MOST_WAYS`].
    common: Vec<Common>,
    /// The end of a call that is nearly always the same, and what it is written as.
    local: (Endpoint, Vec<u8>),
    /// Where a span is written.
    json: Json,
}

/// Of how many ways to be sampled the tags are kept as they are written.
const MOST_WAYS: usize = 8;

/// Tags that are the same for each span that was sampled in one way.
#[derive(Debug)]
struct Common {
    rule: String,
    threshold: Option<Threshold>,
    counts: bool,
    /// With the comma behind the last.
    written: Vec<u8>,
}

impl Zipkin {
    /// An encoder of this proxy's spans.
    pub fn new(resource: Resource) -> Self {
        Self { resource, common: Vec::new(), local: Default::default(), json: Json::default() }
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
        let remote = span.remote.ip.map(address::text).unwrap_or_default();
        if span.remote != Endpoint::default() {
            json.key("remoteEndpoint");
            endpoint(&span.remote, &remote, &mut json);
        }
        if !span.events.is_empty() {
            annotations(&span.events, &mut json);
        }
        json.key("tags");
        json.open();
        self.tags(span, &remote, &mut json);
        json.close();
        json.close();
        let bytes = json.take();
        self.json = json;
        bytes
    }

    fn link(&mut self, span: &mut Vec<u8>, link: &Link) {
        // What a span ends with are its tags, of which there is always one.
        span.truncate(span.len().saturating_sub(2));
        let mut json = core::mem::take(&mut self.json);
        json.0.push(b',');
        Tags { json: &mut json, custom: &[] }.set_links(&[*link]);
        json.close();
        json.close();
        span.extend(json.take());
        self.json = json;
    }

    fn batch(&self, spans: &VecDeque<Vec<u8>>) -> Vec<u8> {
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

/// An endpoint, and its address as text.
fn endpoint(endpoint: &Endpoint, address: &str, json: &mut Json) {
    json.open();
    if !endpoint.service_name.is_empty() {
        json.member("serviceName", &endpoint.service_name);
    }
    if let Some(ip) = endpoint.ip {
        let version = match ip {
            IpAddr::V4(_) => "ipv4",
            IpAddr::V6(_) => "ipv6",
        };
        json.plain_member(version, address.as_bytes());
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
            let address = local.ip.map(address::text).unwrap_or_default();
            endpoint(local, &address, &mut own);
            self.local = (local.clone(), own.0.take());
        }
        json.0.extend(&self.local.1);
    }

    fn common(&mut self, sampling: &Sampling, json: &mut Json) {
        let Sampling { rule, threshold, counts, .. } = *sampling;
        let is_this = |common: &&Common| {
            common.threshold == threshold && common.counts == counts && common.rule == rule
        };
        if let Some(common) = self.common.iter().find(is_this) {
            return json.0.extend(&common.written);
        }
        let mut own = Json::default();
        Tags { json: &mut own, custom: &[] }.set_common(&self.resource, sampling);
        let written = own.0.take();
        json.0.extend(&written);
        if self.common.len() == MOST_WAYS {
            self.common.clear();
        }
        self.common.push(Common { rule: rule.to_owned(), threshold, counts, written });
    }

    fn tags(&mut self, span: &Span, remote: &str, json: &mut Json) {
        let Span { request, response, .. } = span;
        let are_common = !span.custom_tags.iter().any(|(name, _)| COMMON.contains(name));
        if are_common {
            self.common(&span.sampling, json);
        }
        let mut tags = Tags { json, custom: &span.custom_tags };
        if !are_common {
            tags.set_common(&self.resource, &span.sampling);
        }
        tags.set_some("guid:x-request-id", request.request_id.as_deref());
        tags.set_all("http.url", &[&request.scheme, "://", &request.authority, &request.path]);
        tags.set_word("http.method", &request.method);
        tags.set_or_dash("downstream_cluster", request.downstream_cluster.as_deref());
        tags.set_or_dash("user_agent", request.user_agent.as_deref());
        tags.set_word("http.protocol", &response.protocol);
        match response.peer {
            Some(_) if response.peer == span.remote.ip => tags.set_plain("peer.address", remote),
            Some(peer) => tags.set_plain("peer.address", &address::text(peer)),
            None => {}
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
        tags.set_or_dash("response_flags", flags);
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
        tags.set_links(&span.links);
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

/// The names of [`Tags::set_common`].
const COMMON: [&str; 12] = [
    "node_id",
    "zone",
    "component",
    "istio.canonical_service",
    "istio.canonical_revision",
    "istio.mesh_id",
    "istio.namespace",
    "istio.cluster_id",
    "sampling.rule",
    "sampling.probability",
    "sampler.type",
    "sampler.param",
];

/// Tags, in which a custom one takes the place of a standard one of the same name. Like Envoy's
/// tracer it has no tag whose value is empty.
struct Tags<'a> {
    json: &'a mut Json,
    custom: &'a [Tag<'a>],
}

impl Tags<'_> {
    #[inline(never)]
    fn set_common(&mut self, resource: &Resource, sampling: &Sampling) {
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
        self.set("sampling.rule", sampling.rule);
        if let Some(threshold) = sampling.threshold {
            let probability = threshold.probability();
            self.set("sampling.probability", &probability);
            if sampling.counts {
                self.set("sampler.type", SAMPLER_TYPE);
                self.set("sampler.param", &probability);
            }
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
    fn set_plain(&mut self, name: &str, value: &str) {
        if !self.is_replaced(name) {
            self.json.plain_member(name, value.as_bytes());
        }
    }

    /// A word: what is borrowed is one of ours.
    #[expect(clippy::ptr_arg, reason = "whether it is borrowed is what counts")]
    fn set_word(&mut self, name: &str, value: &Cow<'static, str>) {
        match value {
            Cow::Borrowed(word) if !word.is_empty() => self.set_plain(name, word),
            value => self.set(name, value),
        }
    }

    /// A dash where there is no value.
    fn set_or_dash(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.set(name, value),
            None => self.set_plain(name, "-"),
        }
    }

    /// Several texts as one value, some of which is not empty.
    fn set_all(&mut self, name: &str, values: &[&str]) {
        if !self.is_replaced(name) {
            self.json.key(name);
            self.json.texts(values);
        }
    }

    fn set_links(&mut self, links: &[Link]) {
        let Some(first) = links.first() else { return };
        self.set("meshspan.link", &ids_of(links));
        if let Some(confidence) = first.confidence {
            self.set("meshspan.link.confidence", &thousandths(confidence));
        }
    }

    fn set_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// A number as text: all values of tags are.
    fn set_number(&mut self, name: &str, value: u64) {
        self.set_plain(name, itoa::Buffer::new().format(value));
    }
}

#[cfg(test)]
#[path = "zipkin_tests.rs"]
mod tests;
