//! Spans for the tests of other stations.

use super::{
    Endpoint, Event, Evidence, Extent, GrpcRequest, HttpRequest, HttpResponse, Kept, Link,
    Sampling, Span, SpanId, SpanKind, Threshold, TraceFlags, TraceId,
};

/// A plain span: what every request has, and little more.
pub(crate) fn span(kind: SpanKind) -> Span<'static> {
    Span {
        trace_id: TraceId::new(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736).unwrap(),
        span_id: SpanId::new(0xf0).unwrap(),
        parent_id: SpanId::new(0xa),
        flags: TraceFlags::default(),
        trace_state: String::new(),
        correlation: None,
        links: vec![],
        kind,
        extent: Extent::Whole,
        name: "reviews.default.svc.cluster.local:9080/*".to_owned(),
        start_time: 1_700_000_000_123_456_789,
        duration: 1_999_999,
        debug: false,
        sampling: Sampling {
            rule: "percent",
            threshold: Some(Threshold::new(1 << 55)),
            counts: false,
            kept: None,
        },
        local: Endpoint { service_name: "a.b".to_owned(), ip: "10.0.0.1".parse().ok(), port: None },
        remote: Endpoint {
            service_name: "c.d".to_owned(),
            ip: "fe80::1".parse().ok(),
            port: Some(9080),
        },
        request: HttpRequest {
            method: "GET".into(),
            scheme: "http".into(),
            authority: "h:8080".to_owned(),
            path: "/p?q=REDACTED".to_owned(),
            ..HttpRequest::default()
        },
        response: HttpResponse {
            status_code: Some(200),
            protocol: "HTTP/1.1".into(),
            response_size: 300,
            peer: "10.0.0.9".parse().ok(),
            ..HttpResponse::default()
        },
        events: vec![],
        custom_tags: vec![],
    }
}

/// A client's span that has everything.
pub(crate) fn full() -> Span<'static> {
    let base = span(SpanKind::Client);
    Span {
        flags: TraceFlags { random: true },
        trace_state: "a=1,b=2".to_owned(),
        correlation: Some(Evidence { name: "inferred".to_owned(), confidence: Some(985) }),
        sampling: Sampling { counts: true, kept: Some(Kept::Slow), ..base.sampling },
        links: vec![link(0xabc, 0x1), link(u128::MAX, u64::MAX)],
        request: HttpRequest {
            user_agent: Some("ua".to_owned()),
            request_id: Some("rid".to_owned()),
            client_trace_id: Some("cid".to_owned()),
            downstream_cluster: Some("dc".to_owned()),
            grpc: Some(GrpcRequest {
                path: "/pkg.Service/Method?k=REDACTED".to_owned(),
                content_type: "application/grpc".to_owned(),
                timeout: Some("1S".to_owned()),
            }),
            ..base.request
        },
        response: HttpResponse {
            flags: "UF".to_owned(),
            upstream_cluster: Some("uc".to_owned()),
            grpc_status: Some(14),
            grpc_message: Some("away".to_owned()),
            error: true,
            resend_count: 2,
            pool_ready: 700_000,
            ..base.response
        },
        events: vec![
            Event { name: "first_upstream_tx_byte_sent", time: base.start_time + 5 },
            Event { name: "first_upstream_rx_byte_received", time: base.start_time + 1_000_000 },
        ],
        // Longer than one and two bytes of length can say.
        custom_tags: vec![("account", "x".repeat(200).into()), ("long", "y".repeat(20_000).into())],
        ..base
    }
}

/// A link to the span with these ids.
pub(crate) fn link(trace_id: u128, span_id: u64) -> Link {
    let (trace_id, span_id) = (TraceId::new(trace_id).unwrap(), SpanId::new(span_id).unwrap());
    Link { trace_id, span_id, confidence: None }
}
