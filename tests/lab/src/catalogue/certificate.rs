//! Faults that `CertificateReady` names: the certificate for the local domains.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SubjectPublicKeyInfo, date_time_ymd,
};
use serde_json::json;

use super::fault::{Fault, kept, lost};
use super::fixture::Fixture;
use super::stage::{Pair, Stage};
use crate::error::{Error, Result};
use crate::pki::Usage;

/// An RSA key of 1024 bits, which rcgen does not generate.
const SHORT_KEY: &str = "\
-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDoA8PEysQu850iy/J2Ahk6SiqR
20y+h0ktbjKCpeQsEo+XpN08u8wWFfmDM1mgqMhbcasbcVwBIPEBvXj7K/0g1krj
IzNnxeM+BELeuq9JXCrCQMbxAePNojQLRoRkH6j6H0RLRNlGtiyBuAVUenceyXqS
yjdiV6RN/XB/kG0aNwIDAQAB
-----END PUBLIC KEY-----
";

/// The rest of the validity of a certificate that expires while it is served.
const LAST_MOMENTS: Duration = Duration::from_secs(25);

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the certificate has expired",
        fixture: Fixture::Certified,
        inject: |stage| {
            put(stage, |params| {
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2021, 1, 1);
            })
        },
        expected: lost(
            "CertificateReady",
            "Expired",
            "Secret public expired at 2021-01-01",
            "Replace it in the Secret",
        ),
        consequences: &[],
        repair: renew,
    },
    Fault {
        name: "the certificate is not valid yet",
        fixture: Fixture::Certified,
        inject: |stage| put(stage, |params| params.not_before = date_time_ymd(2090, 1, 1)),
        expected: lost(
            "CertificateReady",
            "NotYetValid",
            "Secret public is not valid before 2090-01-01",
            "Check the clock",
        ),
        consequences: &[],
        repair: renew,
    },
    Fault {
        name: "the certificate is for another domain",
        fixture: Fixture::Certified,
        inject: |stage| {
            stage.put_certificate(&stage.issue(vec!["www.example".to_owned()], Usage::Both)?)
        },
        expected: lost(
            "CertificateReady",
            "DomainNotCovered",
            "Secret public is for www\\.example; it does not cover <domain>",
            "Issue one that names every domain in spec\\.domains",
        ),
        consequences: &[],
        repair: renew,
    },
    Fault {
        name: "the certificate is for clients only",
        fixture: Fixture::Certified,
        inject: |stage| {
            stage.put_certificate(&stage.issue(vec![stage.domain.clone()], Usage::Client)?)
        },
        expected: lost(
            "CertificateReady",
            "PurposeMismatch",
            "Secret public is not for servers",
            "Issue one with serverAuth",
        ),
        consequences: &[],
        repair: renew,
    },
    Fault {
        name: "the private key does not belong to the certificate",
        fixture: Fixture::Certified,
        inject: |stage| {
            let (one, other) = (stage.good_certificate()?, stage.good_certificate()?);
            stage.put_certificate(&Pair { key: other.key, ..one })
        },
        expected: lost(
            "CertificateReady",
            "KeyMismatch",
            "Secret public",
            "Put the private key that matches the certificate into the Secret",
        ),
        consequences: &[],
        repair: renew,
    },
    Fault {
        name: "the certificate expires soon",
        fixture: Fixture::Certified,
        inject: |stage| {
            let end = from_now(Duration::from_hours(3 * 24))?;
            put(stage, |params| params.not_after = date_time_ymd(1970, 1, 1) + end)
        },
        expected: kept("CertificateReady", "ExpiringSoon", "Secret public", "[Rr]enew"),
        consequences: &[],
        repair: renew,
    },
    Fault {
        name: "the certificate expires while the engine serves it",
        fixture: Fixture::Certified,
        inject: |stage| {
            let (begun, end) = (Instant::now(), from_now(LAST_MOMENTS)?);
            put(stage, |params| params.not_after = date_time_ymd(1970, 1, 1) + end)?;
            stage.wait_for_certificate()?;
            // The fault is that this time passes.
            thread::sleep(LAST_MOMENTS.saturating_sub(begun.elapsed()));
            Ok(())
        },
        expected: lost(
            "CertificateReady",
            "Expired",
            "Secret public expired at",
            "Replace it in the Secret",
        ),
        consequences: &["TLSVerified"],
        repair: renew,
    },
    Fault {
        name: "the key of the certificate is too short",
        fixture: Fixture::Certified,
        inject: |stage| {
            let short = SubjectPublicKeyInfo::from_pem(SHORT_KEY).map_err(failed)?;
            // The operator does not read the private key of a certificate that no peer accepts.
            let private = KeyPair::generate().map_err(failed)?.serialize_pem();
            stage.put_certificate(&signed(stage, |_| (), &short, private)?)
        },
        expected: lost(
            "CertificateReady",
            "WeakKey",
            "Secret public has an RSA key of 1024 bits",
            "Issue one with a new key",
        ),
        consequences: &[],
        repair: renew,
    },
    Fault {
        name: "the certificate of the issuer is missing in the chain",
        fixture: Fixture::Certified,
        inject: |stage| {
            let pair = flawed(stage, |params| params.custom_extensions.push(ca_issuers()))?;
            stage.put_pem(&pair.leaf, &pair.key)
        },
        expected: lost(
            "CertificateReady",
            "ChainIncomplete",
            "Secret public lacks the certificate of its issuer",
            "Append the intermediate certificate to tls\\.crt",
        ),
        consequences: &[],
        repair: renew,
    },
    Fault {
        name: "an issuer is named, but cert-manager is not installed",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.respec(&json!({"tls": {"certificate": {"issuerRef": {"name": "letsencrypt"}}}}))
        },
        expected: lost(
            "CertificateReady",
            "CertManagerNotInstalled",
            "does not have the kind Certificate of cert-manager\\.io/v1",
            "Install cert-manager, or set spec\\.tls\\.certificate\\.secretRef",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
];

