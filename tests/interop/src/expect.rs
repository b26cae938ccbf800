//! The rule: what must happen in one direction, computed from the settings and abilities of both sides.

use std::fmt;

use super::cell::{Certificate, Demand, Encryption, Settings, Way};

/// Abilities of a server, independent of its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// How it can authenticate, and which authentication it accepts.
    pub proof: ProofAbility,
    /// How it connects.
    pub connection: ConnectionAbility,
}

/// The authentication methods that a server supports, in both roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofAbility {
    /// SASL EXTERNAL (XEP-0178); a certificate without the usage clientAuth is accepted.
    External,
    /// SASL EXTERNAL, and an initiating server's certificate must have the usage clientAuth.
    ExternalWithClientAuth,
    /// Dialback only.
    DialbackOnly,
}

/// The connection types that a server supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionAbility {
    /// STARTTLS, Direct TLS (XEP-0368), TCP only, in both roles.
    All,
    /// No Direct TLS. Without TLS, its stream header does not name the requested domain: servers from before version
    /// 1.0 leave that to dialback (RFC 3920 §4.2).
    Legacy,
}

/// Abilities of the engine.
pub const ENGINE: Abilities =
    Abilities { proof: ProofAbility::External, connection: ConnectionAbility::All };

/// One side of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Party {
    /// Its settings.
    pub settings: Settings,
    /// Its abilities.
    pub abilities: Abilities,
}

/// How the initiating server is authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// SASL EXTERNAL.
    External,
    /// Server Dialback (XEP-0220).
    Dialback,
}

/// How a stream is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Not encrypted.
    Plain,
    /// STARTTLS.
    StartTls,
    /// Encrypted from the first byte.
    DirectTls,
}

/// Reason why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The initiating server does not query for Direct TLS, and nothing else is announced.
    NotFound,
    /// Nothing listens at the address that DNS gives.
    NotListening,
    /// One side requires TLS and the other one never uses it.
    NoTls,
    /// The initiating server requires a valid certificate and gets this one.
    ReceiversCertificate(Certificate),
    /// The receiving server requires a valid certificate and gets this one.
    InitiatorsCertificate(Certificate),
    /// No authentication method is both supported and permitted by both sides.
    NoCommonProof,
    /// The receiving server cannot open a stream to verify the dialback key.
    NotVerified,
}

/// What must happen in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// A stanza arrives.
    Delivered(Proof, Channel),
    /// No stanza arrives.
    Failed(Cause),
}

impl Party {
    fn insists_on_certificate(self) -> bool {
        self.settings.demand == Demand::Certificate
    }

    /// Whether its certificate authenticates it, as a server, to everyone.
    fn is_valid_as_server(self) -> bool {
        matches!(self.settings.certificate, Certificate::Good | Certificate::ServerAuthOnly)
    }

    /// Whether its certificate authenticates it, as a TLS client, to that server.
    fn is_valid_as_client_of(self, receiver: Self) -> bool {
        match self.settings.certificate {
            Certificate::Good => true,
            Certificate::ServerAuthOnly => receiver.abilities.proof == ProofAbility::External,
            Certificate::SelfSigned | Certificate::WrongName | Certificate::Expired => false,
        }
    }

    fn may_use_external(self) -> bool {
        self.abilities.proof != ProofAbility::DialbackOnly
            && self.settings.demand != Demand::Dialback
    }

    fn may_use_dialback(self) -> bool {
        self.settings.demand != Demand::Certificate
    }
}

/// The required outcome of a stream that `initiator` opens to `receiver`.
pub fn outcome(initiator: Party, receiver: Party, way: Way) -> Expected {
    let established = || {
        let channel = channel(initiator, receiver, way)?;
        Ok((proof(initiator, receiver, channel, way)?, channel))
    };
    match established() {
        Ok((proof, channel)) => Expected::Delivered(proof, channel),
        Err(cause) => Expected::Failed(cause),
    }
}

/// Whether and how the stream is encrypted, and whether the initiating server trusts the receiving one.
fn channel(initiator: Party, receiver: Party, way: Way) -> Result<Channel, Cause> {
    let channel = if way == Way::DirectTls {
        if initiator.abilities.connection == ConnectionAbility::Legacy {
            return Err(Cause::NotFound);
        }
        if receiver.abilities.connection == ConnectionAbility::Legacy {
            return Err(Cause::NotListening);
        }
        Channel::DirectTls
    } else {
        match (initiator.settings.encryption, receiver.settings.encryption) {
            (Encryption::Required, Encryption::Off) | (Encryption::Off, Encryption::Required) => {
                return Err(Cause::NoTls);
            }
            (Encryption::Off, _) | (_, Encryption::Off) => Channel::Plain,
            _ => Channel::StartTls,
        }
    };
    let believed = channel == Channel::Plain
        || !initiator.insists_on_certificate()
        || receiver.is_valid_as_server();
    if believed {
        Ok(channel)
    } else {
        Err(Cause::ReceiversCertificate(receiver.settings.certificate))
    }
}

