use super::*;
use crate::trace::sample::{full, span};
use crate::trace::{SpanId, TraceFlags};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1 as proto;
use prost::Message as _;
use serde_json::json;

pub(in crate::export::formats) fn decode(span: &Span) -> proto::Span {
    proto::Span::decode(Otlp::new(&Resource::default()).span(span).as_slice()).unwrap()
}

/// Attributes as JSON; each name once.
pub(in crate::export::formats) fn attributes(
    list: &[KeyValue],
) -> serde_json::Map<String, serde_json::Value> {
    let value = |value: &AnyValue| match value.value.as_ref().unwrap() {
        Value::StringValue(text) => json!(text),
        Value::IntValue(number) => json!(number),
        Value::DoubleValue(number) => json!(number),
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

pub(in crate::export::formats) fn attributes_of(
    span: &Span,
) -> serde_json::Map<String, serde_json::Value> {
    attributes(&decode(span).attributes)
}

pub(in crate::export::formats) fn resource_attributes(
    resource: &Resource,
) -> serde_json::Map<String, serde_json::Value> {
    let body = Otlp::new(resource).batch(&VecDeque::new());
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
fn links_name_remote_spans_of_other_traces() {
    let found = decode(&full()).links;
    let expected =
        [(0xabc_u128, 1_u64), (u128::MAX, u64::MAX)].map(|(trace_id, span_id)| proto::span::Link {
            trace_id: trace_id.to_be_bytes().to_vec(),
            span_id: span_id.to_be_bytes().to_vec(),
            flags: 0x300,
            ..Default::default()
        });
    assert_eq!(found, expected);
    assert_eq!(decode(&span(SpanKind::Server)).links, []);
}

#[test]
fn a_link_that_is_added_is_one_of_this_process_with_its_confidence() {
    let link = Link { confidence: Some(934), ..crate::trace::sample::link(0xabc, 1) };
    for grpc in [false, true] {
        let resource = Resource::default();
        let mut encoder: Box<dyn Encoder> = match grpc {
            true => Box::new(crate::export::Grpc::new(&resource)),
            false => Box::new(Otlp::new(&resource)),
        };
        let plain = Span { links: vec![], ..full() };
        let mut bytes = encoder.span(&plain);
        encoder.link(&mut bytes, &link);
        let mut found = proto::Span::decode(bytes.as_slice()).unwrap();
        let [link] = found.links.as_slice() else { panic!("{found:?}") };
        assert_eq!(link.trace_id, 0xabc_u128.to_be_bytes());
        assert_eq!((link.span_id.as_slice(), link.flags), (&1_u64.to_be_bytes()[..], 0x100));
        let said = attributes(&link.attributes);
        assert_eq!(said["meshspan.correlation"], "inferred");
        assert_eq!(said["meshspan.correlation.confidence"], 0.934);
        found.links.clear();
        assert_eq!(found, decode(&plain));
        assert_eq!(encoder.span(&full()), Otlp::new(&resource).span(&full()));
    }
}

#[test]
fn events_have_names_and_times() {
    let event = |name: &str, after: u64| proto::span::Event {
        name: name.to_owned(),
        time_unix_nano: 1_700_000_000_123_456_789 + after,
        ..Default::default()
    };
    let expected = [
        event("first_upstream_tx_byte_sent", 5),
        event("first_upstream_rx_byte_received", 1_000_000),
    ];
    assert_eq!(decode(&full()).events, expected);
    assert_eq!(decode(&span(SpanKind::Server)).events, []);
}

#[test]
fn a_beginning_is_a_call_and_the_whole_below_it_is_none() {
    use proto::span::SpanKind::{Client, Internal};
    let no_status =
        || crate::trace::HttpResponse { status_code: None, ..span(SpanKind::Client).response };
    for (extent, kind, flags, links, fails) in [
        (Extent::Whole, Client, 0x301, 0x300, true),
        (Extent::Open, Client, 0x301, 0x300, false),
        (Extent::Closed, Internal, 0x101, 0x100, true),
    ] {
        let links_of = vec![crate::trace::sample::link(1, 2)];
        let one = Span { extent, response: no_status(), links: links_of, ..span(SpanKind::Client) };
        let found = decode(&one);
        assert_eq!((found.kind(), found.flags), (kind, flags), "{extent:?}");
        assert_eq!(found.links[0].flags, links, "{extent:?}");
        assert_eq!(found.status.is_some(), fails, "{extent:?}");
        let stream = attributes_of(&one).into_iter().find(|(name, _)| name == "meshspan.stream");
        assert_eq!(stream.is_some(), extent != Extent::Whole, "{extent:?}");
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
    let mut encoder = Otlp::new(&resource);
    let mut spans = vec![];
    for count in [0, 1, 3, 200] {
        spans.resize_with(count, || encoder.span(&full()));
        if let Some(first) = spans.first_mut() {
            *first = encoder.span(&span(SpanKind::Server));
        }
        let body = encoder.batch(&spans.clone().into());
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
