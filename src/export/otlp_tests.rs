use super::*;
use crate::trace::{Endpoint, GrpcRequest, HttpRequest, HttpResponse, SpanId, TraceFlags, TraceId};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1 as proto;
use prost::Message as _;
use serde_json::json;

pub(in crate::export) fn span(kind: SpanKind) -> Span<'static> {
    Span {
        trace_id: TraceId::new(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736).unwrap(),
        span_id: SpanId::new(0xf0).unwrap(),
        parent_id: SpanId::new(0xa),
        flags: TraceFlags::default(),
        trace_state: String::new(),
        kind,
        name: "reviews.default.svc.cluster.local:9080/*".to_owned(),
        start_time: 1_700_000_000_123_456_789,
        duration: 1_999_999,
        debug: false,
        local: Endpoint { service_name: "a.b".to_owned(), ip: "10.0.0.1".parse().ok(), port: None },
        remote: Endpoint {
            service_name: "c.d".to_owned(),
            ip: "fe80::1".parse().ok(),
            port: Some(9080),
        },
        request: HttpRequest {
            method: "GET".to_owned(),
            scheme: "http".to_owned(),
            authority: "h:8080".to_owned(),
            path: "/p?q=REDACTED".to_owned(),
            ..HttpRequest::default()
        },
        response: HttpResponse {
            status_code: Some(200),
            protocol: "HTTP/1.1".to_owned(),
            response_size: 300,
            peer: "10.0.0.9".parse().ok(),
            ..HttpResponse::default()
        },
        custom_tags: vec![],
    }
}

pub(in crate::export) fn full() -> Span<'static> {
    let base = span(SpanKind::Client);
    Span {
        flags: TraceFlags { random: true },
        trace_state: "a=1,b=2".to_owned(),
        request: HttpRequest {
            user_agent: Some("ua".to_owned()),
            request_id: Some("rid".to_owned()),
            client_trace_id: Some("cid".to_owned()),
            downstream_cluster: Some("dc".to_owned()),
            grpc: Some(GrpcRequest {
                path: "/pkg.Service/Method?k=REDACTED".to_owned(),
                content_type: "application/grpc".to_owned(),
                timeout: Some("1S".to_owned()),
            }),
            ..base.request
        },
        response: HttpResponse {
            flags: "UF".to_owned(),
            upstream_cluster: Some("uc".to_owned()),
            grpc_status: Some(14),
            grpc_message: Some("away".to_owned()),
            error: true,
            ..base.response
        },
        // Longer than one and two bytes of length can say.
        custom_tags: vec![("account", "x".repeat(200).into()), ("long", "y".repeat(20_000).into())],
        ..base
    }
}

pub(in crate::export) fn decode(span: &Span) -> proto::Span {
    proto::Span::decode(Otlp::new(&Resource::default()).span(span).as_slice()).unwrap()
}

/// Attributes as JSON; each name once.
pub(in crate::export) fn attributes(
    list: &[KeyValue],
) -> serde_json::Map<String, serde_json::Value> {
    let value = |value: &AnyValue| match value.value.as_ref().unwrap() {
        Value::StringValue(text) => json!(text),
        Value::IntValue(number) => json!(number),
        Value::ArrayValue(array) => {
            let texts = array.values.iter().map(|value| match value.value.as_ref().unwrap() {
                Value::StringValue(text) => json!(text),
                other => panic!("{other:?}"),
            });
            serde_json::Value::Array(texts.collect())
        }
        other => panic!("{other:?}"),
    };
    let map: serde_json::Map<_, _> =
        list.iter().map(|it| (it.key.clone(), value(it.value.as_ref().unwrap()))).collect();
    assert_eq!(map.len(), list.len(), "a name comes twice");
    map
}

pub(in crate::export) fn attributes_of(span: &Span) -> serde_json::Map<String, serde_json::Value> {
    attributes(&decode(span).attributes)
}

pub(in crate::export) fn resource_attributes(
    resource: &Resource,
) -> serde_json::Map<String, serde_json::Value> {
    let body = Otlp::new(resource).batch(&[]);
    let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    attributes(&request.resource_spans[0].resource.as_ref().unwrap().attributes)
}

#[test]
fn ids_times_kind_and_name_are_the_spans() {
    let found = decode(&full());
    assert_eq!(found.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes());
    assert_eq!(found.span_id, 0xf0_u64.to_be_bytes());
    assert_eq!(found.parent_span_id, 0xa_u64.to_be_bytes());
    assert_eq!(found.trace_state, "a=1,b=2");
    assert_eq!(found.name, "reviews.default.svc.cluster.local:9080/*");
    assert_eq!(found.kind(), proto::span::SpanKind::Client);
    assert_eq!(found.start_time_unix_nano, 1_700_000_000_123_456_789);
    assert_eq!(found.end_time_unix_nano, 1_700_000_000_125_456_788);
    assert_eq!(decode(&span(SpanKind::Server)).kind(), proto::span::SpanKind::Server);
    let root = decode(&Span { parent_id: None, ..span(SpanKind::Server) });
    assert!(root.parent_span_id.is_empty());
}

#[test]
fn flags_are_the_trace_flags_and_whether_the_parent_is_remote() {
    for (name, random, parent, expected) in [
        ("root", true, None, 0x103),
        ("root of a 64-bit trace", false, None, 0x101),
        ("child", false, SpanId::new(1), 0x301),
        ("child of a random trace", true, SpanId::new(1), 0x303),
    ] {
        let flags = TraceFlags { random };
        let found = decode(&Span { flags, parent_id: parent, ..span(SpanKind::Server) });
        assert_eq!(found.flags, expected, "{name}");
    }
}

#[test]
fn an_errors_description_is_grpcs() {
    assert_eq!(decode(&full()).status.unwrap().message, "away");
}

#[test]
fn a_custom_tag_replaces_a_standard_attribute_where_it_has_a_value() {
    let base = full();
    let names = ["http.request.method", "server.port", "http.request.header.x-request-id"];
    let mut custom_tags: Vec<_> = names.iter().map(|name| (*name, "own".into())).collect();
    custom_tags.push(("user_agent.original", "".into()));
    custom_tags.push(("empty", "".into()));
    let found = attributes_of(&Span { custom_tags, ..base });
    for name in names {
        assert_eq!(found[name], "own", "{name}");
    }
    assert_eq!(found["user_agent.original"], "ua");
    assert_eq!(found.get("empty"), None);
}

#[test]
fn a_batch_is_a_request_that_the_generated_types_write_byte_for_byte_alike() {
    let resource = Resource { service_name: "s".to_owned(), ..Resource::default() };
    let encoder = Otlp::new(&resource);
    let mut spans = vec![];
    for count in [0, 1, 3, 200] {
        spans.resize_with(count, || encoder.span(&full()));
        if let Some(first) = spans.first_mut() {
            *first = encoder.span(&span(SpanKind::Server));
        }
        let body = encoder.batch(&spans);
        let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
        let [resource_spans] = request.resource_spans.as_slice() else { panic!("{request:?}") };
        let [scope_spans] = resource_spans.scope_spans.as_slice() else { panic!("{request:?}") };
        let scope = scope_spans.scope.as_ref().unwrap();
        assert_eq!(
            (scope.name.as_str(), scope.version.as_str()),
            ("meshspan", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(resource_spans.schema_url, conventions::SCHEMA_URL);
        assert_eq!(scope_spans.schema_url, conventions::SCHEMA_URL);
        assert_eq!(scope_spans.spans.len(), count);
        assert_eq!(request.encode_to_vec(), body, "{count} spans");
    }
}
