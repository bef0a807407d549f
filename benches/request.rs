//! What a request costs without Envoy: reading its context, writing one, and its span in each format.
//! `cargo bench` runs it; what counts in the end is `make bench`.
#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use meshspan::attributes::{Facts, Istio, Naming, Resource};
use meshspan::config::{Attribute, MeshConfig, PluginConfig, Settings, settings};
use meshspan::sampling::Surroundings;
use meshspan::trace::SpanKind;
use meshspan::tracer::Tracer;
use std::hint::black_box;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
const HEADERS: [(&str, &str); 13] = [
    (":authority", "dockebi.demo.svc.cluster.local:8080"),
    (":path", "/reviews/7?page=2"),
    (":method", "GET"),
    (":scheme", "http"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "en-GB,en;q=0.7"),
    ("referer", "https://shop.example/reviews"),
    ("cookie", "session=4f1c2a9be07d4c55"),
    ("x-account-id", "acme"),
    ("x-forwarded-proto", "http"),
    ("x-request-id", "2a4e6a2e-9f7b-4c1f-8a52-1d2c3b4a5968"),
];

struct Route;

impl Surroundings for Route {
    fn clock(&self) -> u64 {
        0
    }

    fn shared_data(&self, _: &[u8]) -> Option<(Vec<u8>, u32)> {
        None
    }

    fn set_shared_data(&self, _: &[u8], _: &[u8], _: u32) -> bool {
        true
    }

    fn attribute(&self, _: Attribute) -> Vec<u8> {
        Vec::new()
    }
}

impl Naming for Route {
    fn virtual_host(&self) -> Option<String> {
        None
    }

    fn cluster_service_host(&self) -> Option<String> {
        Some("dockebi.demo.svc.cluster.local".to_owned())
    }
}

fn configured(protocol: &str) -> Settings {
    let json = format!(
        r#"{{"sampling": 100, "collector": {{"protocol": "{protocol}"}}, "queue": {{"maxSpans": 1}},
            "customTags": {{"account": {{"header": {{"name": "x-account-id"}}}}}}}}"#
    );
    let plugin = PluginConfig::parse(json.as_bytes()).unwrap_or_default();
    settings(plugin, MeshConfig::default())
}

fn tracer(protocol: &str) -> Tracer {
    let resource = Resource {
        service_name: "dockebi.demo".to_owned(),
        node_id: "sidecar~10.0.0.1~dockebi-v1-5f9d.demo~demo.svc.cluster.local".to_owned(),
        istio: Some(Istio {
            canonical_service: "dockebi".to_owned(),
            canonical_revision: "v1".to_owned(),
            mesh_id: "cluster.local".to_owned(),
            namespace: "demo".to_owned(),
            cluster_id: "Kubernetes".to_owned(),
        }),
        ..Resource::default()
    };
    Tracer::new(&configured(protocol), resource, [7; 32], |_| None)
}

fn facts(tracer: &mut Tracer) -> Facts {
    let cluster = Some("inbound|8080||".to_owned());
    Facts {
        kind: SpanKind::Server,
        start_time: 1_700_000_000_000_000_000,
        duration: 2_000_000,
        protocol: b"HTTP/1.1".to_vec(),
        status_code: Some(200),
        request_size: 0,
        response_size: 49,
        flags: 0,
        route: None,
        service: tracer.service(cluster.as_deref(), &Route),
        cluster,
        peer: "10.0.0.9:3333".parse().ok(),
        local: "10.0.0.1:8080".parse().ok(),
        upstream: None,
        grpc_status: None,
        grpc_message: None,
        way: None,
    }
}

fn start(c: &mut Criterion) {
    let unsampled = format!("{TRACEPARENT}-00");
    let sampled = format!("{TRACEPARENT}-01");
    for (name, context) in
        [("no context", None), ("unsampled", Some(&unsampled)), ("sampled", Some(&sampled))]
    {
        let context = context.map(|value| ("traceparent", value.as_str()));
        let headers: Vec<_> = HEADERS
            .into_iter()
            .chain(context)
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let mut tracer = tracer("zipkin");
        c.bench_function(&format!("start, {name}"), |b| {
            b.iter(|| tracer.start(black_box(&headers), &Route))
        });
    }
}

/// The queue has room for one span, so that all but the first are encoded and dropped.
fn finish(c: &mut Criterion) {
    let headers = HEADERS.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    for protocol in ["zipkin", "http/protobuf"] {
        let mut tracer = tracer(protocol);
        c.bench_function(&format!("start and finish, {protocol}"), |b| {
            b.iter(|| {
                if let Some(recording) = tracer.start(black_box(&headers), &Route).recording {
                    let facts = facts(&mut tracer);
                    tracer.finish(recording, facts);
                }
            });
        });
    }
}

criterion_group!(benches, start, finish);
criterion_main!(benches);
