//! Where spans go, and how.

use std::fmt;
use std::time::Duration;

use super::error::ConfigError;
use super::field::Field;
use super::header;
use super::named::one_of;

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
#[inline(never)]
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
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
    pub timeout: Duration,
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
            timeout: Duration::from_secs(5),
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
pub(super) fn read(field: &Field<'_>) -> Result<Collector, ConfigError> {
    let usual = Collector::default();
    let mut collector = field.object()?;
    let protocol = collector.take(&["protocol"], |field| one_of(field, &Protocol::NAMED))?;
    let over_grpc = protocol == Some(Protocol::Grpc);
    let compression =
        collector.take(&["compression"], |field| match one_of(field, &Compression::NAMED)? {
            Compression::Gzip if over_grpc => {
                Err(field.instead(&format!("{} with protocol grpc", field.shown()), "none"))
            }
            supported => Ok(supported),
        })?;
    let cluster = collector.take(&["cluster"], |cluster| cluster.visible(1..=MAX_NAME))?;
    let path = collector.take(&["path"], path)?;
    let authority = collector.take(&["authority"], authority)?.flatten();
    let headers = collector.take(&["headers"], headers)?;
    let timeout = collector.take(&["timeout"], |timeout| {
        timeout.duration(Duration::from_millis(1)..=Duration::from_mins(5), "1ms to 5m")
    })?;
    collector.finish()?;
    let protocol = protocol.unwrap_or(usual.protocol);
    let cluster = cluster.unwrap_or(usual.cluster);
    Ok(Collector {
        protocol,
        compression: compression.unwrap_or(usual.compression),
        path: path.unwrap_or_else(|| protocol.default_path().to_owned()),
        authority: authority.unwrap_or_else(|| host(&cluster).to_owned()),
        cluster,
        headers: headers.unwrap_or_default(),
        timeout: timeout.unwrap_or(usual.timeout),
    })
}

/// A path, of a request of the module's own.
pub(super) fn path(field: &Field<'_>) -> Result<String, ConfigError> {
    let path = field.visible(1..=MAX_PATH)?;
    match path.starts_with('/') {
        true => Ok(path),
        false => Err(field.is_not("a path that begins with /")),
    }
}

/// An authority, unless it is empty.
pub(super) fn authority(field: &Field<'_>) -> Result<Option<String>, ConfigError> {
    Ok(Some(field.visible(0..=MAX_NAME)?).filter(|authority| !authority.is_empty()))
}

/// The host in a cluster name of Istio's, `outbound|9411|v1|zipkin.obs.svc.cluster.local`, else the
/// whole name. Collectors refuse the whole name as `:authority` over HTTP/2.
pub(super) fn host(cluster: &str) -> &str {
    let mut parts = cluster.splitn(4, '|');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("outbound"), Some(_), Some(_), Some(host)) if !host.is_empty() => host,
        _ => cluster,
    }
}

/// An object of header values by name. No message shows a value: it may be a secret.
pub(super) fn headers(field: &Field<'_>) -> Result<Vec<(String, String)>, ConfigError> {
    let mut headers: Vec<(String, String)> = Vec::new();
    let field = field.secret();
    for (key, value) in field.entries(MAX_HEADERS)? {
        let header = header(&field, key, &value)?;
        if headers.iter().any(|(name, _)| *name == header.0) {
            let found = "given twice, in upper and lower case";
            return Err(value.instead(found, "each header once"));
        }
        headers.push(header);
    }
    Ok(headers)
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
