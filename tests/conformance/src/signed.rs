//! Our side in a signed zone (RFC 7673), for a target that trusts the zone's key.

use std::net::Ipv4Addr;

use hickory_proto::rr::RecordType;
use rcgen::date_time_ymd;
use s2s_peer::authority::{Authority, Identity};
use s2s_peer::error::Result;
use s2s_peer::nameserver::Zone;
use s2s_peer::signer::{Flaw, Signer};
use sha2::{Digest, Sha256};

use super::outside::S2S;

/// Names below our domain.
pub(crate) mod names {
    /// Its SRV records are bogus; the address record points to the trap.
    pub(crate) const BOGUS_SERVICE: &str = "bogus-srv";
    /// The address of its server is bogus.
    pub(crate) const BOGUS_ADDRESS: &str = "bogus-address";
    /// The TLSA records of its server are bogus.
    pub(crate) const BOGUS_CERTIFICATE: &str = "bogus-tlsa";
    /// The TLSA record of their servers matches a certificate that nothing else authenticates. Authenticated by
    /// certificate only.
    pub(crate) const DANE: [&str; 2] = ["dane.strict", "dane-other.strict"];
    /// Their servers have no TLSA record. Authenticated by certificate only.
    pub(crate) const NO_TLSA: [&str; 3] = ["over.strict", "valid.strict", "of-host.strict"];
}

/// The data that only a target that trusts the zone's key can use.
#[derive(Debug)]
pub struct Signed {
    /// The key as a trust anchor.
    pub anchor: String,
    /// The certificate that the TLSA record of [`names::DANE`] matches: of an unknown authority, for another name, and
    /// expired.
    pub identity: Identity,
}

/// The name of the server of each domain, below the domain.
pub(crate) const SERVER: &str = "server";

/// Adds these names to a zone, and signs it.
pub(crate) fn sign(
    zone: Zone,
    peer: &str,
    address: Ipv4Addr,
    trap: Ipv4Addr,
) -> Result<(Zone, Signed)> {
    let over = |params: &mut rcgen::CertificateParams| {
        (params.not_before, params.not_after) =
            (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
    };
    let identity = Authority::new("Nobody")?.issue_with(&["elsewhere.example"], over)?;
    let digest = |identity: &Identity| {
        let chain = identity.chain();
        chain.first().map(|leaf| Sha256::digest(leaf).to_vec()).unwrap_or_default()
    };
    let key = Signer::new()?;
    let signed = Signed { anchor: key.anchor(), identity };
    let below = |name: &str| format!("{name}.{peer}");
    let server_of = |name: &str| format!("{SERVER}.{name}.{peer}");
    let mut zone = zone.address(&below(names::BOGUS_SERVICE), trap)?;
    let bogus = [names::BOGUS_SERVICE, names::BOGUS_ADDRESS, names::BOGUS_CERTIFICATE];
    for name in bogus.iter().chain(&names::DANE).chain(&names::NO_TLSA) {
        let server = server_of(name);
        zone =
            zone.address(&server, address)?.server("_xmpp-server", &below(name), &server, S2S)?;
    }
    for name in names::DANE.iter().chain([&names::BOGUS_CERTIFICATE]) {
        let tlsa = (3, 0, 1, digest(&signed.identity));
        zone = zone.certificate(&server_of(name), S2S, tlsa)?;
    }
    let service = format!("_xmpp-server._tcp.{}", below(names::BOGUS_SERVICE));
    let certificate = format!("_{S2S}._tcp.{}", server_of(names::BOGUS_CERTIFICATE));
    let zone = zone
        .flawed(&service, RecordType::SRV, Flaw::Forged)?
        .flawed(&server_of(names::BOGUS_ADDRESS), RecordType::A, Flaw::Expired)?
        .flawed(&certificate, RecordType::TLSA, Flaw::Missing)?
        .signed(key);
    Ok((zone, signed))
}
