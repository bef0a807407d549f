//! A server of Jaeger's remote sampling, which says how many new traces are sampled.

use std::fmt;
use std::time::Duration;

use super::collector::{self, MAX_NAME};
use super::error::ConfigError;
use super::field::Field;

/// A server of Jaeger's remote sampling.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteSampling {
    /// The Envoy cluster to ask, 1 to 256 bytes of visible ASCII.
    pub cluster: String,
    /// The request's `:path`, to which the service is added.
    pub path: String,
    /// The request's `:authority`.
    pub authority: String,
    /// More request headers, names lower-cased; a value may be a secret.
    pub headers: Vec<(String, String)>,
    /// From one request to the next, 1 s to 1 h.
    pub interval: Duration,
}

impl fmt::Debug for RemoteSampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As of the collector: header values are often credentials.
        let Self { cluster, path, authority, interval, .. } = self;
        f.debug_tuple("RemoteSampling").field(&(cluster, path, authority, interval)).finish()
    }
}

/// The server that an object describes: `{"cluster": "jaeger"}`, not `{}`.
pub(super) fn read(field: &Field<'_>) -> Result<RemoteSampling, ConfigError> {
    let mut object = field.object()?;
    let visible = |field: &Field<'_>| field.visible(1..=MAX_NAME);
    let cluster = object.need(&["cluster"], "the name of a cluster", visible)?;
    let path = object.take(&["path"], collector::path)?;
    let authority = object.take(&["authority"], collector::authority)?.flatten();
    let headers = object.take(&["headers"], collector::headers)?;
    let range = Duration::from_secs(1)..=Duration::from_hours(1);
    let interval = object.take(&["interval"], |time| time.duration(range, "1s to 60m"))?;
    object.finish()?;
    Ok(RemoteSampling {
        path: path.unwrap_or_else(|| "/api/sampling".to_owned()),
        authority: authority.unwrap_or_else(|| collector::host(&cluster).to_owned()),
        cluster,
        headers: headers.unwrap_or_default(),
        interval: interval.unwrap_or(Duration::from_mins(1)),
    })
}
