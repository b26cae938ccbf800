//! For tests of streams: a server with answers that are set field by field.

#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    clippy::return_self_not_must_use,
    clippy::unwrap_used,
    clippy::panic,
    reason = "for tests, of this crate and of those that build on it"
)]

use std::cell::Cell;
use std::time::Duration;

use crds::peer::Profile;

use super::{Components, Keys, Limits, PeerChain, PeerRules, StreamId, Surroundings, component};
use crate::Domain;
use crate::dialback::{Key, KeyInquiry, Secret};
use crate::pair::Pair;
use crate::reason::{CertificateReason, Refusal, SetBy};
use crate::xml::Bounds;

pub const LIMITS: Limits = Limits {
    negotiation: Duration::from_secs(30),
    dialback: Duration::from_secs(20),
    pairs: 8,
    acknowledgement: Duration::from_mins(1),
    silence: Duration::from_mins(5),
    idle: Some(Duration::from_mins(10)),
    unauthenticated_bytes: 10_000,
    authenticated: Bounds::AUTHENTICATED,
};

pub fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

pub fn pair(from: &str, to: &str) -> Pair {
    Pair { from: domain(from), to: domain(to) }
}

/// A leg that serves `us.example` and `chat.us.example`; `them.example` and all others are remote.
#[derive(Debug)]
pub struct World {
    pub local: Vec<Domain>,
    pub rules: PeerRules,
    pub profile: Profile,
    /// Domains with a valid certificate.
    pub authenticated: Vec<Domain>,
    pub denied: Vec<Pair>,
    pub secret: Secret,
    pub inquiry: KeyInquiry,
    /// The next stream ID; every run has the same ones.
    pub next_id: Cell<u128>,
}

impl World {
    pub fn new(profile: Profile) -> Self {
        Self {
            local: vec![domain("us.example"), domain("chat.us.example")],
            rules: profile.preset().rules(),
            profile,
            authenticated: Vec::new(),
            denied: Vec::new(),
            secret: Secret::new(b"secret"),
            inquiry: KeyInquiry::NotSeen,
            next_id: Cell::new(1),
        }
    }

    pub fn trusting(profile: Profile) -> Self {
        Self { authenticated: vec![domain("them.example")], ..Self::new(profile) }
    }

    /// The other side of this world: its local domains are the remote ones here.
    pub fn mirrored(profile: Profile) -> Self {
        Self {
            local: vec![domain("them.example")],
            secret: Secret::new(b"their secret"),
            next_id: Cell::new(1_000_000),
            ..Self::new(profile)
        }
    }
}

impl Surroundings for World {
    fn serves(&self, domain: &Domain) -> bool {
        self.local.contains(domain)
    }

    fn admits(&self, pair: &Pair) -> Result<(), Refusal> {
        if self.denied.contains(pair) {
            return Err(Refusal::PolicyDenied);
        }
        // No domain on the other side of a stream is one of ours.
        if self.serves(&pair.from) && self.serves(&pair.to) {
            return Err(Refusal::InvalidFrom);
        }
        Ok(())
    }

    fn peer(&self, _: &Domain) -> PeerRules {
        self.rules
    }

    fn set_by(&self, _: &Domain) -> SetBy {
        SetBy::Peer(self.profile)
    }

    fn judge(&self, _: &PeerChain, remote: &Domain) -> Result<(), CertificateReason> {
        if self.authenticated.contains(remote) {
            Ok(())
        } else {
            Err(CertificateReason::SelfSigned)
        }
    }

    fn keys(&self) -> &dyn Keys {
        self
    }

    fn takes_bidi(&self, pair: &Pair) -> bool {
        !self.denied.contains(pair)
    }

    fn components(&self) -> Option<&dyn Components> {
        Some(self)
    }
}

/// The secret of the component that serves the local domains.
pub const COMPONENT_SECRET: &[u8] = b"component secret";

impl Components for World {
    fn hosts(&self, domain: &Domain) -> bool {
        self.local.contains(domain)
    }

    fn confirms(&self, domain: &Domain, id: &str, handshake: &str) -> bool {
        assert!(self.local.contains(domain) && !id.is_empty(), "{domain} {id}");
        component::Secret::new(COMPONENT_SECRET).unwrap().confirms(id, handshake)
    }

    fn speaks_for(&self, domain: &Domain, other: &Domain) -> bool {
        assert!(self.local.contains(domain), "{domain}");
        self.local.contains(other)
    }
}

impl Keys for World {
    fn dialback_key(&self, receiving: &Domain, originating: &Domain, id: &str) -> Key {
        self.secret.key(receiving, originating, id)
    }

    fn key_is_ours(&self, receiving: &Domain, originating: &Domain, id: &str, key: &str) -> bool {
        self.secret.key(receiving, originating, id).matches(key)
    }

    fn key_inquiry(&self, pair: &Pair, id: &str) -> KeyInquiry {
        assert!(self.serves(&pair.from) && !id.is_empty(), "{pair} {id}");
        self.inquiry
    }

    fn stream_id(&self) -> StreamId {
        StreamId::new(self.next_id.replace(self.next_id.get() + 1))
    }
}
