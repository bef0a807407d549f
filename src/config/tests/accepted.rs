//! What a valid plugin configuration means.

use std::time::Duration;

use super::*;
use crate::config::{
    AccessLog, BatchLimits, Collector, Compression, Correlation, CorrelationMode, ExportLimits,
    Format, Overflow, Protocol, QueueLimits, TagMode, TagOn,
};

#[test]
fn nothing_configured_means_the_defaults_of_the_design() {
    for json in [
        "",
        " \n",
        "{}",
        r#"{"serviceName": ""}"#,
        r#"{"collector": {}, "queue": {}, "export": {}}"#,
    ] {
        let settings = settings_of(json);
        assert_eq!(settings.service_name, None);
        assert_eq!(settings.sampling.percent.percent(), 1.0);
        assert_eq!(settings.custom_tags, []);
        assert_eq!(settings.max_tag_length, 256);
        assert_eq!(settings.max_path_length, 256);
        let all = [Format::TraceContext, Format::B3, Format::B3Multi, Format::Jaeger];
        assert_eq!(settings.extract, all);
        assert_eq!(settings.inject, [Format::TraceContext, Format::B3Multi]);
        assert_eq!(
            settings.collector,
            Collector {
                protocol: Protocol::Zipkin,
                compression: Compression::None,
                cluster: "zipkin".to_owned(),
                path: "/api/v2/spans".to_owned(),
                authority: "zipkin".to_owned(),
                headers: Vec::new(),
                timeout: Duration::from_secs(5),
            }
        );
        let overflow = Overflow::DropNewest;
        let queue = QueueLimits { max_spans: 2048, max_bytes: 4_194_304, overflow };
        assert_eq!(settings.queue, queue);
        let batch = BatchLimits { max_spans: 512, interval: Duration::from_secs(1) };
        assert_eq!(settings.batch, batch);
        assert_eq!(settings.export, ExportLimits { max_in_flight: 4 });
        assert_eq!(settings.access_log, AccessLog::None);
        assert_eq!(
            settings.correlation,
            Correlation {
                mode: CorrelationMode::Exact,
                headers: Vec::new(),
                parent_threshold: 0.98,
                link_threshold: 0.9,
                max_in_flight: 1024,
                max_age: Duration::from_secs(60),
            }
        );
    }
}

