//! Traps that a request asks for, in a build that only tests make: the feature `traps`.

use super::abi::{Map, header};
use std::cell::Cell;

/// The header that says where.
const HEADER: &str = "x-meshspan-trap";

thread_local! {
    /// The next tick is to trap; it belongs to no request.
    static TICK: Cell<bool> = const { Cell::new(false) };
    /// The request whose response is to trap: when that comes, Envoy no longer gives the request's headers.
    static RESPONSE: Cell<Option<u32>> = const { Cell::new(None) };
}

/// The request's headers have come.
pub(super) fn at_request_headers(id: u32) {
    match header(Map::RequestHeaders, HEADER).as_deref() {
        Some(b"request-headers") => end("request-headers"),
        Some(b"response-headers") => RESPONSE.set(Some(id)),
        Some(b"tick") => TICK.set(true),
        _ => {}
    }
}

/// The headers of the request's response have come.
pub(super) fn at_response_headers(id: u32) {
    if RESPONSE.get() == Some(id) {
        end("response-headers");
    }
}

/// The request has ended.
pub(super) fn at_log() {
    if header(Map::RequestHeaders, HEADER).as_deref() == Some(b"log") {
        end("log");
    }
}

/// The root context's turn has come.
pub(super) fn at_tick() {
    if TICK.get() {
        end("tick");
    }
}

/// As a fault of the module's own would: by a panic, of which the log tells.
#[expect(clippy::panic, reason = "it is what this is for")]
fn end(callback: &str) -> ! {
    panic!("a request asked for a trap in {callback}")
}
