//! What counts of what clients say that nobody trusts.

use super::*;
use crate::config::Attribute;
use crate::trace::TraceId;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

const GATEWAY: &str = "router~10.0.0.1~gateway-1.demo~demo.svc.cluster.local";
const SIDECAR: &str = "sidecar~10.0.0.1~web-1.demo~demo.svc.cluster.local";

/// Who the client is, what workers share, and how often either was asked.
#[derive(Default)]
struct Client {
    address: &'static str,
    identity: &'static str,
    shared: RefCell<HashMap<Vec<u8>, Vec<u8>>>,
    asked: Cell<usize>,
}

impl Surroundings for Client {
    fn attribute(&self, attribute: Attribute) -> Vec<u8> {
        self.asked.set(self.asked.get() + 1);
        match attribute {
            Attribute::ClientIdentity => self.identity.into(),
            _ => Vec::new(),
        }
    }

    fn client_address(&self) -> Option<IpAddr> {
        self.asked.set(self.asked.get() + 1);
        self.address.parse().ok().map(|address: SocketAddr| address.ip())
    }

    fn clock(&self) -> u64 {
        0
    }

    fn shared_data(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.asked.set(self.asked.get() + 1);
        self.shared.borrow().get(key).cloned().map(|value| (value, 1))
    }

    fn set_shared_data(&self, key: &[u8], value: &[u8], _: u32) -> bool {
        self.shared.borrow_mut().insert(key.to_owned(), value.to_vec());
        true
    }
}

impl Naming for Client {
    fn virtual_host(&self) -> Option<String> {
        None
    }

    fn cluster_service_host(&self) -> Option<String> {
        None
    }
}

fn proxy(node_id: &str, configuration: &str) -> Tracer {
    let plugin = PluginConfig::parse(configuration.as_bytes()).unwrap();
    let resource = Resource { node_id: node_id.to_owned(), ..Resource::default() };
    let settings = settings(plugin, MeshConfig::default());
    Tracer::new(&settings, resource, [3; 32], |_| None)
}

/// What a request with these lines does: whether its trace goes on, what is decided, what the span
/// says, what other headers go, and what is counted.
fn outcome(tracer: &mut Tracer, lines: &str, client: &Client) -> String {
    let lines = with_ids(lines);
    let pairs: Vec<_> = lines.lines().filter_map(|line| line.split_once(": ")).collect();
    let started = tracer.start(&headers(&pairs), client);
    let goes_on = TraceId::from_hex(&TRACEPARENT.as_bytes()[3..35]);
    let mut said = vec![match Some(started.context.trace_id) == goes_on {
        true => "TRACE".to_owned(),
        false => "new".to_owned(),
    }];
    said.push(if started.decision.is_sampled() { "sampled" } else { "not sampled" }.to_owned());
    let mut gone: Vec<_> = started
        .edits
        .iter()
        .filter(|edit| matches!(edit, Edit::Remove(_) | Edit::RemoveOther(_)))
        .map(|edit| format!("no {}", edit.name()))
        .collect();
    gone.sort();
    if let Some(recording) = started.recording {
        tracer.finish(recording, facts());
        let tags = span(tracer)["tags"].clone();
        for tag in ["sampling.rule", "sampling.probability", "meshspan.link"] {
            said.extend(tags[tag].as_str().map(str::to_owned));
        }
    }
    said.extend(gone);
    for (metric, change) in told(tracer) {
        if matches!(metric, Metric::ContextsReplaced | Metric::DecisionsIgnored) {
            said.push(format!("{change} {}", metric.name()));
        }
    }
    said.join(", ").replace(&with_ids("TRACE-SPAN"), "TRACE-SPAN")
}

const SAMPLED: &str = "traceparent: 00-TRACE-SPAN-01";
const NOT_SAMPLED: &str = "traceparent: 00-TRACE-SPAN-00";
const DEBUG: &str = "b3: TRACE-SPAN-d";
const UNDECIDED: &str = "b3: TRACE-SPAN";
const STRAYS: &str =
    "baggage: a=1\nbaggage: b=2\nuberctx-user: 7\nsw8: 1\nx-datadog-trace-id: 1\nbaggages: 1";

