//! The side of the backends, to which the engine represents every remote domain.

use std::sync::Arc;

use crds::backend::BackendAuthentication;
use crds::peer::{Dialback, TlsMode, Verification};
use crds::rules::Preset;
use rustls_pki_types::UnixTime;
use s2s_proto::pair::Pair;
use s2s_proto::reason::{CertificateReason, Refusal, SetBy};
use s2s_proto::stream::{Components, Keys, PeerChain, PeerRules, Surroundings};

use crate::Domain;
use crate::engine::Engine;

/// Answers the queries of streams of the inner leg.
pub(crate) struct Inner(pub(crate) Arc<Engine>);

impl Surroundings for Inner {
    /// The engine also answers `db:verify` for these domains, so that a backend that uses dialback accepts them.
    fn serves(&self, domain: &Domain) -> bool {
        self.0.snapshot().config.is_remote_to_a_backend(domain)
    }

    fn admits(&self, pair: &Pair) -> Result<(), Refusal> {
        let snapshot = self.0.snapshot();
        match (snapshot.config.local(&pair.from), snapshot.config.local(&pair.to)) {
            // A pair from the backend to a remote domain, or the reverse one.
            (Some(_), None) | (None, Some(_)) => Ok(()),
            // A backend that claims a remote domain.
            (None, None) => Err(Refusal::InvalidFrom),
            (Some(from), Some(to)) if from.backend != to.backend => Ok(()),
            // Backends reach their own domains without the engine.
            (Some(_), Some(_)) => Err(Refusal::HostUnknown),
        }
    }

    /// A stanza of a backend may be for any peer.
    fn stanza_bytes(&self, _local: &Domain) -> Option<usize> {
        Some(self.0.snapshot().config.peers.largest_stanza_bytes())
    }

    fn peer(&self, local: &Domain) -> PeerRules {
        rules(self.0.snapshot().backend_authentication(local))
    }

    fn set_by(&self, local: &Domain) -> SetBy {
        SetBy::Backend(self.0.snapshot().backend_authentication(local))
    }

    fn judge(&self, chain: &PeerChain, local: &Domain) -> Result<(), CertificateReason> {
        self.0.snapshot().judge_backend(chain, local, UnixTime::now())
    }

    fn keys(&self) -> &dyn Keys {
        &*self.0
    }

    fn components(&self) -> Option<&dyn Components> {
        Some(self)
    }

    /// False for the engine's own pings: their answers must show that the backend finds the engine by itself.
    fn takes_bidi(&self, pair: &Pair) -> bool {
        let snapshot = self.0.snapshot();
        let probe = &snapshot.config.probe_domain;
        pair.from != *probe && pair.to != *probe
    }

    /// False for the engine's own pings, for the same reason.
    fn takes_answers(&self, pair: &Pair) -> bool {
        self.takes_bidi(pair)
    }
}

/// The rules for streams with a backend.
fn rules(authentication: BackendAuthentication) -> PeerRules {
    let (tls, verification, external, dialback) = match authentication {
        BackendAuthentication::Minted => {
            (TlsMode::Required, Verification::Required, true, Dialback::Disabled)
        }
        BackendAuthentication::Dialback => {
            (TlsMode::Required, Verification::None, false, Dialback::Required)
        }
        BackendAuthentication::PlainDialback => {
            (TlsMode::Disabled, Verification::None, false, Dialback::Required)
        }
    };
    Preset { tls, verification, external, dialback }.rules()
}

impl Components for Inner {
    fn hosts(&self, domain: &Domain) -> bool {
        self.0.snapshot().component_of(domain).is_some()
    }

    fn confirms(&self, domain: &Domain, id: &str, handshake: &str) -> bool {
        let snapshot = self.0.snapshot();
        snapshot.component_secret(domain).is_some_and(|secret| secret.confirms(id, handshake))
    }

    fn speaks_for(&self, domain: &Domain, other: &Domain) -> bool {
        let snapshot = self.0.snapshot();
        let component = snapshot.component_of(domain);
        component.is_some() && component == snapshot.component_of(other)
    }
}
