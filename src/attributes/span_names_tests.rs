use super::*;
use crate::config::{MeshConfig, PluginConfig, settings};

fn names(config: &str) -> SpanNames {
    let plugin = PluginConfig::parse(config.as_bytes()).unwrap();
    SpanNames::new(&settings(plugin, MeshConfig::default()))
}

const OPERATIONS: &str = r#"["/", "/users/me", "/users/{id}", "/users/{id}/orders/{order}", "/static/**",
    "/v*/items/{item}", "/**/health/{what}"]"#;

#[test]
fn an_operation_is_the_first_template_of_the_whole_path() {
    let config =
        [r#"{"spanName": {"template": "{operation}"}, "operations": "#, OPERATIONS, "}"].concat();
    for (path, expected) in [
        ("/", "/"),
        ("//", "/"),
        ("/?q=/users/1", "/"),
        ("/users", "other"),
        ("/users/1", "/users/{id}"),
        ("/Users/1/?page=2", "/users/{id}"),
        ("/users/1#orders", "/users/{id}"),
        ("/users/me", "/users/me"),
        ("/users/1;v=2", "/users/{id}"),
        ("/users/1/orders", "other"),
        ("/users/1/orders/2", "/users/{id}/orders/{order}"),
        ("/users/1/orders/2/3", "other"),
        ("/static", "/static/**"),
        ("/static/a/b/c.js", "/static/**"),
        ("/v1/items/2", "/v*/items/{item}"),
        ("/w1/items/2", "other"),
        ("/health/x", "/**/health/{what}"),
        ("/a/b/health/x", "/**/health/{what}"),
        ("/a/b/health", "other"),
        ("/users/\u{0}\u{7f}", "/users/{id}"),
        ("*", "other"),
        ("", "/"),
    ] {
        let mut names = names(&config);
        let place = names.operation(&[(b":path", path.as_bytes())]);
        assert_eq!(names.name(None, "GET", place, None), expected, "{path}");
    }
}

#[test]
fn the_path_that_was_asked_for_counts_and_bytes_that_are_no_text_are_bytes() {
    let mut names =
        names(r#"{"spanName": {"template": "{operation}"}, "operations": ["/a/{id}", "/b"]}"#);
    let headers: [(&[u8], &[u8]); 2] =
        [(b":path", b"/b"), (b"x-envoy-original-path", b"/a/\xff\xfe")];
    let place = names.operation(&headers);
    assert_eq!(names.name(None, "GET", place, None), "/a/{id}");
    assert_eq!(names.operation(&[]), None);
}

#[test]
fn a_template_says_what_is_known_or_a_fixed_word() {
    let service = Service::from_cluster("outbound|80||reviews.default.svc.cluster.local");
    for (template, service, route, operation, expected) in [
        ("{method} {route}", None, Some("checkout"), Some(0), "GET checkout"),
        ("{method} {route}", None, Some("default"), Some(0), "GET /users/{id}"),
        ("{method} {route}", None, Some(""), Some(0), "GET /users/{id}"),
        ("{method} {route}", None, None, None, "GET other"),
        ("{method} {operation}", None, Some("checkout"), Some(0), "GET /users/{id}"),
        ("{service}: {operation}", service.as_ref(), None, None, "reviews.default: other"),
        ("{service}", None, None, Some(0), "other"),
        ("{service}{service}", service.as_ref(), None, None, "reviews.defaultreviews.default"),
        ("request", None, None, None, "request"),
    ] {
        let config =
            [r#"{"spanName": {"template": ""#, template, r#""}, "operations": ["/users/{id}"]}"#]
                .concat();
        assert_eq!(names(&config).name(service, "GET", operation, route), expected, "{template}");
    }
}

#[test]
fn nobody_looks_for_an_operation_that_no_name_has() {
    let headers: [(&[u8], &[u8]); 1] = [(b":path", b"/users/1")];
    for (template, looks, asks) in [
        ("{service}", false, false),
        ("{method}", false, false),
        ("{operation}", true, false),
        ("{route}", true, true),
    ] {
        let config =
            [r#"{"spanName": {"template": ""#, template, r#""}, "operations": ["/users/{id}"]}"#]
                .concat();
        let names = names(&config);
        assert_eq!(
            (names.operation(&headers).is_some(), names.has_route()),
            (looks, asks),
            "{template}"
        );
    }
    let usual = names(r#"{"operations": ["/users/{id}"]}"#);
    assert!(!usual.has_template() && usual.operation(&headers).is_none());
}

#[test]
fn a_hundred_thousand_paths_give_no_more_names_than_there_are_operations() {
    let mut names = names(
        r#"{"spanName": {"template": "{method} {operation}"}, "operations": ["/users/{id}", "/orders/{id}/**"]}"#,
    );
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..100_000 {
        let path = match number % 3 {
            0 => format!("/users/{number}"),
            1 => format!("/orders/{number}/{number}"),
            _ => format!("/{number}/users"),
        };
        let place = names.operation(&[(b":path", path.as_bytes())]);
        seen.insert(names.name(None, "GET", place, None));
    }
    let seen: Vec<_> = seen.iter().map(String::as_str).collect();
    assert_eq!(seen, ["GET /orders/{id}/**", "GET /users/{id}", "GET other"]);
}

#[test]
fn whatever_the_routes_are_called_there_are_so_many_names_at_most() {
    let mut names = names(r#"{"spanName": {"template": "{route}"}}"#);
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..100_000 {
        seen.insert(names.name(None, "GET", None, Some(&format!("r{number}"))));
    }
    // The fixed word is one more.
    assert_eq!(seen.len(), MAX_SPAN_NAMES + 1);
    assert_eq!(names.name(None, "GET", None, Some("r7")), "r7");
    assert_eq!(names.name(None, "GET", None, Some("one-more")), "other");
    let long = "é".repeat(200);
    let mut names = self::names(r#"{"spanName": {"template": "{route}"}}"#);
    assert_eq!(names.name(None, "GET", None, Some(&long)), "é".repeat(MAX_ROUTE / 2));
}
