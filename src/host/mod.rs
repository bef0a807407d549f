//! Envoy: callbacks, attributes, callouts, shared data, clock. A callback reads, calls one
//! function of [`crate::tracer`], and writes back.
//!
//! Only the byte forms of the SDK's calls are used, from its `hostcalls`: the `String` forms and
//! `Context::get_property` panic on values that Envoy does give.

mod abi;
mod attributes;
mod configuration;
mod expression;
mod facts;
mod metrics;
mod request;
mod root;
mod shared;

use proxy_wasm::types::LogLevel;
use root::Root;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}
