//! What is recorded of a request: Envoy's and Istio's facts, custom tags, redaction.

mod custom_tags;
mod facts;
mod flags;
mod kubernetes;
mod masking;
mod path_match;
mod recording;
mod redaction;
mod resource;
mod service;
mod span_names;
mod text;
mod way;

pub use custom_tags::{Asked, CustomTags, is_on};
pub use facts::{Facts, GRPC_ERRORS};
pub use kubernetes::{Kubernetes, Owner, OwnerKind};
pub use recording::{Recording, is_grpc_request, name_ahead};
pub use redaction::Redaction;
pub use resource::{Istio, Resource};
pub use service::{MAX_AUTHORITY_NAMES, Naming, Service, ServiceNames};
pub use span_names::MAX_SPAN_NAMES;
pub use way::Way;
