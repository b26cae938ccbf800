//! Streams between servers as pure machines (RFC 6120 §4 to §6, XEP-0178, XEP-0220).
//!
//! [`Inbound`] is the receiving entity, [`Outbound`] the initiating one. A driver
//! feeds what the scanner and the TLS layer saw and the present time, and after every call first writes
//! [`Out::bytes`], then performs [`Out::actions`] in order.

pub mod error;
pub mod features;
pub mod header;
mod id;
pub(crate) mod inbound;
mod limits;
mod management;
mod outbound;
mod proven;
pub mod redirect;
pub mod rejection;
pub(crate) mod sasl;
pub mod standing;
pub mod starttls;

use std::time::{Duration, Instant};

use bytes::BytesMut;
use error::StreamError;

use crate::Domain;
use crate::dialback::{Key, KeyInquiry, Verification};
use crate::pair::Pair;
use crate::reason::{CertificateReason, Failure, Refusal, SetBy};
use crate::xml::{Bounds, Element};

pub use id::StreamId;
pub use inbound::Inbound;
pub use limits::StreamLimits;
pub use management::Management;
pub use outbound::{Outbound, Purpose};
pub use rejection::Rejection;

pub use crate::certificate::chain::PeerChain;
pub use crds::rules::PeerRules;

/// What a machine asks of the leg that it belongs to. All answers are look-ups in memory.
pub trait Surroundings {
    /// Whether `domain` is one that this side of the stream answers for: a local domain on the outer leg, any remote
    /// domain on the inner one.
    fn serves(&self, domain: &Domain) -> bool;
    /// Whether the pair may use a stream at all: policy, and that a peer never claims a domain of this side. The pair
    /// is in the direction of its stanzas.
    fn admits(&self, pair: &Pair) -> Result<(), Refusal>;
    /// Whether a peer with that chain may prove one more domain beside those that its certificate and its source prove now.
    fn has_room(&self, _chain: Option<&PeerChain>, _remote: &Domain) -> Result<(), Refusal> {
        Ok(())
    }
    /// The largest stanza that is accepted from `remote`, where that differs from [`Limits::authenticated`].
    fn stanza_bytes(&self, _remote: &Domain) -> Option<usize> {
        None
    }
    /// How `remote` is to be spoken to.
    fn peer(&self, remote: &Domain) -> PeerRules;

    /// Where these rules come from.
    fn set_by(&self, remote: &Domain) -> SetBy;
    /// Whether the certificate chain proves `remote` (RFC 6120 §13.7.2).
    fn judge(&self, chain: &PeerChain, remote: &Domain) -> Result<(), CertificateReason>;
    /// The key for a stream from `originating` (ours) to `receiving` (theirs) with the ID that they gave.
    fn dialback_key(&self, receiving: &Domain, originating: &Domain, id: &str) -> Key;
    /// Whether a presented key is one of ours, by the present or the previous secret, in constant time.
    fn key_is_ours(&self, receiving: &Domain, originating: &Domain, id: &str, key: &str) -> bool;
    /// Whether stanzas of this pair may use a stream that its receiver opened (XEP-0288).
    fn takes_bidi(&self, pair: &Pair) -> bool;
    /// Whether an answer of this pair may come on the stream that carried what it answers, against its direction.
    fn takes_answers(&self, _pair: &Pair) -> bool {
        true
    }
    /// What we were asked about the key of `pair`, whose `from` is ours, for the stream of that ID.
    fn key_inquiry(&self, pair: &Pair, id: &str) -> KeyInquiry;
    /// Whether this side answers `db:verify` for `domain`.
    fn is_authoritative_for(&self, domain: &Domain) -> bool;
    /// A new ID for a response header.
    fn stream_id(&self) -> StreamId;
}

/// Sizes and times of one stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// From the TCP connection to the first proven pair.
    pub negotiation: Duration,
    /// For the answer to one dialback request.
    pub dialback: Duration,
    /// Pairs that one stream may carry, those that wait to be verified included.
    pub pairs: usize,
    /// For the answer to a request for an acknowledgement (XEP-0198 §4).
    pub acknowledgement: Duration,
    /// Silence after which whoever opened the stream shows, or asks for, a sign of life; RFC 6120 §4.6.4 wants five minutes
    /// at least. A dead link is noticed much earlier, by TCP.
    pub silence: Duration,
    /// Silence after which a stream is closed; none: never.
    pub idle: Option<Duration>,
    /// Bytes of an element before the stream is authenticated.
    pub unauthenticated_bytes: usize,
    /// Bounds of elements once the stream is authenticated.
    pub authenticated: Bounds,
}

