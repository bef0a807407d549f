//! meshspan: a tracing filter for Envoy and Istio.
