//! Batches compressed with gzip, whatever is in them.
//!
//! <https://www.rfc-editor.org/rfc/rfc1952>

use super::Encoder;
use crate::trace::Span;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// An encoder whose batches are compressed. Spans wait as they are, so that what waits keeps its
/// known size.
pub struct Gzip {
    encoder: Box<dyn Encoder>,
}

impl Gzip {
    /// Compresses the batches of `encoder`.
    pub fn new(encoder: Box<dyn Encoder>) -> Self {
        Self { encoder }
    }
}

impl Encoder for Gzip {
    fn content_type(&self) -> &'static str {
        self.encoder.content_type()
    }

    fn content_encoding(&self) -> Option<&'static str> {
        Some("gzip")
    }

    fn span(&self, span: &Span) -> Vec<u8> {
        self.encoder.span(span)
    }

    fn batch(&self, spans: &[Vec<u8>]) -> Vec<u8> {
        let body = self.encoder.batch(spans);
        // The usual level would make a fifth less of spans, for at least twice the instructions.
        let mut gzip = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
        // Writing into memory cannot fail; if it did, the collector would refuse what is cut off.
        let _ = gzip.write_all(&body);
        gzip.finish().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Resource;
    use crate::export::{Otlp, Zipkin};
    use crate::trace::sample::full;
    use flate2::read::GzDecoder;
    use std::io::Read;

    #[test]
    fn a_batch_of_any_length_is_the_encoders_own_but_smaller() {
        let encoders: [fn() -> Box<dyn Encoder>; 2] = [
            || Box::new(Zipkin::new(Resource::default())),
            || Box::new(Otlp::new(&Resource::default())),
        ];
        for plain in encoders {
            let gzip = Gzip::new(plain());
            let plain = plain();
            assert_eq!(gzip.content_type(), plain.content_type());
            assert_eq!((plain.content_encoding(), gzip.content_encoding()), (None, Some("gzip")));
            let span = gzip.span(&full());
            assert_eq!(span, plain.span(&full()));
            for count in [0, 1, 50, 512] {
                let spans = vec![span.clone(); count];
                let (expected, body) = (plain.batch(&spans), gzip.batch(&spans));
                let mut read = Vec::new();
                GzDecoder::new(body.as_slice()).read_to_end(&mut read).unwrap();
                let name = format!("{count} of {}", plain.content_type());
                assert_eq!(read, expected, "{name}");
                assert!(count == 0 || body.len() < expected.len(), "{name}: {}", body.len());
            }
        }
    }
}
