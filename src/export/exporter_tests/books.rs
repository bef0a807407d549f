//! Long runs of everything that can happen, in any order.

use super::*;

/// A small generator of our own, so that a failing run can be repeated by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn the_books_balance_after_every_step_of_long_random_runs() {
    for seed in 0..100 {
        let mut dice = Dice(seed);
        let mut exporter = exporter(1, 1, 1 + dice.roll(20) as usize, 1);
        let overflow = if dice.roll(2) == 0 { Overflow::DropNewest } else { Overflow::DropOldest };
        exporter.queue_limits = QueueLimits {
            max_spans: 1 + dice.roll(60) as usize,
            max_bytes: 1024 + dice.roll(8192) as usize,
            overflow,
        };
        exporter.queue = Queue::new(exporter.queue_limits);
        exporter.export_limits.max_in_flight = 1 + dice.roll(8) as usize;
        let mut run = Run::new(exporter);
        let mut now = SECOND;
        for _ in 0..2000 {
            step(&mut run, &mut dice, &mut now);
            run.check_books();
        }
        let given_up = seed % 2 == 0;
        finish(&mut run, &mut now, given_up);
        assert!(run.exporter.is_empty(), "seed {seed}");
        let exhausted = run.total(Metric::SpansDroppedRetriesExhausted);
        assert!(given_up || exhausted == 0, "seed {seed}");
    }
}

/// The configuration is replaced. A healthy collector takes all that waits; one that is away costs it.
fn finish(run: &mut Run, now: &mut u64, away: bool) {
    run.exporter.flush(*now);
    for _ in 0..400 {
        *now += SECOND;
        run.exporter.give_up(*now, &mut run.stats);
        run.link(*now, 1);
        run.send(*now, *now + SECOND);
        let tokens: Vec<u32> = run.exporter.in_flight.iter().map(|(token, _)| *token).collect();
        let answer = if away { LATER } else { Answer::ACCEPTED };
        tokens.into_iter().for_each(|token| run.answer(token, answer, *now));
        run.check_books();
    }
}

fn step(run: &mut Run, dice: &mut Dice, now: &mut u64) {
    match dice.roll(10) {
        0..=4 => {
            let largest = if dice.roll(20) == 0 { 12_000 } else { 200 };
            let size = dice.roll(largest);
            let one = span(&"a".repeat(size as usize), *now);
            let call = (dice.roll(3) == 0).then(|| dice.roll(9) as u32);
            run.exporter.push_call(&one, call, &mut run.stats);
        }
        5 => {
            run.link(*now, dice.roll(4) as usize);
            run.send(*now, *now + SECOND);
        }
        6 => {
            if let Some((batch, _)) = run.exporter.next_batch(*now, u64::MAX) {
                run.exporter.unsent(batch, *now, &mut run.stats);
            }
        }
        7 | 8 => {
            let token = run.next_token.saturating_sub(dice.roll(6) as u32);
            let after = Some(Duration::from_millis(dice.roll(3000)));
            let rejected = dice.roll(4) as usize;
            let answers = [
                Answer::ACCEPTED,
                Answer::Accepted { rejected },
                LATER,
                Answer::Later { after },
                Answer::Rejected,
                Answer::TooLarge,
                Answer::TooLarge,
            ];
            run.answer(token, answers[dice.roll(7) as usize], *now);
        }
        _ => *now += dice.roll(2 * SECOND),
    }
}
