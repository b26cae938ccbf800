//! Certificates for tests: a private root, intermediates, and leaves with one property each.

#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    clippy::return_self_not_must_use,
    clippy::unwrap_used,
    clippy::panic,
    reason = "for tests, of this crate and of those that build on it"
)]

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::chain::PeerChain;
use super::trust::Trust;
use crate::Domain;

/// 2026-06-01T00:00:00Z, the current time of every test.
pub fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_hours(494_520))
}

pub fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

/// A certificate that can sign.
pub struct Ca {
    pub certificate: rcgen::Certificate,
    pub issuer: Issuer<'static, KeyPair>,
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

impl Ca {
    pub fn root(name: &str) -> Self {
        Self::of_key(name, KeyPair::generate().unwrap())
    }

    pub fn of_key(name: &str, key: KeyPair) -> Self {
        let params = ca_params(name);
        Self { certificate: params.self_signed(&key).unwrap(), issuer: Issuer::new(params, key) }
    }

    pub fn intermediate(&self, name: &str) -> Self {
        self.intermediate_with(name, |_| {})
    }

    pub fn intermediate_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = ca_params(name);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    pub fn trust(&self) -> Trust {
        Trust::from_pem(self.certificate.pem().as_bytes(), "test").unwrap()
    }

    pub fn leaf(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = leaf_params(names, change);
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// Valid, DNS-IDs as given, no extended key usage.
pub fn leaf_params(
    names: &[&str],
    change: impl FnOnce(&mut CertificateParams),
) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.is_ca = IsCa::ExplicitNoCa;
    change(&mut params);
    params
}

pub fn server_auth(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
}

pub fn chain(certificates: &[&rcgen::Certificate]) -> PeerChain {
    let ders: Vec<CertificateDer<'_>> = certificates.iter().map(|c| c.der().clone()).collect();
    PeerChain::presented(Some(&ders))
}

/// A subjectAltName extension with one `otherName` (RFC 5280 §4.2.1.6); `tag` is the ASN.1 tag of its string.
pub fn other_name(last_arc: u8, tag: u8, text: &str) -> CustomExtension {
    let string = tlv(tag, text.as_bytes());
    let mut body = vec![0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, last_arc];
    body.extend(tlv(0xa0, &string));
    raw_alt_name(&tlv(0xa0, &body))
}

/// A subjectAltName extension with one `dNSName` of any bytes.
pub fn raw_dns_name(text: &[u8]) -> CustomExtension {
    raw_alt_name(&tlv(0x82, text))
}

fn raw_alt_name(general_name: &[u8]) -> CustomExtension {
    CustomExtension::from_oid_content(&[2, 5, 29, 17], tlv(0x30, general_name))
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    assert!(length < 128, "short form only");
    [&[tag, length], content].concat()
}