/// How the receiving server authenticates the initiating one.
fn proof(initiator: Party, receiver: Party, channel: Channel, way: Way) -> Result<Proof, Cause> {
    let valid = channel != Channel::Plain && initiator.is_valid_as_client_of(receiver);
    if valid && initiator.may_use_external() && receiver.may_use_external() {
        return Ok(Proof::External);
    }
    if receiver.insists_on_certificate() && !valid {
        return Err(Cause::InitiatorsCertificate(initiator.settings.certificate));
    }
    if !(initiator.may_use_dialback() && receiver.may_use_dialback()) {
        return Err(Cause::NoCommonProof);
    }
    // The query about the key goes the other way (XEP-0220 §2.1.2).
    self::channel(receiver, initiator, way).map_err(|_| Cause::NotVerified)?;
    Ok(Proof::Dialback)
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered(proof, channel) => write!(f, "{proof:?} ({channel:?})"),
            Self::Failed(cause) => write!(f, "fails: {cause:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEGACY: Abilities =
        Abilities { proof: ProofAbility::DialbackOnly, connection: ConnectionAbility::Legacy };

    fn party(encryption: Encryption, demand: Demand, certificate: Certificate) -> Party {
        Party { settings: Settings { encryption, demand, certificate }, abilities: ENGINE }
    }

    fn strict(certificate: Certificate) -> Party {
        party(Encryption::Required, Demand::Certificate, certificate)
    }

    fn lenient(certificate: Certificate) -> Party {
        party(Encryption::Optional, Demand::CertificateOrDialback, certificate)
    }

    fn ordinary(initiator: Party, receiver: Party) -> Expected {
        outcome(initiator, receiver, Way::Ordinary)
    }

    #[test]
    fn a_valid_certificate_proves_and_otherwise_dialback_does_where_it_is_permitted() {
        use Certificate::{Expired, Good, SelfSigned, WrongName};
        let external = Expected::Delivered(Proof::External, Channel::StartTls);
        let dialback = Expected::Delivered(Proof::Dialback, Channel::StartTls);
        assert_eq!(ordinary(strict(Good), strict(Good)), external);
        assert_eq!(ordinary(lenient(Good), lenient(WrongName)), external);
        for bad in [SelfSigned, WrongName, Expired] {
            assert_eq!(ordinary(lenient(bad), lenient(Good)), dialback);
            let refused = Expected::Failed(Cause::InitiatorsCertificate(bad));
            assert_eq!(ordinary(lenient(bad), strict(Good)), refused);
            let distrusted = Expected::Failed(Cause::ReceiversCertificate(bad));
            assert_eq!(ordinary(strict(Good), lenient(bad)), distrusted);
        }
    }

    #[test]
    fn a_certificate_for_servers_only_proves_to_those_who_take_it() {
        let picky = Abilities { proof: ProofAbility::ExternalWithClientAuth, ..ENGINE };
        let ours = strict(Certificate::ServerAuthOnly);
        let theirs = Party { abilities: picky, ..strict(Certificate::Good) };
        let refused = Cause::InitiatorsCertificate(Certificate::ServerAuthOnly);
        assert_eq!(ordinary(ours, theirs), Expected::Failed(refused));
        let external = Expected::Delivered(Proof::External, Channel::StartTls);
        assert_eq!(ordinary(theirs, ours), external);
    }

    #[test]
    fn who_never_encrypts_meets_nobody_who_requires_it() {
        let plain = party(Encryption::Off, Demand::Dialback, Certificate::Good);
        let delivered = Expected::Delivered(Proof::Dialback, Channel::Plain);
        assert_eq!(ordinary(plain, lenient(Certificate::Good)), delivered);
        assert_eq!(ordinary(plain, strict(Certificate::Good)), Expected::Failed(Cause::NoTls));
        assert_eq!(ordinary(strict(Certificate::Good), plain), Expected::Failed(Cause::NoTls));
    }

    #[test]
    fn dialback_needs_the_way_back() {
        let ours = lenient(Certificate::SelfSigned);
        let theirs = Party { abilities: LEGACY, ..lenient(Certificate::Good) };
        assert_eq!(outcome(ours, theirs, Way::DirectTls), Expected::Failed(Cause::NotListening));
        assert_eq!(outcome(theirs, ours, Way::DirectTls), Expected::Failed(Cause::NotFound));
        let plain = party(Encryption::Off, Demand::Dialback, Certificate::Good);
        let delivered = Expected::Delivered(Proof::Dialback, Channel::Plain);
        assert_eq!(ordinary(theirs, plain), delivered);
        assert_eq!(ordinary(plain, theirs), delivered);
        let required = party(Encryption::Required, Demand::Dialback, Certificate::SelfSigned);
        let dialback = Expected::Delivered(Proof::Dialback, Channel::StartTls);
        assert_eq!(ordinary(theirs, required), dialback);
    }

    #[test]
    fn who_knows_dialback_only_does_not_meet_who_wants_a_certificate() {
        let legacy = Party {
            abilities: LEGACY,
            ..party(Encryption::Optional, Demand::Dialback, Certificate::Good)
        };
        let failed = Expected::Failed(Cause::NoCommonProof);
        assert_eq!(ordinary(legacy, strict(Certificate::Good)), failed);
        assert_eq!(ordinary(strict(Certificate::Good), legacy), failed);
    }
}
