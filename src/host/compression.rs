//! gzip by Envoy's own zlib, which the module then need not bring along.
//!
//! `compress` is a function of Envoy's that is no part of the ABI, and compresses to zlib's format.

use super::abi::{self, Level};
use crate::config::{Collector, Compression};
use crate::export;

/// The body in gzip; nothing where Envoy cannot compress.
pub(super) fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    export::gzip(body, |body| abi::foreign_function("compress", body).ok())
}

/// Whether bodies for this collector are to be compressed, and can be. Spans that arrive are worth
/// more than bytes, so where Envoy cannot they go as they are.
pub(super) fn possible(collector: &Collector) -> Compression {
    if collector.compression == Compression::Gzip && gzip(b"").is_none() {
        let line =
            "meshspan: collector.compression: this Envoy has no gzip for modules; spans go without";
        abi::log(Level::Warn, line);
        return Compression::None;
    }
    collector.compression
}
