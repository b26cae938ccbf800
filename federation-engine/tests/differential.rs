//! Differential test of the scanner: the parsers of the servers behind it accept everything that it accepts. They find
//! the same element boundaries and the same addresses, ids and types. The parsers are libexpat as Prosody and ejabberd
//! use it, through Python's `pyexpat`, and rxml.
//!
//! A run is bounded and deterministic. `XFED_DIFFERENTIAL_CASES` sets the number of generated streams and
//! `XFED_DIFFERENTIAL_SEED` sets the first seed (`make fuzz`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/expat.rs"]
mod expat;
#[path = "differential/generate.rs"]
mod generate;
#[path = "differential/restricted.rs"]
mod restricted;
#[path = "differential/scanned.rs"]
mod scanned;
#[path = "differential/vocabulary.rs"]
mod vocabulary;

use std::fs;
use std::path::Path;

use compare::Tally;
use expat::Expat;
use rand::SeedableRng;
use rand::rngs::StdRng;
use s2s_proto::xml::Bounds;
use scanned::Scanned;

/// Generated streams of an ordinary run.
const CASES: u64 = 6_000;
/// Streams that libexpat gets in one batch.
const BATCH: usize = 64;

/// A number from the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| {
        value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value:?}"))
    })
}

/// Bounds that cut some elements off, so that the data after a skipped element is compared too.
fn bounds(case: u64) -> Bounds {
    if case % 4 == 3 {
        Bounds::AUTHENTICATED.with_element_bytes(200)
    } else {
        Bounds::AUTHENTICATED
    }
}

/// Compares one batch; an error names the input that the parsers read differently.
fn agree(expat: &mut Expat, batch: &[(Vec<u8>, Bounds)], tally: &mut Tally) {
    let scanned: Vec<Scanned> =
        batch.iter().map(|(input, bounds)| Scanned::of(input, *bounds)).collect();
    let verdicts = expat.read(&scanned);
    for (scanned, verdicts) in scanned.iter().zip(verdicts) {
        for verdict in &verdicts {
            compare::agree(scanned, verdict);
        }
        compare::agree(scanned, &restricted::read(scanned));
        tally.add(scanned, &verdicts);
    }
}

#[test]
fn kept_streams_are_read_alike() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/scanner");
    let mut files: Vec<_> =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let (mut expat, mut tally) = (Expat::start(), Tally::default());
    for small in [false, true] {
        let bounds = bounds(if small { 3 } else { 0 });
        let batch: Vec<_> = inputs.iter().map(|input| (input.clone(), bounds)).collect();
        for batch in batch.chunks(BATCH) {
            agree(&mut expat, batch, &mut tally);
        }
    }
    eprintln!("{tally}");
    assert!(tally.elements > 40, "the kept streams have elements that are accepted: {tally}");
}

#[test]
fn generated_streams_are_read_alike() {
    let (cases, first) =
        (number("XFED_DIFFERENTIAL_CASES", CASES), number("XFED_DIFFERENTIAL_SEED", 0));
    let (mut expat, mut tally) = (Expat::start(), Tally::default());
    let all: Vec<u64> = (first..first.saturating_add(cases)).collect();
    for chunk in all.chunks(BATCH) {
        let batch: Vec<_> = chunk
            .iter()
            .map(|case| {
                let stream = generate::stream(&mut StdRng::seed_from_u64(*case));
                (stream, bounds(*case))
            })
            .collect();
        agree(&mut expat, &batch, &mut tally);
    }
    eprintln!("{tally}");
    // The generator covers both decisions of the scanner, and the cases in which libexpat is stricter or laxer.
    assert!(tally.elements > cases / 2, "most streams have elements that are accepted: {tally}");
    assert!(tally.refused > cases / 8, "many streams end at an error: {tally}");
    assert!(tally.oversized > cases / 60, "some elements are skipped: {tally}");
}

#[test]
fn the_comparison_finds_what_libexpat_refuses() {
    // U+0221 starts names since the fifth edition of XML 1.0. U+0001 is Prosody's separator in a namespace name.
    for element in ["<\u{221}/>", "<a xmlns:x='urn:&#1;'/>", "<a xmlns:x='urn:\u{1}'/>"] {
        let scanned = Scanned::pretend(element);
        let verdicts = Expat::start().read(&[scanned]);
        assert!(
            verdicts[0].iter().any(|verdict| verdict.error.is_some()),
            "{element}: {verdicts:?}"
        );
    }
}
