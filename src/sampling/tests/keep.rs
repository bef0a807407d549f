use super::super::tests::Nowhere;
use super::*;
use crate::config::{Ceiling, Percentage};
use crate::trace::IdGenerator;
use std::time::Duration;

fn keep(percent: f64) -> Keep {
    Keep {
        errors: true,
        slower_than: Some(Duration::from_millis(5)),
        percent: Percentage::new(percent).unwrap(),
        ceiling: Ceiling { per_second: 100.0, burst: 50.0 },
    }
}

#[test]
fn what_failed_is_kept_as_an_error_however_long_it_took() {
    let both = keep(100.0);
    let errors = Keep { slower_than: None, ..both.clone() };
    let slow = Keep { errors: false, ..both.clone() };
    for (name, settings, has_failed, duration, expected) in [
        ("neither", &both, false, 5_000_000, None),
        ("failed", &both, true, 0, Some(Kept::Error)),
        ("slow", &both, false, 5_000_001, Some(Kept::Slow)),
        ("failed and slow", &both, true, u64::MAX, Some(Kept::Error)),
        ("slow, and errors are wanted", &errors, false, u64::MAX, None),
        ("failed, and what is slow is wanted", &slow, true, 0, None),
        ("failed and slow, and what is slow is wanted", &slow, true, u64::MAX, Some(Kept::Slow)),
    ] {
        assert_eq!(Keeper::new(settings).reason(has_failed, duration), expected, "{name}");
    }
}

#[test]
fn the_share_is_right_whatever_the_randomness_and_a_smaller_one_is_in_it() {
    let (tenth, half) = (Keeper::new(&keep(10.0)), Keeper::new(&keep(50.0)));
    let mut ids = IdGenerator::new([3; 32]);
    // As those have it that 1 percent does not sample.
    let low: Vec<_> = (0..100_000)
        .map(|_| TraceId::new(ids.trace_id().value() & !(0xff_u128 << 48)).unwrap())
        .collect();
    let in_tenth = low.iter().filter(|id| tenth.covers(**id)).count() as f64;
    let in_half = low.iter().filter(|id| half.covers(**id)).count() as f64;
    // Five standard deviations.
    assert!((in_tenth - 10_000.0).abs() < 5.0 * 95.0, "{in_tenth}");
    assert!((in_half - 50_000.0).abs() < 5.0 * 159.0, "{in_half}");
    assert!(low.iter().all(|id| !tenth.covers(*id) || half.covers(*id)));
    for (percent, covered) in [(0.0, 0), (100.0, low.len())] {
        let keeper = Keeper::new(&keep(percent));
        assert_eq!(low.iter().filter(|id| keeper.covers(**id)).count(), covered);
    }
}

#[test]
fn systems_that_know_half_of_the_id_draw_the_same_lot() {
    let mut ids = IdGenerator::new([4; 32]);
    for _ in 0..1000 {
        let id = ids.trace_id();
        let half = TraceId::new(u128::from(id.value() as u64)).unwrap();
        assert_eq!(lot(id), lot(half));
    }
}

#[test]
fn ids_that_count_up_are_drawn_as_evenly() {
    let keeper = Keeper::new(&keep(10.0));
    let covered = (1..=10_000).filter(|id| keeper.covers(TraceId::new(*id).unwrap())).count();
    assert!((850..1150).contains(&covered), "{covered}");
}

#[test]
fn a_ceiling_that_is_not_reached_lets_everything_through() {
    let keeper = Keeper::new(&keep(100.0));
    assert!((1..100).all(|id| keeper.has_room(TraceId::new(id).unwrap(), &Nowhere)));
}
