//! How many requests are in flight in the whole pod, and where the one is that is alone.
//!
//! One number that all workers add to tells it, without anything being written for each request: how many
//! there are, and the sum of their places, which is the place of the last that is left.

use super::sidecar::Sidecar;

/// Arrivals so far (16 bits, which wrap), requests in flight (16), and the sum of their places (32).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen(u64);

const ARRIVAL: u64 = 1 << 48;
const REQUEST: u64 = 1 << 32;

impl Seen {
    pub(super) const NOTHING: Self = Self(0);

    /// After one more has come to this place.
    pub(super) fn and_one(self, place: u32) -> Self {
        Self(self.0.wrapping_add(ARRIVAL + REQUEST + u64::from(place)))
    }

    /// After one of this place has ended.
    pub(super) fn but_one(self, place: u32) -> Self {
        Self(self.0.wrapping_sub(REQUEST + u64::from(place)))
    }

    /// How many are in flight.
    pub(super) fn requests(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// Where the one is, if there is only one.
    pub(super) fn place(self) -> u32 {
        self.0 as u32
    }
}

/// The requests of this worker, and whether others are told.
#[derive(Debug)]
pub(super) struct Crowd {
    own: Seen,
    is_shared: bool,
}

impl Crowd {
    pub(super) const EMPTY: Self = Self { own: Seen::NOTHING, is_shared: true };

    /// Whether other workers' requests are among those in flight.
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// What is in flight in the pod.
    pub(super) fn seen(&self, envoy: &dyn Sidecar) -> Seen {
        if self.is_shared { Seen(envoy.crowd()) } else { self.own }
    }

    /// A request has come.
    pub(super) fn enter(&mut self, place: u32, envoy: &dyn Sidecar) {
        self.change(self.own.and_one(place), envoy);
    }

    /// One that came has ended.
    pub(super) fn leave(&mut self, place: u32, envoy: &dyn Sidecar) {
        self.change(self.own.but_one(place), envoy);
    }

    fn change(&mut self, own: Seen, envoy: &dyn Sidecar) {
        let change = own.0.wrapping_sub(self.own.0);
        self.own = own;
        if self.is_shared {
            envoy.change_crowd(change as i64);
        }
    }

    /// There are other workers, or none any more.
    pub(super) fn share(&mut self, is_shared: bool, envoy: &dyn Sidecar) {
        if self.is_shared != is_shared {
            self.is_shared = is_shared;
            let own = self.own.0 as i64;
            // Where nothing has come, as in other modes, there is no number to touch.
            if own != 0 {
                envoy.change_crowd(if is_shared { own } else { own.wrapping_neg() });
            }
        }
    }
}
