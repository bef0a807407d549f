//! A module that exports what meshspan exports and does nothing: what any module of Rust takes in an Envoy.

use std::alloc::Layout;

unsafe extern "C" {
    fn __wasm_call_ctors();
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    unsafe { __wasm_call_ctors() };
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    match Layout::array::<u8>(size) {
        Ok(layout) if size > 0 => unsafe { std::alloc::alloc(layout) },
        _ => std::ptr::null_mut(),
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(_: u32, _: u32) {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(_: u32, _: usize) -> bool {
    true
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(_: u32) {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(_: u32, _: u32, _: u32, _: usize, _: u32) {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
    0
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(_: u32) {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_done(_: u32) -> bool {
    true
}
