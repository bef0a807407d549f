//! The result of this station, and who has the last word on each part of it.

use std::rc::Rc;
use std::time::Duration;

use super::{
    Collector, Correlation, CustomTag, Format, MeshConfig, Percentage, PluginConfig, Privacy,
    Response, Sampling, Template, Trust,
};

/// The longest tag value and the longest path where nobody says one, in bytes: what Istio and Envoy keep.
const DEFAULT_LENGTH: usize = 256;

/// Everything that can be configured, checked and ready to use.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The service that spans are filed under; without it the environment, node.cluster or nobody says it.
    pub service_name: Option<String>,
    /// Which new traces are sampled.
    pub sampling: Rc<Sampling>,
    /// Whose word on traces counts.
    pub trust: Rc<Trust>,
    /// The operators' own tags, sorted by name, each name once; at most 128, 64 from either side.
    pub custom_tags: Vec<CustomTag>,
    /// The longest value of one tag, in bytes, 1 to 65536.
    pub max_tag_length: usize,
    /// The longest path in `http.url`, in bytes, 1 to 65536.
    pub max_path_length: usize,
    /// The key of tags that are hashed; a secret, 16 to 64 bytes. Without it the environment may have one.
    pub hash_key: Option<String>,
    /// Attributes of everything that is exported, by name, at most 32.
    pub resource: Vec<(String, String)>,
    /// What of a request may leave the process.
    pub privacy: Privacy,
    /// Of which requests access logs can read the ids.
    pub access_log: AccessLog,
    /// What responses tell of their traces.
    pub response: Response,
    /// Whether spans tell moments of their requests.
    pub events: bool,
    /// After how long a request that goes on is shown, 1 s to 1 h; nothing is never.
    pub visible_after: Option<Duration>,
    /// The template of spans' names, of at most 128 bytes; where it is empty the service names them.
    pub span_name: Template,
    /// Templates of paths, `/users/{id}`, which name operations there, at most 64; the first that matches counts.
    pub operations: Vec<String>,
    /// The formats to look for in a request, each once, in this order; the first valid context wins.
    pub extract: Vec<Format>,
    /// The formats to write upstream, each once, at least one.
    pub inject: Vec<Format>,
    /// Where spans go.
    pub collector: Collector,
    /// What may wait for export in one worker.
    pub queue: QueueLimits,
    /// What one export request carries.
    pub batch: BatchLimits,
    /// How many export requests there may be.
    pub export: ExportLimits,
    /// How requests that leave without a context are linked to those that came in.
    pub correlation: Correlation,
}

/// What may wait for export in one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// The most spans that wait, 1 to 1,000,000.
    pub max_spans: usize,
    /// The most bytes that they take, 1 KiB to 1 GiB.
    pub max_bytes: usize,
    /// Which spans go when there is no room for all.
    pub overflow: Overflow,
}

/// Which spans go when the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// `drop-newest`: the span that finds no room, as OpenTelemetry's batch processor does.
    #[default]
    DropNewest,
    /// `drop-oldest`: those that have waited longest, as many as make room.
    DropOldest,
}

impl Overflow {
    /// Either by its name.
    pub const NAMED: [(&'static str, Self); 2] =
        [("drop-newest", Self::DropNewest), ("drop-oldest", Self::DropOldest)];
}

/// Of which requests access logs can read the trace id, the span id and the flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// `none`.
    #[default]
    None,
    /// `sampled`: those that have a span.
    Sampled,
    /// `all`.
    All,
}

impl AccessLog {
    /// Each by its name.
    pub const NAMED: [(&'static str, Self); 3] =
        [("none", Self::None), ("sampled", Self::Sampled), ("all", Self::All)];
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { max_spans: 2048, max_bytes: 4 << 20, overflow: Overflow::default() }
    }
}

/// What one export request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// The most spans of one request, 1 to 65536; in [`Settings`] never more than the queue holds.
    pub max_spans: usize,
    /// How long a span waits for others at most, 10 ms to 5 min.
    pub interval: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { max_spans: 512, interval: Duration::from_secs(1) }
    }
}

/// How many export requests there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportLimits {
    /// The most that are on their way at once from one worker, 1 to 64.
    pub max_in_flight: usize,
}

impl Default for ExportLimits {
    fn default() -> Self {
        Self { max_in_flight: 4 }
    }
}

/// The settings in force: for each key the plugin's word, else the mesh's, else the default.
pub fn settings(plugin: PluginConfig, mesh: MeshConfig) -> Settings {
    Settings {
        service_name: plugin.service_name,
        sampling: Rc::new(Sampling {
            percent: plugin.percent.or(mesh.sampling).unwrap_or(Percentage::DEFAULT),
            ..plugin.sampling
        }),
        trust: Rc::new(plugin.trust),
        custom_tags: merged(mesh.custom_tags, plugin.custom_tags),
        max_tag_length: plugin.max_tag_length.unwrap_or(DEFAULT_LENGTH),
        max_path_length: plugin.max_tag_length.or(mesh.max_path_length).unwrap_or(DEFAULT_LENGTH),
        hash_key: plugin.hash_key,
        resource: plugin.resource,
        privacy: plugin.privacy,
        access_log: plugin.access_log,
        response: plugin.response,
        events: plugin.events,
        visible_after: plugin.visible_after,
        span_name: plugin.span_name,
        operations: plugin.operations,
        extract: plugin.extract,
        inject: plugin.inject,
        collector: plugin.collector,
        queue: plugin.queue,
        batch: BatchLimits {
            max_spans: plugin.batch.max_spans.min(plugin.queue.max_spans),
            ..plugin.batch
        },
        export: plugin.export,
        correlation: plugin.correlation,
    }
}

/// Both lists by name; of two tags with one name, the one in `stronger`. Both are sorted.
fn merged(weaker: Vec<CustomTag>, mut stronger: Vec<CustomTag>) -> Vec<CustomTag> {
    for tag in weaker {
        if let Err(place) = stronger.binary_search_by(|other| other.name.cmp(&tag.name)) {
            stronger.insert(place, tag);
        }
    }
    stronger
}
