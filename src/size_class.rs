//! The sizes in which small pieces of memory are kept: multiples of 16 bytes, four to each doubling from 64 on.

/// The sizes, in bytes.
static SIZES: [u16; COUNT] = [
    16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024,
    1280, 1536, 1792, 2048,
];

/// How many there are.
pub const COUNT: usize = 24;

/// The largest, in bytes.
pub const LARGEST: usize = 2048;

/// All sizes are multiples of it.
const STEP: usize = 16;

/// The class for each number of steps. To look it up takes a third of the instructions that it takes to
/// work it out, fifty times a span.
static CLASSES: [u8; LARGEST / STEP + 1] = classes();

#[expect(clippy::indexing_slicing, reason = "only the compiler runs it")]
const fn classes() -> [u8; LARGEST / STEP + 1] {
    let mut classes = [0; LARGEST / STEP + 1];
    let (mut steps, mut class) = (1, 0);
    while steps < classes.len() {
        if steps * STEP > SIZES[class] as usize {
            class += 1;
        }
        classes[steps] = class as u8;
        steps += 1;
    }
    classes
}

/// The class for so many bytes. Nothing for more than [`LARGEST`].
pub fn of(size: usize) -> Option<usize> {
    CLASSES.get(size.div_ceil(STEP)).map(|class| usize::from(*class))
}

/// How many bytes the pieces of a class have: at most a quarter more than is asked for, from 64 on.
pub fn bytes(class: usize) -> usize {
    SIZES.get(class).map_or(LARGEST, |size| usize::from(*size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_large_enough_and_the_smallest_of_the_classes() {
        for size in 0..=LARGEST {
            let class = of(size).unwrap();
            assert!(size <= bytes(class), "{size}: {class}");
            assert!(class == 0 || bytes(class - 1) < size, "{size}: {class}");
        }
        assert_eq!((of(LARGEST), of(LARGEST + 1), of(usize::MAX)), (Some(COUNT - 1), None, None));
        assert!(SIZES.iter().all(|size| usize::from(*size).is_multiple_of(STEP)));
    }
}
