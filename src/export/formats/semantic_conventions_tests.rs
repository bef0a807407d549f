//! The names, values and errors, by table; read with opentelemetry-proto.

use super::*;
use crate::attributes::Istio;
use crate::export::formats::otlp::tests::{attributes, attributes_of, decode, resource_attributes};
use crate::trace::sample::{full, span};
use crate::trace::{Endpoint, HttpRequest, HttpResponse};
use opentelemetry_proto::tonic::trace::v1 as proto;
use serde_json::json;

#[test]
fn a_servers_span_has_the_attributes_of_the_conventions() {
    let expected = json!({
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/p",
        "url.query": "q=REDACTED",
        "server.address": "h",
        "server.port": 8080,
        "network.protocol.name": "http",
        "network.protocol.version": "1.1",
        "network.peer.address": "fe80::1",
        "network.peer.port": 9080,
        "client.address": "10.0.0.9",
        "http.request.body.size": 0,
        "http.response.body.size": 300,
        "http.response.status_code": 200,
        "sampling.rule": "percent",
        "sampling.probability": 0.5,
    });
    assert_eq!(serde_json::Value::Object(attributes_of(&span(SpanKind::Server))), expected);
}

#[test]
fn what_jaeger_s_adaptive_sampling_counts_has_attributes_of_its_own() {
    let mut counted = span(SpanKind::Server);
    counted.sampling.counts = true;
    let found = attributes_of(&counted);
    assert_eq!(found["sampler.type"], "probabilistic");
    assert_eq!(found["sampler.param"], 0.5);
}

#[test]
fn a_clients_span_has_the_url_whole_and_the_service_that_it_called() {
    let found = attributes_of(&span(SpanKind::Client));
    assert_eq!(found["url.full"], "http://h:8080/p?q=REDACTED");
    assert_eq!(found["peer.service"], "c.d");
    for absent in ["url.scheme", "url.path", "url.query", "client.address"] {
        assert_eq!(found.get(absent), None, "{absent}");
    }
}

#[test]
fn what_envoy_and_grpc_know_besides_has_documented_names() {
    let found = attributes_of(&full());
    for (name, expected) in [
        ("user_agent.original", json!("ua")),
        ("http.request.header.x-request-id", json!(["rid"])),
        ("http.request.header.x-client-trace-id", json!(["cid"])),
        ("http.request.header.grpc-timeout", json!(["1S"])),
        ("http.request.header.content-type", json!(["application/grpc"])),
        ("envoy.downstream_cluster", json!("dc")),
        ("envoy.upstream_cluster", json!("uc")),
        ("envoy.response_flags", json!("UF")),
        ("rpc.system", json!("grpc")),
        ("rpc.service", json!("pkg.Service")),
        ("rpc.method", json!("Method")),
        ("rpc.grpc.status_code", json!(14)),
        ("grpc.message", json!("away")),
        ("error.type", json!("UNAVAILABLE")),
        ("account", json!("x".repeat(200))),
        ("long", json!("y".repeat(20_000))),
    ] {
        assert_eq!(found[name], expected, "{name}");
    }
}

#[test]
fn the_status_is_an_error_only_where_the_conventions_say() {
    use SpanKind::{Client, Server};
    for (name, kind, status_code, flags, grpc_status, error) in [
        ("200", Server, Some(200), "", None, None),
        ("101", Server, Some(101), "", None, None),
        ("302 to a client", Client, Some(302), "", None, None),
        ("404 is no error of the server", Server, Some(404), "", None, None),
        ("404 to a client", Client, Some(404), "", None, Some("404")),
        ("500", Server, Some(500), "", None, Some("500")),
        ("503 of Envoy", Client, Some(503), "UF", None, Some("503")),
        ("no answer", Server, None, "DC", None, Some("DC")),
        ("no answer and no reason", Server, None, "", None, Some("_OTHER")),
        ("an answer that broke off", Server, Some(200), "UPE", None, Some("UPE")),
        ("an answer that broke off twice", Client, Some(200), "URX,UC", None, Some("URX,UC")),
        ("an answer that the client left", Server, Some(200), "DC", None, None),
        ("an upgraded connection", Client, Some(101), "UC", None, None),
        ("a gRPC answer that broke off", Server, Some(200), "UR", None, Some("UR")),
        ("gRPC OK", Client, Some(200), "", Some(0), None),
        ("gRPC not found is no error of the server", Server, Some(200), "", Some(5), None),
        ("gRPC resource exhausted neither", Server, Some(200), "", Some(8), None),
        ("gRPC not found to a client", Client, Some(200), "", Some(5), Some("NOT_FOUND")),
        ("gRPC unknown", Server, Some(200), "", Some(2), Some("UNKNOWN")),
        ("gRPC deadline exceeded", Server, Some(200), "", Some(4), Some("DEADLINE_EXCEEDED")),
        ("gRPC unimplemented", Server, Some(200), "", Some(12), Some("UNIMPLEMENTED")),
        ("gRPC internal", Server, Some(200), "", Some(13), Some("INTERNAL")),
        ("gRPC unavailable", Server, Some(200), "", Some(14), Some("UNAVAILABLE")),
        ("gRPC data loss", Server, Some(200), "", Some(15), Some("DATA_LOSS")),
        ("a status that gRPC does not know", Server, Some(200), "", Some(99), Some("UNKNOWN")),
    ] {
        let base = span(kind);
        let response =
            HttpResponse { status_code, flags: flags.to_owned(), grpc_status, ..base.response };
        let span = Span { response, ..base };
        let found = decode(&span);
        let found_error = attributes(&found.attributes).remove("error.type");
        assert_eq!(found_error, error.map(serde_json::Value::from), "{name}");
        let status = error.map(|_| proto::Status { code: 2, message: String::new() });
        assert_eq!(found.status, status, "{name}");
    }
}

