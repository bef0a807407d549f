//! Bytes that are put together from many short pieces.

/// No longer piece is copied here: beyond it the machine's own way is the shorter.
const SHORT: usize = 32;

/// How much more room there is at the least when it has to be made.
const STEP: usize = 2048;

/// How much room is kept for the next span, in bytes.
const KEPT: usize = 65_536;

/// Bytes that grow at their end, and room that is used again.
///
/// A `Vec` copies each piece by `memory.copy`, which is a call out of the module whatever the length:
/// 65 instructions, a hundred times a span.
#[derive(Debug, Default)]
pub(in crate::export) struct Buffer {
    /// All of the room, that which is not used too.
    room: Vec<u8>,
    end: usize,
}

impl Buffer {
    /// Nothing, with room for so many bytes.
    pub(in crate::export) fn with_room(bytes: usize) -> Self {
        Self { room: vec![0; bytes], end: 0 }
    }

    /// Appends one byte.
    pub(in crate::export) fn push(&mut self, byte: u8) {
        if let Some([place]) = self.place(1) {
            *place = byte;
        }
    }

    /// Appends a piece.
    pub(in crate::export) fn extend(&mut self, piece: &[u8]) {
        if let Some(place) = self.place(piece.len()) {
            copy(place, piece);
        }
    }

    /// The place of so many more bytes, which have to be written.
    #[inline(always)]
    pub(super) fn place(&mut self, bytes: usize) -> Option<&mut [u8]> {
        let begin = self.end;
        let end = begin.checked_add(bytes)?;
        if end > self.room.len() {
            self.grow(end);
        }
        self.end = end;
        self.room.get_mut(begin..end)
    }

    #[cold]
    fn grow(&mut self, end: usize) {
        self.room.resize(end.saturating_add(end.max(STEP)), 0);
    }

    /// Takes the last byte back, if it is this one.
    pub(super) fn strip(&mut self, byte: u8) {
        if self.bytes().last() == Some(&byte) {
            self.end -= 1;
        }
    }

    /// What is there.
    pub(in crate::export) fn bytes(&self) -> &[u8] {
        self.room.get(..self.end).unwrap_or_default()
    }

    /// What is there, in the place where it is.
    pub(in crate::export) fn into_bytes(mut self) -> Vec<u8> {
        self.room.truncate(self.end);
        self.room
    }

    /// What is there, in a place of just its size; nothing is there any more.
    pub(in crate::export) fn take(&mut self) -> Vec<u8> {
        let bytes = self.bytes().to_vec();
        self.end = 0;
        if self.room.len() > KEPT {
            self.room = Vec::new();
        }
        bytes
    }
}

/// Copies between places of the same length, as `copy_from_slice` does. A short piece is its first and its last bytes, which may
/// overlap: two words for any of eight lengths.
#[inline(always)]
pub(super) fn copy(to: &mut [u8], from: &[u8]) {
    fn ends<const N: usize>(to: &mut [u8], from: &[u8]) -> Option<()> {
        let (first, last) = (*from.first_chunk::<N>()?, *from.last_chunk::<N>()?);
        *to.first_chunk_mut()? = first;
        *to.last_chunk_mut()? = last;
        Some(())
    }
    let copied = match from.len() {
        0 => Some(()),
        1 => ends::<1>(to, from),
        2..4 => ends::<2>(to, from),
        4..8 => ends::<4>(to, from),
        8..=16 => ends::<8>(to, from),
        17..=SHORT => ends::<16>(to, from),
        _ => None,
    };
    if copied.is_none() && to.len() == from.len() {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_every_length_are_there_one_after_the_other() {
        let mut buffer = Buffer::default();
        // The room is made anew again and again, and used again.
        for _ in 0..2 {
            let mut expected = Vec::new();
            for length in (0..100).chain([STEP - 1, STEP, STEP + 1, 3 * STEP, KEPT]) {
                let piece: Vec<u8> = (0..length).map(|n| (n * 7 + length) as u8).collect();
                buffer.extend(&piece);
                expected.extend(piece);
                buffer.push(b'/');
                expected.push(b'/');
                assert_eq!(buffer.bytes(), expected, "{length}");
            }
            let mut other = Buffer::with_room(1);
            other.extend(&expected);
            assert_eq!(other.into_bytes(), expected);
            let taken = buffer.take();
            assert_eq!((&taken, taken.capacity()), (&expected, expected.len()));
            assert!(buffer.bytes().is_empty());
        }
    }
}
