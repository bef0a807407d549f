//! Another plugin of the same proxy: it writes what a request says into the data that all of them share.
//!
//! The header `x-foreign` has keys and values in hexadecimal digits, `6b=76,6b32=`; a star and a value
//! write that value for every slot and mark of the first four workers of meshspan's correlation.

use std::alloc::Layout;
use std::ptr::null_mut;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        size: usize,
        data: *mut *mut u8,
        got: *mut usize,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        size: usize,
        value: *const u8,
        length: usize,
        version: u32,
    ) -> u32;
}

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
        _ => null_mut(),
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(_: u32, _: u32) {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
    let (mut data, mut got) = (null_mut(), 0);
    let name = b"x-foreign";
    let status =
        unsafe { proxy_get_header_map_value(0, name.as_ptr(), name.len(), &mut data, &mut got) };
    if status == 0 && !data.is_null() {
        let header = unsafe { std::slice::from_raw_parts(data, got) }.to_vec();
        for pair in header.split(|byte| *byte == b',') {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let key = parts.next().unwrap_or_default();
            let value = bytes(parts.next().unwrap_or_default());
            match key {
                b"*" => everywhere(&value),
                key => write(&bytes(key), &value),
            }
        }
    }
    0
}

fn everywhere(value: &[u8]) {
    for worker in 0..4 {
        for slot in (0..1024).chain([0xfffe, 0xffff]) {
            let [high, low] = u16::to_be_bytes(slot);
            write(&[b"meshspan:".as_slice(), &[worker, high, low]].concat(), value);
        }
    }
}

fn write(key: &[u8], value: &[u8]) {
    unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), 0) };
}

fn bytes(digits: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    digits.chunks(2).map(|two| digit(two[0]) << 4 | two.get(1).map_or(0, |it| digit(*it))).collect()
}
