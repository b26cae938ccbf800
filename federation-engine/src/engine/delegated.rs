//! Queries of a stream to a remote server about which DNSSEC authenticates facts (RFC 7673).

use std::sync::Arc;

use crds::peer::{TlsMode, Verification};
use rustls_pki_types::UnixTime;
use s2s_proto::certificate::dane::Delegation;
use s2s_proto::pair::Pair;
use s2s_proto::reason::{CertificateReason, Refusal, SetBy};
use s2s_proto::stream::{Keys, PeerChain, PeerRules, Surroundings};

use crate::Domain;
use crate::engine::outer::Outer;

/// Answers the queries of a stream to such a server.
pub(crate) struct VerifiedServer {
    /// Answers the queries of streams of the outer leg.
    pub(crate) outer: Outer,
    /// The facts about the server that DNSSEC authenticates.
    pub(crate) server: Arc<Delegation>,
}

impl Surroundings for VerifiedServer {
    fn serves(&self, domain: &Domain) -> bool {
        self.outer.serves(domain)
    }

    fn admits(&self, pair: &Pair) -> Result<(), Refusal> {
        self.outer.admits(pair)
    }

    fn peer(&self, remote: &Domain) -> PeerRules {
        let rules = self.outer.peer(remote);
        if *remote != self.server.domain {
            return rules;
        }
        let by_dane = self.outer.0.snapshot().is_judged_by_dane(&self.server);
        harden(rules, self.server.requires_tls(), by_dane)
    }

    fn set_by(&self, remote: &Domain) -> SetBy {
        self.outer.set_by(remote)
    }

    fn judge(&self, chain: &PeerChain, remote: &Domain) -> Result<(), CertificateReason> {
        if *remote != self.server.domain {
            return self.outer.judge(chain, remote);
        }
        self.outer.0.snapshot().judge_server(chain, &self.server, UnixTime::now())
    }

    fn keys(&self) -> &dyn Keys {
        self.outer.keys()
    }

    fn takes_bidi(&self, pair: &Pair) -> bool {
        self.outer.takes_bidi(pair)
    }
}

/// If the peer's records show that it offers TLS, `Optional` would only let an attacker strip the offer. If they name
/// the certificate, another one closes the stream, and dialback does not replace it (RFC 7673 §3.4, RFC 6698 §4.1). A
/// setting that an administrator disabled stays disabled: `Disabled` never reaches this function, and `None` is not
/// verified.
fn harden(rules: PeerRules, requires_tls: bool, by_dane: bool) -> PeerRules {
    let tls = match rules.tls {
        TlsMode::Optional if requires_tls => TlsMode::Required,
        as_set => as_set,
    };
    let verification = match rules.verification {
        Verification::Preferred if by_dane => Verification::Required,
        as_set => as_set,
    };
    PeerRules { tls, verification, ..rules }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::peer::Profile;

    fn rules(tls: TlsMode, verification: Verification) -> PeerRules {
        PeerRules { tls, verification, ..Profile::Standards.preset().rules() }
    }

    #[test]
    fn rfc7673_3_4_tlsa_records_require_tls_and_their_certificate() {
        let optional = rules(TlsMode::Optional, Verification::Preferred);
        assert_eq!(harden(optional, false, false), optional);
        let encrypted = rules(TlsMode::Required, Verification::Preferred);
        assert_eq!(harden(optional, true, false), encrypted, "unusable records");
        let strict = rules(TlsMode::Required, Verification::Required);
        assert_eq!(harden(optional, true, true), strict);
    }

    #[test]
    fn what_a_person_switched_off_stays_off() {
        let unseen = rules(TlsMode::Required, Verification::None);
        assert_eq!(harden(unseen, true, true), unseen);
    }
}