/// That time from now, since the beginning of 1970.
pub(super) fn from_now(time: Duration) -> Result<Duration> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map(|now| now + time).map_err(|error| Error::State(error.to_string()))
}

fn renew(stage: &Stage) -> Result<()> {
    stage.put_certificate(&stage.good_certificate()?)
}

/// Writes a certificate for the domain with a change.
pub(super) fn put(stage: &Stage, change: impl FnOnce(&mut CertificateParams)) -> Result<()> {
    stage.put_certificate(&flawed(stage, change)?)
}

/// Where the certificate of the issuer can be fetched (RFC 5280 section 4.2.2.1), as public CAs state it.
fn ca_issuers() -> CustomExtension {
    let place = b"http://ca.example/intermediate.crt";
    let mut description = vec![0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 0x30, 2, 0x86];
    let wrap = |content: Vec<u8>| {
        let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
        [vec![0x30, length], content].concat()
    };
    description.push(u8::try_from(place.len()).unwrap_or(u8::MAX));
    description.extend_from_slice(place);
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], wrap(wrap(description)))
}

/// A certificate for the domain with a change.
fn flawed(stage: &Stage, change: impl FnOnce(&mut CertificateParams)) -> Result<Pair> {
    let key = KeyPair::generate().map_err(failed)?;
    signed(stage, change, &key, key.serialize_pem())
}

fn failed(source: rcgen::Error) -> Error {
    Error::Certificate { what: "a certificate with a flaw".into(), source }
}

/// The same, for this key.
fn signed(
    stage: &Stage,
    change: impl FnOnce(&mut CertificateParams),
    public: &impl PublicKeyData,
    private: String,
) -> Result<Pair> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "ca");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_key = KeyPair::generate().map_err(failed)?;
    let issuer = authority.self_signed(&authority_key).map_err(failed)?.pem();
    let mut params = CertificateParams::new(vec![stage.domain.clone()]).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "catalogue");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    change(&mut params);
    let signer = Issuer::new(authority, authority_key);
    let leaf = params.signed_by(public, &signer).map_err(failed)?.pem();
    Ok(Pair { leaf, issuer, key: private })
}
