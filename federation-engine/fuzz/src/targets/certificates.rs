//! Certificates: names, paths, TLSA records.

use std::time::Duration;

use federation_engine::Domain;
use rustls_pki_types::{CertificateDer, UnixTime};
use s2s_proto::certificate::chain::PeerChain;
use s2s_proto::certificate::dane::{self, Associations, Delegation};
use s2s_proto::certificate::identity::Identity;
use s2s_proto::certificate::judge;
use s2s_proto::certificate::pin::Pin;
use s2s_proto::certificate::tlsa::Tlsa;
use s2s_proto::certificate::trust::Trust;

/// A root, and the chain that it has issued: `them.example` through an intermediate.
const ROOT: &[u8] = include_bytes!("../../material/root.pem");
const CHAIN: &[u8] = include_bytes!("../../corpus/chain/valid");
/// 2027-06-01, when these certificates are valid.
const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_hours(503_280));

fn domain() -> Domain {
    Domain::parse("them.example").expect("a domain")
}

fn trust() -> Trust {
    Trust::from_pem(ROOT, "root").expect("a root")
}

/// Splits the data into certificates. Two octets with its length precede each certificate.
fn split(mut data: &[u8]) -> Vec<CertificateDer<'_>> {
    let mut certificates = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (certificate, after) = rest.split_at(length);
        certificates.push(CertificateDer::from(certificate));
        data = after;
    }
    certificates
}

/// A DER element.
fn der(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[tag, 0x82], length.as_slice(), &content].concat()
}

/// A certificate with this subjectAltName; its other content has no meaning.
fn with_names(names: &[u8]) -> Vec<u8> {
    let algorithm = der(0x30, &[&[0x06, 3, 0x2B, 0x65, 0x70]]);
    let name = der(0x30, &[]);
    let extension = der(0x30, &[&[0x06, 3, 0x55, 0x1D, 0x11], &der(0x04, &[names])]);
    let time = der(0x17, &[b"260101000000Z"]);
    let body = der(
        0x30,
        &[
            &[0xA0, 3, 2, 1, 2, 2, 1, 1],
            &algorithm,
            &name,
            &der(0x30, &[&time, &time]),
            &name,
            &der(0x30, &[&algorithm, &[3, 1, 0]]),
            &der(0xA3, &[&der(0x30, &[&extension])]),
        ],
    );
    der(0x30, &[&body, &algorithm, &[3, 1, 0]])
}

/// A subjectAltName, and the same bytes as a certificate.
pub(crate) fn names(data: &[u8]) {
    let made = with_names(data.get(..60_000).unwrap_or(data));
    for der in [made.as_slice(), data] {
        let Ok(identity) = Identity::of_der(&CertificateDer::from(der)) else { continue };
        let shown = identity.names();
        assert!(shown.len() <= 16, "{shown:?}");
        assert!(!shown.iter().any(|name| name.contains(char::is_control)), "{shown:?}");
        if identity.matches(&domain()) {
            let proves = |name: &String| {
                ["them.example", "*.example", "_xmpp-server.them.example"].contains(&name.as_str())
            };
            assert!(shown.len() == 16 || shown.iter().any(proves), "{shown:?}");
        }
    }
}

/// A presented chain.
pub(crate) fn chain(data: &[u8]) {
    let certificates = split(data);
    let chain = PeerChain::presented(Some(&certificates));
    for pins in [&[][..], &[Pin::of_spki(b"no key")]] {
        if judge::judge(&chain, &domain(), &trust(), pins, NOW).is_ok() {
            let leaf = chain.leaf().expect("a certificate");
            let identity = Identity::of_der(leaf).expect("it can be read");
            assert!(identity.matches(&domain()) && pins.is_empty());
            // Only the holder of the root's key can make a certificate that the root has issued.
            assert!(split(CHAIN).first() == Some(leaf), "another certificate is believed");
        }
    }
    let _ = chain.not_after();
}

/// TLSA records, and the valid chain.
pub(crate) fn tlsa(data: &[u8]) {
    let mut associations = Vec::new();
    for record in split(data) {
        let Some(([usage, selector, matching], rest)) = record.split_first_chunk::<3>() else {
            continue;
        };
        if let Tlsa::Usable(association) = Tlsa::new(*usage, *selector, *matching, rest) {
            associations.push(association);
        }
    }
    if associations.is_empty() {
        return;
    }
    let server = Delegation {
        domain: domain(),
        host: None,
        owner: "_5269._tcp.host.example".to_owned(),
        associations: Associations::Usable(associations),
    };
    assert!(server.requires_tls() && server.names_certificate());
    let valid = split(CHAIN);
    let verdict = |certificates: &[CertificateDer<'_>]| {
        dane::judge(&PeerChain::presented(Some(certificates)), &server, &trust(), &[], NOW)
    };
    let _ = verdict(&valid);
    assert!(verdict(&[]).is_err(), "nothing is no certificate");
}
