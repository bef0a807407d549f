//! The border to Envoy: proxy-wasm's ABI 0.2.1 as far as this module uses it. Unsafe code is here, in
//! [`super::wasi`] and in [`super::allocator`] alone.
//!
//! <https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1>
//!
//! The Rust SDK is not used: it exports every callback that there is, and Envoy enters the module
//! for each; it copies each header into an allocation of its own; and it panics, which ends the
//! requests of a whole worker, on headers that are not UTF-8 and on any status that it does not know.
#![allow(unsafe_code)]

use super::contexts;
use core::alloc::Layout;
use core::ptr::null_mut;
use std::time::Duration;

const OK: u32 = 0;

/// There is a value, of a type that cannot be given.
pub(super) const SERIALIZATION_FAILURE: u32 = 3;

/// The ABI's numbers of the maps that are read or changed.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Map {
    RequestHeaders = 0,
    RequestTrailers = 1,
    ResponseHeaders = 2,
    CallResponseHeaders = 6,
    CallResponseTrailers = 7,
}

/// The ABI's numbers of the buffers that are read.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Buffer {
    CallResponseBody = 4,
    PluginConfiguration = 7,
}

/// The ABI's numbers of the levels that are logged at.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Level {
    Warn = 3,
    Error = 4,
    Critical = 5,
}

/// The ABI's numbers of the kinds of metric.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum MetricKind {
    Counter = 0,
    Gauge = 1,
}

/// Why a call could not be made.
pub(super) enum CallError {
    /// There is no cluster of that name, or the headers are not those of a request.
    BadArgument,
    /// Anything else: the cluster has no healthy host.
    Failure,
}

