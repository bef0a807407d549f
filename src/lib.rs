//! meshspan: a tracing filter for Envoy and Istio, as one WebAssembly module.
//!
//! The modules are the stations that a request passes, in this order; each knows those before it
//! and none after it. Only `host` calls Envoy, and it is compiled for wasm alone.
//!
//! `bin/meshspan` is a native program beside the module: it checks configurations by `config`.

pub mod address;
pub mod pairs;
mod same;
#[cfg(any(target_arch = "wasm32", test))]
mod size_class;

pub mod regex;

pub mod config;
pub mod trace;

pub mod propagation;
pub mod sampling;

pub mod attributes;

pub mod correlation;

pub mod export;
pub mod stats;

pub mod tracer;

#[cfg(target_arch = "wasm32")]
mod host;
