//! The requests in flight of this worker by their streams.

use super::origin::Context;

/// A request that came in and has not ended.
#[derive(Debug)]
pub(super) struct Flight {
    /// Envoy's number of it.
    pub(super) stream: u32,
    pub(super) context: Context,
    /// The sidecar's port towards the application, once it was asked for and known.
    pub(super) port: Option<u16>,
    /// How often more times may be told of it.
    pub(super) untold: u8,
    /// Its part in the pod's number.
    pub(super) place: u32,
    /// The second from which on it counts no more.
    pub(super) expires: u32,
}

/// The most that are kept, so that looking for one of them is never dear.
pub(super) const MOST_FLIGHTS: usize = 1024;

/// In the order in which they came.
#[derive(Debug)]
pub(super) struct Flights(Vec<Flight>);

impl Flights {
    pub(super) const NONE: Self = Self(Vec::new());

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, flight: Flight) {
        self.0.push(flight);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Flight> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Flight> {
        self.0.iter_mut()
    }

    pub(super) fn get(&self, stream: u32) -> Option<&Flight> {
        self.0.iter().find(|flight| flight.stream == stream)
    }

    pub(super) fn remove(&mut self, stream: u32) -> Option<Flight> {
        let place = self.0.iter().position(|flight| flight.stream == stream)?;
        Some(self.0.remove(place))
    }

    /// Takes out those that have lasted too long at this second.
    pub(super) fn take_expired(&mut self, now: u32) -> Vec<Flight> {
        self.0.extract_if(.., |flight| flight.expires <= now).collect()
    }
}
