//! A request in flight under one of its keys, as bytes that other workers can read.

use super::origin::Context;
use crate::trace::{Decision, SpanId, Threshold, TraceFlags, TraceId};

/// Key, context, and the second from which on the request is taken for one that never ends:
/// `key 8, trace id 16, span id 8, threshold 8, expiry 4, flags 1`, numbers little-endian.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry(pub(super) [u8; Entry::BYTES]);

/// Trace id, span id and threshold.
const CONTEXT: usize = 32;

/// What no threshold is written as.
const UNKNOWN: u64 = u64::MAX;

/// Bits of the flags.
const SAMPLED: u8 = 1;
const DEBUG: u8 = 2;
const RANDOM: u8 = 4;

impl Entry {
    pub(super) const BYTES: usize = 45;

    /// Of a request that goes on with this context, if any.
    pub(super) fn new(key: u64, context: Option<&Context>, expires: u32) -> Self {
        let mut bytes = [0; Self::BYTES];
        let mut rest = put(&mut bytes, key.to_le_bytes());
        let Some(Context { trace_id, span_id, decision, threshold, flags }) = context else {
            let rest = rest.get_mut(CONTEXT..).unwrap_or_default();
            put(rest, expires.to_le_bytes());
            return Self(bytes);
        };
        let threshold = threshold.map_or(UNKNOWN, Threshold::rejected);
        let decision = match decision {
            Decision::Drop => 0,
            Decision::Sample => SAMPLED,
            Decision::Debug => DEBUG,
        };
        rest = put(rest, trace_id.value().to_le_bytes());
        rest = put(rest, span_id.value().to_le_bytes());
        rest = put(rest, threshold.to_le_bytes());
        rest = put(rest, expires.to_le_bytes());
        put(rest, [decision | if flags.random { RANDOM } else { 0 }]);
        Self(bytes)
    }

    /// Its key.
    pub(super) fn key(&self) -> u64 {
        self.0.first_chunk().map_or(0, |key| u64::from_le_bytes(*key))
    }

    /// The second from which on it counts no more.
    pub(super) fn expires(&self) -> u32 {
        let [.., a, b, c, d, _] = self.0;
        u32::from_le_bytes([a, b, c, d])
    }

    /// The context, which may be another worker's word, or anything.
    pub(super) fn context(&self) -> Option<Context> {
        let (trace_id, rest) = self.0.get(8..)?.split_first_chunk()?;
        let (span_id, rest) = rest.split_first_chunk()?;
        let threshold = u64::from_le_bytes(*rest.first_chunk()?);
        let [.., flags] = self.0;
        Some(Context {
            trace_id: TraceId::new(u128::from_le_bytes(*trace_id))?,
            span_id: SpanId::new(u64::from_le_bytes(*span_id))?,
            decision: match flags & (SAMPLED | DEBUG) {
                0 => Decision::Drop,
                SAMPLED => Decision::Sample,
                _ => Decision::Debug,
            },
            threshold: (threshold != UNKNOWN).then(|| Threshold::new(threshold)),
            flags: TraceFlags { random: flags & RANDOM != 0 },
        })
    }
}

/// Puts bytes at the beginning of a room; what is left of it.
pub(super) fn put<const N: usize>(room: &mut [u8], bytes: [u8; N]) -> &mut [u8] {
    match room.split_first_chunk_mut() {
        Some((place, rest)) => {
            *place = bytes;
            rest
        }
        None => &mut [],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_context_reads_back() {
        for decision in [Decision::Drop, Decision::Sample, Decision::Debug] {
            for threshold in [None, Some(Threshold::ALWAYS), Some(Threshold::NEVER)] {
                for random in [false, true] {
                    let context = Context {
                        trace_id: TraceId::new(u128::MAX - 1).unwrap(),
                        span_id: SpanId::new(7).unwrap(),
                        decision,
                        threshold,
                        flags: TraceFlags { random },
                    };
                    let entry = Entry::new(u64::MAX - 3, Some(&context), 5);
                    let read = (entry.key(), entry.expires(), entry.context());
                    assert_eq!(read, (u64::MAX - 3, 5, Some(context)));
                }
            }
        }
    }

    #[test]
    fn what_has_no_context_reads_back() {
        let entry = Entry::new(7, None, u32::MAX - 1);
        assert_eq!((entry.key(), entry.expires(), entry.context()), (7, u32::MAX - 1, None));
    }

    #[test]
    fn bytes_without_ids_are_no_context() {
        assert_eq!(Entry([0; Entry::BYTES]).context(), None);
        let mut bytes = [1; Entry::BYTES];
        bytes[24..32].fill(0);
        assert_eq!(Entry(bytes).context(), None);
    }
}
