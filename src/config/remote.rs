//! A server of Jaeger's remote sampling, which says how many new traces are sampled.

use std::{fmt, mem, time};

use super::error::ConfigError;
use super::field::Field;
use super::keys::Kind::Duration;
use super::keys::{Key, key, needed};
use super::{Collector, PluginConfig, collector};

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
    pub interval: time::Duration,
}

impl fmt::Debug for RemoteSampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As of the collector: header values are often credentials.
        let Self { cluster, path, authority, interval, .. } = self;
        f.debug_tuple("RemoteSampling").field(&(cluster, path, authority, interval)).finish()
    }
}

/// The server that an object describes: `{"cluster": "jaeger"}`, not `{}`.
pub(super) fn read(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    // It is called as the collector is, and read in its place.
    let usual = Collector { timeout: time::Duration::from_mins(1), ..Collector::default() };
    let collector = mem::replace(&mut config.collector, usual);
    collector::called(config, field, &KEYS)?;
    let called = mem::replace(&mut config.collector, collector);
    let Collector { cluster, mut path, authority, headers, timeout: interval, .. } = called;
    if path.is_empty() {
        path.push_str("/api/sampling");
    }
    let remote = RemoteSampling { cluster, path, authority, headers, interval };
    config.sampling.remote = Some(remote);
    Ok(())
}

static KEYS: [Key; 5] = [
    needed(&["cluster"], "the name of a cluster", collector::CLUSTER),
    key(&["path"], collector::PATH),
    key(&["authority"], collector::AUTHORITY),
    key(&["headers"], collector::HEADERS),
    key(&["interval"], Duration(["1s", "60m"], |config, time| config.collector.timeout = time)),
];
