//! Configurations that nobody wrote by mistake: no panic, one short line.

use super::*;

/// The longest line: a path of three user's keys, what was found, and what is allowed.
const MAX_LINE: usize = 512;

#[test]
fn hostile_bytes_are_refused_in_one_short_line() {
    let deep = |open: &str, close: &str| [open.repeat(200_000), close.repeat(200_000)].concat();
    let long = "x".repeat(900_000);
    let utf8 = b"{\"serviceName\": \"\xff\xfe\"}".to_vec();
    for (name, json) in [
        ("deep arrays", deep("[", "]").into_bytes()),
        ("deep objects", deep(r#"{"queue":"#, "}").into_bytes()),
        (
            "arrays just under the depth limit",
            format!(r#"{{"queue": {}{}}}"#, "[".repeat(120), "]".repeat(120)).into_bytes(),
        ),
        ("invalid UTF-8", utf8),
        ("a long value", format!(r#"{{"serviceName": "{long}"}}"#).into_bytes()),
        ("a long key", format!(r#"{{"{long}": 1}}"#).into_bytes()),
        (
            "a long key twice",
            format!(r#"{{"{l}": 1, "{l}": 2}}"#, l = "y".repeat(400_000)).into_bytes(),
        ),
        ("a long array", format!(r#"{{"queue": [{}1]}}"#, "1,".repeat(400_000)).into_bytes()),
        (
            "long keys of tags",
            format!(r#"{{"customTags": {{"{t}": {{"{t}": 1}}}}}}"#, t = "\\u202e".repeat(42))
                .into_bytes(),
        ),
        (
            "lines in a value",
            br#"{"serviceName": ["a\n\r\u0085\u2028b"], "queue": "a\n\r\u0085\u2028b"}"#.to_vec(),
        ),
        ("a lone surrogate", br#"{"serviceName": "\ud800"}"#.to_vec()),
        ("NUL", b"\0".to_vec()),
        ("byte order mark", "\u{feff}{}".as_bytes().to_vec()),
        ("a million bytes and more", vec![b' '; (1 << 20) + 1].into_iter().chain(*b"{}").collect()),
        ("infinite number", br#"{"sampling": 1e400}"#.to_vec()),
        ("endless number", format!(r#"{{"sampling": {}}}"#, "9".repeat(100_000)).into_bytes()),
    ] {
        let line = refusal(&json);
        assert!(line.chars().count() <= MAX_LINE, "{name}: {} characters", line.chars().count());
        assert!(!line.chars().any(char::is_control), "{name}: {line}");
        assert!(!line.contains(['\u{2028}', '\u{202e}']), "{name}: {line}");
    }
}

#[test]
fn what_is_echoed_is_cut_to_64_characters() {
    let line = refusal(format!(r#"{{"queue": "{}"}}"#, "ü".repeat(100)).as_bytes());
    assert_eq!(line, format!("queue: \"{}… is not an object", "ü".repeat(62)));
    let line = refusal(format!(r#"{{"queue": "{}"}}"#, "ü".repeat(62)).as_bytes());
    assert_eq!(line, format!("queue: \"{}\" is not an object", "ü".repeat(62)));
}

#[test]
fn a_configuration_over_1_mib_is_refused_and_one_of_1_mib_is_read() {
    let sized = |size: usize| format!("{{{}}}", " ".repeat(size - 2)).into_bytes();
    assert!(PluginConfig::parse(&sized(1 << 20)).is_ok());
    assert_eq!(
        refusal(&sized((1 << 20) + 1)),
        "configuration: 1048577 bytes; allowed: at most 1048576"
    );
}

#[test]
fn no_byte_changed_or_cut_in_a_configuration_makes_it_panic() {
    let json = br#"{"sampling":60,"customTags":{"a":{"header":{"name":"h"}}},"collector":{"timeout":"5s"}}"#;
    for position in 0..json.len() {
        let _ = PluginConfig::parse(&json[..position]);
        for byte in [0x00, b'"', b'{', b']', b'9', b'\\', 0x80, 0xff] {
            let mut changed = json.to_vec();
            changed[position] = byte;
            let _ = PluginConfig::parse(&changed);
        }
    }
}
