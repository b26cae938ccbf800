//! Runs every corpus input of the fuzz targets, and a bounded number of mutations of each, through the same functions.
//! The corpus consists of seeds and of inputs that fuzzing has found. The mutations are the same in each run.
//! `XFED_MUTATIONS` sets their number for each input and `XFED_MUTATION_SEED` sets the first seed (`make fuzz`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use targets::{TARGETS, Target};

/// Mutations of an input in an ordinary run.
const MUTATIONS: u64 = 200;
/// Larger inputs are cut, so that their size does not dominate a run.
const MAX_INPUT: usize = 64 * 1024;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| {
        value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value:?}"))
    })
}

/// The corpus inputs of a target with their file names, in a fixed order.
fn inputs(name: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> =
        fs::read_dir(corpora().join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{name} has kept inputs");
    files.iter().map(|file| (file.display().to_string(), fs::read(file).unwrap())).collect()
}

/// Whether the target keeps its guarantees; the panic message names a broken one.
fn keeps_promises(target: Target, data: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| target(data))).is_ok()
}

#[test]
fn kept_inputs_keep_all_promises() {
    let mut failed = Vec::new();
    for (name, target) in TARGETS {
        for (file, data) in inputs(name) {
            // A cut input is the same input on a connection that ends inside it.
            for end in [data.len(), data.len() / 2, data.len().saturating_sub(1), 0] {
                if !keeps_promises(target, &data[..end]) {
                    failed.push(format!("{file} up to {end}"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn mutated_inputs_keep_all_promises() {
    let (mutations, seed) = (number("XFED_MUTATIONS", MUTATIONS), number("XFED_MUTATION_SEED", 0));
    let only = std::env::var("XFED_FUZZ_TARGET").ok();
    for (name, target) in TARGETS {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let inputs = inputs(name);
        let mut executions = 0_u64;
        for (file, data) in &inputs {
            for n in seed..seed.saturating_add(mutations) {
                let mut rng = StdRng::seed_from_u64(n);
                let mutated = mutate(&mut rng, data, &inputs);
                executions += 1;
                assert!(
                    keeps_promises(target, &mutated),
                    "{name}: mutation {n} of {file}: {}",
                    mutated.escape_ascii()
                );
            }
        }
        eprintln!("{name}: {executions} executions");
    }
}

/// Numbers at the edges of the range of length and count fields.
const EDGES: [u8; 8] = [0, 1, 2, 0x7F, 0x80, 0xC0, 0xFE, 0xFF];

fn mutate(rng: &mut StdRng, data: &[u8], others: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = data.to_vec();
    for _ in 0..rng.random_range(1..6) {
        if out.is_empty() {
            out.push(rng.random());
        }
        let at = rng.random_range(0..out.len());
        let end = (at + rng.random_range(1..32)).min(out.len());
        match rng.random_range(0..9) {
            0 => out[at] = rng.random(),
            1 => out[at] ^= 1 << rng.random_range(0..8),
            2 => out[at] = *EDGES.choose(rng).unwrap_or(&0),
            3 => drop(out.drain(at..end)),
            4 => {
                let copied = out[at..end].to_vec();
                out.splice(at..at, copied);
            }
            5 => {
                // The rest of another input: two half-valid inputs often make one valid input.
                let other = others.choose(rng).map_or(&[][..], |(_, other)| other);
                let from = rng.random_range(0..=other.len());
                out.truncate(at);
                out.extend_from_slice(&other[from..]);
            }
            6 => {
                let other = others.choose(rng).map_or(&[][..], |(_, other)| other);
                let from = rng.random_range(0..=other.len());
                let to = (from + rng.random_range(1..200)).min(other.len());
                out.splice(at..at, other[from..to].iter().copied());
            }
            7 => out.insert(at, rng.random_range(0..0x20)),
            _ => out.truncate(at),
        }
    }
    out.truncate(MAX_INPUT);
    out
}

#[test]
fn every_directory_of_kept_inputs_has_a_target() {
    let mut directories: Vec<_> = fs::read_dir(corpora())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut names = TARGETS.map(|(name, _)| name.to_owned()).to_vec();
    directories.sort();
    names.sort();
    assert_eq!(directories, names);
}
