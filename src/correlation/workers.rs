//! The workers of this proxy, as far as they have something to share.

/// Envoy's shared data: one store for all workers, with a version for each key and no delete.
pub trait SharedData {
    /// The value under a key with its version; nothing where none was ever set.
    fn get(&self, key: &[u8]) -> Option<(Vec<u8>, u32)>;
    /// Sets it, if the version is still this one, or in any case for version 0; whether it was set.
    fn set(&self, key: &[u8], value: &[u8], version: u32) -> bool;
}

/// The most workers that share; what is beyond keeps to itself.
const MAX_WORKERS: u8 = 64;

/// How long, beyond the age of the oldest request, nobody takes the number of a worker that is silent.
const SILENCE: u32 = 10;

/// This worker's number, and how many numbers are taken.
#[derive(Debug, Default)]
pub(super) struct Workers {
    own: Option<u8>,
    /// The numbers below are known to be taken.
    known: u8,
    refused: bool,
}

impl Workers {
    /// Makes the keys of all numbers, for [`Self::claim`] to compare and swap. To be called where
    /// no worker runs yet, as when Envoy tries the first configuration on its main thread.
    pub(super) fn prepare(data: &impl SharedData) {
        if data.get(&name(0)).is_none() {
            for number in 0..MAX_WORKERS {
                data.set(&name(number), &[], 0);
            }
        }
    }

    /// Takes a number, the first that is free or whose worker has been silent for longer than its
    /// oldest request may last: a module that was replaced, or trapped.
    pub(super) fn claim(&mut self, now: u32, max_age: u32, data: &impl SharedData) {
        if self.own.is_some() || self.refused {
            return;
        }
        for number in 0..MAX_WORKERS {
            let name = name(number);
            let Some((value, version)) = data.get(&name) else { continue };
            let seen = value.try_into().map_or(0, u32::from_le_bytes);
            let is_free = seen.saturating_add(max_age).saturating_add(SILENCE) < now;
            if is_free && data.set(&name, &now.to_le_bytes(), version) {
                self.own = Some(number);
                return;
            }
        }
        self.refused = true;
    }

    /// Says that this worker is there.
    pub(super) fn beat(&self, now: u32, data: &impl SharedData) {
        if let Some(number) = self.own {
            data.set(&name(number), &now.to_le_bytes(), 0);
        }
    }

    /// This worker's number, once it has one.
    pub(super) fn own(&self) -> Option<u8> {
        self.own
    }

    /// Every other worker that may have shared something.
    pub(super) fn for_each_other(&mut self, data: &impl SharedData, mut visit: impl FnMut(u8)) {
        while self.known < MAX_WORKERS && self.is_taken(self.known, data) {
            self.known += 1;
        }
        for number in (0..self.known).filter(|number| Some(*number) != self.own) {
            visit(number);
        }
    }

    fn is_taken(&self, number: u8, data: &impl SharedData) -> bool {
        self.own == Some(number) || data.get(&name(number)).is_some_and(|(it, _)| !it.is_empty())
    }
}

/// `meshspan` and the number in hex.
pub(super) fn name(number: u8) -> [u8; 10] {
    let mut name = *b"meshspan..";
    if let Some(digits) = name.last_chunk_mut() {
        *digits = [hex_digit(usize::from(number) >> 4), hex_digit(usize::from(number))];
    }
    name
}

/// The lowest four bits as a digit.
pub(super) fn hex_digit(bits: usize) -> u8 {
    b"0123456789abcdef".get(bits & 15).copied().unwrap_or(b'0')
}
