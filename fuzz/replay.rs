//! The fuzz targets by seeds and a fixed number of random changes to them, the same in every run.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are tests, all of it"
)]

#[path = "src/lib.rs"]
mod fuzz;

use fuzz::{TARGETS, Target, target};
use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::path::{Path, PathBuf};
use std::{fs, panic};

/// Changed inputs of each target.
const CHANGED: usize = 4_000;

/// The longest input that changes make, in bytes.
const LONGEST: usize = 4_096;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder("corpus").join(name))
        .unwrap_or_else(|error| panic!("{name} has no seeds: {error}"))
        .map(|entry| entry.unwrap().path())
        .collect();
    // A folder is read in any order.
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// The words of libFuzzer's dictionary: `"text"` a line, bytes as `\xNN`.
fn words() -> Vec<Vec<u8>> {
    let file = fs::read_to_string(folder("dictionary")).unwrap();
    let quoted = file.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    quoted.map(unescaped).collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).unwrap());
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8_lossy(&bytes).replace("\\\"", "\"").replace("\\\\", "\\").into_bytes()
}

fn run(name: &str, check: Target, input: &[u8]) {
    let outcome = panic::catch_unwind(|| check(input));
    assert!(outcome.is_ok(), "{name} fails for \"{}\"", input.escape_ascii());
}

/// Some seed, changed in from one to four places.
fn changed(seeds: &[Vec<u8>], words: &[Vec<u8>], dice: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let mut roll = |sides: usize| dice.next_u64() as usize % sides.max(1);
    let mut input = seeds[roll(seeds.len())].clone();
    for _ in 0..=roll(4) {
        let (from, to) = (roll(input.len() + 1), roll(input.len() + 1));
        let (from, to) = (from.min(to), from.max(to));
        let other = &seeds[roll(seeds.len())];
        let part: Vec<u8> = match roll(6) {
            0 => Vec::new(),
            1 => vec![roll(256) as u8],
            2 => words[roll(words.len())].clone(),
            3 => other[..roll(other.len() + 1)].to_vec(),
            4 => input[from..to].repeat(roll(5)),
            _ => vec![b"\0\n,=-:\xff\xc3 \""[roll(10)]; 1 << roll(10)],
        };
        // Half of the changes put something in, half take something away for it.
        let end = if roll(2) == 0 { from } else { to };
        input.splice(from..end, part);
        input.truncate(LONGEST);
    }
    input
}

#[test]
fn every_rule_holds_for_the_seeds_and_what_is_made_of_them() {
    let words = words();
    for (name, check) in TARGETS {
        let seeds = seeds(name);
        seeds.iter().for_each(|seed| run(name, check, seed));
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(1);
        for _ in 0..CHANGED {
            run(name, check, &changed(&seeds, &words, &mut dice));
        }
    }
}

#[test]
fn every_target_is_one_that_libfuzzer_drives() {
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    let binaries = manifest.matches("[[bin]]").count();
    assert_eq!(binaries, TARGETS.len());
    for (name, check) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert_eq!(target(name) as usize, check as usize);
    }
}
