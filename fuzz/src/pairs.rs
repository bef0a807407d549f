//! Envoy's encoding of maps, in which request headers and node metadata come.

use meshspan::pairs::{encode, parse};

/// What can be read is written back as it was; what is written is read.
pub fn check(input: &[u8]) {
    if let Some(pairs) = parse(input) {
        let keys: Option<Vec<&str>> =
            pairs.iter().map(|(key, _)| std::str::from_utf8(key).ok()).collect();
        if let Some(keys) = keys {
            let values = pairs.iter().map(|(_, value)| *value);
            let again: Vec<_> = keys.into_iter().zip(values).collect();
            assert_eq!(encode(&again), input);
        }
    }
    let lines = input.split(|byte| *byte == b'\n').map(|line| ("name", line));
    let lines: Vec<_> = lines.collect();
    let expected: Vec<_> = lines.iter().map(|(name, value)| (name.as_bytes(), *value)).collect();
    assert_eq!(parse(&encode(&lines)), Some(expected));
}
