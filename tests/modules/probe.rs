//! A module that makes one hostcall again and again in each request, to see what it costs.
//!
//! Its configuration says which and how often, such as `add 8`; after that an expression may follow.
//! What a hostcall gives goes to one place and is not looked at.

use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_buffer_bytes(
        kind: u32,
        start: usize,
        size: usize,
        data: *mut *mut u8,
        got: *mut usize,
    ) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, got: *mut usize) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        size: usize,
        value: *const u8,
        length: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        size: usize,
        value: *const u8,
        length: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, size: usize) -> u32;
    fn proxy_get_property(path: *const u8, size: usize, data: *mut *mut u8, got: *mut usize)
    -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        size: usize,
        argument: *const u8,
        length: usize,
        data: *mut *mut u8,
        got: *mut usize,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, change: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        size: usize,
        data: *mut *mut u8,
        got: *mut usize,
        version: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        size: usize,
        value: *const u8,
        length: usize,
        version: u32,
    ) -> u32;
}

const REQUEST_HEADERS: u32 = 0;
const PLUGIN_CONFIGURATION: u32 = 7;
const COUNTER: u32 = 0;
const GAUGE: u32 = 1;

const NAME: &str = "x-b3-spanid";
const OLD_NAME: &str = "x-account-id";
const VALUE: &str = "b7ad6b7169203331";
const ABSENT: &str = "x-b3-flags";
const EMPTY: &str = "probe:empty";
const FULL: &str = "probe:full";
const SHARED: &[u8] = &[7; 45];
const PROPERTY: &str = "source\0address";

/// Room for what a hostcall gives.
struct Room(UnsafeCell<[u8; 1 << 16]>);
unsafe impl Sync for Room {}
static ROOM: Room = Room(UnsafeCell::new([0; 1 << 16]));

/// What is called, and how often.
static CALL: AtomicU32 = AtomicU32::new(0);
static COUNT: AtomicU32 = AtomicU32::new(0);
/// The expression's token, and a metric of each kind.
static TOKEN: AtomicU32 = AtomicU32::new(0);
static METRICS: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];

/// The calls by the names that a configuration has, and whether they are made at the request's end.
const CALLS: [(&str, bool, fn() -> u32); 13] = [
    ("pairs", false, || {
        got(|data, size| unsafe { proxy_get_header_map_pairs(REQUEST_HEADERS, data, size) })
    }),
    ("add", false, || unsafe {
        proxy_add_header_map_value(
            REQUEST_HEADERS,
            NAME.as_ptr(),
            NAME.len(),
            VALUE.as_ptr(),
            VALUE.len(),
        )
    }),
    ("replace", false, || unsafe {
        proxy_replace_header_map_value(
            REQUEST_HEADERS,
            OLD_NAME.as_ptr(),
            OLD_NAME.len(),
            VALUE.as_ptr(),
            VALUE.len(),
        )
    }),
    ("remove", false, || unsafe {
        proxy_remove_header_map_value(REQUEST_HEADERS, ABSENT.as_ptr(), ABSENT.len())
    }),
    ("property", true, || {
        got(|data, size| unsafe {
            proxy_get_property(PROPERTY.as_ptr(), PROPERTY.len(), data, size)
        })
    }),
    ("evaluate", true, || foreign("expr_evaluate", &TOKEN.load(Relaxed).to_le_bytes())),
    ("increment", true, || unsafe { proxy_increment_metric(METRICS[0].load(Relaxed), 1) }),
    ("record", true, || unsafe { proxy_record_metric(METRICS[1].load(Relaxed), 1) }),
    ("metric", true, || {
        let mut value = 0;
        unsafe { proxy_get_metric(METRICS[1].load(Relaxed), &mut value) }
    }),
    ("share", true, || share(FULL, SHARED)),
    ("look", true, || look(EMPTY)),
    ("fetch", true, || look(FULL)),
    ("time", true, || {
        let mut time = 0;
        unsafe { proxy_get_current_time_nanoseconds(&mut time) }
    }),
];

fn got(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> u32 {
    let (mut data, mut size) = (null_mut(), 0);
    call(&mut data, &mut size)
}

fn look(key: &str) -> u32 {
    let mut version = 0;
    got(|data, size| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &mut version)
    })
}

fn share(key: &str, value: &[u8]) -> u32 {
    unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), 0) }
}

fn foreign(name: &str, argument: &[u8]) -> u32 {
    got(|data, size| unsafe {
        proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            argument.as_ptr(),
            argument.len(),
            data,
            size,
        )
    })
}

/// What the last hostcall gave.
fn room(size: usize) -> &'static [u8] {
    unsafe { std::slice::from_raw_parts(ROOM.0.get().cast(), size) }
}

fn run(at_end: bool) {
    let (_, end, call) = CALLS[CALL.load(Relaxed) as usize];
    if end == at_end {
        for _ in 0..COUNT.load(Relaxed) {
            assert_eq!(call(), 0);
        }
    }
}

fn configure(size: usize) -> Option<()> {
    let (mut data, mut got) = (null_mut(), 0);
    unsafe { proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, &mut data, &mut got) };
    let text = String::from_utf8(room(got).to_vec()).ok()?;
    let mut words = text.splitn(3, ' ');
    let call = words.next()?;
    CALL.store(CALLS.iter().position(|(name, ..)| *name == call)? as u32, Relaxed);
    COUNT.store(words.next()?.parse().ok()?, Relaxed);
    if let Some(expression) = words.next() {
        if foreign("expr_create", expression.as_bytes()) != 0 {
            return None;
        }
        TOKEN.store(u32::from_le_bytes(room(4).try_into().ok()?), Relaxed);
    }
    for (kind, metric) in [COUNTER, GAUGE].into_iter().zip(&METRICS) {
        let name = format!("probe_{kind}");
        let mut id = 0;
        unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &mut id) };
        metric.store(id, Relaxed);
    }
    share(EMPTY, &[]);
    share(FULL, SHARED);
    Some(())
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    if size <= 1 << 16 { ROOM.0.get().cast() } else { null_mut() }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(_: u32, _: u32) {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(_: u32, size: usize) -> bool {
    configure(size).is_some()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
    run(false);
    0
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(_: u32) {
    run(true);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_done(_: u32) -> bool {
    true
}
