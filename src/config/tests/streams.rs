//! From when on requests that go on are shown, as it is configured.

use super::*;
use std::time::Duration;

#[test]
fn what_goes_on_is_shown_after_a_minute_or_another_time_or_never() {
    for (json, expected) in [
        ("{}", Some(60)),
        (r#"{"streams": {}}"#, Some(60)),
        (r#"{"streams": {"visibleAfter": "1s"}}"#, Some(1)),
        (r#"{"streams": {"visibleAfter": "60m"}}"#, Some(3600)),
        (r#"{"streams": {"visibleAfter": "off"}}"#, None),
        (r#"{"streams": {"visibleAfter": false}}"#, None),
    ] {
        assert_eq!(settings_of(json).visible_after, expected.map(Duration::from_secs), "{json}");
    }
    check(&[
        (r#"{"streams": true}"#, "streams: true is not an object"),
        (r#"{"streams": "off"}"#, "streams: \"off\" is not an object"),
        (r#"{"streams": {"visibleAfter": true}}"#, "streams.visibleAfter: true is not a string"),
        (
            r#"{"streams": {"visibleAfter": "soon"}}"#,
            "streams.visibleAfter: \"soon\" is not a duration such as 250ms, 5s or 1m",
        ),
        (
            r#"{"streams": {"visibleAfter": "999ms"}}"#,
            "streams.visibleAfter: \"999ms\" is not a duration from 1s to 60m, or off",
        ),
        (
            r#"{"streams": {"visibleAfter": "61m"}}"#,
            "streams.visibleAfter: \"61m\" is not a duration from 1s to 60m, or off",
        ),
        (r#"{"streams": {"after": "60s"}}"#, "streams.after: unknown key; allowed: visibleAfter"),
    ]);
}
