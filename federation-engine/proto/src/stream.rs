//! Streams between servers as pure machines (RFC 6120 §4 to §6, XEP-0178, XEP-0220).
//!
//! [`Inbound`] is the receiving entity, [`Outbound`] the initiating one. A driver passes in the items of the scanner,
//! the results of the TLS layer and the current time. After every call it first writes [`Out::bytes`], then performs
//! [`Out::actions`] in order.

mod authenticated_pairs;
pub mod component;
pub mod error;
pub mod features;
pub mod header;
mod id;
pub(crate) mod inbound;
mod limits;
mod management;
mod outbound;
pub mod redirect;
pub mod rejection;
pub(crate) mod sasl;
pub mod standing;
pub mod starttls;

use std::time::{Duration, Instant};

use bytes::BytesMut;
use error::StreamError;

use crate::Domain;
use crate::dialback::{Key, KeyInquiry, KeyVerdict};
use crate::pair::Pair;
use crate::reason::{CertificateReason, Failure, Refusal, SetBy};
use crate::xml::{Bounds, Element};

pub use component::Component;
pub use id::StreamId;
pub use inbound::Inbound;
pub use limits::StreamLimits;
pub use management::Management;
pub use outbound::{Outbound, Purpose};
pub use rejection::Rejection;

pub use crate::certificate::chain::PeerChain;
pub use crds::rules::PeerRules;

/// The queries of a machine to the leg that it belongs to. All answers are lookups in memory.
pub trait Surroundings {
    /// Whether this side of the stream serves `domain`: a local domain on the outer leg, any remote domain on the inner
    /// one.
    fn serves(&self, domain: &Domain) -> bool;
    /// Whether the pair may use a stream at all: by the policy, and because a peer must never claim a domain of this
    /// side. The pair is in the direction of its stanzas.
    fn admits(&self, pair: &Pair) -> Result<(), Refusal>;
    /// Whether a peer with that chain may authenticate one more domain, in addition to those that its certificate and
    /// its source authenticate now.
    fn has_room(&self, _chain: Option<&PeerChain>, _remote: &Domain) -> Result<(), Refusal> {
        Ok(())
    }
    /// The largest stanza that is accepted from `remote`, if that differs from [`Limits::authenticated`].
    fn stanza_bytes(&self, _remote: &Domain) -> Option<usize> {
        None
    }
    /// The rules for streams with `remote`.
    fn peer(&self, remote: &Domain) -> PeerRules;

    /// The configuration that set these rules.
    fn set_by(&self, remote: &Domain) -> SetBy;
    /// Whether the certificate chain authenticates `remote` (RFC 6120 §13.7.2).
    fn judge(&self, chain: &PeerChain, remote: &Domain) -> Result<(), CertificateReason>;
    /// The dialback keys and stream IDs of this server.
    fn keys(&self) -> &dyn Keys;
    /// Whether stanzas of this pair may use a stream that its receiver opened (XEP-0288).
    fn takes_bidi(&self, pair: &Pair) -> bool;
    /// The components of this side; none on the outer leg.
    fn components(&self) -> Option<&dyn Components> {
        None
    }
    /// Whether an answer of this pair may come on the stream that carried the answered stanza, against its direction.
    fn takes_answers(&self, _pair: &Pair) -> bool {
        true
    }
}

/// The dialback keys of a server (XEP-0220 §2.1, XEP-0185) and its stream IDs. Both are unpredictable.
pub trait Keys {
    /// The key for a stream from `originating` (ours) to `receiving` (theirs) with their stream ID.
    fn dialback_key(&self, receiving: &Domain, originating: &Domain, id: &str) -> Key;
    /// Whether a presented key is one of ours, by the current or the previous secret, in constant time.
    fn key_is_ours(&self, receiving: &Domain, originating: &Domain, id: &str, key: &str) -> bool;
    /// The `db:verify` requests that we received about the key of `pair`, whose `from` is ours, for the stream of that
    /// ID.
    fn key_inquiry(&self, pair: &Pair, id: &str) -> KeyInquiry;
    /// A new ID for a response header.
    fn stream_id(&self) -> StreamId;
}

/// The queries of a machine about components (XEP-0114). All answers are lookups in memory.
pub trait Components {
    /// Whether a component serves this local domain.
    fn hosts(&self, domain: &Domain) -> bool;
    /// Whether the handshake was made with the secret of this domain's backend, in constant time.
    fn confirms(&self, domain: &Domain, id: &str, handshake: &str) -> bool;
    /// Whether the component that authenticated as `domain` serves `other` as well: one backend has both.
    fn speaks_for(&self, domain: &Domain, other: &Domain) -> bool;
}

