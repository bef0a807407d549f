//! Tags of every source, with values that are anything: what a span has of them is capped and, where
//! they are to be hidden, hidden.

use super::lines::{Header, headers_and_body, value};
use super::request::{Route, facts};
use meshspan::attributes::Resource;
use meshspan::config::{CustomTag, MeshConfig, PluginConfig, TagMode, TagOn, TagSource, settings};
use meshspan::trace::SpanKind;
use meshspan::tracer::Tracer;
use serde_json::{Map, Value, json};

/// `maxTagLength`.
const CAP: usize = 48;

/// Headers of a request and facts of its end, an empty line, and a list of tags without their names.
/// `fact-ask` is what Envoy answers.
pub fn check(input: &[u8]) {
    let (lines, body) = headers_and_body(input);
    let Ok(Value::Array(list)) = serde_json::from_slice(body) else { return };
    let names = (10..).map(|number| format!("t{number}"));
    let tags: Map<String, Value> = names.zip(list).collect();
    let config = json!({"sampling": 100, "maxTagLength": CAP, "hashKey": "0123456789abcdef",
        "customTags": tags});
    let Ok(config) = PluginConfig::parse(config.to_string().as_bytes()) else { return };
    let settings = settings(config, MeshConfig::default());
    let mut tracer =
        Tracer::new(&settings, Resource::default(), [1; 32], |name| Some(name.to_owned()));
    let mut started = tracer.start(&lines, &Route(&lines));
    let Some(recording) = &mut started.recording else { return };
    let answer = value(&lines, "fact-ask");
    tracer.ask(recording, &|tag| {
        assert!(tag.source.is_asked_for() || answer.is_none() || tag.key.len() <= 65_536);
        tag.source.is_asked_for().then_some(answer?.to_vec())
    });
    let facts = facts(&mut tracer, &lines);
    let is_client = facts.kind == SpanKind::Client;
    tracer.finish(started.recording.unwrap(), facts);
    let (_, body) = tracer.exporter.next_batch(u64::MAX, u64::MAX).expect("a span waits");
    let spans: Value = serde_json::from_slice(&body).expect("JSON");
    for tag in &settings.custom_tags {
        let found = spans[0]["tags"][&tag.name].as_str();
        check_tag(tag, found, &lines, is_client);
    }
}

fn check_tag(tag: &CustomTag, found: Option<&str>, lines: &[Header], is_client: bool) {
    let max = tag.max_length.unwrap_or(CAP);
    let text = found.unwrap_or_default();
    assert!(text.len() <= max, "{} has {} bytes: {tag:?}", text.len(), text.len());
    let is_on = match tag.on {
        TagOn::Both => true,
        TagOn::Inbound => !is_client,
        TagOn::Outbound => is_client,
    };
    if !is_on {
        return assert_eq!(found, None, "{tag:?}");
    }
    let Some(came) = said(tag, lines) else { return };
    let default = tag.default.clone().unwrap_or_default();
    let expected = match (tag.mode, came) {
        (_, None) | (TagMode::Hash | TagMode::Mask, Some([])) => default,
        (TagMode::Plain, Some(value)) if is_plain(value) => {
            String::from_utf8(value.to_vec()).unwrap()
        }
        (TagMode::Mask, Some(value)) if value.is_ascii() => {
            let value = &value[..value.len().min(4096)];
            let from = if value.len() < 12 { value.len() } else { value.len() - 4 };
            format!("****{}", std::str::from_utf8(&value[from..]).unwrap())
        }
        (TagMode::Hash, Some(_)) => {
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            return assert!(text.len() == max.min(32) && text.bytes().all(is_digit), "{text:?}");
        }
        _ => return,
    };
    assert_eq!(text, &expected[..expected.floor_char_boundary(max)], "{tag:?}");
}

/// Neither a URL nor anything that looks like a secret.
fn is_plain(value: &[u8]) -> bool {
    value.len() < 13 && value.iter().all(u8::is_ascii_alphanumeric)
}

/// What a request says for a tag, or that it says nothing; nothing at all where it has to be decoded or
/// is not compared.
fn said<'a>(tag: &CustomTag, lines: &[Header<'a>]) -> Option<Option<&'a [u8]>> {
    let name = tag.key.as_bytes();
    let path = value(lines, "x-envoy-original-path").or(value(lines, ":path")).unwrap_or_default();
    let found = match tag.source {
        TagSource::Header => return Some(value(lines, &tag.key)),
        TagSource::Cookie => return Some(all(lines, "cookie", b';').find_map(|it| of(it, name))),
        TagSource::Baggage => {
            let found = all(lines, "baggage", b',').find_map(|it| of(it, name));
            found.map(|it| before(it, b';').trim_ascii())
        }
        TagSource::QueryParameter => {
            let path = before(path, b'#');
            let query = path.get(before(path, b'?').len() + 1..).unwrap_or_default();
            query.split(|byte| *byte == b'&').find_map(|it| of(it, name))
        }
        _ => return None,
    };
    (!found.is_some_and(|it| it.contains(&b'%'))).then_some(found)
}

fn all<'a>(lines: &[Header<'a>], name: &str, sign: u8) -> impl Iterator<Item = &'a [u8]> {
    let lines: Vec<&[u8]> = lines
        .iter()
        .filter(|(other, _)| *other == name.as_bytes())
        .map(|(_, line)| *line)
        .collect();
    lines.into_iter().flat_map(move |line| line.split(move |byte| *byte == sign))
}

/// The value of a member that has this name; without `=` it is empty.
fn of<'a>(member: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let key = before(member, b'=');
    let value = member.get(key.len() + 1..).unwrap_or_default();
    (key.trim_ascii() == name).then_some(value.trim_ascii())
}

fn before(text: &[u8], sign: u8) -> &[u8] {
    text.split(|byte| *byte == sign).next().unwrap_or_default()
}