mod import {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(super) fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
        pub(super) fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
        pub(super) fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        pub(super) fn proxy_done() -> u32;
        pub(super) fn proxy_set_effective_context(id: u32) -> u32;
        pub(super) fn proxy_get_property(
            path: *const u8,
            path_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_set_property(
            path: *const u8,
            path_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_call_foreign_function(
            name: *const u8,
            name_size: usize,
            argument: *const u8,
            argument_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            most: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_get_header_map_pairs(
            map: u32,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_get_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_add_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_replace_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_remove_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
        ) -> u32;
        pub(super) fn proxy_get_shared_data(
            key: *const u8,
            key_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
            version: *mut u32,
        ) -> u32;
        pub(super) fn proxy_set_shared_data(
            key: *const u8,
            key_size: usize,
            data: *const u8,
            size: usize,
            version: u32,
        ) -> u32;
        pub(super) fn proxy_define_metric(
            kind: u32,
            name: *const u8,
            name_size: usize,
            id: *mut u32,
        ) -> u32;
        pub(super) fn proxy_increment_metric(id: u32, change: i64) -> u32;
        pub(super) fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
        pub(super) fn proxy_record_metric(id: u32, value: u64) -> u32;
        pub(super) fn proxy_http_call(
            cluster: *const u8,
            cluster_size: usize,
            headers: *const u8,
            headers_size: usize,
            body: *const u8,
            body_size: usize,
            trailers: *const u8,
            trailers_size: usize,
            timeout: u32,
            token: *mut u32,
        ) -> u32;
    }
}

/// What a hostcall gives as bytes; nothing where it fails or gives no buffer.
fn given(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Vec<u8>> {
    let mut data = null_mut();
    let mut size = 0;
    if call(&mut data, &mut size) != OK || data.is_null() {
        return None;
    }
    // SAFETY: Envoy got this buffer of `size` bytes from `proxy_on_memory_allocate` below, wrote all
    // of it, and keeps no pointer to it.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// A line in Envoy's log.
pub(super) fn log(level: Level, text: &str) {
    // SAFETY: Envoy reads `text` before it returns.
    unsafe { import::proxy_log(level as u32, text.as_ptr(), text.len()) };
}

/// Envoy's clock: nanoseconds since the epoch.
pub(super) fn now() -> u64 {
    let mut now = 0;
    // SAFETY: the pointer is valid for writes while the call lasts.
    unsafe { import::proxy_get_current_time_nanoseconds(&mut now) };
    now
}

/// How often the root context is called; also in a request's context it is the root context's.
pub(super) fn set_tick_period(period: Duration) {
    let milliseconds = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    // SAFETY: no pointer is passed.
    unsafe { import::proxy_set_tick_period_milliseconds(milliseconds) };
}

/// The root context, which has said that it is not done, is done.
pub(super) fn done() {
    // SAFETY: no pointer is passed.
    unsafe { import::proxy_done() };
}

/// From now on what is asked for is that of another context, until this callback ends; whether Envoy knows
/// it. Where it does not, nothing changes.
pub(super) fn set_effective_context(id: u32) -> bool {
    // SAFETY: no pointer is passed.
    unsafe { import::proxy_set_effective_context(id) == OK }
}

/// An attribute by its path, whose parts have a NUL between them.
pub(super) fn property(path: &str) -> Option<Vec<u8>> {
    // SAFETY: Envoy reads `path` before it returns; as in every closure below the other two
    // pointers are `given`'s, and valid for writes while the call lasts.
    given(|data, size| unsafe { import::proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// Sets a property of the request, which access logs have as the filter state `wasm.` and its name.
pub(super) fn set_property(name: &str, value: &[u8]) {
    let (value, size) = (value.as_ptr(), value.len());
    // SAFETY: Envoy reads `name` and `value` before it returns.
    unsafe { import::proxy_set_property(name.as_ptr(), name.len(), value, size) };
}

/// What one of Envoy's own functions gives, which are no part of the ABI; else why it gives nothing.
pub(super) fn foreign_function(name: &str, argument: &[u8]) -> Result<Vec<u8>, u32> {
    let (argument, argument_size) = (argument.as_ptr(), argument.len());
    let mut status = OK;
    // SAFETY: Envoy reads `name` and `argument` before it returns.
    let value = given(|data, size| unsafe {
        status = import::proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            argument,
            argument_size,
            data,
            size,
        );
        status
    });
    value.ok_or(status)
}

/// At most `most` bytes of a buffer.
pub(super) fn buffer(buffer: Buffer, most: usize) -> Option<Vec<u8>> {
    // SAFETY: see `property`.
    given(|data, size| unsafe {
        import::proxy_get_buffer_bytes(buffer as u32, 0, most, data, size)
    })
}

/// All headers of the request as [`crate::pairs`], in the one buffer that Envoy wrote them to.
pub(super) fn request_headers() -> Vec<u8> {
    let map = Map::RequestHeaders as u32;
    // SAFETY: see `property`.
    given(|data, size| unsafe { import::proxy_get_header_map_pairs(map, data, size) })
        .unwrap_or_default()
}

/// The first header of that name.
pub(super) fn header(map: Map, name: &str) -> Option<Vec<u8>> {
    // SAFETY: Envoy reads `name` before it returns.
    given(|data, size| unsafe {
        import::proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size)
    })
}

/// Adds a header to the request.
pub(super) fn add_header(name: &str, value: &[u8]) {
    let (map, value, size) = (Map::RequestHeaders as u32, value.as_ptr(), value.len());
    // SAFETY: Envoy reads `name` and `value` before it returns.
    unsafe { import::proxy_add_header_map_value(map, name.as_ptr(), name.len(), value, size) };
}

/// Sets a header in the place of all of that name, of which there may be none.
pub(super) fn replace_header(map: Map, name: &str, value: &[u8]) {
    let (map, value, size) = (map as u32, value.as_ptr(), value.len());
    // SAFETY: Envoy reads `name` and `value` before it returns.
    unsafe { import::proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value, size) };
}

/// Removes all headers of that name from the request.
pub(super) fn remove_header(name: &str) {
    let map = Map::RequestHeaders as u32;
    // SAFETY: Envoy reads `name` before it returns.
    unsafe { import::proxy_remove_header_map_value(map, name.as_ptr(), name.len()) };
}

/// What all virtual machines of this proxy share under a key, and its version. No bytes cost a tenth
/// of what some cost: Envoy does not ask for room.
pub(super) fn shared_data(key: &[u8]) -> Option<(Vec<u8>, u32)> {
    let mut version = 0;
    let mut status = OK;
    // SAFETY: Envoy reads `key` before it returns; `version` is valid for writes.
    let value = given(|data, size| unsafe {
        status = import::proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &mut version);
        status
    });
    (status == OK).then(|| (value.unwrap_or_default(), version))
}

/// Writes it unless another version is there; for version 0 whatever is there. Whether it did.
pub(super) fn set_shared_data(key: &[u8], value: &[u8], version: u32) -> bool {
    let (data, size) = (value.as_ptr(), value.len());
    // SAFETY: Envoy reads `key` and `value` before it returns.
    unsafe { import::proxy_set_shared_data(key.as_ptr(), key.len(), data, size, version) == OK }
}

/// Envoy's id of a metric, which keeps its value if it exists already.
pub(super) fn define_metric(kind: MetricKind, name: &str) -> u32 {
    let mut id = 0;
    // SAFETY: Envoy reads `name` before it returns; `id` is valid for writes.
    unsafe { import::proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &mut id) };
    id
}

/// Changes a metric by so much.
pub(super) fn increment_metric(id: u32, change: i64) {
    // SAFETY: no pointer is passed.
    unsafe { import::proxy_increment_metric(id, change) };
}

/// A metric's value.
pub(super) fn metric(id: u32) -> u64 {
    let mut value = 0;
    // SAFETY: the pointer is valid for writes while the call lasts.
    unsafe { import::proxy_get_metric(id, &mut value) };
    value
}

/// An attribute of another request of this worker; `own` is the one whose callback this is.
pub(super) fn property_of(id: u32, own: u32, path: &str) -> Option<Vec<u8>> {
    let found = set_effective_context(id).then(|| property(path)).flatten();
    set_effective_context(own);
    found
}

/// Sets a gauge.
pub(super) fn record_metric(id: u32, value: u64) {
    // SAFETY: no pointer is passed.
    unsafe { import::proxy_record_metric(id, value) };
}

/// Sends a request to a cluster, its headers as [`crate::pairs`]; the token of its answer.
pub(super) fn http_call(
    cluster: &str,
    headers: &[u8],
    body: &[u8],
    timeout: Duration,
) -> Result<u32, CallError> {
    const BAD_ARGUMENT: u32 = 2;
    /// A map of no pairs.
    const NO_TRAILERS: [u8; 4] = [0; 4];
    let mut token = 0;
    // SAFETY: Envoy copies what it is given before it returns; `token` is valid for writes.
    let status = unsafe {
        import::proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            NO_TRAILERS.as_ptr(),
            NO_TRAILERS.len(),
            u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
            &mut token,
        )
    };
    match status {
        OK => Ok(token),
        BAD_ARGUMENT => Err(CallError::BadArgument),
        _ => Err(CallError::Failure),
    }
}

/// What Envoy calls. A callback that is not exported is one that Envoy does not enter the module
/// for, about 1,000 instructions each: a context's `proxy_on_delete` would come after its
/// `proxy_on_done`, and tell nothing new.
mod export {
    #[cfg(feature = "traps")]
    use super::super::traps;
    use super::{Layout, Level, contexts, log};

