//! Probes and health checks, which say nothing about what users do, and there are many.

use super::request::Request;

/// The places of two headers in [`crate::config::Sampling::headers`].
const PATH: usize = 0;
const USER_AGENT: usize = 3;

/// How the user agents of those begin that ask whether a service is alive.
const USER_AGENTS: [&str; 8] = [
    // Kubernetes' kubelet, over HTTP and gRPC.
    "kube-probe/",
    // Envoy's own active health checks.
    "Envoy/HC",
    // Google Cloud's and Amazon's load balancers, and Amazon's Route 53.
    "GoogleHC/",
    "ELB-HealthChecker/",
    "Amazon-Route53-Health-Check-Service",
    // Azure's load balancer and its Front Door.
    "Load Balancer Agent",
    "Edge Health Probe",
    "Consul Health Check",
];

/// gRPC's health checking, whoever asks.
/// <https://github.com/grpc/grpc/blob/v1.76.0/doc/health-checking.md>
const GRPC_HEALTH: &str = "/grpc.health.v1.Health/";

/// Whether a request only asks whether the service is alive.
pub(super) fn is_probe(request: &Request) -> bool {
    let (path, agent) = (request.header(PATH), request.header(USER_AGENT));
    USER_AGENTS.iter().any(|known| begins(agent, known)) || begins(path, GRPC_HEALTH)
}

/// Apart, so that there is one loop and not a comparison for each text.
#[inline(never)]
fn begins(value: &[u8], text: &str) -> bool {
    value.first() == text.as_bytes().first() && value.starts_with(text.as_bytes())
}
