//! A request as Envoy would drive it: its headers changed, and the facts of its end.

use super::lines::{Header, value};
use meshspan::attributes::{Facts, Naming, Way};
use meshspan::config::Attribute;
use meshspan::propagation::Edit;
use meshspan::sampling::Surroundings;
use meshspan::trace::SpanKind;
use meshspan::tracer::Tracer;
use std::net::IpAddr;

/// Headers that are owned.
pub type Lines = Vec<(Vec<u8>, Vec<u8>)>;

/// The headers as Envoy has them after the changes, each of which has to have something to change.
pub fn apply(came_in: &[(&[u8], &[u8])], edits: &[Edit]) -> Lines {
    let mut lines: Lines =
        came_in.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    for edit in edits {
        let name = edit.name().as_bytes().to_vec();
        let before = lines.len();
        lines.retain(|(other, _)| *other != name);
        let was_there = lines.len() < before;
        match edit {
            Edit::Add(_, value) => {
                assert!(!was_there, "{} is added and was there", edit.name());
                lines.push((name, value.as_bytes().to_vec()));
            }
            Edit::Replace(_, value) => {
                assert!(was_there, "{} is replaced and was not there", edit.name());
                lines.push((name, value.as_bytes().to_vec()));
            }
            Edit::Remove(_) | Edit::RemoveOther(_) => {
                assert!(was_there, "{} is removed and was not there", edit.name());
            }
        }
    }
    lines
}

/// A request from its start to its end, with the facts that lines of these names say: `fact-status:
/// 503`. Whether there is a span of it, or two where it is said to go on.
pub fn run(tracer: &mut Tracer, lines: &[Header]) -> bool {
    let started = tracer.start(lines, &Route(lines));
    let facts = facts(tracer, lines);
    let kept = started.unsampled.and_then(|unsampled| {
        let became = apply(lines, &started.edits);
        let became: Vec<Header> =
            became.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        tracer.keep(unsampled, &became, &facts, &Route(lines))
    });
    let Some(mut recording) = started.recording.or(kept) else { return false };
    if value(lines, "fact-open").is_some() {
        let beginning = tracer.take_beginning(&mut recording);
        tracer.finish(beginning, facts.clone());
    }
    tracer.finish(recording, facts);
    true
}

/// The facts of a request's end.
pub fn facts(tracer: &mut Tracer, lines: &[Header]) -> Facts {
    let text = |name| value(lines, name).and_then(|value| std::str::from_utf8(value).ok());
    let bytes = |name| value(lines, name).map(<[u8]>::to_vec);
    let number = |name| text(name).and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    // A hundred years and more: no clock of Envoy's says what no queue could wait for.
    let time = |name| number(name).min(1 << 62);
    let address = |name| text(name).and_then(|text| text.parse().ok());
    let cluster = text("fact-cluster");
    let service = tracer.service(cluster, &Route(lines));
    Facts {
        kind: if text("fact-client").is_some() { SpanKind::Client } else { SpanKind::Server },
        start_time: time("fact-start"),
        duration: time("fact-duration"),
        protocol: bytes("fact-protocol").unwrap_or_default(),
        status_code: u16::try_from(number("fact-status")).ok().filter(|code| *code != 0),
        request_size: number("fact-request-size"),
        response_size: number("fact-response-size"),
        flags: number("fact-flags"),
        cluster: cluster.map(str::to_owned),
        route: text("fact-route").map(str::to_owned),
        service,
        peer: address("fact-peer"),
        local: address("fact-local"),
        upstream: address("fact-upstream"),
        grpc_status: bytes("fact-grpc-status"),
        grpc_message: bytes("fact-grpc-message"),
        way: text("fact-responded").map(|_| Way {
            responded: time("fact-responded"),
            attempts: number("fact-attempts"),
            pool_ready: number("fact-pool-ready"),
            backend_latency: number("fact-backend-latency"),
            is_upstreams: text("fact-upstreams").is_some(),
        }),
    }
}

/// What Envoy knows besides, as lines that begin with `fact-`.
pub struct Route<'a>(pub &'a [Header<'a>]);

impl Surroundings for Route<'_> {
    fn attribute(&self, attribute: Attribute) -> Vec<u8> {
        let name = match attribute {
            Attribute::Direction => "fact-direction",
            Attribute::Route => "fact-route",
            Attribute::Cluster => "fact-cluster",
            Attribute::ClientIdentity => "fact-identity",
        };
        value(self.0, name).unwrap_or_default().to_vec()
    }

    fn client_address(&self) -> Option<IpAddr> {
        std::str::from_utf8(value(self.0, "fact-peer")?).ok()?.parse().ok()
    }

    fn clock(&self) -> u64 {
        let digits = value(self.0, "fact-clock").and_then(|value| str::from_utf8(value).ok());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
    }

    // Another plugin may have written anything there.
    fn shared_data(&self, _: &[u8]) -> Option<(Vec<u8>, u32)> {
        value(self.0, "fact-shared-data").map(|value| (value.to_vec(), 1))
    }

    fn set_shared_data(&self, _: &[u8], _: &[u8], _: u32) -> bool {
        value(self.0, "fact-shared-data").is_none()
    }
}

impl Naming for Route<'_> {
    fn virtual_host(&self) -> Option<String> {
        String::from_utf8(value(self.0, "fact-virtual-host")?.to_vec()).ok()
    }

    fn cluster_service_host(&self) -> Option<String> {
        String::from_utf8(value(self.0, "fact-service-host")?.to_vec()).ok()
    }
}
