//! A sampled request of any headers and facts: what is exported is valid, capped and redacted in every
//! wire format, as decoders that are not ours read it.

use super::lines::{Header, headers, value};
use super::request::run;
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibEncoder};
use meshspan::attributes::Resource;
use meshspan::config::{MeshConfig, PluginConfig, Settings, settings};
use meshspan::export::gzip;
use meshspan::tracer::Tracer;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;
use serde_json::{Map, Value};
use std::io::Read;
use std::thread::LocalKey;

/// `maxTagLength` of these tracers.
const CAP: usize = 64;

/// A span of ours may have no more attributes than tags are configured and conventions known.
const MAX_ATTRIBUTES: usize = 64;

thread_local! {
    static ZIPKIN: Settings = configured("zipkin");
    static OTLP: Settings = configured("http/protobuf");
    static GRPC: Settings = configured("grpc");
}

fn configured(protocol: &str) -> Settings {
    let json = format!(
        r#"{{"sampling": {{"percent": 100, "keep": {{"errors": true, "slowerThan": "1ms"}}}},
            "maxTagLength": {CAP}, "collector": {{"protocol": "{protocol}"}}, "customTags": {{
            "bytes": {{"header": {{"name": "x-bytes"}}}},
            "http.method": {{"header": {{"name": "x-method", "defaultValue": "none"}}}},
            "node_id": {{"header": {{"name": "x-node"}}}}}}}}"#
    );
    settings(PluginConfig::parse(json.as_bytes()).unwrap(), MeshConfig::default())
}

/// Headers of a request, and facts of its end as headers whose names begin with `fact-`.
pub fn check(input: &[u8]) {
    let lines = headers(input);
    let Some(json) = exported(&ZIPKIN, &lines) else { return };
    let zipkin = check_zipkin(&json, &lines);
    let protobuf = exported(&OTLP, &lines).expect("a span in every format");
    let otlp = check_otlp(&protobuf, &lines);
    check_same(&zipkin, &otlp);
    check_gzip(&json);
    let grpc = exported(&GRPC, &lines).expect("a span in every format");
    let length = u32::try_from(protobuf.len()).unwrap().to_be_bytes();
    assert_eq!(grpc, [&[0], &length[..], &protobuf].concat());
}

/// The body of a batch with the one span; nothing where headers say that it is not sampled, and
/// nothing is wrong with it.
fn exported(settings: &'static LocalKey<Settings>, lines: &[Header]) -> Option<Vec<u8>> {
    let mut tracer = tracer(settings);
    run(&mut tracer, lines).then(|| {
        let (_, body) = tracer.exporter.next_batch(u64::MAX, u64::MAX).expect("a span waits");
        body
    })
}

fn tracer(settings: &'static LocalKey<Settings>) -> Tracer {
    settings.with(|settings| Tracer::new(settings, Resource::default(), [1; 32], |_| None))
}

/// A tracer in whose queue so many spans wait.
pub fn with_spans(count: usize) -> Tracer {
    let mut tracer = tracer(&OTLP);
    (0..count).for_each(|_| assert!(run(&mut tracer, &[])));
    tracer
}

/// What Envoy compresses to zlib's format is the body in gzip's.
fn check_gzip(body: &[u8]) {
    let read = |mut reader: Box<dyn Read + '_>| {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map(|_| bytes).ok()
    };
    let zlib = |body: &[u8]| read(Box::new(ZlibEncoder::new(body, Compression::fast())));
    let compressed = gzip(body, zlib).expect("a body that is compressed");
    assert_eq!(read(Box::new(GzDecoder::new(compressed.as_slice()))).as_deref(), Some(body));
}

/// The last span.
fn check_zipkin(body: &[u8], lines: &[Header]) -> Map<String, Value> {
    let Ok(Value::Array(spans)) = serde_json::from_slice(body) else {
        panic!("no array of JSON: {}", String::from_utf8_lossy(body));
    };
    let spans: Vec<_> = spans.iter().map(|span| span.as_object().expect("an object")).collect();
    spans.iter().for_each(|span| check_one(span, lines));
    if let [beginning, whole] = spans.as_slice() {
        assert_eq!(
            (&whole["parentId"], &whole["traceId"]),
            (&beginning["id"], &beginning["traceId"])
        );
        assert!(whole["id"] != beginning["id"] && whole.get("remoteEndpoint").is_none());
    }
    let is_open = value(lines, "fact-open").is_some();
    assert_eq!(spans.len(), if is_open { 2 } else { 1 });
    (*spans.last().expect("a span")).clone()
}

fn check_one(span: &Map<String, Value>, lines: &[Header]) {
    let is_hex = |name: &str| {
        let digits = span[name].as_str().unwrap();
        [16, 32].contains(&digits.len()) && digits.bytes().all(|b| b"0123456789abcdef".contains(&b))
    };
    assert!(is_hex("traceId") && is_hex("id") && span["id"].as_str().unwrap().len() == 16);
    assert!(span["duration"].as_u64().unwrap() > 0 && span["timestamp"].is_u64());
    let tags = span["tags"].as_object().unwrap();
    assert!(tags.len() <= MAX_ATTRIBUTES, "{} tags", tags.len());
    for (name, tag) in tags {
        let text = tag.as_str().unwrap();
        let cap = if name == "http.url" { 3 * CAP + "://".len() } else { cap_of(name) };
        assert!(!text.is_empty() && text.len() <= cap, "{name}: {} bytes", text.len());
    }
    let tag = |name: &str| tags.get(name).and_then(Value::as_str);
    check_text("bytes", tag("bytes"), value(lines, "x-bytes"));
    check_text("user_agent", tag("user_agent").filter(|it| *it != "-"), value(lines, "user-agent"));
    check_text("guid", tag("guid:x-request-id"), value(lines, "x-request-id"));
}

