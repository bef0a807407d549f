//! Envoy: callbacks, attributes, callouts, shared data, clock. A callback reads, calls one
//! function of [`crate::tracer`], and writes back.

mod abi;
mod allocator;
mod attributes;
mod callout;
mod compression;
mod configuration;
mod contexts;
mod expression;
mod facts;
mod in_flight;
mod metrics;
mod remote;
mod request;
mod root;
mod shared;
mod surroundings;
#[cfg(feature = "traps")]
mod traps;
mod wasi;
