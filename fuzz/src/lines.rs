//! Headers as text, so that seeds can be read: a line each, `name: value`.

/// A name and a value.
pub type Header<'a> = (&'a [u8], &'a [u8]);

/// The lines that are headers, in order; names may begin with a colon, values may be any bytes.
pub fn headers(text: &[u8]) -> Vec<Header<'_>> {
    text.split(|byte| *byte == b'\n').filter_map(|line| split_once(line, b": ")).collect()
}

/// Headers, and what comes after an empty line.
pub fn headers_and_body(text: &[u8]) -> (Vec<Header<'_>>, &[u8]) {
    match split_once(text, b"\n\n") {
        Some((head, body)) => (headers(head), body),
        None => (headers(text), b""),
    }
}

/// The value of the first header of that name.
pub fn value<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|(other, _)| *other == name.as_bytes()).map(|(_, value)| *value)
}

fn split_once<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let place = text.windows(separator.len()).position(|window| window == separator)?;
    Some((&text[..place], &text[place + separator.len()..]))
}
