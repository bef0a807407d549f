use super::*;
use crate::propagation::tracestate::{is_valid, list, probability, with_threshold};
use crate::trace::{Probability, Randomness};

#[test]
fn a_span_keeps_tracestate_as_one_list_of_the_members_that_fit() {
    let member = |key: char| format!("{key}={}", "v".repeat(253));
    let (a, b) = (member('a'), member('b'));
    let two = format!("{a},{b}");
    for (name, lines, expected) in [
        ("one member", vec!["a=1"], "a=1"),
        ("lines, white space and empty members", vec![" a=1\t,,b=2,", "c= 3"], "a=1,b=2,c= 3"),
        ("two members of 511 bytes in all", vec![two.as_str()], two.as_str()),
        ("a third that does not fit", vec![two.as_str(), "c=1"], two.as_str()),
        ("nothing after one that does not fit", vec![a.as_str(), "k=1234", b.as_str(), "c=1"], &format!("{a},k=1234")),
    ] {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(list(&lines), expected, "{name}");
    }
}

#[test]
fn tracestate_is_valid_only_as_the_specification_says() {
    let long_key = format!("{}=1", "k".repeat(256));
    let too_long_key = format!("{}=1", "k".repeat(257));
    let long_value = format!("k={}", "v".repeat(256));
    let too_long_value = format!("k={}", "v".repeat(257));
    let members = |count: usize| -> String { (0..count).map(|n| format!("k{n}=v,")).collect() };
    let (full, too_full) = (members(32), members(33));
    for (name, lines, expected) in [
        ("one member", vec!["congo=t61rcWkgMzE"], true),
        ("two lines are one list", vec!["a=1", "b=2,c=3"], true),
        ("white space around members", vec![" a=1 \t, \t b=2"], true),
        ("empty members", vec!["a=1,,b=2,"], true),
        ("an empty line beside another", vec!["", "a=1"], true),
        ("the same key twice", vec!["a=1,a=2"], true),
        ("every character of a value", vec!["a=! ~\"#+-<>@"], true),
        ("tenant keys", vec!["0a_-*/@b=1"], true),
        ("32 members", vec![full.as_str()], true),
        ("a key of 256", vec![long_key.as_str()], true),
        ("a value of 256", vec![long_value.as_str()], true),
        ("nothing", vec![""], false),
        ("33 members", vec![too_full.as_str()], false),
        ("a key of 257", vec![too_long_key.as_str()], false),
        ("a value of 257", vec![too_long_value.as_str()], false),
        ("an upper-case key", vec!["FOO=1"], false),
        ("a key that begins with @", vec!["@foo=1,bar=2"], false),
        ("a key with a dot", vec!["foo.bar=1"], false),
        ("a space after the key", vec!["foo =1"], false),
        ("an empty value", vec!["foo=,bar=3"], false),
        ("an empty key", vec!["=1"], false),
        ("no equals sign", vec!["foo"], false),
        ("two equals signs", vec!["foo=bar=baz"], false),
        ("a control character", vec!["foo=\u{1}"], false),
        ("a byte that is not ASCII", vec!["foo=é"], false),
    ] {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(is_valid(&lines), expected, "{name}");
    }
}

/// 50 %, which is short.
fn half() -> Threshold {
    Threshold::new(1 << 55)
}

#[test]
fn what_the_member_ot_says_on_sampling_is_read() {
    let randomness = Randomness::new(0x74_79cf_b506_891d);
    for (name, lines, threshold, rv) in [
        ("a threshold", &["ot=th:8"][..], Some(half()), None),
        ("both", &["a=1, ot=rv:7479cfb506891d;th:8 ,b=2"], Some(half()), Some(randomness)),
        ("in another line", &["a=1", "ot=x:1;th:0"], Some(Threshold::ALWAYS), None),
        ("nothing", &["a=1"], None, None),
        ("other keys of it", &["ot=p:8;xth:8"], None, None),
        ("a tenant's", &["t@ot=th:8,ots=th:8"], None, None),
        ("too many digits", &["ot=th:fd70a3d70a3d710"], None, None),
        ("no digits", &["ot=th:;rv:"], None, None),
        ("upper case", &["ot=th:C;rv:7479CFB506891D"], None, None),
        ("not hex", &["ot=th:8g"], None, None),
        ("no list", &["ot=8"], None, None),
        ("the first member of that name", &["ot=th:8,ot=th:0"], Some(half()), None),
    ] {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(probability(&lines), Probability { threshold, randomness: rv }, "{name}");
    }
}

