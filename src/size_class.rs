//! The sizes in which small pieces of memory are kept: 16 bytes, then four to each doubling.

/// How many there are.
pub const COUNT: usize = 29;

/// The largest, in bytes.
pub const LARGEST: usize = 2048;

/// The class for so many bytes, and how many its pieces have: at most a quarter more, from 16 on. Nothing for
/// more than [`LARGEST`].
pub fn of(size: usize) -> Option<(usize, usize)> {
    if size > LARGEST {
        return None;
    }
    // The last byte's number tells the doubling by its highest bit, and the quarter by the two below.
    let last = size.max(16) - 1;
    let doubling = last.ilog2().saturating_sub(1) as usize;
    let quarter = doubling.saturating_sub(1);
    let quarters = last >> quarter;
    Some(((doubling * 4 + quarters).saturating_sub(15), (quarters + 1) << quarter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_large_enough_and_the_smallest_of_the_classes() {
        let mut sizes = Vec::new();
        for size in 0..=LARGEST {
            let (class, bytes) = of(size).unwrap();
            assert!(size <= bytes && bytes <= size.max(13) * 5 / 4, "{size}: {bytes}");
            assert!(class == sizes.len() || class + 1 == sizes.len(), "{size}: {class}");
            if class == sizes.len() {
                sizes.push(bytes);
            }
            assert_eq!(sizes.last(), Some(&bytes), "{size}");
        }
        assert_eq!(sizes.len(), COUNT);
        assert_eq!(sizes[..7], [16, 20, 24, 28, 32, 40, 48]);
        assert_eq!(of(LARGEST + 1), None);
        assert_eq!(of(usize::MAX), None);
    }
}
