use super::*;
use crate::config::{MeshConfig, PluginConfig, Settings, settings};
use crate::trace::{SpanId, TraceFlags, TraceId};

fn capped() -> Redaction {
    let usual = settings(PluginConfig::default(), MeshConfig::default());
    Redaction::new(&Settings { max_tag_length: 64, max_path_length: 16, ..usual })
}

fn context() -> TraceContext {
    TraceContext {
        trace_id: TraceId::new(1).unwrap(),
        span_id: SpanId::new(2).unwrap(),
        parent_id: SpanId::new(3),
        decision: Some(Decision::Sample),
        flags: TraceFlags::default(),
    }
}

fn verdict(decision: Decision) -> Verdict {
    Verdict { decision, threshold: None, reason: Reason::Parent }
}

fn begin(headers: &[(&str, &[u8])], decision: Decision) -> Box<Recording> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_bytes(), *value)).collect();
    Recording::begin(context(), verdict(decision), &headers, &CustomTags::default(), &capped())
}

fn facts() -> Facts {
    Facts {
        kind: SpanKind::Server,
        start_time: 1_000_000,
        duration: 2_000_000,
        protocol: b"HTTP/1.1".to_vec(),
        status_code: Some(200),
        request_size: 0,
        response_size: 5,
        flags: 0,
        cluster: Some("local".to_owned()),
        route: None,
        service: Service::from_cluster("local"),
        peer: "10.0.0.9:1234".parse().ok(),
        local: "10.0.0.7:8080".parse().ok(),
        upstream: "10.0.0.8:9090".parse().ok(),
        grpc_status: None,
        grpc_message: None,
        way: None,
    }
}

fn finish(recording: Box<Recording>, facts: Facts, resource: &Resource) -> Span<'static> {
    static NO_TAGS: std::sync::LazyLock<CustomTags> = std::sync::LazyLock::new(CustomTags::default);
    recording.finish(facts, "parent", resource, &mut ServiceNames::default(), &NO_TAGS, &capped())
}

fn resource() -> Resource {
    Resource { service_name: "dockebi.demo".to_owned(), ..Resource::default() }
}

#[test]
fn what_was_asked_is_valid_redacted_and_capped() {
    let long = [b'x'; 100];
    let recording = begin(
        &[
            (":method", b"GET"),
            (":scheme", b"https"),
            (":authority", b"user:secret@host:80"),
            (":path", b"/p?token=secret&b=2"),
            ("user-agent", b"\xff"),
            ("x-request-id", &long),
            ("content-type", b"application/json"),
        ],
        Decision::Sample,
    );
    let request = finish(recording, facts(), &resource()).request;
    assert_eq!(request.method, "GET");
    assert_eq!(request.scheme, "https");
    assert_eq!(request.authority, "host:80");
    assert_eq!(request.path, "/p?token=REDACTE");
    assert_eq!(request.user_agent.as_deref(), Some("\u{fffd}"));
    assert_eq!(request.request_id.unwrap().len(), 64);
    assert_eq!(request.grpc, None);
}

#[test]
fn the_path_is_the_one_before_a_rewrite_and_grpcs_the_one_of_the_method() {
    for (name, headers, path, grpc) in [
        ("as sent", [(":path", "/sent"), ("x-other", "")], "/sent", "/sent"),
        ("rewritten", [(":path", "/sent"), ("x-envoy-original-path", "/asked")], "/asked", "/sent"),
    ] {
        let mut headers = headers.map(|(name, value)| (name, value.as_bytes())).to_vec();
        headers.push(("content-type", b"application/grpc"));
        let request = finish(begin(&headers, Decision::Sample), facts(), &resource()).request;
        assert_eq!((request.path.as_str(), request.grpc.unwrap().path.as_str()), (path, grpc), "{name}");
    }
}

#[test]
fn only_grpc_content_types_are_grpc() {
    for (content_type, expected) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc;x=y", true),
        ("application/grpc-web", false),
        ("application/json", false),
    ] {
        let recording = begin(&[("content-type", content_type.as_bytes())], Decision::Sample);
        assert_eq!(recording.is_grpc(), expected, "{content_type}");
    }
}

#[test]
fn an_error_is_5xx_no_answer_or_a_grpc_status_of_the_servers_fault() {
    for (name, status_code, grpc_status, expected) in [
        ("200", Some(200), None, false),
        ("404 is the client's", Some(404), None, false),
        ("499", Some(499), None, false),
        ("500", Some(500), None, true),
        ("no answer", None, None, true),
        ("gRPC ok", Some(200), Some("0"), false),
        ("gRPC not found", Some(200), Some("5"), false),
        ("gRPC unknown", Some(200), Some("2"), true),
        ("gRPC deadline", Some(200), Some("4"), true),
        ("gRPC unavailable", Some(200), Some("14"), true),
        ("gRPC garbage", Some(200), Some("x"), false),
    ] {
        let facts = Facts { status_code, grpc_status: grpc_status.map(|status| status.as_bytes().to_vec()), ..facts() };
        let span = finish(begin(&[], Decision::Sample), facts, &resource());
        assert_eq!(span.response.error, expected, "{name}");
    }
}

