//! Probes and health checks, which say nothing about what users do, and there are many.

use super::PATH;
use super::request::Request;

/// The place of a header in [`crate::config::Sampling::headers`].
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
    is_of_probe(request.header(PATH), request.header(USER_AGENT))
}

/// The same of a request that nothing else is asked of.
pub(super) fn is_probe_by(headers: &[(&[u8], &[u8])]) -> bool {
    let header = |name: &[u8]| {
        let mut values = headers.iter().filter(|(other, _)| *other == name);
        values.find(|(_, value)| !value.is_empty()).map_or(&[][..], |(_, value)| *value)
    };
    is_of_probe(header(b":path"), header(b"user-agent"))
}

fn is_of_probe(path: &[u8], agent: &[u8]) -> bool {
    USER_AGENTS.iter().any(|known| begins(agent, known)) || begins(path, GRPC_HEALTH)
}

/// Apart, so that there is one loop and not a comparison for each text.
#[inline(never)]
fn begins(value: &[u8], text: &str) -> bool {
    value.first() == text.as_bytes().first() && value.starts_with(text.as_bytes())
}
