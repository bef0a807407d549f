//! Whether a request came for the application or from it, without asking Envoy each time.
//!
//! Listeners of both directions share a root context where their configuration is the same, and asking
//! costs 11,500 instructions: more than all the rest of correlation. But a sidecar receives requests
//! for few authorities and sends them to few others, so the answer is remembered by authority, and
//! asked for anew now and then. An authority that both directions have is asked for always.

use super::keys::digest;

/// Which way a request goes, by its listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the application.
    Inbound,
    /// From the application, or through a gateway.
    Outbound,
    /// The listener does not say.
    Unknown,
}

/// How many authorities are remembered.
const PLACES: usize = 256;

/// How often a new authority is asked for before it is believed.
const PROBATION: u8 = 16;

/// Of so many requests one is asked for when it is.
const INTERVAL: u8 = 250;

#[derive(Clone, Copy, Debug)]
struct Place {
    authority: u64,
    direction: Direction,
    /// Both directions have it.
    is_ambiguous: bool,
    /// How often it was asked for, up to [`PROBATION`].
    asked: u8,
    /// Requests since.
    since: u8,
}

/// The directions by authority, each in the one place that its digest chooses.
#[derive(Debug)]
pub(super) struct Directions(Vec<Option<Place>>);

impl Directions {
    /// Nothing is known.
    pub(super) const NONE: Self = Self(Vec::new());

    /// The direction of a request to this authority; `ask` asks Envoy.
    pub(super) fn of(&mut self, authority: &[u8], ask: &dyn Fn() -> Direction) -> Direction {
        if self.0.is_empty() {
            self.0.resize(PLACES, None);
        }
        let authority = digest(0, authority);
        let Some(place) = self.0.get_mut(authority as usize % PLACES) else { return ask() };
        let known = place.filter(|known| known.authority == authority);
        let Some(mut known) = known else {
            let direction = ask();
            *place = Some(Place { authority, direction, is_ambiguous: false, asked: 1, since: 0 });
            return direction;
        };
        known.since += 1;
        let is_believed = !known.is_ambiguous && known.asked == PROBATION;
        if !is_believed || known.since == INTERVAL {
            let direction = ask();
            known.is_ambiguous |= direction != known.direction;
            known.direction = direction;
            known.asked = PROBATION.min(known.asked + 1);
            known.since = 0;
        }
        *place = Some(known);
        known.direction
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Inbound, Outbound};
    use std::cell::Cell;

    #[test]
    fn a_steady_authority_is_asked_for_at_first_and_then_now_and_then() {
        let mut directions = Directions::NONE;
        let asked = Cell::new(0);
        for _ in 0..PROBATION as usize + 10 * INTERVAL as usize {
            let direction = directions.of(b"storage:8080", &|| {
                asked.set(asked.get() + 1);
                Outbound
            });
            assert_eq!(direction, Outbound);
        }
        assert_eq!(asked.get(), PROBATION as usize + 10);
    }

    #[test]
    fn an_authority_of_both_directions_is_asked_for_always() {
        let mut directions = Directions::NONE;
        for _ in 0..100 {
            directions.of(b"self:8080", &|| Inbound);
        }
        // Found out within one interval.
        for _ in 0..INTERVAL {
            directions.of(b"self:8080", &|| Outbound);
        }
        for direction in [Inbound, Outbound, Outbound, Inbound] {
            assert_eq!(directions.of(b"self:8080", &|| direction), direction);
        }
    }

    #[test]
    fn more_authorities_than_there_are_places_are_asked_for_and_never_mixed_up() {
        let mut directions = Directions::NONE;
        for round in 0..3 {
            for number in 0..4 * PLACES {
                let expected = if number % 2 == 0 { Inbound } else { Outbound };
                let found = directions.of(number.to_string().as_bytes(), &|| expected);
                assert_eq!(found, expected, "round {round}, {number}");
            }
        }
    }
}
