//! Where spans go, and how.

use std::fmt;
use std::time;

use super::error::ConfigError;
use super::field::Field;
use super::keys::Kind::{self, Duration, Own, Visible};
use super::keys::{self, Key, key};
use super::named::{named, one_of};
use super::{PluginConfig, header};

/// The longest name of a cluster or authority, in bytes.
pub(super) const MAX_NAME: usize = 256;

/// The longest path, in bytes.
pub(super) const MAX_PATH: usize = 1024;

/// The most additional request headers.
pub(super) const MAX_HEADERS: usize = 32;

/// The longest value of a header, in bytes.
pub(super) const MAX_HEADER_VALUE: usize = 8192;

/// Headers that the exporter or Envoy sets, or that belong to a connection.
pub(super) const RESERVED: [&str; 8] = [
    "b3",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
];

/// Whether a lower-case name is one of [`RESERVED`].
pub(super) fn is_reserved(name: &str) -> bool {
    header::is_one_of(name, &RESERVED)
}

/// Where spans go, and how.
#[derive(Clone, PartialEq, Eq)]
pub struct Collector {
    /// What the collector speaks.
    pub protocol: Protocol,
    /// How bodies are compressed.
    pub compression: Compression,
    /// The Envoy cluster to call, 1 to 256 bytes of visible ASCII.
    pub cluster: String,
    /// The request's `:path`.
    pub path: String,
    /// The request's `:authority`.
    pub authority: String,
    /// More request headers, names lower-cased; a value may be a secret.
    pub headers: Vec<(String, String)>,
    /// How long the collector may take to answer, 1 ms to 5 min.
    pub timeout: time::Duration,
}

/// What the collector speaks, named as in OTEL_EXPORTER_OTLP_PROTOCOL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `zipkin`: Zipkin v2 JSON over HTTP.
    Zipkin,
    /// `http/protobuf`: OTLP over HTTP.
    HttpProtobuf,
    /// `grpc`: OTLP over gRPC; the cluster has to speak HTTP/2.
    Grpc,
}

/// How bodies are compressed, named as in OTEL_EXPORTER_OTLP_COMPRESSION.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// `none`: not at all.
    None,
    /// `gzip`: with gzip, as `content-encoding` says.
    Gzip,
}

impl Compression {
    /// Every way by its name.
    pub const NAMED: [(&'static str, Self); 2] = [("none", Self::None), ("gzip", Self::Gzip)];
}

impl Protocol {
    /// Every protocol by its name.
    pub const NAMED: [(&'static str, Self); 3] =
        [("zipkin", Self::Zipkin), ("http/protobuf", Self::HttpProtobuf), ("grpc", Self::Grpc)];

    fn default_path(self) -> &'static str {
        match self {
            Self::Zipkin => "/api/v2/spans",
            Self::HttpProtobuf => "/v1/traces",
            Self::Grpc => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        }
    }
}

impl Default for Collector {
    fn default() -> Self {
        Self {
            protocol: Protocol::Zipkin,
            compression: Compression::None,
            cluster: "zipkin".to_owned(),
            path: Protocol::Zipkin.default_path().to_owned(),
            authority: "zipkin".to_owned(),
            headers: Vec::new(),
            timeout: time::Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Header values are left out: they are often credentials.
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Collector")
            .field("protocol", &self.protocol)
            .field("compression", &self.compression)
            .field("cluster", &self.cluster)
            .field("path", &self.path)
            .field("authority", &self.authority)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// The collector that an object describes; what it leaves out follows from protocol and cluster.
pub(super) fn read(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    called(config, field, &KEYS)?;
    let Collector { protocol, path, .. } = &mut config.collector;
    if path.is_empty() {
        path.push_str(protocol.default_path());
    }
    Ok(())
}

static KEYS: [Key; 7] = [
    key(&["protocol"], one_of!(Protocol, collector.protocol)),
    key(&["compression"], Own(compression)),
    key(&["cluster"], CLUSTER),
    key(&["path"], PATH),
    key(&["authority"], AUTHORITY),
    key(&["headers"], HEADERS),
    key(&["timeout"], Duration(["1ms", "5m"], |config, most| config.collector.timeout = most)),
];

fn compression(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    let Collector { protocol, compression, .. } = &mut config.collector;
    *compression = named(field, &Compression::NAMED)?;
    match (&protocol, &compression) {
        (Protocol::Grpc, Compression::Gzip) => {
            Err(field.instead(&format!("{} with protocol grpc", field.shown()), "none"))
        }
        _ => Ok(()),
    }
}

/// What is called, with these keys: the configuration's collector, of which path and authority are open.
pub(super) fn called(
    config: &mut PluginConfig,
    field: &Field<'_>,
    keys: &[Key],
) -> Result<(), ConfigError> {
    config.collector.path.clear();
    config.collector.authority.clear();
    keys::read(config, field, keys)?;
    let Collector { cluster, authority, .. } = &mut config.collector;
    if authority.is_empty() {
        authority.push_str(host(cluster));
    }
    Ok(())
}

/// The cluster that is called.
pub(super) const CLUSTER: Kind =
    Visible(1..=MAX_NAME, |config, cluster| config.collector.cluster = cluster);

/// The path of a request of the module's own.
pub(super) const PATH: Kind = Own(|config, field| {
    let path = field.visible(1..=MAX_PATH)?;
    if !path.starts_with('/') {
        return Err(field.is_not("a path that begins with /"));
    }
    config.collector.path = path;
    Ok(())
});

/// Its authority; an empty one is none.
pub(super) const AUTHORITY: Kind =
    Visible(0..=MAX_NAME, |config, authority| config.collector.authority = authority);

/// More headers of it.
pub(super) const HEADERS: Kind = Own(headers);

/// The host in a cluster name of Istio's, `outbound|9411|v1|zipkin.obs.svc.cluster.local`, else the
/// whole name. Collectors refuse the whole name as `:authority` over HTTP/2.
fn host(cluster: &str) -> &str {
    let mut parts = cluster.splitn(4, '|');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("outbound"), Some(_), Some(_), Some(host)) if !host.is_empty() => host,
        _ => cluster,
    }
}

/// An object of header values by name. No message shows a value: it may be a secret.
fn headers(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    let headers = &mut config.collector.headers;
    let field = field.secret();
    for (key, value) in field.entries(MAX_HEADERS)? {
        let header = header(&field, key, &value)?;
        if headers.iter().any(|(name, _)| *name == header.0) {
            let found = "given twice, in upper and lower case";
            return Err(value.instead(found, "each header once"));
        }
        headers.push(header);
    }
    Ok(())
}

fn header(
    headers: &Field<'_>,
    key: &str,
    value: &Field<'_>,
) -> Result<(String, String), ConfigError> {
    let Some(name) = header::field_name(key) else {
        // It may be a whole line, `authorization: Bearer ...`, and is not shown either.
        let kind = "the name of a header field";
        return Err(ConfigError::is_not(&headers.path(), "one of its keys", kind));
    };
    if is_reserved(&name) {
        let allowed = format!("any but {}", RESERVED.join(", "));
        return Err(value.instead("reserved", &allowed));
    }
    let text = value.text(0..=MAX_HEADER_VALUE)?;
    match text.contains(char::is_control) {
        true => Err(value.is_not("a string without control characters")),
        false => Ok((name, text)),
    }
}