#[test]
fn every_key_of_the_design_is_read() {
    let settings = settings_of(
        r#"{
            "serviceName": "checkout",
            "sampling": 60,
            "customTags": {
                "account": {"header": {"name": "X-Account-Id", "defaultValue": "none"}},
                "stage": {"literal": {"value": "prod"}},
                "zone": {"environment": {"name": "ZONE", "defaultValue": "-"}}
            },
            "maxTagLength": 100,
            "propagation": {"extract": ["jaeger", "b3"], "inject": ["b3"]},
            "collector": {
                "protocol": "zipkin",
                "compression": "gzip",
                "cluster": "outbound|9411||zipkin.obs.svc.cluster.local",
                "path": "/custom?a=b",
                "authority": "traces.example:9411",
                "headers": {"X-Api-Key": "s3cret", "a": ""},
                "timeout": "1.5s"
            },
            "queue": {"maxSpans": 10, "maxBytes": 1024, "overflow": "drop-oldest"},
            "batch": {"maxSpans": 5.0, "interval": "250ms"},
            "export": {"maxInFlight": 64},
            "accessLog": "all",
            "correlation": {"mode": "off", "headers": ["X-Session-Id", "a"], "parentThreshold": 1, "linkThreshold": 5e-1, "maxInFlight": 9, "maxAge": "5s"}
        }"#,
    );
    assert_eq!(settings.service_name.as_deref(), Some("checkout"));
    assert_eq!(settings.sampling.percent.percent(), 60.0);
    let tags = [
        header("account", "x-account-id", Some("none")),
        literal("stage", "prod"),
        environment("zone", "ZONE", Some("-")),
    ];
    assert_eq!(settings.custom_tags, tags);
    assert_eq!(settings.max_tag_length, 100);
    assert_eq!(settings.max_path_length, 100);
    assert_eq!(settings.extract, [Format::Jaeger, Format::B3]);
    assert_eq!(settings.inject, [Format::B3]);
    assert_eq!(settings.collector.path, "/custom?a=b");
    assert_eq!(settings.collector.authority, "traces.example:9411");
    assert_eq!(settings.collector.compression, Compression::Gzip);
    let headers = [("x-api-key".to_owned(), "s3cret".to_owned()), ("a".to_owned(), String::new())];
    assert_eq!(settings.collector.headers, headers);
    assert_eq!(settings.collector.timeout, Duration::from_millis(1500));
    let overflow = Overflow::DropOldest;
    let queue = QueueLimits { max_spans: 10, max_bytes: 1024, overflow };
    assert_eq!(settings.queue, queue);
    let batch = BatchLimits { max_spans: 5, interval: Duration::from_millis(250) };
    assert_eq!(settings.batch, batch);
    assert_eq!(settings.export, ExportLimits { max_in_flight: 64 });
    assert_eq!(settings.access_log, AccessLog::All);
    assert_eq!(
        settings.correlation,
        Correlation {
            mode: CorrelationMode::Off,
            headers: vec!["x-session-id".to_owned(), "a".to_owned()],
            parent_threshold: 1.0,
            link_threshold: 0.5,
            max_in_flight: 9,
            max_age: Duration::from_secs(5),
        }
    );
    let off = settings_of(r#"{"correlation": {"mode": false}}"#);
    assert_eq!(off.correlation.mode, CorrelationMode::Off);
}

#[test]
fn what_istio_has_too_is_also_read_in_its_spellings() {
    let expected = settings_of(
        r#"{"sampling": 0.5, "maxTagLength": 9,
            "customTags": {"a": {"header": {"name": "h", "defaultValue": "d"}}}}"#,
    );
    for sampling in ["sampling", "randomSamplingPercentage", "random_sampling_percentage"] {
        for tags in ["customTags", "custom_tags"] {
            for default in ["defaultValue", "default_value"] {
                for length in ["maxTagLength", "max_tag_length"] {
                    let json = format!(
                        r#"{{"{sampling}": 0.5, "{length}": 9,
                             "{tags}": {{"a": {{"header": {{"name": "h", "{default}": "d"}}}}}}}}"#
                    );
                    assert_eq!(settings_of(&json), expected, "{json}");
                }
            }
        }
    }
}

#[test]
fn the_limits_themselves_are_allowed() {
    let name = "n".repeat(255);
    let tag = "t".repeat(128);
    let json = format!(
        r#"{{"serviceName": "{name}", "sampling": 100, "maxTagLength": 65536,
             "customTags": {{"{tag}": {{"literal": {{"value": "v"}}}}}},
             "collector": {{"timeout": "5m"}}, "queue": {{"maxSpans": 1e6, "maxBytes": 1073741824}},
             "batch": {{"maxSpans": 65536, "interval": "5m"}}}}"#
    );
    let most = settings_of(&json);
    assert_eq!(most.queue.max_bytes, 1 << 30);
    let least = settings_of(
        r#"{"sampling": -0.0, "maxTagLength": 1, "propagation": {"extract": []},
            "collector": {"timeout": "1ms"}, "queue": {"maxSpans": 1, "maxBytes": 1024},
            "batch": {"maxSpans": 1, "interval": "10ms"}}"#,
    );
    assert_eq!(least.sampling.percent.threshold(), 1 << 56);
    assert_eq!(least.extract, []);
}

