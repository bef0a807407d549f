//! Propagation headers that no format here reads or writes, and that others may believe.

use super::Edit;

/// Their names, or how they begin where there is a dash at the end: baggage of the W3C and of Jaeger,
/// and what OpenCensus, OpenTracing, Google Cloud, Amazon, Datadog, SkyWalking and Elastic send along.
const NAMES: [&str; 16] = [
    "baggage",
    "elastic-apm-traceparent",
    "grpc-tags-bin",
    "grpc-trace-bin",
    "jaeger-baggage",
    "jaeger-debug-id",
    "ot-baggage-",
    "ot-tracer-",
    "sw8",
    "sw8-",
    "traceresponse",
    "uberctx-",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "x-datadog-",
    "x-ot-span-context",
];

/// The changes after which none of them is left.
#[inline(never)]
pub fn without_strays(headers: &[(&[u8], &[u8])]) -> Vec<Edit> {
    let mut edits = Vec::new();
    for (place, (name, _)) in headers.iter().enumerate() {
        let is_stray = NAMES.iter().any(|known| {
            name.starts_with(known.as_bytes())
                && (name.len() == known.len() || known.ends_with('-'))
        });
        // All of one name go at once.
        let is_first = || headers.iter().position(|(other, _)| other == name) == Some(place);
        if is_stray && is_first() {
            let name = String::from_utf8(name.to_vec()).unwrap_or_default();
            edits.push(Edit::RemoveOther(name));
        }
    }
    edits
}