/// What lies below the stream when it begins.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Plain TCP; TLS may follow by STARTTLS.
    Tcp,
    /// TLS from the first byte (XEP-0368), with the chain that the peer presented; empty when it presented none.
    DirectTls(PeerChain),
}

/// How a pair was proven.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Authentication {
    /// SASL EXTERNAL with a certificate (XEP-0178).
    External,
    /// Server Dialback (XEP-0220).
    Dialback,
    /// Server Dialback whose key the receiving server confirmed by the sender's certificate, without asking the
    /// authoritative server (XEP-0344 §2.4).
    DialbackByCertificate,
}

/// What a machine wants done, in order, after its bytes are written.
#[derive(Debug)]
pub enum Action {
    /// Inbound: `<proceed/>` is in the bytes. Flush them; then the TLS handshake as server with the certificate for
    /// this domain, on an empty input buffer, because what came in the clear must never be read inside TLS (RFC 6120
    /// §5.4.3.3); then `on_tls`.
    StartTls {
        /// The `to` of the header.
        certificate_for: Domain,
    },
    /// Outbound: `<proceed/>` has come. The TLS handshake as client, on an empty input buffer; then `on_tls`.
    ConnectTls {
        /// Reference identity (RFC 6120 §13.7.2.1) and the certificate to present: see `certificate_for`.
        server_name: Domain,
        /// Our domain, whose certificate is presented.
        certificate_for: Domain,
    },
    /// A new stream header follows from the peer: `Scanner::restart`.
    Restart,
    /// Other bounds from here on: `Scanner::set_bounds`.
    Bounds(Bounds),
    /// Inbound: ask the authoritative server of `pair.from` about this key; answer by `on_verification`.
    Verify {
        /// The pair to prove.
        pair: Pair,
        /// The ID that we gave the stream.
        id: StreamId,
        /// The key as presented; opaque.
        key: String,
    },
    /// The pair is proven: inbound it may send to us, outbound we may send.
    Authorized {
        /// The pair, in the direction of its stanzas.
        pair: Pair,
        /// By what.
        how: Authentication,
    },
    /// XEP-0288: stanzas of this pair may go against the direction in which the stream was opened: inbound we may send,
    /// outbound the peer may.
    Bidirectional {
        /// The pair, in the direction of its stanzas.
        pair: Pair,
    },
    /// XEP-0198: the peer has taken over this many of the stanzas that we sent, the oldest first.
    Acknowledged(u32),
    /// XEP-0198: the peer does not acknowledge stanzas after all.
    Unmanaged,
    /// A stanza of a proven pair.
    Deliver(Element, Pair),
    /// An element that goes nowhere, to be counted. The machine wrote the stream error if one is due.
    Refused {
        /// The element.
        element: Element,
        /// Why.
        refusal: Refusal,
    },
    /// Inbound: we answered a `db:verify` as authoritative server.
    KeyAnswered {
        /// The pair the key is for: `from` is our domain, `to` the receiving server that asked.
        pair: Pair,
        /// ID of the stream on which the receiving server got the key.
        id: String,
        /// What was answered.
        answer: Verification,
    },
    /// Outbound, [`Purpose::Verify`]: the authoritative server's answer.
    VerifyAnswered(Verification),
    /// Outbound: this pair will not be served by this stream; others may go on.
    PairFailed {
        /// The pair.
        pair: Pair,
        /// The true cause.
        failure: Failure,
    },
    /// The stream is of no use any more, for all of its pairs.
    Failed(Failure),
    /// We end the stream with this error, which is in the bytes.
    Ends(StreamError),
    /// Inbound: we end a stream on which nothing was proven, or refuse a dialback request.
    Rejected(Rejection),
    /// Inbound: the peer asked for a domain that we serve.
    Opened {
        /// Who it says it is; unproven.
        from: Option<Domain>,
        /// Whom it asked for.
        to: Domain,
    },
    /// Flush, then close TLS and TCP. Nothing else follows.
    Close,
}

/// Where a machine leaves its output; cleared by the driver after use, so that the buffers are reused.
#[derive(Debug, Default)]
pub struct Out {
    /// To be written before any action is performed.
    pub bytes: BytesMut,
    /// To be performed in order.
    pub actions: Vec<Action>,
}

impl Out {
    /// Appends literal bytes.
    pub(crate) fn put(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Appends an action.
    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }
}

/// An instant that a machine waits for at most.
pub(crate) fn earliest(times: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    times.into_iter().flatten().min()
}

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
