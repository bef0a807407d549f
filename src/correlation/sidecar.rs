//! What correlation asks of the proxy.

use crate::sampling::Surroundings;

/// What only a sidecar is asked for.
pub trait Sidecar: Surroundings {
    /// A number that all workers share, zero at first.
    fn crowd(&self) -> u64;

    /// Adds to that number, which wraps.
    fn change_crowd(&self, change: i64);

    /// The application's own port of the call whose callback this is.
    fn source_port(&self) -> Option<u16>;

    /// Whether the call that this callback ends was answered by an error, or not at all.
    fn is_refused(&self) -> bool;

    /// The sidecar's port towards the application of a request in flight in this worker, once it is
    /// connected; `own` is the stream whose callback this is.
    fn upstream_port(&self, stream: u32, own: u32) -> Option<u16>;
}
