use super::*;
use crate::attributes::Istio;
use crate::trace::{HttpRequest, HttpResponse, sample};
use serde_json::{Value, json};

fn span() -> Span<'static> {
    sample::span(SpanKind::Client)
}

fn encode(span: &Span) -> Value {
    let resource =
        Resource { node_id: "n".to_owned(), zone: "z".to_owned(), ..Resource::default() };
    serde_json::from_slice(&Zipkin::new(resource).span(span)).unwrap()
}

#[test]
fn a_span_is_zipkin_v2_json() {
    let expected = json!({
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "parentId": "000000000000000a",
        "id": "00000000000000f0",
        "kind": "CLIENT",
        "name": "reviews.default.svc.cluster.local:9080/*",
        "timestamp": 1_700_000_000_123_456_u64,
        "duration": 1999,
        "localEndpoint": {"serviceName": "a.b", "ipv4": "10.0.0.1"},
        "remoteEndpoint": {"serviceName": "c.d", "ipv6": "fe80::1", "port": 9080},
        "tags": {
            "node_id": "n",
            "zone": "z",
            "http.url": "http://h:8080/p?q=REDACTED",
            "http.method": "GET",
            "downstream_cluster": "-",
            "user_agent": "-",
            "http.protocol": "HTTP/1.1",
            "peer.address": "10.0.0.9",
            "request_size": "0",
            "response_size": "300",
            "component": "proxy",
            "http.status_code": "200",
            "response_flags": "-",
            "sampling.rule": "percent",
            "sampling.probability": "0.5",
        },
    });
    assert_eq!(encode(&span()), expected);
}

#[test]
fn what_jaeger_s_adaptive_sampling_counts_has_tags_of_its_own() {
    let mut counted = span();
    counted.sampling.counts = true;
    let tags = &encode(&counted)["tags"];
    assert_eq!(tags["sampler.type"], "probabilistic");
    assert_eq!(tags["sampler.param"], "0.5");
}

#[test]
fn what_is_absent_or_zero_is_written_as_zipkin_takes_it() {
    let root = Span {
        trace_id: TraceId::new(0xabc).unwrap(),
        parent_id: None,
        duration: 1,
        debug: true,
        remote: Endpoint::default(),
        kind: SpanKind::Server,
        ..span()
    };
    let json = encode(&root);
    for (field, expected) in [
        ("traceId", json!("0000000000000abc")),
        ("parentId", Value::Null),
        ("duration", json!(1)),
        ("debug", json!(true)),
        ("remoteEndpoint", Value::Null),
        ("kind", json!("SERVER")),
    ] {
        assert_eq!(json[field], expected, "{field}");
    }
}

#[test]
fn every_fact_has_the_tag_of_envoys_zipkin_tracer() {
    let base = sample::full();
    let response = HttpResponse { status_code: None, flags: "UF,URX".to_owned(), ..base.response };
    let full = Span { response, ..base };
    let json = encode(&full);
    for (tag, expected) in [
        ("user_agent", "ua"),
        ("guid:x-request-id", "rid"),
        ("guid:x-client-trace-id", "cid"),
        ("downstream_cluster", "dc"),
        ("peer.address", "10.0.0.9"),
        ("upstream_cluster", "uc"),
        ("upstream_cluster.name", "uc"),
        ("http.status_code", "0"),
        ("response_flags", "UF,URX"),
        ("error", "true"),
        ("grpc.path", "/pkg.Service/Method?k=REDACTED"),
        ("grpc.authority", "h:8080"),
        ("grpc.content_type", "application/grpc"),
        ("grpc.timeout", "1S"),
        ("grpc.status_code", "14"),
        ("grpc.message", "away"),
    ] {
        assert_eq!(json["tags"][tag], expected, "{tag}");
    }
}

#[test]
fn istios_tags_come_with_istio() {
    let istio = Istio {
        canonical_service: "s".to_owned(),
        canonical_revision: "r".to_owned(),
        mesh_id: "m".to_owned(),
        namespace: "n".to_owned(),
        cluster_id: "c".to_owned(),
    };
    let mut encoder = Zipkin::new(Resource { istio: Some(istio), ..Resource::default() });
    let json: Value = serde_json::from_slice(&encoder.span(&span())).unwrap();
    for (tag, expected) in [
        ("istio.canonical_service", "s"),
        ("istio.canonical_revision", "r"),
        ("istio.mesh_id", "m"),
        ("istio.namespace", "n"),
        ("istio.cluster_id", "c"),
    ] {
        assert_eq!(json["tags"][tag], expected, "{tag}");
    }
}

