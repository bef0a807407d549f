//! What the tracer does with requests, without Envoy, for a comparison with the built module.
//!
//! The argument is a plugin configuration. The standard input has requests, each some headers as the
//! targets read them, with a NUL behind each. Each is one line of JSON: the propagation headers that go
//! out, and the tags of its span if it is sampled. Bytes are shown as the characters of those numbers.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "this is for tests")]
#![allow(dead_code, reason = "other targets use more")]

#[path = "src/lines.rs"]
mod lines;
#[path = "src/request.rs"]
mod request;

use meshspan::attributes::Resource;
use meshspan::config::{MeshConfig, PluginConfig, settings};
use meshspan::propagation::Header;
use meshspan::tracer::Tracer;
use serde_json::{Value, json};
use std::io::Read;

fn main() {
    let configuration = std::env::args().nth(1).unwrap();
    let plugin = PluginConfig::parse(configuration.as_bytes()).unwrap();
    let settings = settings(plugin, MeshConfig::default());
    let mut tracer = Tracer::new(&settings, Resource::default(), [1; 32], |_| None);
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).unwrap();
    for request in input.split(|byte| *byte == 0) {
        let headers = lines::headers(request);
        let started = tracer.start(&headers, &request::Route(&headers));
        let went_out = request::apply(&headers, &started.edits);
        let known = went_out.iter().filter(|(name, _)| {
            Header::ALL.iter().any(|header| header.name().as_bytes() == name.as_slice())
        });
        let known: Vec<_> = known.map(|(name, value)| (latin1(name), latin1(value))).collect();
        let tags = started.recording.map(|recording| {
            let facts = request::facts(&mut tracer, &[]);
            tracer.finish(recording, facts);
            let (_, body) = tracer.exporter.next_batch(u64::MAX, u64::MAX).unwrap();
            serde_json::from_slice::<Value>(&body).unwrap()[0]["tags"].clone()
        });
        println!("{}", json!({"headers": known, "tags": tags}));
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
