//! Every verdict by TLSA records (RFC 6698 §2.1, RFC 7671 §5, RFC 7673 §4), one at a time.

use rcgen::date_time_ymd;
use sha2::{Digest, Sha256, Sha512};

use super::*;
use crate::certificate::testing::*;
use crate::certificate::tlsa::Tlsa;

const OWNER: &str = "_5269._tcp.xmpp.host.example";

fn record(usage: u8, selector: u8, matching: u8, data: &[u8]) -> Tlsa {
    Tlsa::new(usage, selector, matching, data)
}

/// A record about this certificate.
fn about(certificate: &rcgen::Certificate, usage: u8, selector: u8, matching: u8) -> Tlsa {
    let parsed = parse(certificate.der()).unwrap();
    let selected = match selector {
        1 => parsed.public_key().raw.to_vec(),
        _ => certificate.der().to_vec(),
    };
    let data = match matching {
        1 => Sha256::digest(&selected).to_vec(),
        2 => Sha512::digest(&selected).to_vec(),
        _ => selected,
    };
    Tlsa::new(usage, selector, matching, &data)
}

fn associations(records: &[Tlsa]) -> Associations {
    let usable: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Tlsa::Usable(association) => Some(association.clone()),
            Tlsa::Unusable => None,
        })
        .collect();
    match (records, usable.as_slice()) {
        ([], _) => Associations::None,
        (_, []) => Associations::Unusable,
        _ => Associations::Usable(usable),
    }
}

fn server(records: &[Tlsa]) -> Delegation {
    Delegation {
        domain: domain("peer.example"),
        host: Some(domain("xmpp.host.example")),
        owner: OWNER.to_owned(),
        associations: associations(records),
    }
}

/// The verdict about `peer.example` at `xmpp.host.example`.
fn verdict(chain: &PeerChain, records: &[Tlsa], trust: &Trust) -> Result<(), CertificateReason> {
    judge(chain, &server(records), trust, &[], now())
}

fn mismatch() -> Result<(), CertificateReason> {
    Err(CertificateReason::DaneMismatch { owner: OWNER.to_owned() })
}

fn misnamed(verdict: &Result<(), CertificateReason>) -> bool {
    matches!(verdict, Err(CertificateReason::NameMismatch { .. }))
}

/// For another name, and expired.
fn expired_of_another(params: &mut rcgen::CertificateParams) {
    params.not_after = date_time_ymd(2026, 5, 1);
}

#[test]
fn rfc7673_4_2_dane_ee_ignores_names_dates_and_issuers() {
    let (leaf, _) = Ca::root("Nobody").leaf(&["other.example"], expired_of_another);
    for selector in 0..=1 {
        for matching in 0..=2 {
            let records = [about(&leaf, 3, selector, matching)];
            let verdict = verdict(&chain(&[&leaf]), &records, &Trust::none());
            assert_eq!(verdict, Ok(()), "3 {selector} {matching}");
        }
    }
}

#[test]
fn rfc6698_4_1_a_certificate_that_no_record_is_about_is_refused_however_valid_it_is() {
    let root = Ca::root("Root");
    let (leaf, _) = root.leaf(&["peer.example"], |_| {});
    let (other, _) = root.leaf(&["peer.example"], |_| {});
    for usage in 0..=3 {
        let records = [about(&other, usage, 1, 1)];
        assert_eq!(verdict(&chain(&[&leaf]), &records, &root.trust()), mismatch(), "{usage} 1 1");
    }
    assert!(mismatch().unwrap_err().to_string().contains(OWNER));
    assert_eq!(
        verdict(&PeerChain::default(), &[about(&leaf, 3, 1, 1)], &root.trust()),
        Err(CertificateReason::Missing)
    );
}