#[test]
fn a_method_that_http_does_not_define_is_other_and_kept() {
    for (method, expected, original) in [
        ("GET", "GET", None),
        ("PATCH", "PATCH", None),
        ("get", "_OTHER", Some("get")),
        ("BREW", "_OTHER", Some("BREW")),
        ("", "_OTHER", None),
    ] {
        let base = span(SpanKind::Server);
        let request = HttpRequest { method: method.to_owned().into(), ..base.request };
        let mut found = attributes_of(&Span { request, ..base });
        assert_eq!(found["http.request.method"], expected, "{method}");
        let original = original.map(serde_json::Value::from);
        assert_eq!(found.remove("http.request.method_original"), original, "{method}");
    }
}

#[test]
fn the_server_is_the_authority_and_its_port_the_schemes_where_none_is_given() {
    for (authority, scheme, address, port) in [
        ("h:8080", "http", Some("h"), Some(8080)),
        ("h", "http", Some("h"), Some(80)),
        ("h", "https", Some("h"), Some(443)),
        ("h", "", Some("h"), None),
        ("[::1]:81", "http", Some("::1"), Some(81)),
        ("[::1]", "https", Some("::1"), Some(443)),
        ("h:x", "http", Some("h"), Some(80)),
        ("", "http", None, None),
    ] {
        let base = span(SpanKind::Server);
        let (authority, scheme) = (authority.to_owned(), scheme.to_owned());
        let request = HttpRequest { authority, scheme: scheme.into(), ..base.request };
        let mut found = attributes_of(&Span { request, ..base });
        assert_eq!(found.remove("server.address"), address.map(serde_json::Value::from));
        assert_eq!(found.remove("server.port"), port.map(serde_json::Value::from));
    }
}

#[test]
fn an_address_without_a_port_is_the_clients_and_no_peer() {
    let base = span(SpanKind::Server);
    let remote = Endpoint { port: None, ..base.remote };
    let found = attributes_of(&Span { remote, ..base });
    assert_eq!(found["client.address"], "10.0.0.9");
    assert_eq!((found.get("network.peer.address"), found.get("network.peer.port")), (None, None));
}

#[test]
fn the_resource_is_the_service_the_pod_and_the_mesh() {
    let some = |text: &str| Some(text.to_owned());
    let owner = some("kubernetes://apis/apps/v1/namespaces/demo/deployments/dockebi-v1");
    let kubernetes = Kubernetes::read(|name| match name {
        "NAME" => some("dockebi-v1-abc"),
        "NAMESPACE" => some("demo"),
        "NODE_NAME" => some("node-1"),
        "CLUSTER_ID" => some("cluster-1"),
        "OWNER" => owner.clone(),
        _ => None,
    });
    let istio = Istio {
        canonical_service: "dockebi".to_owned(),
        canonical_revision: "v1".to_owned(),
        mesh_id: "mesh-1".to_owned(),
        namespace: "demo".to_owned(),
        cluster_id: "cluster-1".to_owned(),
    };
    let resource = Resource {
        service_name: "dockebi.demo".to_owned(),
        node_id: "sidecar~1".to_owned(),
        zone: "zone-1".to_owned(),
        kubernetes,
        istio: Some(istio),
        ..Resource::default()
    };
    let expected = json!({
        "service.name": "dockebi.demo",
        "service.namespace": "demo",
        "service.instance.id": "dockebi-v1-abc",
        "telemetry.sdk.name": "meshspan",
        "telemetry.sdk.language": "rust",
        "telemetry.sdk.version": env!("CARGO_PKG_VERSION"),
        "k8s.namespace.name": "demo",
        "k8s.pod.name": "dockebi-v1-abc",
        "k8s.node.name": "node-1",
        "k8s.cluster.name": "cluster-1",
        "k8s.deployment.name": "dockebi-v1",
        "cloud.availability_zone": "zone-1",
        "envoy.node.id": "sidecar~1",
        "istio.canonical_service": "dockebi",
        "istio.canonical_revision": "v1",
        "istio.mesh_id": "mesh-1",
        "istio.namespace": "demo",
        "istio.cluster_id": "cluster-1",
    });
    assert_eq!(serde_json::Value::Object(resource_attributes(&resource)), expected);
}

#[test]
fn a_proxy_outside_istio_is_told_apart_by_its_node_id() {
    let resource = Resource {
        service_name: "s".to_owned(),
        node_id: "node".to_owned(),
        ..Resource::default()
    };
    let found = resource_attributes(&resource);
    assert_eq!(found["service.instance.id"], "node");
    assert!(!found.keys().any(|name| name.starts_with("k8s.") || name.starts_with("istio.")));
}
