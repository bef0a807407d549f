//! The result of this station, and who has the last word on each part of it.

use std::time::Duration;

use super::{CustomTag, MeshConfig, Percentage, PluginConfig};

/// Everything that can be configured, checked and ready to use.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The service that spans are filed under; without it the host takes node.cluster, else `unknown_service`.
    pub service_name: Option<String>,
    /// The share of new traces that is recorded.
    pub sampling: Percentage,
    /// The operators' own tags, sorted by name, each name once.
    pub custom_tags: Vec<CustomTag>,
    /// The longest value of one tag, in bytes.
    pub max_tag_length: usize,
    /// The longest path in `http.url`, in bytes.
    pub max_path_length: usize,
    /// The formats to look for in a request, in this order; the first valid context wins.
    pub extract: Vec<Format>,
    /// The formats to write upstream, at least one.
    pub inject: Vec<Format>,
    /// Where spans go.
    pub collector: Collector,
    /// What may wait for export in one worker.
    pub queue: QueueLimits,
    /// What one export request carries.
    pub batch: BatchLimits,
}

/// A wire format of trace context in headers, named as in OTEL_PROPAGATORS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `tracecontext`: W3C traceparent and tracestate.
    TraceContext,
    /// `b3`: B3 in a single header.
    B3,
    /// `b3multi`: B3 in x-b3-* headers.
    B3Multi,
    /// `jaeger`: uber-trace-id.
    Jaeger,
}

/// What the collector speaks, named as in OTEL_EXPORTER_OTLP_PROTOCOL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `zipkin`: Zipkin v2 JSON over HTTP.
    Zipkin,
}

/// Where spans go, and how.
#[derive(Clone, PartialEq, Eq)]
pub struct Collector {
    /// What the collector speaks.
    pub protocol: Protocol,
    /// The Envoy cluster to call.
    pub cluster: String,
    /// The request's `:path`.
    pub path: String,
    /// The request's `:authority`.
    pub authority: String,
    /// More request headers, names lower-cased; a value may be a secret.
    pub headers: Vec<(String, String)>,
    /// How long the collector may take to answer.
    pub timeout: Duration,
}

/// What may wait for export in one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// The most spans that wait.
    pub max_spans: usize,
    /// The most bytes that they take.
    pub max_bytes: usize,
}

/// What one export request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// The most spans of one request, never more than the queue holds.
    pub max_spans: usize,
    /// How long a span waits for others at most.
    pub interval: Duration,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Header values are left out: they are often credentials.
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Collector")
            .field("protocol", &self.protocol)
            .field("cluster", &self.cluster)
            .field("path", &self.path)
            .field("authority", &self.authority)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// The settings in force: for each key the plugin's word, else the mesh's, else the default.
pub fn settings(_plugin: &PluginConfig, mesh: &MeshConfig) -> Settings {
    Settings {
        service_name: None,
        sampling: mesh.sampling.unwrap_or(Percentage::DEFAULT),
        custom_tags: mesh.custom_tags.clone(),
        max_tag_length: 256,
        max_path_length: mesh.max_path_length.unwrap_or(256),
        extract: vec![Format::TraceContext, Format::B3, Format::B3Multi, Format::Jaeger],
        inject: vec![Format::TraceContext, Format::B3Multi],
        collector: Collector {
            protocol: Protocol::Zipkin,
            cluster: "zipkin".to_owned(),
            path: "/api/v2/spans".to_owned(),
            authority: "zipkin".to_owned(),
            headers: Vec::new(),
            timeout: Duration::from_secs(5),
        },
        queue: QueueLimits { max_spans: 2048, max_bytes: 4 << 20 },
        batch: BatchLimits { max_spans: 512, interval: Duration::from_secs(1) },
    }
}
