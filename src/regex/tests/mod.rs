use super::*;

mod differential;

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|mistake| panic!("{pattern:?}: {mistake:?}"))
}

impl Regex {
    fn is_match(&self, text: &[u8]) -> bool {
        self.search(text) == Some(true)
    }
}

#[test]
fn each_piece_of_the_syntax_matches_what_it_says() {
    for (rule, pattern, matching, other) in [
        ("nothing matches everywhere", "", &["", "a"][..], &[][..]),
        (
            "a literal is looked for anywhere",
            "vip",
            &["vip", "a vip-1"],
            &["", "vi", "VIP", "v-ip"],
        ),
        ("^ is the beginning", "^vip-", &["vip-", "vip-7"], &["", "a vip-7", "\nvip-"]),
        ("$ is the end, not a line's", "pay$", &["pay", "/pay"], &["pays", "pay\n"]),
        (r"\A and \z are the same", r"\Apay\z", &["pay"], &["pays", "/pay", "pay\n"]),
        ("a caret may stand anywhere", "a^b", &[], &["ab", "a^b", "a\nb"]),
        ("a dot is any byte but a line feed", "^a.c$", &["abc", "a\tc"], &["ac", "a\nc", "abbc"]),
        ("a dot is half a character", "^..$", &["é", "ab"], &["a", "€"]),
        ("a character is whole to a repetition", "^é+$", &["é", "éé"], &["", "\u{c3}", "e"]),
        ("a class is one of its bytes", "^[a-c_x]$", &["a", "b", "c", "_", "x"], &["d", "", "ab"]),
        ("a negated class is none, a line feed too", "^[^a-c]$", &["d", "\n"], &["a", "c", ""]),
        ("a bracket that comes first is meant", "^[]a]+$", &["]a"], &["[", "b"]),
        ("also behind the caret", "^[^]a]$", &["b"], &["]", "a"]),
        ("a hyphen at either end is meant", "^[-a][b-]$", &["-b", "a-"], &["ab-", "bb"]),
        ("a hyphen behind a class is meant", r"^[\d-a]+$", &["5-a"], &["b"]),
        ("a caret inside a class is meant", "^[a^]$", &["^", "a"], &["b"]),
        ("nothing else is special in a class", "^[.*+?()|{}$&[]+$", &[".*+?()|{}$&["], &["a"]),
        ("escapes are members of a class", r"^[\d\-\]\\\n]+$", &["5-]\\\n"], &["a", "["]),
        ("and range with bytes", r"^[\x41-\x43]$", &["A", "C"], &["D"]),
        (r"\d is a digit", r"^\d\D$", &["5a"], &["aa", "55", "٣a"]),
        (r"\w is a letter, digit or _", r"^\w+\W$", &["aZ_9-", "a."], &["-", "ab", "é"]),
        (r"\s is a space, and \v none", r"^\s+\S$", &[" \t\r\n\u{c}a", " \u{b}"], &["ab", "  "]),
        ("escaped punctuation is meant", r"^\.\/\[\]\{\}\-\_\ $", &["./[]{}-_ "], &["a/[]{}-_ "]),
        ("bytes have names", r"^\t\n\r\x7e$", &["\t\n\r~"], &[""]),
        (r"\x is a byte of any case", r"^\xC3\xa9$", &["é"], &["è"]),
        (
            r"\b is a word's edge",
            r"\bpay\b",
            &["pay", "/pay/", "a pay"],
            &["repay", "pay2", "_pay"],
        ),
        (r"\B is none", r"pay\B", &["pays"], &["pay", "pay/"]),
        ("one of two", "^(a|bc)$", &["a", "bc"], &["b", "abc", ""]),
        ("alternatives bind weakest", "^a|b$", &["ax", "xb"], &["xa", "bx"]),
        ("three, one of them empty", "^(?:ab||c)$", &["ab", "", "c"], &["abc", "b"]),
        ("groups inside groups", "^((a|b)(c|d))+$", &["ac", "bdac"], &["ab", ""]),
        ("an empty group", "^()$", &[""], &["a"]),
        ("* is any number", "^ab*$", &["a", "abbb"], &["b", "aba"]),
        ("+ is at least one", "^(ab)+$", &["ab", "abab"], &["", "aba"]),
        ("? is at most one", "^ab?$", &["a", "ab"], &["abb"]),
        ("{2} is two", "^a{2}$", &["aa"], &["a", "aaa"]),
        ("{2,} is two or more", "^a{2,}$", &["aa", "aaaaa"], &["a"]),
        ("{0,} is any number", "^(ab){0,}$", &["", "abab"], &["a"]),
        ("{1,3} is from one to three", "^a{1,3}$", &["a", "aaa"], &["", "aaaa"]),
        ("{0} is none", "^a(bc){0}d$", &["ad"], &["abcd"]),
        ("a repetition of alternatives", "^(a|bc){2}$", &["aa", "abc", "bcbc"], &["a", "bca b"]),
        ("lazy ones match the same", "^a*?b+?c??d{1,2}?$", &["bd", "aabbcdd"], &["ad", "bddd"]),
        ("a repetition in a group repeats", "^(?:a*)+$", &["", "aaa"], &["b"]),
        ("so does a place", "^(?:^)*a$", &["a"], &["b"]),
        ("(?i) is for letters of ASCII", "(?i)^vip-[x-z]é$", &["ViP-Yé", "vip-zé"], &["vip-É"]),
        ("and negated classes", "(?i)^[^a-c]$", &["d", "-"], &["B", "b"]),
        ("] and } alone are meant", "^a]}$", &["a]}"], &["a"]),
    ] {
        let regex = regex(pattern);
        for text in matching {
            assert!(regex.is_match(text.as_bytes()), "{rule}: {pattern} matches {text:?}");
        }
        for text in other {
            assert!(!regex.is_match(text.as_bytes()), "{rule}: {pattern} does not match {text:?}");
        }
    }
}