#[test]
fn a_threshold_is_written_and_everything_else_stays() {
    let members = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
    let (all, full) = (members(31), members(32));
    let (most, more) = (format!("ot=x:{}", "v".repeat(249)), format!("ot=x:{}", "v".repeat(250)));
    for (name, lines, threshold, expected) in [
        ("none there", &[][..], Some(half()), "ot=th:8"),
        ("none at all", &[], None, ""),
        ("others are there", &["a=1", "b=2"], Some(half()), "ot=th:8,a=1,b=2"),
        ("it comes first", &["a=1,ot=th:c,b=2"], Some(half()), "ot=th:8,a=1,b=2"),
        ("other keys stay", &["ot=p:8;th:c;rv:7479cfb506891d"], Some(half()), "ot=th:8;p:8;rv:7479cfb506891d"),
        ("it goes, other keys stay", &["ot=p:8;th:c"], None, "ot=p:8"),
        ("the member goes", &["a=1,ot=th:c"], None, "a=1"),
        ("the list goes", &["ot=th:c"], None, ""),
        ("a blank is no key", &["ot= ;th:c,a=1"], None, "a=1"),
        ("a member with room for it", &[&most], Some(half()), &format!("ot=th:8;{}", &most[3..])),
        ("a member without", &[&more, "a=1"], Some(half()), &format!("{more},a=1")),
        ("31 others", &[&all], Some(half()), &format!("ot=th:8,{all}")),
        ("32 others: the last goes", &[&full], Some(half()), &format!("ot=th:8,{all}")),
        ("a second member of that name goes", &["ot=th:c,a=1,ot=th:0"], Some(half()), "ot=th:8,a=1"),
    ] {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        let written = with_threshold(&lines, threshold);
        assert_eq!(written, expected, "{name}");
        assert!(written.is_empty() || is_valid(&[written.as_bytes()]), "{name}");
    }
}

#[test]
fn tracestate_says_the_threshold_of_a_sampled_trace_beside_traceparent_alone() {
    let w3c = &[Format::TraceContext][..];
    let b3 = &[Format::B3][..];
    let came_in = "traceparent: 00-TRACE-PARENT-01\n";
    let with = |state: &str| format!("{came_in}tracestate: {state}");
    for (name, inject, before, decision, threshold, expected) in [
        ("a new trace", w3c, String::new(), Decision::Sample, Some(half()), Some("ot=th:8")),
        ("not sampled", w3c, String::new(), Decision::Drop, Some(half()), None),
        ("of unknown probability", w3c, String::new(), Decision::Sample, None, None),
        ("without traceparent", b3, String::new(), Decision::Sample, Some(half()), None),
        ("a stale list", w3c, "tracestate: a=1".to_owned(), Decision::Sample, Some(half()), Some("ot=th:8")),
        ("a stale list, without traceparent", b3, "tracestate: a=1".to_owned(), Decision::Sample, Some(half()), None),
        ("a traceparent that is not configured", b3, with("a=1"), Decision::Sample, Some(half()), Some("ot=th:8,a=1")),
        ("it says so already", w3c, with("a=1, ot=th:8"), Decision::Sample, Some(half()), Some("a=1, ot=th:8")),
        ("a threshold that is wrong", w3c, with("a=1,ot=th:8"), Decision::Sample, None, Some("a=1")),
        ("a threshold alone that is wrong", w3c, with("ot=th:8"), Decision::Sample, None, None),
        ("of a trace that is not sampled", w3c, with("ot=th:8"), Decision::Drop, None, Some("ot=th:8")),
    ] {
        let headers = headers(&before);
        let after = apply(&headers, &edits(inject, &headers, &context(None), decision, threshold));
        let found = after.iter().find(|(name, _)| name == "tracestate");
        assert_eq!(found.map(|(_, value)| value.as_str()), expected, "{name}");
    }
}
