//! The proxy-wasm encoding of a map, in which Envoy gives headers and `xds.node.metadata`.
//!
//! `u32 count, count * (u32 key length, u32 value length)`, then each key and each value with a NUL
//! behind it; numbers are little-endian, lengths without the NULs. A map inside a map is a value in
//! the same encoding: nothing in the bytes tells it from a string, the reader has to know the shape.
//! The order is that of a hash map, different in each VM. A list has its items as keys.

/// The keys and values of one map, without its NULs; nothing where the bytes are no map.
pub fn parse(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let (count, rest) = split_u32(bytes)?;
    let (lengths, mut data) = rest.split_at_checked(count.checked_mul(8)?)?;
    let (lengths, _) = lengths.as_chunks::<8>();
    let mut pairs = Vec::with_capacity(count);
    for both in lengths {
        let both = u64::from_le_bytes(*both);
        let (key, rest) = split_terminated(data, both as u32)?;
        let (value, rest) = split_terminated(rest, (both >> 32) as u32)?;
        data = rest;
        pairs.push((key, value));
    }
    data.is_empty().then_some(pairs)
}

fn split_u32(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn split_terminated(bytes: &[u8], length: u32) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(length as usize)?;
    let (&[0], rest) = rest.split_first_chunk::<1>()? else {
        return None;
    };
    Some((text, rest))
}

/// The same encoding the other way.
pub fn encode(pairs: &[(&str, &[u8])]) -> Vec<u8> {
    // No address space of the module has room for more.
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = number(pairs.len()).to_vec();
    for (key, value) in pairs {
        bytes.extend(number(key.len()));
        bytes.extend(number(value.len()));
    }
    for (key, value) in pairs {
        bytes.extend(key.bytes().chain([0]));
        bytes.extend(value.iter().copied().chain([0]));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `customTags.account_header` as Envoy 1.40.0 answered for it: `{header: {name: x-account-id}}`.
    const RECORDED: &[u8] = b"\x01\0\0\0\x06\0\0\0\x1e\0\0\0header\0\
        \x01\0\0\0\x04\0\0\0\x0c\0\0\0name\0x-account-id\0\0";

    #[test]
    fn recorded_bytes_are_a_map_in_a_map() {
        let outer = parse(RECORDED).unwrap();
        assert_eq!(outer.len(), 1);
        assert_eq!(outer[0].0, b"header");
        let inner = parse(outer[0].1).unwrap();
        assert_eq!(inner, [(&b"name"[..], &b"x-account-id"[..])]);
        assert_eq!(RECORDED, encode(&[("header", &encode(&[("name", b"x-account-id")]))]));
    }

    #[test]
    fn an_empty_map_is_a_count_of_zero() {
        assert_eq!(parse(&[0; 4]), Some(Vec::new()));
    }

    #[test]
    fn every_truncation_and_any_byte_too_many_is_refused() {
        let whole = encode(&[("a", b"1"), ("bc", b""), ("", b"345")]);
        assert_eq!(parse(&whole).unwrap().len(), 3);
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length} bytes");
        }
        let longer: Vec<u8> = whole.iter().copied().chain([0]).collect();
        assert_eq!(parse(&longer), None);
    }

    #[test]
    fn a_missing_nul_is_refused() {
        let mut bytes = encode(&[("a", b"1")]);
        *bytes.last_mut().unwrap() = 1;
        assert_eq!(parse(&bytes), None);
    }

    #[test]
    fn huge_counts_and_lengths_are_refused_without_reading_or_allocating() {
        for bytes in [
            vec![0xff; 4],
            vec![0xff; 12],
            vec![0xff; 64],
            [&1u32.to_le_bytes()[..], &[0xff; 8], b"a\0b\0"].concat(),
            [&0x2000_0001_u32.to_le_bytes()[..], &[0; 64]].concat(),
        ] {
            assert_eq!(parse(&bytes), None);
        }
    }
}
