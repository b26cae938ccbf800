//! The initiating entity: a stream that we open to a remote server.

use std::time::Instant;

use super::error::StreamError;
use super::{Limits, Out, PeerChain, StreamId, Surroundings, Transport};
use crate::pair::Pair;
use crate::xml::{Item, XmlError};

/// What a stream is opened for.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// To send the stanzas of this pair, and of others that [`Outbound::add_pair`] adds.
    Send(Pair),
    /// To ask the authoritative server about a key (XEP-0220 §2.3), then to close.
    Verify {
        /// The pair to prove, as in [`Action::Verify`](super::Action::Verify): `from` is the domain of the server that
        /// is asked, `to` is ours.
        pair: Pair,
        /// The ID that we gave the stream on which the key came.
        id: StreamId,
        /// The key.
        key: String,
    },
}

/// A stream in the role of the initiating entity and, in dialback, of the initiating server or of the receiving server
/// that asks the authoritative one.
#[derive(Debug)]
pub struct Outbound {}

#[allow(clippy::todo, unused_variables)] // signatures first: the bodies follow in the next changes of this file
impl Outbound {
    /// A connected stream; [`Self::begin`] opens it.
    pub fn new(purpose: Purpose, transport: Transport, limits: Limits, now: Instant) -> Self {
        todo!()
    }

    /// Sends the header. On Direct TLS the certificate is judged first.
    pub fn begin(&mut self, around: &dyn Surroundings, out: &mut Out) {
        todo!()
    }

    /// An item of the scanner.
    pub fn on_item(&mut self, item: Item, now: Instant, around: &dyn Surroundings, out: &mut Out) {
        todo!()
    }

    /// The scanner refused the input.
    pub fn on_xml_error(&mut self, error: XmlError, out: &mut Out) {
        todo!()
    }

    /// The handshake after [`Action::ConnectTls`](super::Action::ConnectTls) succeeded.
    pub fn on_tls(
        &mut self,
        chain: PeerChain,
        now: Instant,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        todo!()
    }

    /// The handshake failed; `detail` is the TLS library's text.
    pub fn on_tls_failure(&mut self, detail: String, out: &mut Out) {
        todo!()
    }

    /// The connection ended.
    pub fn on_closed(&mut self, out: &mut Out) {
        todo!()
    }

    /// When [`Self::on_timeout`] is to be called, if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }

    /// Time has passed.
    pub fn on_timeout(&mut self, now: Instant, out: &mut Out) {
        todo!()
    }

    /// Whether the stream can be asked to carry this pair too: same target and dialback usable (sender multiplexing), or
    /// another target when the peer advertised dialback errors (target multiplexing, XEP-0220 §2.6; that its address and
    /// port are the same is the caller's to know).
    pub fn can_add(&self, pair: &Pair, around: &dyn Surroundings) -> bool {
        todo!()
    }

    /// Asks for another pair; `Authorized` or `PairFailed` follows.
    pub fn add_pair(&mut self, pair: Pair, now: Instant, around: &dyn Surroundings, out: &mut Out) {
        todo!()
    }

    /// Ends the stream with an error that is decided outside of the machine (shutdown, certificate).
    pub fn fail(&mut self, error: StreamError, out: &mut Out) {
        todo!()
    }

    /// Ends the stream without an error; the peer's `</stream:stream>` is awaited (RFC 6120 §4.4).
    pub fn close(&mut self, now: Instant, out: &mut Out) {
        todo!()
    }

    /// Whether this pair may send now.
    pub fn carries(&self, pair: &Pair) -> bool {
        todo!()
    }
}
