//! What the plugin's own configuration says.

use std::time;

use super::error::ConfigError;
use super::field::{Field, WHOLE};
use super::keys::Kind::{Boolean, Duration, Integer, Object, Own, Secret, Text};
use super::keys::{Key, key, read};
use super::named::one_of;
use super::{
    AccessLog, BatchLimits, ClientAddress, Collector, Correlation, CustomTag, ExportLimits, Format,
    Overflow, Percentage, Privacy, QueueLimits, Response, Sampling, Template, Trust,
};
use super::{
    collector, correlation, custom_tag, format, json, privacy, response, sampling, span_name,
    streams, trust,
};

/// The longest configuration, in bytes: 1 MiB.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// The longest service name, in bytes.
pub(super) const MAX_SERVICE_NAME: usize = 255;

/// The longest tag that can be asked for, in bytes.
pub(super) const MAX_TAG_LENGTH: u32 = 65_536;

/// The spellings of `sampling`, the usual one first.
pub const SAMPLING_KEYS: &[&str] =
    &["sampling", "randomSamplingPercentage", "random_sampling_percentage"];

/// The spellings of `customTags`.
pub const CUSTOM_TAGS_KEYS: &[&str] = &["customTags", "custom_tags"];

/// The spellings of `maxTagLength`.
pub const MAX_TAG_LENGTH_KEYS: &[&str] = &["maxTagLength", "max_tag_length"];

/// The most spans of a queue, and the least and most bytes.
pub(super) const MAX_QUEUE_SPANS: u32 = 1_000_000;
pub(super) const MIN_QUEUE_BYTES: u32 = 1024;
pub(super) const MAX_QUEUE_BYTES: u32 = 1 << 30;

/// The most spans of a batch.
pub(super) const MAX_BATCH_SPANS: u32 = 65_536;

/// The least and most bytes of a key for hashes.
pub(super) const MIN_KEY: usize = 16;
pub(super) const MAX_KEY: usize = 64;

/// The most attributes of the resource, and the longest name and value of one, in bytes.
pub(super) const MAX_ATTRIBUTES: usize = 32;
pub(super) const MAX_ATTRIBUTE_NAME: usize = 128;
pub(super) const MAX_ATTRIBUTE: usize = 1024;

/// The most requests that are on their way.
pub(super) const MAX_IN_FLIGHT: u32 = 64;

/// The plugin configuration, checked; what the mesh may say as well is left open where the plugin says nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginConfig {
    pub(super) service_name: Option<String>,
    pub(super) percent: Option<Percentage>,
    pub(super) sampling: Sampling,
    pub(super) trust: Trust,
    pub(super) custom_tags: Vec<CustomTag>,
    pub(super) max_tag_length: Option<usize>,
    pub(super) hash_key: Option<String>,
    pub(super) resource: Vec<(String, String)>,
    pub(super) privacy: Privacy,
    pub(super) access_log: AccessLog,
    pub(super) response: Response,
    pub(super) events: bool,
    pub(super) visible_after: Option<time::Duration>,
    pub(super) span_name: Template,
    pub(super) operations: Vec<String>,
    pub(super) extract: Vec<Format>,
    pub(super) inject: Vec<Format>,
    pub(super) collector: Collector,
    pub(super) queue: QueueLimits,
    pub(super) batch: BatchLimits,
    pub(super) export: ExportLimits,
    pub(super) correlation: Correlation,
}

impl Default for PluginConfig {
    fn default() -> Self {
        Self {
            service_name: None,
            percent: None,
            sampling: Sampling::default(),
            trust: Trust::default(),
            custom_tags: Vec::new(),
            max_tag_length: None,
            hash_key: None,
            resource: Vec::new(),
            privacy: Privacy::default(),
            access_log: AccessLog::default(),
            response: Response::default(),
            events: false,
            visible_after: Some(streams::USUAL),
            span_name: Template::new(),
            operations: Vec::new(),
            extract: Format::ALL.to_vec(),
            inject: Format::INJECTED.to_vec(),
            collector: Collector::default(),
            queue: QueueLimits::default(),
            batch: BatchLimits::default(),
            export: ExportLimits::default(),
            correlation: Correlation::default(),
        }
    }
}