#[test]
fn an_empty_default_value_is_none() {
    let json = r#"{"customTags": {
        "a": {"header": {"name": "h", "defaultValue": ""}},
        "b": {"environment": {"name": "E", "default_value": ""}},
        "c": {"header": {"name": ":authority"}}}}"#;
    let tags =
        [header("a", "h", None), environment("b", "E", None), header("c", ":authority", None)];
    assert_eq!(settings_of(json).custom_tags, tags);
}

#[test]
fn a_batch_is_never_larger_than_the_queue() {
    for (json, spans) in [
        (r#"{"queue": {"maxSpans": 100}}"#, 100),
        (r#"{"queue": {"maxSpans": 100}, "batch": {"maxSpans": 1000}}"#, 100),
        (r#"{"queue": {"maxSpans": 100}, "batch": {"maxSpans": 99}}"#, 99),
    ] {
        assert_eq!(settings_of(json).batch.max_spans, spans, "{json}");
    }
}

#[test]
fn every_source_and_word_of_a_tag_is_read() {
    let of = |json: &str| {
        let mut tags =
            settings_of(&format!(r#"{{"customTags": {{"t": {{{json}}}}}}}"#)).custom_tags;
        tags.remove(0)
    };
    let path = "metadata\0filter_metadata\0a.b\0c";
    for (json, source, key) in [
        (r#""cookie": {"name": "Theme"}"#, TagSource::Cookie, "Theme"),
        (r#""queryParameter": {"name": "page"}"#, TagSource::QueryParameter, "page"),
        (r#""pathSegment": {"template": "/users/{id}"}"#, TagSource::PathSegment, "/users/{id}"),
        (r#""baggage": {"name": "tenant"}"#, TagSource::Baggage, "tenant"),
        (r#""requestTrailer": {"name": "X-A"}"#, TagSource::RequestTrailer, "x-a"),
        (
            r#""responseHeader": {"name": "X-A"}"#,
            TagSource::ResponseHeader,
            "response\0headers\0x-a",
        ),
        (
            r#""responseTrailer": {"name": "X-A"}"#,
            TagSource::ResponseTrailer,
            "response\0trailers\0x-a",
        ),
        (r#""metadata": {"kind": "dynamic", "path": ["a.b", "c"]}"#, TagSource::Metadata, path),
        (
            r#""metadata": {"kind": "route", "path": ["a"]}"#,
            TagSource::Metadata,
            "xds\0route_metadata\0filter_metadata\0a",
        ),
        (
            r#""metadata": {"kind": "cluster", "path": ["a"]}"#,
            TagSource::Metadata,
            "xds\0cluster_metadata\0filter_metadata\0a",
        ),
        (
            r#""metadata": {"kind": "host", "path": ["a"]}"#,
            TagSource::Metadata,
            "xds\0upstream_host_metadata\0filter_metadata\0a",
        ),
        (
            r#""attribute": {"name": "connection.tls_version"}"#,
            TagSource::Attribute,
            "connection\0tls_version",
        ),
    ] {
        assert_eq!(of(json), tag("t", source, key, None), "{json}");
        let with_default = json.replace('}', r#", "defaultValue": "-"}"#);
        let with_default = with_default.replacen(r#"{id, "defaultValue": "-"}"#, "{id}", 1);
        assert_eq!(of(&with_default), tag("t", source, key, Some("-")), "{with_default}");
    }
    let whole = of(r#""header": {"name": "a"}, "mode": "hash", "on": "inbound", "maxLength": 9"#);
    assert_eq!((whole.mode, whole.on, whole.max_length), (TagMode::Hash, TagOn::Inbound, Some(9)));
    assert_eq!(of(r#""header": {"name": "a"}, "true": "inbound""#).on, TagOn::Inbound);
    let settings =
        settings_of(r#"{"hashKey": "0123456789abcdef", "resource": {"b": "1", "a": "2"}}"#);
    assert_eq!(settings.hash_key.as_deref(), Some("0123456789abcdef"));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(settings.resource, [pair("b", "1"), pair("a", "2")]);
}
