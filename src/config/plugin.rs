//! What the plugin's own configuration says.

use std::time::Duration;

use super::error::ConfigError;
use super::field::{Field, WHOLE};
use super::named::one_of;
use super::{
    AccessLog, BatchLimits, Collector, Correlation, CustomTag, ExportLimits, Format, Overflow,
    Percentage, Privacy, QueueLimits, Response, Sampling, Template, Trust,
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
    pub(super) visible_after: Option<Duration>,
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
        read(&Field::whole(&json::parse(WHOLE, json, MAX_BYTES)?))
    }
}

fn read(field: &Field<'_>) -> Result<PluginConfig, ConfigError> {
    let mut config = PluginConfig::default();
    let mut object = field.object()?;
    config.service_name = object
        .take(&["serviceName"], |name| name.text(0..=MAX_SERVICE_NAME))?
        .filter(|name| !name.is_empty());
    object.take(SAMPLING_KEYS, |field| sampling::read(&mut config, field))?;
    if let Some(field) = object.given(&["trust"])? {
        trust::read(&mut config.trust, &field)?;
    }
    config.custom_tags = object.take(CUSTOM_TAGS_KEYS, custom_tag::list)?.unwrap_or_default();
    config.max_tag_length =
        object.take(MAX_TAG_LENGTH_KEYS, |length| length.integer(1..=MAX_TAG_LENGTH))?;
    if let Some(key) = object.given(&["hashKey"])? {
        config.hash_key = Some(key.secret().text(MIN_KEY..=MAX_KEY)?);
    }
    if let Some(field) = object.given(&["resource"])? {
        resource(&mut config.resource, &field)?;
    }
    privacy::read(&mut config.privacy, &mut object)?;
    if let Some(field) = object.given(&["accessLog"])? {
        config.access_log = one_of(&field, &AccessLog::NAMED)?;
    }
    object.take(&["response"], |field| response::read(&mut config.response, field))?;
    if let Some(field) = object.given(&["events"])? {
        config.events = field.boolean()?;
    }
    if let Some(field) = object.given(&["streams"])? {
        streams::read(&mut config.visible_after, &field)?;
    }
    span_name::read(&mut config.span_name, &mut config.operations, &mut object)?;
    object.take(&["propagation"], |field| propagation(&mut config, field))?;
    if let Some(collector) = object.take(&["collector"], collector::read)? {
        config.collector = collector;
    }
    object.take(&["queue"], |field| queue(&mut config.queue, field))?;
    object.take(&["batch"], |field| batch(&mut config.batch, field))?;
    object.take(&["export"], |field| export(&mut config.export, field))?;
    if let Some(field) = object.given(&["correlation"])? {
        correlation::read(&mut config.correlation, &field)?;
    }
    object.finish()?;
    Ok(config)
}

/// Attributes by name, in the order that they are written in.
#[inline(never)]
fn resource(attributes: &mut Vec<(String, String)>, field: &Field<'_>) -> Result<(), ConfigError> {
    for (name, value) in field.entries(MAX_ATTRIBUTES)? {
        let text = value.text(1..=MAX_ATTRIBUTE)?;
        if !(1..=MAX_ATTRIBUTE_NAME).contains(&name.len()) {
            return Err(value.instead("a name of no length or too long", "1 to 128 bytes"));
        }
        attributes.push((name.to_owned(), text));
    }
    Ok(())
}

fn propagation(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    let mut propagation = field.object()?;
    if let Some(formats) = propagation.take(&["extract"], format::list)? {
        config.extract = formats;
    }
    if let Some(formats) = propagation.take(&["inject"], format::list_of_some)? {
        config.inject = formats;
    }
    propagation.finish()
}

fn queue(limits: &mut QueueLimits, field: &Field<'_>) -> Result<(), ConfigError> {
    let mut queue = field.object()?;
    if let Some(spans) = queue.take(&["maxSpans"], |spans| spans.integer(1..=MAX_QUEUE_SPANS))? {
        limits.max_spans = spans;
    }
    if let Some(bytes) =
        queue.take(&["maxBytes"], |bytes| bytes.integer(MIN_QUEUE_BYTES..=MAX_QUEUE_BYTES))?
    {
        limits.max_bytes = bytes;
    }
    if let Some(policy) = queue.take(&["overflow"], |policy| one_of(policy, &Overflow::NAMED))? {
        limits.overflow = policy;
    }
    queue.finish()
}

fn batch(limits: &mut BatchLimits, field: &Field<'_>) -> Result<(), ConfigError> {
    let mut batch = field.object()?;
    if let Some(spans) = batch.take(&["maxSpans"], |spans| spans.integer(1..=MAX_BATCH_SPANS))? {
        limits.max_spans = spans;
    }
    let range = Duration::from_millis(10)..=Duration::from_mins(5);
    if let Some(interval) = batch.take(&["interval"], |time| time.duration(range, "10ms to 5m"))? {
        limits.interval = interval;
    }
    batch.finish()
}

fn export(limits: &mut ExportLimits, field: &Field<'_>) -> Result<(), ConfigError> {
    let mut export = field.object()?;
    if let Some(requests) = export.take(&["maxInFlight"], |most| most.integer(1..=MAX_IN_FLIGHT))? {
        limits.max_in_flight = requests;
    }
    export.finish()
}
