//! Whether bytes are the same. The C library's comparison, which `==` is for slices, looks at each byte
//! by itself.

/// Whether both are the same bytes, by eight at once, the last first: names begin alike as a rule, and end
/// differently.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match (one.last_chunk(), other.last_chunk()) {
        (Some(end), Some(other_end)) => {
            let (eights, others) = (one.as_chunks().0, other.as_chunks().0);
            is_same((end, other_end)) && eights.iter().zip(others).all(is_same)
        }
        _ => one.iter().eq(other),
    }
}

fn is_same((one, other): (&[u8; 8], &[u8; 8])) -> bool {
    u64::from_ne_bytes(*one) == u64::from_ne_bytes(*other)
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn bytes_of_any_length_are_compared_to_the_last() {
        let bytes: Vec<u8> = (0..40).collect();
        for length in 0..bytes.len() {
            let one = &bytes[..length];
            assert!(same(one, one));
            assert!(!same(one, &bytes[..length + 1]));
            for place in 0..length {
                let mut other = one.to_vec();
                other[place] ^= 1;
                assert!(!same(one, &other), "{length} bytes, one differs at {place}");
            }
        }
    }
}