#[test]
fn rfc6698_2_1_one_of_several_records_is_enough() {
    let root = Ca::root("Root");
    let (old, _) = root.leaf(&["peer.example"], |_| {});
    let (leaf, _) = root.leaf(&["other.example"], |_| {});
    let unknown = record(9, 1, 1, &[0; 32]);
    let records = [unknown, about(&old, 3, 1, 1), about(&leaf, 1, 1, 1), about(&leaf, 3, 1, 1)];
    assert_eq!(verdict(&chain(&[&leaf]), &records, &root.trust()), Ok(()));
}

#[test]
fn rfc7671_5_2_dane_ta_leads_to_its_anchor_and_checks_names_and_dates() {
    let (root, stranger) = (Ca::root("Root"), Ca::root("Stranger").trust());
    let intermediate = root.intermediate("Intermediate");
    let presented = |names: &[&str], change: fn(&mut rcgen::CertificateParams)| {
        let (leaf, _) = intermediate.leaf(names, change);
        chain(&[&leaf, &intermediate.certificate, &root.certificate])
    };
    for anchor in [&root.certificate, &intermediate.certificate] {
        for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
            let records = [about(anchor, 2, selector, matching)];
            let by =
                |names: &[&str], change| verdict(&presented(names, change), &records, &stranger);
            assert_eq!(by(&["peer.example"], |_| {}), Ok(()), "2 {selector} {matching}");
            assert_eq!(by(&["xmpp.host.example"], |_| {}), Ok(()), "RFC 7673 §4.1");
            assert!(misnamed(&by(&["other.example"], |_| {})));
            let expired = by(&["peer.example"], expired_of_another);
            assert!(matches!(expired, Err(CertificateReason::Expired { .. })), "{expired:?}");
        }
    }
}

#[test]
fn rfc7671_5_2_2_an_anchor_that_is_not_presented_is_taken_from_the_record_that_holds_it() {
    let root = Ca::root("Root");
    let (leaf, _) = root.leaf(&["peer.example"], |_| {});
    let presented = chain(&[&leaf]);
    assert_eq!(verdict(&presented, &[about(&root.certificate, 2, 0, 0)], &Trust::none()), Ok(()));
    let digest = [about(&root.certificate, 2, 0, 1)];
    assert_eq!(verdict(&presented, &digest, &Trust::none()), mismatch());
    let (unrelated, _) = Ca::root("Other").leaf(&["peer.example"], |_| {});
    let verdict =
        verdict(&chain(&[&unrelated]), &[about(&root.certificate, 2, 0, 0)], &root.trust());
    assert!(matches!(verdict, Err(CertificateReason::Untrusted { .. })), "{verdict:?}");
}

#[test]
fn rfc6698_2_1_1_pkix_ee_is_the_certificate_and_valid_by_our_roots_as_well() {
    let root = Ca::root("Root");
    let (leaf, _) = root.leaf(&["peer.example"], |_| {});
    let records = [about(&leaf, 1, 0, 1)];
    assert_eq!(verdict(&chain(&[&leaf]), &records, &root.trust()), Ok(()));
    let stranger = verdict(&chain(&[&leaf]), &records, &Ca::root("Stranger").trust());
    assert!(matches!(stranger, Err(CertificateReason::Untrusted { .. })), "{stranger:?}");
    let (misnamed_leaf, _) = root.leaf(&["other.example"], |_| {});
    let records = [about(&misnamed_leaf, 1, 0, 1)];
    assert!(misnamed(&verdict(&chain(&[&misnamed_leaf]), &records, &root.trust())));
}

