//! How many requests are in flight in the whole pod, and where the one is that is alone.
//!
//! One number that all workers add to tells it: how many there are, and the sum of their places, which is
//! the place of the last that is left. A worker changes it while some worker asks, if one or none is in flight
//! in itself; else it only says that there is more.

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

/// What a worker adds that has several or does not tell how many, so that there never seem to be none or
/// one.
const VEIL: Seen = Seen(2 * REQUEST);

/// What others are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// Nothing: there is nobody.
    Nothing,
    /// That there may be requests, until a tick finds that there are none.
    Some,
    /// That there are none, or one and where, or more.
    All,
}

/// The requests of this worker, and what it has told of them.
#[derive(Debug)]
pub(super) struct Crowd {
    own: Seen,
    told: Seen,
    telling: Telling,
}

impl Crowd {
    pub(super) const EMPTY: Self =
        Self { own: Seen::NOTHING, told: Seen::NOTHING, telling: Telling::Some };

    /// Whether other workers' requests are among those in flight.
    pub(super) fn is_shared(&self) -> bool {
        self.telling != Telling::Nothing
    }

    /// Whether something has ever come.
    pub(super) fn is_used(&self) -> bool {
        self.own != Seen::NOTHING
    }

    /// What is in flight in this worker.
    pub(super) fn own(&self) -> Seen {
        self.own
    }

    /// What is in flight in the pod.
    pub(super) fn seen(&self, envoy: &dyn Sidecar) -> Seen {
        if self.is_shared() { Seen(envoy.crowd()) } else { self.own }
    }

    /// A request has come.
    pub(super) fn enter(&mut self, place: u32, envoy: &dyn Sidecar) {
        self.own = self.own.and_one(place);
        self.tell(VEIL, envoy);
    }

    /// One that came has ended.
    pub(super) fn leave(&mut self, place: u32, envoy: &dyn Sidecar) {
        self.own = self.own.but_one(place);
        self.tell(VEIL, envoy);
    }

    /// From now on others are told this.
    pub(super) fn becomes(&mut self, telling: Telling, envoy: &dyn Sidecar) {
        self.telling = telling;
        self.tell(if self.own.requests() == 0 { Seen::NOTHING } else { VEIL }, envoy);
    }

    fn tell(&mut self, some: Seen, envoy: &dyn Sidecar) {
        let seen = match self.telling {
            Telling::Nothing => Seen::NOTHING,
            // It matters to nobody how many more than one there are.
            Telling::All if self.own.requests() < 2 => self.own,
            Telling::All => VEIL,
            Telling::Some => some,
        };
        let change = seen.0.wrapping_sub(self.told.0);
        self.told = seen;
        // Where nothing has come, as in other modes, there is no number to touch.
        if change != 0 {
            envoy.change_crowd(change as i64);
        }
    }
}
