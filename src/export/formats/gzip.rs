//! gzip around a body, by whoever can deflate.
//!
//! <https://www.rfc-editor.org/rfc/rfc1952>

use crc::{CRC_32_ISO_HDLC, Crc};

/// What `content-encoding` says of it.
pub const GZIP: &str = "gzip";

/// Deflate without any of the optional fields, at no time, by no known system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// One small table: gzip's checksum is little beside what compressing costs.
const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// The body in gzip. `zlib` compresses to the format of the same name, whose stream is gzip's between
/// two bytes and a checksum of four; nothing where it cannot.
/// <https://www.rfc-editor.org/rfc/rfc1950>
pub fn gzip(body: &[u8], zlib: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let compressed = zlib(body)?;
    let (_, deflated) = compressed.split_first_chunk::<2>()?;
    let (deflated, _) = deflated.split_last_chunk::<4>()?;
    // A queue holds 1 GiB at most.
    let length = u32::try_from(body.len()).ok()?;
    let checksum = CHECKSUM.checksum(body);
    Some([&HEADER, deflated, &checksum.to_le_bytes(), &length.to_le_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::read::{GzDecoder, ZlibEncoder};
    use std::io::Read;

    fn read(mut reader: impl Read) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).ok().map(|_| bytes)
    }

    #[test]
    fn a_body_of_any_length_comes_out_as_it_went_in() {
        for length in [0, 1, 255, 65_536, 1 << 20] {
            let body: Vec<u8> = (0..length).map(|n: u32| (n % 251) as u8).collect();
            let zlib = |body: &[u8]| read(ZlibEncoder::new(body, Compression::default()));
            let compressed = gzip(&body, zlib).unwrap();
            assert_eq!(read(GzDecoder::new(compressed.as_slice())), Some(body), "{length}");
        }
    }

    #[test]
    fn what_cannot_be_compressed_is_nothing() {
        for answer in [None, Some(Vec::new()), Some(vec![0x78, 0x9c, 3, 0, 0])] {
            assert_eq!(gzip(b"body", |_| answer.clone()), None, "{answer:?}");
        }
    }
}