#[test]
fn a_text_need_not_be_utf_8() {
    let text = b"\xff\xfe/pay\0\x80";
    for (pattern, expected) in [
        ("/pay", true),
        (r"^\xff", true),
        (r"\x00.$", true),
        (r"^[^a]{2}/", true),
        (r"\xfd", false),
        (r"\bpay\b", true),
    ] {
        assert_eq!(regex(pattern).is_match(text), expected, "{pattern}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    use Reason::*;
    for (pattern, found, column, reason) in [
        ("(ab", "(ab", 1, NotClosed),
        ("a(b(?:c)", "(b(?:c)", 2, NotClosed),
        ("(a(b", "(b", 3, NotClosed),
        ("[a-z", "[a-z", 1, NotClosed),
        ("é[]", "[]", 3, NotClosed),
        ("[^]", "[^]", 1, NotClosed),
        ("[a-", "[a-", 1, NotClosed),
        ("[é", "é", 2, NoByte),
        ("ab)", ")", 3, ClosesNothing),
        ("*a", "*", 1, NothingToRepeat),
        ("a|+", "+", 3, NothingToRepeat),
        ("({2})", "{2}", 2, NothingToRepeat),
        ("(?i)*", "*", 5, NothingToRepeat),
        ("a**", "*", 3, Repeated),
        ("a*??", "?", 4, Repeated),
        ("a{2}{3}", "{3}", 5, Repeated),
        ("a{2", "{2", 2, NoCount),
        ("/users/{id}", "{", 8, NoCount),
        ("a{,2}", "{,2}", 2, NoCount),
        ("a{1,é}", "{1,", 2, NoCount),
        ("a{3,2}", "{3,2}", 2, Backwards),
        ("[z-a]", "z-a", 2, Backwards),
        (r"[a-\d]", r"a-\d", 2, NoByte),
        ("[aé]", "é", 3, NoByte),
        (r"[\b]", r"\b", 2, NoByte),
        (r"[a-\b]", r"a-\b", 2, NoByte),
        ("[a-é]", "a-é", 2, NoByte),
        ("a\\", "\\", 2, Unfinished),
        ("[\\", "\\", 2, Unfinished),
        ("[[:alpha:]]", "[:", 2, Unknown),
        (r"\q", r"\q", 1, Unknown),
        (r"\é", r"\é", 1, Unknown),
        (r"\0", r"\0", 1, Unknown),
        (r"\Qa\E", r"\Q", 1, Unknown),
        (r"\x", r"\x", 1, Unknown),
        (r"\x4", r"\x4", 1, Unknown),
        (r"\xé0", r"\xé", 1, Unknown),
        (r"\x{41}", r"\x{", 1, Unknown),
        (r"(a)\1", r"\1", 4, Unknown),
        (r"\pL", r"\p", 1, Unknown),
        (r"\P{Greek}", r"\P", 1, Unknown),
        ("a(?=b)", "(?=", 2, Unknown),
        ("(?<!b)", "(?<", 1, Unknown),
        ("(?P<a>b)", "(?P", 1, Unknown),
        ("a(?i)b", "(?i", 2, Unknown),
        ("(?s)b", "(?s", 1, Unknown),
        ("(?é)", "(?é", 1, Unknown),
        ("(?)", "(?)", 1, Unknown),
        ("(?", "(?", 1, Unknown),
        ("a{513}", "{513}", 2, TooLarge),
        ("(){4294967295}", "{4294967295}", 3, TooLarge),
        ("a{99999999999999999999}", "{99999999999999999999}", 2, TooLarge),
        ("a{9999999999,2}", "{9999999999,2}", 2, Backwards),
        ("x(a{100}){9}", "{9}", 10, TooLarge),
        ("x(a?){0,300}", "{0,300}", 6, TooLarge),
        ("(((a{2,99}){2,99}){2,99})", "{2,99}", 12, TooLarge),
    ] {
        let mistake = Regex::new(pattern).expect_err(pattern);
        assert_eq!(mistake, Mistake { found, column, reason }, "{pattern}");
    }
    assert!(Reason::TooLarge.text().contains(&MAX_STEPS.to_string()));
}

#[test]
fn as_many_steps_as_allowed_are_allowed_and_no_more() {
    for (pattern, steps) in [
        ("a{511}".to_owned(), Ok(512)),
        ("a{512}".to_owned(), Err("{512}")),
        ("a".repeat(511), Ok(512)),
        ("a".repeat(512), Err("a")),
        ("é".repeat(256), Err("é")),
        ("a|".repeat(170), Ok(511)),
        ("a|".repeat(171), Err("|")),
        ("[ab]{1,256}".to_owned(), Ok(512)),
        ("[ab]{0}".repeat(511), Ok(1)),
        ("[ab]{0}".repeat(512), Err("[ab]")),
        ("[ab]{1,257}".to_owned(), Err("{1,257}")),
    ] {
        let found = Regex::new(&pattern).map(|regex| regex.steps.len());
        assert_eq!(found.map_err(|mistake| mistake.found), steps, "{pattern}");
    }
}

#[test]
fn a_text_is_looked_at_as_far_as_is_said_and_does_not_end_there() {
    let within = [b"-".repeat(MAX_TEXT - 3), b"pay".to_vec()].concat();
    let beyond = [b"-".repeat(MAX_TEXT - 2), b"pay".to_vec()].concat();
    let long = [b"-".repeat(MAX_TEXT - 3), b"pay-".to_vec()].concat();
    for (rule, pattern, text, expected) in [
        ("what ends with the last byte is found", "pay", &within, true),
        ("it is the end if it is", "pay$", &within, true),
        ("what is cut is not found", "pay", &beyond, false),
        ("what comes before is", "pa", &beyond, true),
        ("the cut is not the end", "pay$", &long, false),
        ("what follows is known", r"pay\b", &long, true),
    ] {
        assert_eq!(regex(pattern).is_match(text), expected, "{rule}");
    }
}

/// How many steps it takes to look through the text, however many that are.
fn steps(regex: &Regex, text: &[u8]) -> usize {
    regex.look(text, usize::MAX).1
}

#[test]
fn patterns_that_explode_elsewhere_cost_the_length_of_the_text() {
    for (pattern, text) in [
        ("(a*)*b", "a"),
        ("^(a*)*$", "a"),
        ("(a|a)*b", "a"),
        ("(a|aa)+$", "a"),
        ("(.*)*(.*)*(.*)*x", "a"),
        ("(a?){80}a{80}b", "a"),
        ("((a{1,9}){1,5}){1,4}b", "a"),
        (".{1,200}x", "a"),
        ("(x+x+)+y", "x"),
        (r"(\b|\B|a)*b", "a-"),
        ("(^|a)*b", "a"),
        ("((((()*)*)*)*)*b", "a"),
    ] {
        let regex = regex(pattern);
        let text = |repeated| text.repeat(repeated).into_bytes();
        let costs = [1000, 2000, 4000].map(|repeated| steps(&regex, &text(repeated)));
        // What a byte costs, once the pattern is in every state that it can be in.
        assert_eq!(costs[2] - costs[1], (costs[1] - costs[0]) * 2, "{pattern}: {costs:?}");
        let most = regex.steps.len() * (text(4000).len() + 1);
        assert!(costs[2] <= most, "{pattern}: {} of {most}", costs[2]);
    }
}

#[test]
fn a_text_costs_so_many_steps_and_is_looked_at_so_far() {
    let (dear, cheap) = (regex("(a|b|[ab]|.){1,40}x"), regex("vip"));
    for (regex, bytes, steps, found) in [
        (&dear, 40, 6_000..MAX_WORK, Some(false)),
        (&dear, MAX_TEXT, MAX_WORK..MAX_WORK + MAX_STEPS + 1, None),
        (&dear, 1 << 20, MAX_WORK..MAX_WORK + MAX_STEPS + 1, None),
        (&cheap, MAX_TEXT, MAX_TEXT..MAX_TEXT + 2, Some(false)),
        (&cheap, MAX_TEXT + 1, MAX_TEXT..MAX_TEXT + 2, None),
        (&cheap, 1 << 20, MAX_TEXT..MAX_TEXT + 2, None),
    ] {
        let (is_match, made) = regex.look(&vec![b'a'; bytes], MAX_WORK);
        assert!(steps.contains(&made) && is_match == found, "{bytes}: {made}, {is_match:?}");
    }
    // What comes soon enough is found all the same.
    let text = [&b"vip"[..], &[b'a'; 1 << 20]].concat();
    assert_eq!(cheap.search(&text), Some(true));
}

#[test]
fn a_pattern_that_begins_at_the_start_gives_up_at_the_first_other_byte() {
    for (pattern, expected) in [("^vip-", 2), ("^(vip|org)-", 4), ("vip-", MAX_TEXT + 1)] {
        assert_eq!(steps(&regex(pattern), &[b'x'; MAX_TEXT]), expected, "{pattern}");
    }
}
