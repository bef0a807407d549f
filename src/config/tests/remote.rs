//! `sampling.remote`: whom to ask, and what is kept secret.

use super::*;
use crate::config::RemoteSampling;

fn remote(json: &str) -> RemoteSampling {
    let json = format!(r#"{{"sampling": {{"remote": {json}}}}}"#);
    settings_of(&json).sampling.remote.clone().unwrap()
}

#[test]
fn nobody_is_asked_unless_it_is_said() {
    assert_eq!(settings_of("{}").sampling.remote, None);
    assert_eq!(settings_of(r#"{"sampling": {"percent": 5}}"#).sampling.remote, None);
}

#[test]
fn every_key_of_a_server_is_read_and_only_the_cluster_is_needed() {
    for (json, cluster, path, authority, headers, seconds) in [
        (r#"{"cluster": "jaeger"}"#, "jaeger", "/api/sampling", "jaeger", vec![], 60.0),
        (
            r#"{"cluster": "outbound|5778||jaeger.obs.svc.cluster.local", "authority": ""}"#,
            "outbound|5778||jaeger.obs.svc.cluster.local",
            "/api/sampling",
            "jaeger.obs.svc.cluster.local",
            vec![],
            60.0,
        ),
        (
            r#"{"cluster": "c", "path": "/sampling", "authority": "a", "headers": {"X-Key": "k"}, "interval": "1.5s"}"#,
            "c",
            "/sampling",
            "a",
            vec![("x-key".to_owned(), "k".to_owned())],
            1.5,
        ),
        (r#"{"cluster": "c", "interval": "60m"}"#, "c", "/api/sampling", "c", vec![], 3600.0),
    ] {
        let found = remote(json);
        let texts = [found.cluster.as_str(), &found.path, &found.authority];
        assert_eq!(texts, [cluster, path, authority], "{json}");
        assert_eq!(found.headers, headers, "{json}");
        assert_eq!(found.interval.as_secs_f64(), seconds, "{json}");
    }
}

#[test]
fn a_server_that_cannot_be_asked_is_refused() {
    for (json, line) in [
        ("\"jaeger\"", "sampling.remote: \"jaeger\" is not an object"),
        ("{}", "sampling.remote.cluster: missing; allowed: the name of a cluster"),
        (
            r#"{"cluster": "a b"}"#,
            "sampling.remote.cluster: \"a b\" is not a string of visible ASCII characters",
        ),
        (
            r#"{"cluster": "c", "path": "api"}"#,
            "sampling.remote.path: \"api\" is not a path that begins with /",
        ),
        (r#"{"cluster": "c", "interval": 60}"#, "sampling.remote.interval: 60 is not a string"),
        (
            r#"{"cluster": "c", "service": "s"}"#,
            "sampling.remote.service: unknown key; allowed: cluster, path, authority, headers, interval",
        ),
        (
            r#"{"cluster": "c", "headers": {"b3": "1"}}"#,
            "sampling.remote.headers.b3: reserved; allowed: any but b3, connection, content-encoding, content-length, content-type, host, te, transfer-encoding",
        ),
        (
            r#"{"cluster": "c", "headers": {"authorization": "Bearer hunter2\n"}}"#,
            "sampling.remote.headers.authorization: its value is not a string without control characters",
        ),
    ] {
        assert_eq!(refusal(format!(r#"{{"sampling": {{"remote": {json}}}}}"#).as_bytes()), line);
    }
    for interval in ["0s", "999ms", "60.1m", "61m"] {
        let json = format!(
            r#"{{"sampling": {{"remote": {{"cluster": "c", "interval": "{interval}"}}}}}}"#
        );
        schema::agrees(json.as_bytes(), true);
        let line = PluginConfig::parse(json.as_bytes()).unwrap_err().to_string();
        let expected =
            format!("sampling.remote.interval: \"{interval}\" is not a duration from 1s to 60m");
        assert_eq!(line, expected);
    }
}

#[test]
fn no_secret_of_a_server_is_shown() {
    let found = remote(r#"{"cluster": "c", "headers": {"x-key": "hunter2"}}"#);
    assert!(!format!("{found:?}").contains("hunter2"));
}
