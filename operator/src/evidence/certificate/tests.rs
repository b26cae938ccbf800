use rcgen::{CustomExtension, ExtendedKeyUsagePurpose, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use s2s_proto::certificate::testing::{Ca, leaf_params, server_auth};

use super::*;

const DOMAIN: &str = "example.com";

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn seen(certificates: &[&rcgen::Certificate], key: &str, trust: &Trust) -> CertificateSeen {
    let pem: String = certificates.iter().map(|certificate| certificate.pem()).collect();
    let domains = [DOMAIN.parse().unwrap(), "example.org".parse().unwrap()];
    read("Secret own", pem.as_bytes(), key.as_bytes(), &domains, trust, now()).unwrap()
}

/// An authority information access extension with a URL of the issuer's certificate.
fn ca_issuers(params: &mut rcgen::CertificateParams) {
    let url = b"http://ca.example/ca.crt";
    let mut place = vec![0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 0x30, 2, 0x86, 24];
    place.extend_from_slice(url);
    let length = |content: &[u8]| u8::try_from(content.len()).unwrap();
    let mut content = vec![0x30, length(&place) + 2, 0x30, length(&place)];
    content.extend(place);
    let oid = [1, 3, 6, 1, 5, 5, 7, 1, 1];
    params.custom_extensions.push(CustomExtension::from_oid_content(&oid, content));
}

#[test]
fn a_chain_without_its_intermediate_is_incomplete_and_the_issuer_is_named() {
    let root = Ca::root("Root");
    let intermediate = root.intermediate("Intermediate");
    let (leaf, key) = intermediate.leaf(&[DOMAIN], ca_issuers);
    let missing = |certificates: &[&rcgen::Certificate], trust: &Trust| {
        let seen = seen(certificates, &key.serialize_pem(), trust);
        seen.readable().unwrap().missing_issuer.clone()
    };
    assert_eq!(missing(&[&leaf], &root.trust()).as_deref(), Some("CN=Intermediate"));
    assert_eq!(missing(&[&leaf, &intermediate.certificate], &root.trust()), None);
    // A private CA whose root peers were given.
    assert_eq!(missing(&[&leaf], &intermediate.trust()), None);
    // Its root is in the chain: nothing is missing, independent of the trust of others.
    let with_root = [&leaf, &intermediate.certificate, &root.certificate];
    assert_eq!(missing(&with_root, &Trust::none()), None);
}

#[test]
fn a_certificate_that_names_no_place_of_its_issuer_may_be_directly_below_a_private_root() {
    let (leaf, key) = Ca::root("Root").leaf(&[DOMAIN], |_| {});
    let seen = seen(&[&leaf], &key.serialize_pem(), &Trust::none());
    let readable = seen.readable().unwrap();
    assert_eq!(readable.missing_issuer, None);
    assert_eq!(readable.covers, [DOMAIN.parse().unwrap()]);
}

#[test]
fn the_purpose_follows_from_the_extended_key_usage() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, EmailProtection, ServerAuth};
    let root = Ca::root("Root");
    let purpose = |usages: &[ExtendedKeyUsagePurpose]| {
        let (leaf, key) = root.leaf(&[DOMAIN], |params| {
            params.extended_key_usages = usages.to_vec();
        });
        seen(&[&leaf], &key.serialize_pem(), &Trust::none()).readable().unwrap().purpose
    };
    assert_eq!(purpose(&[]), Purpose::Both);
    assert_eq!(purpose(&[ServerAuth, ClientAuth]), Purpose::Both);
    assert_eq!(purpose(&[Any]), Purpose::Both);
    assert_eq!(purpose(&[ServerAuth]), Purpose::ServerOnly);
    assert_eq!(purpose(&[ClientAuth]), Purpose::NotServer);
    assert_eq!(purpose(&[EmailProtection]), Purpose::NotServer);
}

#[test]
fn a_short_rsa_key_is_reported_with_its_length() {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let leaf = leaf_params(&[DOMAIN], server_auth).self_signed(&key).unwrap();
    let strong = seen(&[&leaf], &key.serialize_pem(), &Trust::none());
    assert!(strong.readable().is_some(), "{strong:?}");
    let weak = read("Secret own", WEAK.as_bytes(), b"", &[], &Trust::none(), now()).unwrap();
    assert_eq!(weak, CertificateSeen::WeakKey(1024));
}

#[test]
fn the_key_of_another_certificate_is_a_mismatch() {
    let (leaf, _) = Ca::root("Root").leaf(&[DOMAIN], |_| {});
    let other = KeyPair::generate().unwrap().serialize_pem();
    let found = seen(&[&leaf], &other, &Trust::none());
    assert!(matches!(found, CertificateSeen::KeyMismatch(_)), "{found:?}");
}

/// RSA 1024, self-signed, for example.com; rcgen makes no such key.
const WEAK: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIICIjCCAYugAwIBAgIUcFoEuszbh8XcTx0SqE1d1JEEqogwDQYJKoZIhvcNAQEL\n\
BQAwFjEUMBIGA1UEAwwLZXhhbXBsZS5jb20wIBcNMjYxMTI5MTMzODE3WhgPMjEy\n\
NjExMDUxMzM4MTdaMBYxFDASBgNVBAMMC2V4YW1wbGUuY29tMIGfMA0GCSqGSIb3\n\
DQEBAQUAA4GNADCBiQKBgQDMt5Y7Iun5vpbN+byJRerT9DNdvIdJ6rxC7J0mv/NZ\n\
A8c8LhqbRm8U/I9HTyacTscwFjf0vPkh2dvzD/ZfpAtWKf8lZRVRpw/mngbj/GbP\n\
ay60U773cC7NrL3yNW8LdCu8VK/n8Q9V8vnoYBCAhtWp+qjb2epCGROaxDzFoBHb\n\
aQIDAQABo2swaTAdBgNVHQ4EFgQUUJF9ldh6XoB/aSLHgts230A3Z0swHwYDVR0j\n\
BBgwFoAUUJF9ldh6XoB/aSLHgts230A3Z0swDwYDVR0TAQH/BAUwAwEB/zAWBgNV\n\
HREEDzANggtleGFtcGxlLmNvbTANBgkqhkiG9w0BAQsFAAOBgQBtTtLaqnsdyT28\n\
/w4ylHVd0Gtz8flkoApm4llEz+mNiKJAsMlKaulOUu4fPD//1fiIsFD6P9bclXn0\n\
P7M2IiHGKs4J11ZqyPHboJa4d53iB7XxCll5ADA2tU02jhk1/TUNWLdAwSAmuGIy\n\
mSod52nTYL9zLEEvb08PDSYj1KlKWQ==\n\
-----END CERTIFICATE-----\n";
