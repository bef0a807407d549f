//! What Envoy has of WASI and the module needs: entropy, a clock, and the environment of the VM.
//!
//! <https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md>
//!
//! The module is built for no system at all and imports the four functions itself. Rust's own library for
//! WASI would bring along a C library, its allocator and what a panic needs to write to a file.
#![allow(unsafe_code)]

use core::ptr::null_mut;

const OK: u32 = 0;

mod import {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        pub(super) fn random_get(bytes: *mut u8, size: usize) -> u32;
        pub(super) fn environ_sizes_get(count: *mut usize, size: *mut usize) -> u32;
        pub(super) fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
        pub(super) fn environ_get(variables: *mut *mut u8, bytes: *mut u8) -> u32;
    }
}

/// Entropy; nothing where Envoy has none.
pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    // SAFETY: Envoy writes so many bytes before it returns.
    let status = unsafe { import::random_get(bytes.as_mut_ptr(), N) };
    (status == OK).then_some(bytes)
}

/// Nanoseconds on the clock that nobody sets, the same in all virtual machines of a proxy.
pub(super) fn monotonic_clock() -> Option<u64> {
    const MONOTONIC: u32 = 1;
    let mut time = 0;
    // SAFETY: the pointer is valid for writes while the call lasts.
    let status = unsafe { import::clock_time_get(MONOTONIC, 1, &mut time) };
    (status == OK).then_some(time)
}

/// A variable of the VM's environment; one that is not UTF-8 counts as absent.
pub(super) fn variable(name: &str) -> Option<String> {
    let environment = environment()?;
    // Each is `NAME=value` with a NUL behind it.
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables
        .find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    String::from_utf8(value.to_vec()).ok()
}

fn environment() -> Option<Vec<u8>> {
    let (mut count, mut size) = (0, 0);
    // SAFETY: both pointers are valid for writes while the call lasts.
    let status = unsafe { import::environ_sizes_get(&mut count, &mut size) };
    if status != OK {
        return None;
    }
    let mut starts = vec![null_mut(); count];
    let mut bytes = vec![0; size];
    // SAFETY: Envoy writes as many pointers and bytes as it has just said.
    let status = unsafe { import::environ_get(starts.as_mut_ptr(), bytes.as_mut_ptr()) };
    (status == OK).then_some(bytes)
}
