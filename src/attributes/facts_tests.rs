use super::*;

/// The flags by the bits of the attribute.
const LR: u64 = 1 << 3;
const UT: u64 = 1 << 2;
const UF: u64 = 1 << 5;
const UC: u64 = 1 << 6;
const NR: u64 = 1 << 8;
const FI: u64 = 1 << 10;
const DC: u64 = 1 << 14;
const DPE: u64 = 1 << 18;
const RFCF: u64 = 1 << 20;
const UPE: u64 = 1 << 23;

fn facts(status_code: Option<u16>, flags: u64, grpc_status: &str) -> Facts {
    Facts {
        kind: SpanKind::Server,
        start_time: 0,
        duration: 7,
        protocol: Vec::new(),
        status_code,
        request_size: 0,
        response_size: 0,
        flags,
        cluster: None,
        route: None,
        service: None,
        peer: None,
        local: None,
        upstream: None,
        grpc_status: (!grpc_status.is_empty()).then(|| grpc_status.as_bytes().to_vec()),
        grpc_message: None,
        way: None,
    }
}

#[test]
fn what_failed_is_the_servers_fault_or_the_way_to_it() {
    for (name, status, flags, grpc, expected) in [
        ("an answer", Some(200), 0, "", false),
        ("a redirect", Some(302), 0, "", false),
        ("the client's error", Some(404), 0, "", false),
        ("no route", Some(404), NR, "", false),
        ("a limit", Some(429), FI, "", false),
        ("500", Some(500), 0, "", true),
        ("599", Some(599), 0, "", true),
        ("no connection", Some(503), UF, "", true),
        ("a timeout", Some(504), UT, "", true),
        ("an answer that broke off", Some(200), UC, "", true),
        ("an answer against the protocol", Some(200), UPE, "", true),
        ("an answer that came in time at last", Some(200), UT, "", true),
        ("an answer that the client did not wait for", Some(200), DC, "", false),
        ("an answer from a cache", Some(200), RFCF, "", false),
        ("the client left", None, DC, "", false),
        ("the client broke the protocol", None, DPE, "", false),
        ("the client left after a timeout", None, DC | UT, "", true),
        ("no answer", None, 0, "", true),
        ("a local reset", None, LR, "", true),
        ("an upgraded connection", Some(101), UC, "", false),
        ("gRPC's OK", Some(200), 0, "0", false),
        ("gRPC's NOT_FOUND", Some(200), 0, "5", false),
        ("gRPC's UNAVAILABLE", Some(200), 0, "14", true),
        ("gRPC's DATA_LOSS", Some(200), 0, "15", true),
        ("gRPC's status that is none", Some(200), 0, "14 ", false),
    ] {
        assert_eq!(facts(status, flags, grpc).has_failed(), expected, "{name}");
    }
}

#[test]
fn nobody_waits_for_the_end_of_an_upgraded_connection() {
    for (name, method, status, flags, expected) in [
        ("an answer", "GET", Some(200), 0, 7),
        ("a client that left", "GET", None, DC, 7),
        ("an upgraded connection", "GET", Some(101), 0, 0),
        ("a tunnel", "CONNECT", Some(200), 0, 0),
        ("a tunnel that was refused", "CONNECT", Some(403), 0, 7),
    ] {
        let facts = facts(status, flags, "");
        assert_eq!(facts.waiting_time(method.as_bytes()), expected, "{name}");
    }
}
