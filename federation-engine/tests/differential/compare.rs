//! Checks whether another parser reads the input that the scanner has accepted in the same way.

use std::fmt;

use super::scanned::{Piece, Read, Scanned, What};

/// Result of a parser for a piece: elements that ended before its last byte, and at it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) early: Vec<Read>,
    pub(crate) late: Vec<Read>,
    pub(crate) closed: bool,
}

/// Result of a parser for a stream; the outcomes end at an error.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) parser: &'static str,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) error: Option<String>,
}

/// Panics if the parser disagrees.
pub(crate) fn agree(scanned: &Scanned, verdict: &Verdict) {
    for (n, piece) in scanned.pieces.iter().enumerate() {
        let Some(outcome) = verdict.outcomes.get(n) else {
            // Skipped bytes are not relayed, so they may be malformed.
            assert!(skipped(piece) > 0, "{}", report(scanned, n, verdict));
            return;
        };
        let same = match &piece.what {
            What::Header => outcome.early.is_empty() && outcome.late.is_empty(),
            What::Element { skipped, read } => {
                outcome.early.len() == *skipped && outcome.late == [read.clone()]
            }
            What::Close { .. } => outcome.closed,
        };
        assert!(same, "{}", report(scanned, n, verdict));
    }
}

fn skipped(piece: &Piece) -> usize {
    match piece.what {
        What::Header => 0,
        What::Element { skipped, .. } | What::Close { skipped } => skipped,
    }
}

fn report(scanned: &Scanned, n: usize, verdict: &Verdict) -> String {
    let before: String =
        scanned.pieces[..n].iter().map(|piece| piece.bytes.escape_ascii().to_string()).collect();
    format!(
        "{} reads a piece differently: {}\nbefore it: {before}\nit: {}\nscanner: {:?}\nother: {:?}",
        verdict.parser,
        verdict.error.as_deref().unwrap_or("no error"),
        scanned.pieces[n].bytes.escape_ascii(),
        scanned.pieces[n].what,
        verdict.outcomes.get(n),
    )
}

/// Cases that a run has covered.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    streams: u64,
    pub(crate) elements: u64,
    pub(crate) refused: u64,
    pub(crate) oversized: u64,
    bytes: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, scanned: &Scanned, _verdicts: &[Verdict]) {
        self.streams += 1;
        self.refused += u64::from(scanned.refused);
        self.oversized += u64::from(scanned.skips());
        for piece in &scanned.pieces {
            self.elements += u64::from(matches!(piece.what, What::Element { .. }));
            self.bytes += piece.bytes.len();
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { streams, elements, refused, oversized, bytes } = self;
        write!(
            f,
            "{streams} streams: {elements} elements and {bytes} bytes read alike; {refused} ended at an error, {oversized} had skipped elements"
        )
    }
}
