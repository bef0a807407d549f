//! What happens to requests and calls, of which the times tell one from the other.

use super::origin::Context;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A request has come by this route.
    Arrived,
    /// A call to this host has begun, which belongs to this context if that is known.
    Called,
    /// It has been answered.
    Answered,
    /// The response of a request is over.
    Responded,
    /// A call has been answered by an error.
    Refused,
    /// The connection is known that a request has come by.
    CameBy,
}

/// Something that has happened, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) what: What,
    pub(super) time: u64,
    /// A number of its stream that no other of the pod has.
    pub(super) stream: u32,
    /// A digest of the route or host.
    pub(super) digest: u64,
    /// The application's own, or the sidecar's towards it; zero where it is not known.
    pub(super) port: u16,
    pub(super) context: Option<Context>,
}
