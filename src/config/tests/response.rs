//! What responses tell, as it is configured.

use super::*;
use crate::config::{At, Response};

#[test]
fn responses_tell_nothing_unless_it_is_asked_for() {
    let response = |traceresponse, header: Option<&str>, at| Response {
        traceresponse,
        header: header.map(str::to_owned),
        at,
    };
    for (json, expected) in [
        ("{}", Response::default()),
        (r#"{"response": {}}"#, response(false, None, At::Edge)),
        (r#"{"response": {"traceresponse": false}}"#, response(false, None, At::Edge)),
        (r#"{"response": {"traceresponse": true}}"#, response(true, None, At::Edge)),
        (
            r#"{"response": {"header": "X-Trace-Id"}}"#,
            response(false, Some("x-trace-id"), At::Edge),
        ),
        (
            r#"{"response": {"traceresponse": true, "header": "x-trace-id", "at": "everywhere"}}"#,
            response(true, Some("x-trace-id"), At::Everywhere),
        ),
        (r#"{"response": {"traceresponse": true, "at": "edge"}}"#, response(true, None, At::Edge)),
    ] {
        assert_eq!(settings_of(json).response, expected, "{json}");
    }
}

#[test]
fn a_header_that_means_something_else_is_refused() {
    let allowed = "has a meaning of its own; allowed: a header such as x-trace-id";
    for name in
        ["traceresponse", "Set-Cookie", "content-length", "transfer-encoding", ":path", "x-token"]
    {
        let line = refusal(format!(r#"{{"response": {{"header": "{name}"}}}}"#).as_bytes());
        assert_eq!(line, format!("response.header: {allowed}"), "{name}");
    }
    check(&[
        (r#"{"response": true}"#, "response: true is not an object"),
        (
            r#"{"response": {"header": "a b"}}"#,
            "response.header: \"a b\" is not the name of a header",
        ),
        (r#"{"response": {"header": ""}}"#, "response.header: \"\" is not the name of a header"),
        (
            r#"{"response": {"traceresponse": "yes"}}"#,
            "response.traceresponse: \"yes\" is not true or false",
        ),
        (
            r#"{"response": {"at": "gateway"}}"#,
            "response.at: \"gateway\" is not one of edge, everywhere",
        ),
        (
            r#"{"response": {"name": "a"}}"#,
            "response.name: unknown key; allowed: traceresponse, header, at",
        ),
    ]);
}