#[test]
fn endpoints_are_this_pod_and_the_other_side() {
    let endpoint = |name: &str, ip: &str, port: Option<u16>| Endpoint { service_name: name.to_owned(), ip: ip.parse().ok(), port };
    let istio = Resource { ip: "10.1.1.1".parse().ok(), ..resource() };
    let waypoint = Resource { node_id: "waypoint~10.1.1.1~waypoint-1.demo~demo.svc.cluster.local".to_owned(), ..istio.clone() };
    for (name, kind, resource, local, remote) in [
        ("inbound", SpanKind::Server, resource(), endpoint("dockebi.demo", "10.0.0.7", Some(8080)), endpoint("", "10.0.0.9", Some(1234))),
        ("inbound in Istio", SpanKind::Server, istio.clone(), endpoint("dockebi.demo", "10.1.1.1", Some(8080)), endpoint("", "10.0.0.9", Some(1234))),
        ("a waypoint", SpanKind::Server, waypoint, endpoint("dockebi.demo", "10.1.1.1", None), endpoint("", "10.0.0.9", Some(1234))),
        ("outbound", SpanKind::Client, resource(), endpoint("dockebi.demo", "10.0.0.7", None), endpoint("local", "10.0.0.8", Some(9090))),
        ("outbound in Istio", SpanKind::Client, istio, endpoint("dockebi.demo", "10.1.1.1", None), endpoint("local", "10.0.0.8", Some(9090))),
    ] {
        let span = finish(begin(&[], Decision::Sample), Facts { kind, ..facts() }, &resource);
        assert_eq!(span.local, local, "{name}");
        assert_eq!(span.remote, remote, "{name}");
    }
}

#[test]
fn the_name_is_the_service_else_the_authority_else_a_known_method() {
    for (name, service, authority, method, expected) in [
        ("service", Service::from_cluster("local"), "other:80", "GET", "local/*"),
        ("authority", None, "api.example.com:80", "GET", "api.example.com:80/*"),
        ("known method", None, "no host", "GET", "GET"),
        ("unknown method", None, "no host", "BREW", "HTTP"),
    ] {
        let recording = begin(&[(":authority", authority.as_bytes()), (":method", method.as_bytes()), (":path", b"/raw")], Decision::Sample);
        let span = finish(recording, Facts { service, ..facts() }, &resource());
        assert_eq!(span.name, expected, "{name}");
    }
}

#[test]
fn ids_times_and_debug_are_those_of_the_request() {
    let span = finish(begin(&[], Decision::Debug), facts(), &resource());
    assert_eq!((span.trace_id, span.span_id, span.parent_id), (context().trace_id, context().span_id, context().parent_id));
    assert_eq!((span.start_time, span.duration, span.debug), (1_000_000, 2_000_000, true));
}

#[test]
fn custom_tags_come_from_the_request_that_began() {
    let plugin = PluginConfig::parse(br#"{"customTags": {"account": {"header": {"name": "x-account-id"}}}}"#).unwrap();
    let tags = CustomTags::new(&settings(plugin, MeshConfig::default()), &capped(), &|_| None);
    let headers = [(&b"x-account-id"[..], &b"first"[..]), (b"x-account-id", b"second")];
    let recording = Recording::begin(context(), verdict(Decision::Sample), &headers, &tags, &capped());
    let span = recording.finish(facts(), "parent", &resource(), &mut ServiceNames::default(), &tags, &capped());
    assert_eq!(span.custom_tags, [("account", "first".into())]);
}

#[test]
fn a_beginning_has_the_id_that_others_know_and_the_whole_is_below_it() {
    let headers: [(&str, &[u8]); 2] = [(":method", b"GET"), (":path", b"/chat")];
    let link = crate::trace::sample::link(7, 8);
    let evidence = Evidence { name: "request_id".to_owned(), confidence: None };
    let mut recording = begin(&headers, Decision::Sample)
        .with_links(vec![link])
        .with_correlation(Some(evidence.clone()))
        .with_trace_state("a=1".to_owned());
    let beginning = recording.take_beginning(SpanId::new(9).unwrap());
    let beginning = finish(beginning, Facts { status_code: None, ..facts() }, &resource());
    assert_eq!((beginning.extent, beginning.span_id.value(), beginning.parent_id), (Extent::Open, 2, SpanId::new(3)));
    assert_eq!((beginning.links, beginning.correlation), (vec![link], Some(evidence)));
    assert!(!beginning.response.error, "its answer may still come");
    assert_eq!(beginning.remote, Endpoint::new("", "10.0.0.9:1234".parse().ok()));
    let whole = finish(recording, Facts { status_code: None, ..facts() }, &resource());
    assert_eq!((whole.extent, whole.span_id.value(), whole.parent_id), (Extent::Closed, 9, SpanId::new(2)));
    assert_eq!((whole.trace_id, whole.trace_state.as_str()), (beginning.trace_id, "a=1"));
    assert_eq!((whole.links, whole.correlation), (vec![context().link()], None));
    assert_eq!((whole.request, whole.name), (beginning.request, beginning.name));
    assert!(whole.response.error);
    assert_eq!(whole.remote, Endpoint::default(), "one call is counted once");
}

#[test]
fn a_connection_becomes_something_else_by_101_or_where_a_tunnel_is_asked_for_by_2xx() {
    let connect: &[(&str, &[u8])] = &[(":method", b"CONNECT"), ("upgrade", b"x")];
    let upgrade: &[(&str, &[u8])] = &[(":method", b"GET"), ("upgrade", b"websocket")];
    let plain: &[(&str, &[u8])] = &[(":method", b"GET"), ("upgrades", b"x"), ("user-agent", b"upgrade")];
    for (headers, asks, status, expected) in [
        (plain, false, 101, false), (plain, false, 200, false),
        (upgrade, true, 101, true), (upgrade, true, 200, false), (upgrade, true, 426, false),
        (connect, true, 200, true), (connect, true, 299, true), (connect, true, 101, false), (connect, true, 403, false),
    ] {
        let recording = begin(headers, Decision::Sample);
        assert_eq!(recording.asks_for_upgrade(), asks, "{headers:?}");
        assert_eq!(recording.is_upgraded_by(status), expected, "{headers:?} {status}");
    }
}