    #[unsafe(no_mangle)]
    extern "C" fn proxy_abi_version_0_2_1() {}

    /// Envoy calls this once, before anything else.
    #[unsafe(no_mangle)]
    extern "C" fn _initialize() {
        // What ends a whole worker's requests shall at least say why.
        std::panic::set_hook(Box::new(|panic| log(Level::Critical, &format!("meshspan: {panic}"))));
    }

    /// Room for what a hostcall gives, as a `Vec<u8>` of that capacity would have it.
    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
        match Layout::array::<u8>(size) {
            // SAFETY: the layout's size is not zero.
            Ok(layout) if size > 0 => unsafe { std::alloc::alloc(layout) },
            _ => super::null_mut(),
        }
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_context_create(id: u32, root: u32) {
        contexts::create(id, root);
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_configure(id: u32, size: usize) -> bool {
        contexts::configure(id, size)
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_tick(id: u32) {
        #[cfg(feature = "traps")]
        traps::at_tick();
        contexts::tick(id);
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_http_call_response(
        id: u32,
        token: u32,
        headers: u32,
        body: usize,
        trailers: u32,
    ) {
        contexts::answered(id, token, headers > 0, body, trailers > 0);
    }

    /// Zero is to go on.
    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_request_headers(id: u32, _: u32, ends_stream: u32) -> u32 {
        #[cfg(feature = "traps")]
        traps::at_request_headers(id);
        contexts::start(id, ends_stream == 0);
        0
    }

    /// Zero is to go on.
    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_request_trailers(id: u32, _: u32) -> u32 {
        contexts::read_trailers(id);
        0
    }

    /// Zero is to go on.
    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_response_headers(id: u32, _: u32, _: u32) -> u32 {
        #[cfg(feature = "traps")]
        traps::at_response_headers(id);
        contexts::answer(id);
        0
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_log(id: u32) {
        #[cfg(feature = "traps")]
        traps::at_log();
        contexts::finish(id);
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_done(id: u32) -> bool {
        contexts::done(id)
    }
}