#[test]
fn rfc6698_2_1_1_pkix_ta_is_on_the_path_to_one_of_our_roots() {
    let root = Ca::root("Root");
    let intermediate = root.intermediate("Intermediate");
    let (leaf, _) = intermediate.leaf(&["peer.example"], |_| {});
    let short = chain(&[&leaf, &intermediate.certificate]);
    let whole = chain(&[&leaf, &intermediate.certificate, &root.certificate]);
    let elsewhere = Ca::root("Elsewhere").certificate;
    let by = |presented, certificate, selector| {
        verdict(presented, &[about(certificate, 0, selector, 1)], &root.trust())
    };
    for selector in 0..=1 {
        assert_eq!(by(&short, &intermediate.certificate, selector), Ok(()), "{selector}");
        assert_eq!(by(&whole, &root.certificate, selector), Ok(()), "{selector}");
        assert_eq!(by(&whole, &elsewhere, selector), mismatch(), "{selector}");
    }
    // Of a root that is not presented, the key is known and the certificate is not.
    assert_eq!(by(&short, &root.certificate, 1), Ok(()));
    assert_eq!(by(&short, &root.certificate, 0), mismatch());
    let untrusted = verdict(&whole, &[about(&root.certificate, 0, 1, 1)], &Trust::none());
    assert!(untrusted.is_err());
}

#[test]
fn rfc7673_4_1_without_usable_records_the_host_is_one_more_name() {
    let root = Ca::root("Root");
    let unusable = [
        record(4, 1, 1, &[0; 32]),
        record(255, 1, 1, &[0; 32]),
        record(3, 2, 1, &[0; 32]),
        record(3, 1, 3, &[0; 32]),
        record(3, 1, 1, &[0; 31]),
        record(3, 1, 2, &[0; 32]),
        record(3, 0, 0, &[]),
        record(3, 0, 0, &[0; 4097]),
    ];
    assert_eq!(server(&unusable).associations, Associations::Unusable);
    assert!(server(&unusable).requires_tls() && !server(&unusable).names_certificate());
    assert!(!server(&[]).requires_tls());
    for records in [&[][..], &unusable] {
        for name in ["peer.example", "xmpp.host.example", "*.host.example"] {
            let (leaf, _) = root.leaf(&[name], |_| {});
            assert_eq!(verdict(&chain(&[&leaf]), records, &root.trust()), Ok(()), "{name}");
        }
        let (leaf, _) = root.leaf(&["other.example"], |_| {});
        assert!(misnamed(&verdict(&chain(&[&leaf]), records, &root.trust())));
        let (leaf, _) = root.leaf(&["peer.example"], |_| {});
        assert!(verdict(&chain(&[&leaf]), records, &Trust::none()).is_err());
    }
}

#[test]
fn a_host_is_proven_by_a_dns_name_alone() {
    let root = Ca::root("Root");
    let srv_id = |name: &str| {
        let name = format!("_xmpp-server.{name}");
        let (leaf, _) = root.leaf(&[], |p| p.custom_extensions = vec![other_name(7, 0x16, &name)]);
        verdict(&chain(&[&leaf]), &[], &root.trust())
    };
    assert_eq!(srv_id("peer.example"), Ok(()));
    assert!(misnamed(&srv_id("xmpp.host.example")));
}

#[test]
fn pins_of_a_person_go_before_the_records_of_the_peer() {
    let root = Ca::root("Root");
    let (leaf, _) = root.leaf(&["peer.example"], |_| {});
    let (other, _) = root.leaf(&["peer.example"], |_| {});
    let pin = |certificate: &rcgen::Certificate| {
        Pin::of_spki(parse(certificate.der()).unwrap().public_key().raw)
    };
    let by = |records: &[Tlsa], pin| {
        judge(&chain(&[&leaf]), &server(records), &root.trust(), &[pin], now())
    };
    assert_eq!(by(&[about(&other, 3, 1, 1)], pin(&leaf)), Ok(()));
    assert_eq!(by(&[about(&leaf, 3, 1, 1)], pin(&other)), Err(CertificateReason::PinMismatch));
}

#[test]
fn usages_are_read_as_the_registry_numbers_them() {
    for (number, usage) in
        [(0, Usage::PkixTa), (1, Usage::PkixEe), (2, Usage::DaneTa), (3, Usage::DaneEe)]
    {
        let read = record(number, 1, 1, &[0; 32]);
        assert!(matches!(read, Tlsa::Usable(association) if association.usage == usage));
    }
}
