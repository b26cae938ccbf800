//! The receiving entity: the stream that a remote server opened to us.

use std::time::Instant;

use super::error::StreamError;
use super::{Limits, Out, PeerChain, Surroundings, Transport};
use crate::dialback::Verification;
use crate::pair::Pair;
use crate::reason::Refusal;
use crate::xml::{Element, Item, XmlError};

/// A stream in the role of the receiving entity and, in dialback, of the receiving and of the authoritative server.
#[derive(Debug)]
pub struct Inbound {}

#[allow(clippy::todo, unused_variables)] // signatures first: the bodies follow in the next changes of this file
impl Inbound {
    /// A stream whose first byte has not come yet.
    pub fn new(transport: Transport, limits: Limits, now: Instant) -> Self {
        todo!()
    }

    /// An item of the scanner.
    pub fn on_item(&mut self, item: Item, now: Instant, around: &dyn Surroundings, out: &mut Out) {
        todo!()
    }

    /// The scanner refused the input.
    pub fn on_xml_error(&mut self, error: XmlError, around: &dyn Surroundings, out: &mut Out) {
        todo!()
    }

    /// The handshake after [`Action::StartTls`](super::Action::StartTls) succeeded. When it fails, the driver closes
    /// TCP without another byte (RFC 6120 §5.4.3.2) and drops the machine.
    pub fn on_tls(&mut self, chain: PeerChain, now: Instant, out: &mut Out) {
        todo!()
    }

    /// What came of [`Action::Verify`](super::Action::Verify).
    pub fn on_verification(
        &mut self,
        pair: &Pair,
        result: Verification,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        todo!()
    }

    /// When [`Self::on_timeout`] is to be called, if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }

    /// Time has passed.
    pub fn on_timeout(&mut self, now: Instant, around: &dyn Surroundings, out: &mut Out) {
        todo!()
    }

    /// Ends the stream with an error that is decided outside of the machine (shutdown, rate, certificate).
    pub fn fail(&mut self, error: StreamError, around: &dyn Surroundings, out: &mut Out) {
        todo!()
    }

    /// Ends the stream without an error; the peer's `</stream:stream>` is awaited (RFC 6120 §4.4).
    pub fn close(&mut self, now: Instant, out: &mut Out) {
        todo!()
    }

    /// The pair that a stanza belongs to, when the stream has proven it. The path of every stanza: no allocation.
    ///
    /// # Errors
    /// Why it must not be relayed; hand the element to [`Self::on_item`], which answers.
    pub fn authorize(&self, element: &Element) -> Result<&Pair, Refusal> {
        todo!()
    }

    /// Whether at least one pair is proven.
    pub fn is_authenticated(&self) -> bool {
        todo!()
    }
}