impl PluginConfig {
    /// Reads the plugin configuration, JSON of at most 1 MiB: `{"sampling": 60}`, `{}` and no bytes are
    /// valid, `{"sampling": 140}` is not.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        if json.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let mut config = Self::default();
        read(&mut config, &Field::whole(&json::parse(WHOLE, json, MAX_BYTES)?), &KEYS)?;
        Ok(config)
    }
}

/// The whole configuration.
static KEYS: [Key; 23] = [
    key(
        &["serviceName"],
        Text(0..=MAX_SERVICE_NAME, |config, name| {
            config.service_name = Some(name).filter(|name| !name.is_empty());
        }),
    ),
    key(SAMPLING_KEYS, Own(sampling::read)),
    key(&["trust"], Object(&trust::KEYS)),
    key(CUSTOM_TAGS_KEYS, Own(custom_tag::list)),
    key(
        MAX_TAG_LENGTH_KEYS,
        Integer(1..=MAX_TAG_LENGTH, |config, bytes| config.max_tag_length = Some(bytes)),
    ),
    key(&["hashKey"], Secret(MIN_KEY..=MAX_KEY, |config, key| config.hash_key = Some(key))),
    key(&["resource"], Own(resource)),
    key(&["query"], Own(privacy::query)),
    key(&["pathRedact"], privacy::PATH_REDACT),
    key(&["maskPatterns"], privacy::MASK_PATTERNS),
    key(&["clientAddress"], one_of!(ClientAddress, privacy.client_address)),
    key(&["accessLog"], one_of!(AccessLog, access_log)),
    key(&["response"], Object(&response::KEYS)),
    key(&["events"], Boolean(|config, yes| config.events = yes)),
    key(&["streams"], Object(&streams::KEYS)),
    key(&["spanName"], Object(&span_name::KEYS)),
    key(&["operations"], span_name::OPERATIONS),
    key(&["propagation"], Object(&PROPAGATION)),
    key(&["collector"], Own(collector::read)),
    key(&["queue"], Object(&QUEUE)),
    key(&["batch"], Object(&BATCH)),
    key(&["export"], Object(&EXPORT)),
    key(&["correlation"], Object(&correlation::KEYS)),
];

static PROPAGATION: [Key; 2] =
    [key(&["extract"], Own(format::extract)), key(&["inject"], Own(format::inject))];

static QUEUE: [Key; 3] = [
    key(
        &["maxSpans"],
        Integer(1..=MAX_QUEUE_SPANS, |config, spans| config.queue.max_spans = spans),
    ),
    key(
        &["maxBytes"],
        Integer(MIN_QUEUE_BYTES..=MAX_QUEUE_BYTES, |config, bytes| config.queue.max_bytes = bytes),
    ),
    key(&["overflow"], one_of!(Overflow, queue.overflow)),
];

static BATCH: [Key; 2] = [
    key(
        &["maxSpans"],
        Integer(1..=MAX_BATCH_SPANS, |config, spans| config.batch.max_spans = spans),
    ),
    key(&["interval"], Duration(["10ms", "5m"], |config, time| config.batch.interval = time)),
];

static EXPORT: [Key; 1] = [key(
    &["maxInFlight"],
    Integer(1..=MAX_IN_FLIGHT, |config, requests| config.export.max_in_flight = requests),
)];

/// Attributes by name, in the order that they are written in.
fn resource(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    for (name, value) in field.entries(MAX_ATTRIBUTES)? {
        let text = value.text(1..=MAX_ATTRIBUTE)?;
        if !(1..=MAX_ATTRIBUTE_NAME).contains(&name.len()) {
            return Err(value.instead("a name of no length or too long", "1 to 128 bytes"));
        }
        config.resource.push((name.to_owned(), text));
    }
    Ok(())
}