/// Hosts, Envoy's flags and the traces that came in with a request have limits of their own.
fn cap_of(name: &str) -> usize {
    match name {
        "peer.service"
        | "response_flags"
        | "envoy.response_flags"
        | "error.type"
        | "meshspan.link" => 256,
        _ => CAP,
    }
}

/// What is recorded is what was sent, with U+FFFD for what is not UTF-8 and `REDACTED` for what is a
/// secret, from its beginning to the cap.
fn check_text(name: &str, found: Option<&str>, sent: Option<&[u8]>) {
    let sent = String::from_utf8_lossy(sent.unwrap_or_default());
    let found = found.unwrap_or_default();
    let is_whole = found.len() + 4 <= CAP;
    // The cap may have left a part of the word.
    let cut = (1..REDACTED.len()).rev().find(|length| found.ends_with(&REDACTED[..*length]));
    let cut = cut.filter(|_| !is_whole && !sent.starts_with(found)).unwrap_or(0);
    let mut parts = found[..found.len() - cut].split(REDACTED);
    let first = parts.next().unwrap_or_default();
    assert!(sent.starts_with(first), "{name}: {found:?} of {sent:?}");
    let mut rest = &sent[first.len()..];
    let mut is_redacted = cut > 0 || sent.contains('#');
    for part in parts {
        let place = rest.find(part);
        assert!(place.is_some(), "{name}: {found:?} of {sent:?}");
        rest = &rest[place.unwrap() + part.len()..];
        is_redacted = true;
    }
    let is_all = found.len() == sent.len() || is_redacted || !is_whole;
    assert!(is_all, "{name}: {found:?} of {sent:?}");
}

const REDACTED: &str = "REDACTED";

/// The last span.
fn check_otlp(body: &[u8], lines: &[Header]) -> otlp::Span {
    let request = ExportTraceServiceRequest::decode(body).expect("protobuf");
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    spans.iter().for_each(|span| check_one_of_otlp(span, lines));
    spans.last().expect("a span").clone()
}

fn check_one_of_otlp(span: &otlp::Span, lines: &[Header]) {
    assert!(span.trace_id.len() == 16 && span.span_id.len() == 8);
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "it ends before it begins");
    assert!(span.trace_state.len() <= 512);
    let times = span.events.iter().map(|event| event.time_unix_nano);
    let times =
        [span.start_time_unix_nano].into_iter().chain(times).chain([span.end_time_unix_nano]);
    assert!(times.is_sorted(), "an event out of its place: {:?}", span.events);
    let mut names: Vec<&str> = span.attributes.iter().map(|it| it.key.as_str()).collect();
    names.sort_unstable();
    assert!(names.is_sorted_by(|one, next| one < next), "a name comes twice: {names:?}");
    assert!(names.len() <= MAX_ATTRIBUTES);
    for name in &names {
        let length = attribute(span, name).unwrap_or_default().len();
        let cap = if *name == "url.full" { 3 * CAP + "://".len() } else { cap_of(name) };
        assert!(length <= cap, "{name}: {length} bytes");
    }
    check_text("bytes", attribute(span, "bytes"), value(lines, "x-bytes"));
    check_text("agent", attribute(span, "user_agent.original"), value(lines, "user-agent"));
    let address = attribute(span, "server.address").unwrap_or_default();
    assert!(!address.contains('@'), "user information: {address}");
    if let Some(query) = attribute(span, "url.query") {
        check_redacted(query);
    }
}

fn attribute<'a>(span: &'a otlp::Span, name: &str) -> Option<&'a str> {
    let attribute = span.attributes.iter().find(|it| it.key == name)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        AnyValue::StringValue(text) => Some(text),
        _ => None,
    }
}

/// Every value of a query is gone; of the last pair the cap may have left less.
fn check_redacted(query: &str) {
    for pair in query.split(['&', ';']) {
        let (key, value) = pair.split_once('=').unwrap_or(("", pair));
        let is_cut_key = key.is_empty() && query.ends_with(pair);
        assert!("REDACTED".starts_with(value) || is_cut_key, "{pair:?} in {query:?}");
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Both formats tell of one span.
fn check_same(zipkin: &Map<String, Value>, otlp: &otlp::Span) {
    let text = |name: &str| zipkin.get(name).and_then(Value::as_str).unwrap_or_default();
    let padded = |digits: &str, width: usize| format!("{digits:0>width$}");
    assert_eq!(padded(text("traceId"), 32), hex(&otlp.trace_id));
    assert_eq!(text("id"), hex(&otlp.span_id));
    assert_eq!(text("parentId"), hex(&otlp.parent_span_id));
    assert_eq!(text("name"), otlp.name);
    assert_eq!(zipkin["timestamp"].as_u64(), Some(otlp.start_time_unix_nano / 1000));
    let tags = zipkin["tags"].as_object().unwrap();
    for name in ["bytes", "http.method", "node_id"] {
        let tag = tags.get(name).and_then(Value::as_str);
        // Where a custom tag is empty Zipkin has the standard one of that name.
        let custom = attribute(otlp, name).filter(|value| !value.is_empty());
        assert!(custom.is_none() || tag == custom, "{name}: {tag:?}, {custom:?}");
    }
}
