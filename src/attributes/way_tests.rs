use super::*;
use crate::trace::SpanKind;

fn facts() -> Facts {
    Facts {
        kind: SpanKind::Client,
        start_time: 1000,
        duration: 500,
        protocol: Vec::new(),
        status_code: Some(200),
        request_size: 0,
        response_size: 0,
        flags: 0,
        cluster: None,
        route: None,
        service: None,
        peer: None,
        local: None,
        upstream: None,
        grpc_status: None,
        grpc_message: None,
        way: None,
    }
}

fn told(way: Way, is_upgraded: bool) -> Vec<(&'static str, u64)> {
    let events = way.events(&facts(), is_upgraded);
    events.into_iter().map(|event| (event.name, event.time)).collect()
}

const SENT: &str = "first_upstream_tx_byte_sent";
const RECEIVED: &str = "first_upstream_rx_byte_received";
const ANSWERED: &str = "first_downstream_tx_byte_sent";

#[test]
fn moments_are_between_start_and_end_in_their_order() {
    let usual = Way { responded: 1300, backend_latency: 400, is_upstreams: true, ..Way::default() };
    for (name, way, expected) in [
        ("an answer", usual, vec![(SENT, 1100), (RECEIVED, 1300)]),
        ("no answer", Way { responded: 0, ..usual }, vec![]),
        ("Envoy's own", Way { is_upstreams: false, backend_latency: 0, ..usual }, vec![(ANSWERED, 1300)]),
        ("sent and answered at once", Way { backend_latency: 200, ..usual }, vec![(SENT, 1300), (RECEIVED, 1300)]),
        // Its last byte left long after it came.
        ("an answer that left slowly", Way { backend_latency: 199, ..usual }, vec![(RECEIVED, 1300)]),
        ("sent before it came", Way { backend_latency: 501, ..usual }, vec![(RECEIVED, 1300)]),
        ("sent ages ago", Way { backend_latency: u64::MAX, ..usual }, vec![(RECEIVED, 1300)]),
        ("answered before it came", Way { responded: 1, ..usual }, vec![(RECEIVED, 1000)]),
        ("answered after its end", Way { responded: u64::MAX, ..usual }, vec![(SENT, 1100), (RECEIVED, 1500)]),
    ] {
        assert_eq!(told(way, false), expected, "{name}");
    }
}

#[test]
fn an_upgrade_is_as_soon_as_the_answer() {
    let way = Way { responded: 1300, is_upstreams: true, ..Way::default() };
    assert_eq!(told(way, true), [(RECEIVED, 1300), ("upgraded", 1300)]);
    assert_eq!(told(Way { responded: 0, ..way }, true), []);
}

#[test]
fn the_first_attempt_is_no_second_one() {
    for (attempts, expected) in [(0, 0), (1, 0), (2, 1), (u64::MAX, u64::MAX - 1)] {
        assert_eq!(Way { attempts, ..Way::default() }.resend_count(), expected);
    }
}
