use rcgen::{CertificateParams, date_time_ymd};
use s2s_proto::certificate::testing::{Ca, domain, now};

use super::*;

fn certificate(
    root: &Ca,
    names: &[&str],
    change: impl FnOnce(&mut CertificateParams),
) -> Arc<LocalCertificate> {
    let (leaf, key) = root.leaf(names, change);
    let (chain, key) = (leaf.pem(), key.serialize_pem());
    let loaded = LocalCertificate::from_pem(chain.as_bytes(), "tls.crt", key.as_bytes(), "tls.key");
    Arc::new(loaded.unwrap())
}

#[test]
fn each_domain_gets_the_certificate_that_covers_it_and_the_first_one_stands_in() {
    let root = Ca::root("Root");
    let set = [
        certificate(&root, &["a.example"], |_| {}),
        certificate(&root, &["b.example", "*.b.example"], |_| {}),
    ];
    let domains = [domain("a.example"), domain("chat.b.example"), domain("c.example")];
    let (set, problems) = LocalCertificates::assign(&set, &domains, now());
    let names = |found: Option<&Arc<LocalCertificate>>| found.unwrap().facts().names.join(" ");
    assert_eq!(names(set.present(&domains[0])), "a.example");
    assert_eq!(names(set.present(&domains[1])), "b.example *.b.example");
    assert_eq!(names(set.present(&domains[2])), "a.example");
    assert!(set.covering(&domains[2]).is_none());
    assert_eq!(names(set.present_for_sni(Some("CHAT.b.example"))), "b.example *.b.example");
    assert_eq!(names(set.present_for_sni(Some("[nonsense"))), "a.example");
    assert_eq!(names(set.present_for_sni(None)), "a.example");
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!(
        problem.to_string(),
        "no certificate covers c.example; the loaded certificates are for a.example, b.example, *.b.example"
    );
}

#[test]
fn a_valid_certificate_is_preferred_and_an_outdated_one_is_reported() {
    let root = Ca::root("Root");
    let old = || certificate(&root, &["a.example"], |p| p.not_after = date_time_ymd(2026, 5, 1));
    let fresh = certificate(&root, &["a.example"], |_| {});
    let fresh_hash = fresh.facts().sha256.clone();
    let domains = [domain("a.example")];
    let (set, problems) = LocalCertificates::assign(&[old(), fresh], &domains, now());
    assert_eq!(set.present(&domains[0]).unwrap().facts().sha256, fresh_hash);
    assert_eq!(problems, []);
    let (set, problems) = LocalCertificates::assign(&[old()], &domains, now());
    assert!(set.covering(&domains[0]).is_some());
    assert!(matches!(problems.as_slice(), [CertificateError::Expired { .. }]), "{problems:?}");
    let early = certificate(&root, &["a.example"], |p| p.not_before = date_time_ymd(2026, 7, 1));
    let (_, problems) = LocalCertificates::assign(&[early], &domains, now());
    assert!(matches!(problems.as_slice(), [CertificateError::NotYetValid { .. }]), "{problems:?}");
}

#[test]
fn without_a_certificate_there_is_nothing_to_present_and_no_second_complaint() {
    let (set, problems) = LocalCertificates::assign(&[], &[domain("a.example")], now());
    assert!(set.present(&domain("a.example")).is_none());
    assert_eq!(problems, []);
}

#[test]
fn broken_files_are_named_with_what_is_wrong() {
    let root = Ca::root("Root");
    let (leaf, key) = root.leaf(&["a.example"], |_| {});
    let (_, other_key) = root.leaf(&["a.example"], |_| {});
    let (leaf, key, other_key) = (leaf.pem(), key.serialize_pem(), other_key.serialize_pem());
    let directory = tempfile::tempdir().unwrap();
    let (crt, pem) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
    let load = |certificate: &str, private_key: &str| {
        std::fs::write(&crt, certificate).unwrap();
        std::fs::write(&pem, private_key).unwrap();
        LocalCertificate::load(&crt, &pem).map(|_| ()).unwrap_err()
    };
    let (crt_place, key_place) = (crt.display().to_string(), pem.display().to_string());
    assert_eq!(load("", &key), CertificateError::NoCertificate { place: crt_place.clone() });
    assert_eq!(load(&leaf, &leaf), CertificateError::NoPrivateKey { place: key_place.clone() });
    assert_eq!(
        load(&leaf, &other_key),
        CertificateError::KeyMismatch { place: key_place, certificate: crt_place.clone() }
    );
    let broken = leaf.replace("MII", "!!!");
    assert!(
        matches!(load(&broken, &key), CertificateError::Malformed { place, .. } if place == crt_place)
    );
    std::fs::remove_file(&crt).unwrap();
    let missing = LocalCertificate::load(&crt, &pem).map(|_| ()).unwrap_err();
    assert!(matches!(missing, CertificateError::Unreadable { place, .. } if place == crt_place));
}

#[test]
fn a_self_signed_certificate_covers_all_domains_and_says_that_it_is_self_signed() {
    let domains = [domain("a.example"), domain("bücher.example")];
    let certificate =
        LocalCertificate::self_signed(&domains, Duration::from_hours(24), now()).unwrap();
    assert!(domains.iter().all(|d| certificate.covers(d)));
    assert!(certificate.facts().self_signed);
    assert!(!certificate.facts().is_ca);
    assert_eq!(
        certificate.facts().not_after.as_second(),
        i64::try_from(now().as_secs()).unwrap() + 86400
    );
}
