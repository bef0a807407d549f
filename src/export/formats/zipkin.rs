//! Zipkin v2 JSON, with the tags that Envoy's own Zipkin tracer and Istio set.
//!
//! <https://zipkin.io/zipkin-api/#/default/post_spans>

use super::Encoder;
use crate::attributes::Resource;
use crate::trace::{Endpoint, Link, Span, SpanKind, TraceId};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::net::IpAddr;

/// The encoder for Zipkin's `/api/v2/spans`.
#[derive(Debug)]
pub struct Zipkin {
    resource: Resource,
}

impl Zipkin {
    /// An encoder of this proxy's spans.
    pub fn new(resource: Resource) -> Self {
        Self { resource }
    }
}

impl Encoder for Zipkin {
    fn content_type(&self) -> &'static str {
        "application/json"
    }

    fn span(&self, span: &Span) -> Vec<u8> {
        let mut json = Vec::with_capacity(1536);
        // Writing strings and numbers into memory cannot fail; if it did, the span would be empty
        // and the batch would still be JSON.
        if serde_json::to_writer(&mut json, &SpanJson { span, resource: &self.resource }).is_err() {
            json.clear();
            json.extend_from_slice(b"null");
        }
        json
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

struct SpanJson<'a> {
    span: &'a Span<'a>,
    resource: &'a Resource,
}

impl Serialize for SpanJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.span;
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry(
            "traceId",
            ascii(trace_id_digits(span.trace_id, &span.trace_id.hex())),
        )?;
        if let Some(parent_id) = span.parent_id {
            fields.serialize_entry("parentId", ascii(&parent_id.hex()))?;
        }
        fields.serialize_entry("id", ascii(&span.span_id.hex()))?;
        let kind = match span.kind {
            SpanKind::Server => "SERVER",
            SpanKind::Client => "CLIENT",
        };
        fields.serialize_entry("kind", kind)?;
        fields.serialize_entry("name", &span.name)?;
        fields.serialize_entry("timestamp", &(span.start_time / 1000))?;
        // Zipkin takes zero for absent.
        fields.serialize_entry("duration", &(span.duration / 1000).max(1))?;
        if span.debug {
            fields.serialize_entry("debug", &true)?;
        }
        fields.serialize_entry("localEndpoint", &EndpointJson(&span.local))?;
        if span.remote != Endpoint::default() {
            fields.serialize_entry("remoteEndpoint", &EndpointJson(&span.remote))?;
        }
        fields.serialize_entry("tags", &TagsJson { span, resource: self.resource })?;
        fields.end()
    }
}

/// A trace id of 64 bits is written with 16 digits, as Zipkin does.
fn trace_id_digits(id: TraceId, hex: &[u8; 32]) -> &[u8] {
    let (_, lower) = hex.split_at(16);
    if id.is_64_bit() { lower } else { hex }
}

fn ascii(digits: &[u8]) -> &str {
    core::str::from_utf8(digits).unwrap_or_default()
}

struct EndpointJson<'a>(&'a Endpoint);

impl Serialize for EndpointJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Endpoint { service_name, ip, port } = self.0;
        let mut fields = serializer.serialize_map(None)?;
        if !service_name.is_empty() {
            fields.serialize_entry("serviceName", service_name)?;
        }
        match ip {
            Some(IpAddr::V4(ip)) => fields.serialize_entry("ipv4", ip)?,
            Some(IpAddr::V6(ip)) => fields.serialize_entry("ipv6", ip)?,
            None => {}
        }
        if let Some(port) = port {
            fields.serialize_entry("port", port)?;
        }
        fields.end()
    }
}

struct TagsJson<'a> {
    span: &'a Span<'a>,
    resource: &'a Resource,
}

impl Serialize for TagsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Span { request, response, custom_tags, .. } = self.span;
        let mut tags = Tags { map: serializer.serialize_map(None)?, custom: custom_tags };
        tags.set("node_id", &self.resource.node_id)?;
        tags.set("zone", &self.resource.zone)?;
        tags.set_some("guid:x-request-id", request.request_id.as_deref())?;
        let Resource { istio, .. } = self.resource;
        let url = format!("{}://{}{}", request.scheme, request.authority, request.path);
        tags.set("http.url", &url)?;
        tags.set("http.method", &request.method)?;
        tags.set("downstream_cluster", or_dash(request.downstream_cluster.as_deref()))?;
        tags.set("user_agent", or_dash(request.user_agent.as_deref()))?;
        tags.set("http.protocol", &response.protocol)?;
        if let Some(peer) = response.peer {
            tags.set("peer.address", &peer.to_string())?;
        }
        tags.set_some("guid:x-client-trace-id", request.client_trace_id.as_deref())?;
        if let Some(grpc) = &request.grpc {
            tags.set("grpc.path", &grpc.path)?;
            tags.set("grpc.authority", &request.authority)?;
            tags.set("grpc.content_type", &grpc.content_type)?;
            tags.set_some("grpc.timeout", grpc.timeout.as_deref())?;
        }
        tags.set("request_size", &response.request_size.to_string())?;
        tags.set("response_size", &response.response_size.to_string())?;
        tags.set("component", "proxy")?;
        if let Some(cluster) = &response.upstream_cluster {
            tags.set("upstream_cluster", cluster)?;
            tags.set("upstream_cluster.name", cluster)?;
        }
        tags.set("http.status_code", &response.status_code.unwrap_or(0).to_string())?;
        let flags = Some(response.flags.as_str()).filter(|flags| !flags.is_empty());
        tags.set("response_flags", or_dash(flags))?;
        if response.error {
            tags.set("error", "true")?;
        }
        if let Some(status) = response.grpc_status {
            tags.set("grpc.status_code", &status.to_string())?;
        }
        tags.set_some("grpc.message", response.grpc_message.as_deref())?;
        if !self.span.links.is_empty() {
            tags.set("meshspan.link", &ids_of(&self.span.links))?;
        }
        if let Some(istio) = istio {
            tags.set("istio.canonical_service", &istio.canonical_service)?;
            tags.set("istio.canonical_revision", &istio.canonical_revision)?;
            tags.set("istio.mesh_id", &istio.mesh_id)?;
            tags.set("istio.namespace", &istio.namespace)?;
            tags.set("istio.cluster_id", &istio.cluster_id)?;
        }
        tags.finish()
    }
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

/// A map in which a custom tag takes the place of a standard one of the same name. Like Envoy's
/// tracer it has no tag whose value is empty.
struct Tags<'a, M> {
    map: M,
    custom: &'a [crate::trace::Tag<'a>],
}

impl<M: SerializeMap> Tags<'_, M> {
    fn set(&mut self, name: &str, value: &str) -> Result<(), M::Error> {
        if value.is_empty()
            || self.custom.iter().any(|(custom, value)| *custom == name && !value.is_empty())
        {
            return Ok(());
        }
        self.map.serialize_entry(name, value)
    }

    fn set_some(&mut self, name: &str, value: Option<&str>) -> Result<(), M::Error> {
        value.map_or(Ok(()), |value| self.set(name, value))
    }

    fn finish(mut self) -> Result<M::Ok, M::Error> {
        for (name, value) in self.custom.iter().filter(|(_, value)| !value.is_empty()) {
            self.map.serialize_entry(name, value)?;
        }
        self.map.end()
    }
}

#[cfg(test)]
#[path = "zipkin_tests.rs"]
mod tests;