/// Sizes and timeouts of one stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// From the TCP connection to the first authenticated pair.
    pub negotiation: Duration,
    /// Timeout of the answer to one dialback request.
    pub dialback: Duration,
    /// Maximum pairs that one stream may carry, including those that wait to be verified.
    pub pairs: usize,
    /// Timeout of the answer to a request for an acknowledgement (XEP-0198 §4).
    pub acknowledgement: Duration,
    /// Silence after which the side that opened the stream sends or requests a keep-alive; RFC 6120 §4.6.4 requires at
    /// least five minutes. TCP detects a dead connection much earlier.
    pub silence: Duration,
    /// Silence after which a stream is closed; none: never.
    pub idle: Option<Duration>,
    /// Maximum bytes of an element before the stream is authenticated.
    pub unauthenticated_bytes: usize,
    /// Bounds of elements once the stream is authenticated.
    pub authenticated: Bounds,
}

/// The transport when the stream begins.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Plain TCP; TLS may follow by STARTTLS.
    Tcp,
    /// TLS from the first byte (XEP-0368), with the chain that the peer presented; empty when it presented none.
    DirectTls(PeerChain),
}

/// How a pair was authenticated.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Authentication {
    /// SASL EXTERNAL with a certificate (XEP-0178).
    External,
    /// Server Dialback (XEP-0220).
    Dialback,
    /// Server Dialback whose key the receiving server confirmed by the sender's certificate, without querying the
    /// authoritative server (XEP-0344 §2.4).
    DialbackByCertificate,
}

/// An action that a machine requests, to be performed in order after its bytes are written.
#[derive(Debug)]
pub enum Action {
    /// Inbound: `<proceed/>` is in the bytes. Flush them. Then perform the TLS handshake as server with the certificate
    /// for this domain, on an empty input buffer, because data that came unencrypted must never be read inside TLS (RFC
    /// 6120 §5.4.3.3). Then call `on_tls`.
    StartTls {
        /// The `to` of the header.
        certificate_for: Domain,
    },
    /// Outbound: `<proceed/>` has arrived. Perform the TLS handshake as client, on an empty input buffer; then call
    /// `on_tls`.
    ConnectTls {
        /// Reference identity (RFC 6120 §13.7.2.1) and the certificate to present: see `certificate_for`.
        server_name: Domain,
        /// Our domain, whose certificate is presented.
        certificate_for: Domain,
    },
    /// The peer sends a new stream header next: `Scanner::restart`.
    Restart,
    /// Other bounds apply from here on: `Scanner::set_bounds`.
    Bounds(Bounds),
    /// Inbound: verify this key at the authoritative server of `pair.from`; answer by `on_verification`.
    Verify {
        /// The pair to authenticate.
        pair: Pair,
        /// Our stream ID.
        id: StreamId,
        /// The key as presented; opaque.
        key: String,
    },
    /// The pair is authenticated: inbound it may send to us, outbound we may send.
    Authorized {
        /// The pair, in the direction of its stanzas.
        pair: Pair,
        /// The method.
        how: Authentication,
    },
    /// A component presented the secret of this domain (XEP-0114). Decide whether no other stream has the domain; answer by
    /// [`Component::on_claim`].
    Claim(Domain),
    /// XEP-0288: stanzas of this pair may go against the direction in which the stream was opened: inbound we may send,
    /// outbound the peer may.
    Bidirectional {
        /// The pair, in the direction of its stanzas.
        pair: Pair,
    },
    /// XEP-0198: the peer has accepted this many of the stanzas that we sent, the oldest first.
    Acknowledged(u32),
    /// XEP-0198: the peer does not acknowledge stanzas after all.
    Unmanaged,
    /// A stanza of an authenticated pair.
    Deliver(Element, Pair),
    /// A refused element, to be counted. The machine has written the stream error if one is required.
    Refused {
        /// The element.
        element: Element,
        /// The reason.
        refusal: Refusal,
    },
    /// Inbound: we answered a `db:verify` as authoritative server.
    KeyAnswered {
        /// The pair of the key: `from` is our domain, `to` the receiving server that sent the request.
        pair: Pair,
        /// ID of the stream on which the receiving server got the key.
        id: String,
        /// Our answer.
        answer: KeyVerdict,
    },
    /// Outbound, [`Purpose::Verify`]: the authoritative server's answer.
    VerifyAnswered(KeyVerdict),
    /// Outbound: this stream will not carry this pair; others may continue.
    PairFailed {
        /// The pair.
        pair: Pair,
        /// The true cause.
        failure: Failure,
    },
    /// The stream is no longer usable, for all of its pairs.
    Failed(Failure),
    /// We close the stream with this error, which is in the bytes.
    Ends(StreamError),
    /// Inbound: we close a stream without an authenticated pair, or refuse a dialback request.
    Rejected(Rejection),
    /// Inbound: the peer addressed a domain that we serve.
    Opened {
        /// The domain that it claims; not authenticated.
        from: Option<Domain>,
        /// The domain that it addressed.
        to: Domain,
    },
    /// Flush, then close TLS and TCP. Nothing else follows.
    Close,
}

/// The output of a machine; the driver clears it after use, so that the buffers are reused.
#[derive(Debug, Default)]
pub struct Out {
    /// Bytes to write before any action is performed.
    pub bytes: BytesMut,
    /// Actions to perform in order.
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

/// A deadline of a machine.
pub(crate) fn earliest(times: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    times.into_iter().flatten().min()
}

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
