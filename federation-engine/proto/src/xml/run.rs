//! Checks of a token that arrives in portions. Each byte is checked once, and an error is kept until the token is
//! complete: until then, the limit of an element's bytes comes first.

use super::chars::{self, Place};
use super::error::{Malformation, XmlError};
use super::steps;

/// Maximum bytes of a token that are processed at once.
pub(super) const PORTION: usize = 4 * 1024;

/// The end of the next portion that begins at `at`.
pub(super) fn portion_end(buf: &[u8], at: usize) -> usize {
    at.saturating_add(PORTION).min(buf.len())
}

/// Checks that a token is UTF-8 (RFC 3629).
#[derive(Clone, Copy, Debug)]
pub(super) struct Utf8 {
    /// First byte that was not checked.
    at: usize,
    valid: bool,
}

impl Utf8 {
    /// A token begins at this byte.
    pub(super) fn from(start: usize) -> Self {
        Self { at: start, valid: true }
    }

    /// The token is known up to `end`, which is its end if it is `complete`.
    pub(super) fn advance(&mut self, buf: &[u8], end: usize, complete: bool) {
        if !self.valid {
            return;
        }
        let portion = buf.get(self.at..end).unwrap_or_default();
        steps::count(portion.len());
        match std::str::from_utf8(portion) {
            Ok(_) => self.at = end.max(self.at),
            Err(error) => {
                self.at += error.valid_up_to();
                self.valid = !complete && error.error_len().is_none();
            }
        }
    }

    /// First byte that was not checked.
    pub(super) fn checked(self) -> usize {
        self.at
    }

    pub(super) fn result(self) -> Result<(), XmlError> {
        if self.valid { Ok(()) } else { Err(Malformation::Utf8.into()) }
    }
}

/// Checks the characters of a run: character data, CDATA or an attribute value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    place: Place,
    /// First byte that was not checked.
    at: usize,
    plain: bool,
    error: Option<XmlError>,
}

impl Run {
    /// A run begins at this byte.
    pub(super) fn from(start: usize, place: Place) -> Self {
        Self { place, at: start, plain: true, error: None }
    }

    /// The run is known up to `end`, which is its end if it is `complete`.
    pub(super) fn advance(&mut self, buf: &[u8], end: usize, complete: bool) {
        if self.error.is_some() {
            return;
        }
        let portion = buf.get(self.at..end).unwrap_or_default();
        match chars::check_portion(portion, self.place, complete) {
            Ok(portion) => {
                self.at += portion.checked;
                self.plain &= portion.plain;
            }
            Err(error) => self.error = Some(error),
        }
    }

    /// First byte that was not checked.
    pub(super) fn checked(self) -> usize {
        self.at
    }

    /// Whether the run equals its bytes, as [`chars::check`] says.
    pub(super) fn result(self) -> Result<bool, XmlError> {
        self.error.map_or(Ok(self.plain), Err)
    }
}

/// Character data, or a CDATA section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    utf8: Utf8,
    run: Run,
}

impl Text {
    /// A run begins at this byte.
    pub(super) fn from(start: usize, place: Place) -> Self {
        Self { utf8: Utf8::from(start), run: Run::from(start, place) }
    }

    /// The run is known up to `end`, which is its end if it is `complete`.
    pub(super) fn advance(&mut self, buf: &[u8], end: usize, complete: bool) {
        self.utf8.advance(buf, end, complete);
        self.run.advance(buf, end, complete);
    }

    pub(super) fn result(self) -> Result<(), XmlError> {
        self.utf8.result()?;
        self.run.result().map(drop)
    }
}