#[test]
fn what_is_not_trusted_counts_as_the_configuration_says() {
    let with_state = format!("{SAMPLED}\ntracestate: a=1,ot=th:ff;rv:ffffffffffffff\n{STRAYS}");
    let gone = "no baggage, no sw8, no tracestate, no uberctx-user, no x-datadog-trace-id";
    let gone_sampled = "no baggage, no sw8, no uberctx-user, no x-datadog-trace-id";
    let ignored = "1 meshspan_decisions_ignored";
    let replaced = "1 meshspan_contexts_replaced";
    let (none, both) = (r#"{"sampled": "keep"}"#, r#"{"context": "ignore", "sampled": "ignore"}"#);
    let (link, drop) = (r#"{"context": "link"}"#, r#"{"context": "ignore"}"#);
    let (limit, ignore) = (r#"{"sampled": "limit"}"#, r#"{"sampled": "ignore"}"#);
    for (name, trust, percent, lines, expected) in [
        // Kept.
        ("keep, sampled", none, 0, SAMPLED, "TRACE, sampled, parent"),
        ("keep, debug", none, 0, DEBUG, "TRACE, sampled, debug"),
        ("keep, its state", none, 0, &with_state, "TRACE, sampled, parent, 0.00390625"),
        // Limited: what is asked for is granted, and says nothing of probabilities.
        ("limit, sampled", limit, 0, SAMPLED, "TRACE, sampled, parent"),
        ("limit, debug", limit, 0, DEBUG, "TRACE, sampled, parent"),
        ("limit, not sampled", limit, 100, NOT_SAMPLED, "TRACE, not sampled"),
        ("limit, undecided", limit, 100, UNDECIDED, "TRACE, sampled, percent"),
        ("limit, its state", limit, 0, &with_state, "TRACE, sampled, parent"),
        ("limit, a decision alone", limit, 0, "b3: 1", "new, sampled, parent"),
        ("limit, nothing", limit, 100, "", "new, sampled, percent, 1"),
        // Ignored: rules and percentage decide as for any new trace.
        ("ignore, sampled", ignore, 0, SAMPLED, &format!("TRACE, not sampled, {ignored}")),
        ("ignore, debug", ignore, 0, DEBUG, &format!("TRACE, not sampled, {ignored}")),
        (
            "ignore, not sampled",
            ignore,
            100,
            NOT_SAMPLED,
            &format!("TRACE, sampled, percent, {ignored}"),
        ),
        ("ignore, a decision alone", ignore, 0, "b3: 1", &format!("new, not sampled, {ignored}")),
        ("ignore, undecided", ignore, 0, UNDECIDED, "TRACE, not sampled"),
        // A link.
        (
            "link, sampled",
            link,
            0,
            &with_state,
            &format!("new, sampled, parent, TRACE-SPAN, {gone}, {replaced}"),
        ),
        ("link, not sampled", link, 100, NOT_SAMPLED, &format!("new, not sampled, {replaced}")),
        (
            "link, undecided",
            link,
            100,
            UNDECIDED,
            &format!("new, sampled, percent, 1, TRACE-SPAN, {replaced}"),
        ),
        // Nothing is left of it.
        (
            "ignore, its context",
            drop,
            0,
            &with_state,
            &format!("new, sampled, parent, {gone}, {replaced}"),
        ),
        (
            "ignore, all of it",
            both,
            100,
            &with_state,
            &format!("new, sampled, percent, 1, {gone_sampled}, {replaced}, {ignored}"),
        ),
        (
            "ignore, other headers alone",
            both,
            0,
            STRAYS,
            &format!("new, not sampled, {gone_sampled}"),
        ),
        (
            "ignore, a decision that is kept, and other headers",
            drop,
            100,
            &format!("b3: 0\n{STRAYS}"),
            &format!("new, not sampled, {gone_sampled}"),
        ),
        ("ignore, nothing", both, 0, "", "new, not sampled"),
        (
            "ignore, malformed",
            both,
            0,
            "traceparent: 00-0-0\ntracestate: a=1",
            "new, not sampled, no tracestate",
        ),
    ] {
        let configuration = format!(
            r#"{{"sampling": {percent}, "trust": {trust}, "batch": {{"interval": "10ms"}}}}"#
        );
        let mut tracer = proxy(SIDECAR, &configuration);
        let client = Client { address: "9.9.9.9:1", ..Client::default() };
        assert_eq!(outcome(&mut tracer, lines, &client), expected, "{name}");
    }
}

#[test]
fn who_is_trusted_has_its_way() {
    let from =
        |from: &str| format!(r#"{{"context": "ignore", "sampled": "ignore", "from": {from}}}"#);
    let usual = r#"{"context": "ignore", "sampled": "ignore"}"#.to_owned();
    let networks = from(r#"["10.0.0.0/8", "fd00::/8", "192.168.1.7"]"#);
    let identities = from(r#"["spiffe://a/ns/web/*", "spiffe://a/ns/jobs/sa/one"]"#);
    let nobody = from("[]");
    for (trust, address, identity, is_trusted) in [
        (&usual, "10.0.0.1:80", "", false),
        (&usual, "10.0.0.1:80", "spiffe://a/ns/x/sa/y", true),
        (&usual, "10.0.0.1:80", "https://a/ns/x/sa/y", false),
        (&nobody, "10.0.0.1:80", "spiffe://a/ns/x/sa/y", false),
        (&networks, "10.0.0.1:80", "", true),
        (&networks, "10.255.255.255:80", "", true),
        (&networks, "11.0.0.1:80", "", false),
        (&networks, "192.168.1.7:1", "", true),
        (&networks, "192.168.1.8:1", "", false),
        (&networks, "[fd00::1]:1", "", true),
        (&networks, "[fe00::1]:1", "", false),
        (&networks, "[::ffff:10.1.1.1]:1", "", true),
        (&networks, "/run/socket", "", false),
        (&networks, "", "", false),
        (&networks, "11.0.0.1:80", "spiffe://a/ns/web/sa/x", false),
        (&identities, "10.0.0.1:80", "spiffe://a/ns/web/sa/x", true),
        (&identities, "10.0.0.1:80", "spiffe://a/ns/webs/sa/x", false),
        (&identities, "10.0.0.1:80", "spiffe://a/ns/jobs/sa/one", true),
        (&identities, "10.0.0.1:80", "spiffe://a/ns/jobs/sa/one/more", false),
        (&identities, "10.0.0.1:80", "", false),
    ] {
        let configuration = format!(r#"{{"sampling": 0, "trust": {trust}}}"#);
        let client = Client { address, identity, ..Client::default() };
        let outcome = outcome(&mut proxy(SIDECAR, &configuration), SAMPLED, &client);
        assert_eq!(
            outcome.starts_with("TRACE, sampled"),
            is_trusted,
            "{address} {identity} {trust}"
        );
    }
}

#[test]
fn gateways_limit_what_strangers_ask_for_and_sidecars_believe_everybody() {
    let stranger = Client { address: "9.9.9.9:1", ..Client::default() };
    let mesh = Client { identity: "spiffe://a/ns/b/sa/c", ..Client::default() };
    // Half of the requests a second that are granted are so at once; then the share halves and halves.
    for (node_id, configuration, client, lines, least, most) in [
        (GATEWAY, "{}", &stranger, SAMPLED, 50, 120),
        (GATEWAY, "{}", &stranger, DEBUG, 50, 120),
        (GATEWAY, "{}", &stranger, "b3: 1", 50, 120),
        (GATEWAY, "{}", &mesh, SAMPLED, 3000, 3000),
        (GATEWAY, r#"{"trust": {"sampled": "keep"}}"#, &stranger, SAMPLED, 3000, 3000),
        (GATEWAY, r#"{"trust": {"ratePerSecond": 10, "burst": 2}}"#, &stranger, SAMPLED, 2, 15),
        (SIDECAR, "{}", &stranger, SAMPLED, 3000, 3000),
        (SIDECAR, r#"{"trust": {"sampled": "limit"}}"#, &stranger, SAMPLED, 50, 120),
    ] {
        client.shared.borrow_mut().clear();
        let configuration = configuration.replacen('{', r#"{"sampling": 0,"#, 1).replace(",}", "}");
        let mut tracer = proxy(node_id, &configuration);
        let sampled = (0..3000).filter(|_| {
            let lines = with_ids(lines);
            let pairs: Vec<_> = lines.lines().filter_map(|line| line.split_once(": ")).collect();
            tracer.start(&headers(&pairs), client).decision.is_sampled()
        });
        let sampled = sampled.count();
        assert!((least..=most).contains(&sampled), "{configuration} {lines}: {sampled}");
        let ignored = told(&mut tracer).into_iter().find(|(m, _)| *m == Metric::DecisionsIgnored);
        assert_eq!(ignored.map_or(0, |(_, count)| count), 3000 - sampled as i64);
    }
}

#[test]
fn a_trace_id_that_a_stranger_chose_gives_it_no_better_chance() {
    let client = Client { address: "9.9.9.9:1", ..Client::default() };
    let luckiest = "f".repeat(32);
    for lines in [
        format!("b3: {luckiest}-00f067aa0ba902b7"),
        format!("traceparent: 00-{luckiest}-00f067aa0ba902b7-01\ntracestate: ot=rv:ffffffffffffff"),
    ] {
        let configuration = r#"{"sampling": 1, "trust": {"sampled": "ignore"}}"#;
        let mut tracer = proxy(SIDECAR, configuration);
        let pairs: Vec<_> = lines.lines().filter_map(|line| line.split_once(": ")).collect();
        let started = || tracer.start(&headers(&pairs), &client).decision.is_sampled();
        let sampled = core::iter::repeat_with(started).take(10_000).filter(|sampled| *sampled);
        // One in a hundred, and five standard deviations.
        assert!((50..150).contains(&sampled.count()), "{lines}");
    }
}

#[test]
fn a_header_that_forces_is_not_a_strangers() {
    let force = r#""sampling": {"percent": 0, "force": {"header": "x-force", "value": "on"}}"#;
    for (trust, address, is_sampled) in [
        (r#"{"sampled": "limit", "from": ["10.0.0.0/8"]}"#, "9.9.9.9:1", false),
        (r#"{"sampled": "limit", "from": ["10.0.0.0/8"]}"#, "10.1.1.1:1", true),
        (r#"{"sampled": "ignore"}"#, "9.9.9.9:1", false),
        (r#"{"sampled": "keep", "context": "ignore"}"#, "9.9.9.9:1", true),
    ] {
        let mut tracer = proxy(SIDECAR, &format!(r#"{{{force}, "trust": {trust}}}"#));
        let client = Client { address, ..Client::default() };
        let started = tracer.start(&headers(&[("x-force", "on")]), &client);
        assert_eq!(started.decision.is_sampled(), is_sampled, "{trust} {address}");
        let ignored = told(&mut tracer).contains(&(Metric::DecisionsIgnored, 1));
        assert_eq!(ignored, !is_sampled, "{trust} {address}");
    }
}

#[test]
fn envoy_is_asked_who_the_client_is_only_where_it_matters() {
    let networks = r#"{"trust": {"sampled": "limit", "from": ["10.0.0.0/8"]}}"#;
    let both = r#"{"trust": {"sampled": "limit", "from": ["10.0.0.0/8", "spiffe://a/*"]}}"#;
    let contexts = r#"{"trust": {"context": "link"}}"#;
    for (node_id, configuration, lines, asked) in [
        (SIDECAR, "{}", SAMPLED, 0),
        (GATEWAY, "{}", "", 0),
        (GATEWAY, "{}", NOT_SAMPLED, 0),
        // Who it is, and the bucket.
        (GATEWAY, "{}", SAMPLED, 2),
        (GATEWAY, r#"{"trust": {"from": []}}"#, SAMPLED, 1),
        (SIDECAR, networks, SAMPLED, 2),
        (SIDECAR, both, SAMPLED, 3),
        (SIDECAR, contexts, "", 0),
        (SIDECAR, contexts, "b3: 0", 0),
        (SIDECAR, contexts, NOT_SAMPLED, 1),
        (SIDECAR, contexts, "baggage: a=1", 1),
    ] {
        let client = Client { address: "9.9.9.9:1", ..Client::default() };
        let configuration = configuration.replacen('{', r#"{"sampling": 0,"#, 1).replace(",}", "}");
        let lines = with_ids(lines);
        let pairs: Vec<_> = lines.lines().filter_map(|line| line.split_once(": ")).collect();
        proxy(node_id, &configuration).start(&headers(&pairs), &client);
        assert_eq!(client.asked.get(), asked, "{node_id} {configuration} {lines}");
    }
}