#[test]
fn a_custom_tag_replaces_a_standard_one_and_is_written_once() {
    let tagged = Span {
        custom_tags: vec![("http.url", "hidden".into()), ("account", "\"quoted\"\n".into())],
        ..span()
    };
    let raw = String::from_utf8(Zipkin::new(Resource::default()).span(&tagged)).unwrap();
    assert_eq!(raw.matches("http.url").count(), 1);
    let json: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(json["tags"]["http.url"], "hidden");
    assert_eq!(json["tags"]["account"], "\"quoted\"\n");
}

#[test]
fn links_are_a_tag_of_their_ids() {
    for (links, expected) in [
        (vec![], Value::Null),
        (
            vec![sample::link(1 << 64, 2)],
            json!("00000000000000010000000000000000-0000000000000002"),
        ),
        (
            vec![sample::link(0xabc, 1), sample::link(0xdef, 2)],
            json!("0000000000000abc-0000000000000001,0000000000000def-0000000000000002"),
        ),
    ] {
        assert_eq!(encode(&Span { links, ..span() })["tags"]["meshspan.link"], expected);
    }
}

#[test]
fn a_link_that_is_added_is_as_any_other_with_its_confidence() {
    let mut encoder = Zipkin::new(Resource::default());
    let link = Link { confidence: Some(934), ..sample::link(0xabc, 1) };
    let mut bytes = encoder.span(&span());
    let mut expected: Value = serde_json::from_slice(&bytes).unwrap();
    encoder.link(&mut bytes, &link);
    expected["tags"]["meshspan.link"] = json!("0000000000000abc-0000000000000001");
    expected["tags"]["meshspan.link.confidence"] = json!("0.934");
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), expected);
    assert_eq!(encoder.span(&span()), Zipkin::new(Resource::default()).span(&span()));
}

#[test]
fn events_are_annotations_in_microseconds() {
    let events = sample::full().events;
    let json = encode(&Span { events, ..span() });
    let sent =
        json!({"timestamp": 1_700_000_000_123_456_u64, "value": "first_upstream_tx_byte_sent"});
    let received =
        json!({"timestamp": 1_700_000_000_124_456_u64, "value": "first_upstream_rx_byte_received"});
    assert_eq!(json["annotations"], json!([sent, received]));
    assert_eq!(encode(&span())["annotations"], Value::Null);
}

#[test]
fn a_request_that_was_sent_again_or_waited_for_a_connection_says_so() {
    let response = HttpResponse { resend_count: 2, pool_ready: 700_000, ..span().response };
    let tags = &encode(&Span { response, ..span() })["tags"];
    assert_eq!(tags["http.request.resend_count"], "2");
    assert_eq!(tags["upstream.cx_pool_ready_duration"], "700000");
    let tags = &encode(&span())["tags"];
    assert_eq!(tags["http.request.resend_count"], Value::Null);
    assert_eq!(tags["upstream.cx_pool_ready_duration"], Value::Null);
}

#[test]
fn a_beginning_is_a_call_and_the_whole_below_it_is_none() {
    let no_status = || HttpResponse { status_code: None, ..span().response };
    for (extent, stream, kind, status) in [
        (Extent::Whole, Value::Null, json!("CLIENT"), json!("0")),
        (Extent::Open, json!("open"), json!("CLIENT"), Value::Null),
        (Extent::Closed, json!("closed"), Value::Null, json!("0")),
    ] {
        let json =
            encode(&Span { extent, response: no_status(), ..sample::span(SpanKind::Client) });
        let tags = &json["tags"];
        assert_eq!((&tags["meshspan.stream"], &json["kind"]), (&stream, &kind), "{extent:?}");
        assert_eq!(tags["http.status_code"], status, "{extent:?}");
    }
}

#[test]
fn a_tag_whose_value_is_empty_is_left_out() {
    let request = HttpRequest { user_agent: Some(String::new()), ..span().request };
    let custom_tags = vec![("account", "".into()), ("http.method", "".into())];
    let empty = Span { request, custom_tags, ..span() };
    let json: Value =
        serde_json::from_slice(&Zipkin::new(Resource::default()).span(&empty)).unwrap();
    for tag in ["node_id", "zone", "user_agent", "account"] {
        assert_eq!(json["tags"][tag], Value::Null, "{tag}");
    }
    assert_eq!(json["tags"]["http.method"], "GET");
}

#[test]
fn a_batch_is_a_json_array_of_any_length() {
    let mut encoder = Zipkin::new(Resource::default());
    let encoded = encoder.span(&span());
    for count in [0, 1, 3] {
        let body = encoder.batch(&vec![encoded.clone(); count].into());
        let json: Vec<Value> = serde_json::from_slice(&body).unwrap();
        assert_eq!(json.len(), count);
    }
}
