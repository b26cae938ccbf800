//! Every verdict about a certificate, one property at a time.

use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, NameConstraints,
    date_time_ymd,
};

use super::*;
use crate::certificate::testing::*;

const IA5_STRING: u8 = 0x16;
const UTF8_STRING: u8 = 0x0c;
const XMPP_ADDR: u8 = 5;
const DNS_SRV: u8 = 7;

/// A leaf for `names` below one root, verified for `name`.
fn verdict(
    names: &[&str],
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> Result<(), CertificateReason> {
    let root = Ca::root("Root");
    let (leaf, _) = root.leaf(names, change);
    judge(&chain(&[&leaf]), &domain(name), &root.trust(), &[], now())
}

fn mismatch(found: &[&str]) -> Result<(), CertificateReason> {
    Err(CertificateReason::NameMismatch { found: found.iter().map(ToString::to_string).collect() })
}

#[test]
fn no_certificate_proves_nothing() {
    let trust = Ca::root("Root").trust();
    assert_eq!(
        judge(&PeerChain::default(), &domain("a.example"), &trust, &[], now()),
        Err(CertificateReason::Missing)
    );
}

#[test]
fn any_extended_key_usage_of_tls_is_accepted_and_no_other() {
    use ExtendedKeyUsagePurpose::{ClientAuth, CodeSigning, ServerAuth};
    for usages in [vec![], vec![ServerAuth], vec![ClientAuth], vec![CodeSigning, ClientAuth]] {
        let verdict =
            verdict(&["a.example"], "a.example", |p| p.extended_key_usages = usages.clone());
        assert_eq!(verdict, Ok(()), "{usages:?}");
    }
    let verdict =
        verdict(&["a.example"], "a.example", |p| p.extended_key_usages = vec![CodeSigning]);
    assert!(
        matches!(verdict, Err(CertificateReason::Invalid { detail }) if detail.contains("serverAuth"))
    );
}

#[test]
fn rfc6120_13_7_1_2_names_are_compared_by_whole_labels_without_case() {
    for (presented, reference) in [
        ("A.Example", "a.example"),
        ("*.a.example", "chat.a.example"),
        ("xn--bcher-kva.example", "bücher.example"),
        ("*.a.example", "xn--bcher-kva.a.example"),
    ] {
        assert_eq!(verdict(&[presented], reference, |_| {}), Ok(()), "{presented} {reference}");
    }
    for (presented, reference) in [
        ("b.example", "a.example"),
        ("*.a.example", "a.example"),
        ("*.a.example", "x.y.a.example"),
        ("*.example", "a.example"),
        ("c*.a.example", "chat.a.example"),
        ("chat.*.example", "chat.a.example"),
        ("a.example", "sub.a.example"),
    ] {
        assert_eq!(
            verdict(&[presented], reference, |_| {}),
            mismatch(&[presented]),
            "{presented} {reference}"
        );
    }
}

#[test]
fn hostile_spellings_of_a_dns_name_prove_nothing_and_are_shown_escaped() {
    for (presented, shown) in [
        (&b"a.example\0.evil.example"[..], "a.example\\0.evil.example"),
        (b"a.example.", "a.example."),
        (b".a.example", ".a.example"),
        (b"a.example\r\nx", "a.example\\r\\nx"),
        (b"a..example", "a..example"),
    ] {
        let verdict =
            verdict(&[], "a.example", |p| p.custom_extensions = vec![raw_dns_name(presented)]);
        assert_eq!(verdict, mismatch(&[shown]));
    }
}

#[test]
fn the_common_name_is_ignored() {
    let verdict = verdict(&[], "a.example", |p| {
        p.distinguished_name.push(rcgen::DnType::CommonName, "a.example");
    });
    assert_eq!(verdict, mismatch(&[]));
}

#[test]
fn rfc4985_an_srv_id_proves_a_server_and_no_other_service() {
    let srv = |text: &'static str| {
        move |p: &mut CertificateParams| {
            p.custom_extensions = vec![other_name(DNS_SRV, IA5_STRING, text)];
        }
    };
    assert_eq!(verdict(&[], "a.example", srv("_xmpp-server.A.example")), Ok(()));
    for text in ["_xmpp-client.a.example", "a.example", "_xmpp-server.b.example", "_xmpp-server."] {
        assert!(
            matches!(
                verdict(&[], "a.example", srv(text)),
                Err(CertificateReason::NameMismatch { .. })
            ),
            "{text}"
        );
    }
}

#[test]
fn rfc6120_13_7_1_4_an_xmpp_addr_counts_when_it_is_a_bare_domain() {
    let addr = |text: &'static str| {
        move |p: &mut CertificateParams| {
            p.custom_extensions = vec![other_name(XMPP_ADDR, UTF8_STRING, text)];
        }
    };
    assert_eq!(verdict(&[], "bücher.example", addr("BÜCHER.example")), Ok(()));
    assert_eq!(verdict(&[], "bücher.example", addr("xn--bcher-kva.example")), Ok(()));
    assert_eq!(verdict(&[], "a.example", addr("u@a.example")), mismatch(&["u@a.example"]));
}

#[test]
fn dates_are_checked_and_named() {
    let expired = verdict(&["a.example"], "a.example", |p| p.not_after = date_time_ymd(2026, 5, 1));
    assert_eq!(
        expired,
        Err(CertificateReason::Expired { not_after: "2026-05-01T00:00:00Z".to_owned() })
    );
    let early = verdict(&["a.example"], "a.example", |p| p.not_before = date_time_ymd(2026, 7, 1));
    assert_eq!(
        early,
        Err(CertificateReason::NotYetValid { not_before: "2026-07-01T00:00:00Z".to_owned() })
    );
}

#[test]
fn a_missing_intermediate_is_named_by_the_last_issuer_in_the_chain() {
    let root = Ca::root("Root");
    let intermediate = root.intermediate("Intermediate");
    let issuing = intermediate.intermediate("Issuing");
    let (leaf, _) = issuing.leaf(&["a.example"], server_auth);
    let judged = |certificates: &[&rcgen::Certificate]| {
        judge(&chain(certificates), &domain("a.example"), &root.trust(), &[], now())
    };
    let full = [&leaf, &issuing.certificate, &intermediate.certificate];
    assert_eq!(judged(&full), Ok(()));
    assert_eq!(judged(&[&leaf, &intermediate.certificate, &issuing.certificate]), Ok(()), "order");
    for (presented, issuer) in [(&full[..1], "CN=Issuing"), (&full[..2], "CN=Intermediate")] {
        assert_eq!(
            judged(presented),
            Err(CertificateReason::Untrusted { issuer: issuer.to_owned() })
        );
    }
}

#[test]
fn another_ca_of_the_same_name_is_not_trusted() {
    let (leaf, _) = Ca::root("Root").leaf(&["a.example"], server_auth);
    let trust = Ca::root("Root").trust();
    let verdict = judge(&chain(&[&leaf]), &domain("a.example"), &trust, &[], now());
    assert!(
        matches!(&verdict, Err(CertificateReason::Invalid { detail }) if detail.contains("signature")),
        "{verdict:?}"
    );
}

#[test]
fn twenty_intermediates_are_refused_quickly() {
    let root = Ca::root("Root");
    let mut cas = vec![root.intermediate("CA 0")];
    for n in 1..20 {
        cas.push(cas[n - 1].intermediate(&format!("CA {n}")));
    }
    let (leaf, _) = cas[19].leaf(&["a.example"], server_auth);
    let mut presented = vec![&leaf];
    presented.extend(cas.iter().rev().map(|ca| &ca.certificate));
    let verdict = judge(&chain(&presented), &domain("a.example"), &root.trust(), &[], now());
    assert!(
        matches!(verdict, Err(CertificateReason::Invalid { detail }) if detail.contains("too long"))
    );
}

#[test]
fn a_ca_certificate_is_no_leaf() {
    let root = Ca::root("Root");
    let ca = root.intermediate_with("a.example", |p| {
        p.subject_alt_names = leaf_params(&["a.example"], |_| {}).subject_alt_names;
    });
    let verdict =
        judge(&chain(&[&ca.certificate]), &domain("a.example"), &root.trust(), &[], now());
    assert!(matches!(verdict, Err(CertificateReason::Invalid { detail }) if detail.contains("CA")));
}

#[test]
fn a_leaf_cannot_issue() {
    let root = Ca::root("Root");
    let holder = root.intermediate_with("holder", |p| p.is_ca = IsCa::ExplicitNoCa);
    let (forged, _) = holder.leaf(&["a.example"], server_auth);
    let presented = chain(&[&forged, &holder.certificate]);
    let verdict = judge(&presented, &domain("a.example"), &root.trust(), &[], now());
    assert!(matches!(verdict, Err(CertificateReason::Invalid { .. })), "{verdict:?}");
}

#[test]
fn self_signed_is_said_so_unless_it_is_in_the_bundle() {
    let other = Ca::root("Root").trust();
    for is_ca in [IsCa::NoCa, IsCa::Ca(rcgen::BasicConstraints::Unconstrained)] {
        let key = KeyPair::generate().unwrap();
        let certificate =
            leaf_params(&["a.example"], |p| p.is_ca = is_ca).self_signed(&key).unwrap();
        let presented = chain(&[&certificate]);
        let judged =
            |name: &str, trust: &Trust| judge(&presented, &domain(name), trust, &[], now());
        assert_eq!(judged("a.example", &other), Err(CertificateReason::SelfSigned));
        let bundle = Trust::from_pem(certificate.pem().as_bytes(), "bundle").unwrap();
        assert_eq!(judged("a.example", &other.and(&bundle)), Ok(()));
        assert_eq!(judged("b.example", &bundle), mismatch(&["a.example"]));
    }
}

#[test]
fn rfc5280_4_2_1_10_a_constrained_ca_proves_by_dns_names_only() {
    let root = Ca::root("Root");
    let constrained = root.intermediate_with("Corp", |p| {
        p.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("corp.example".to_owned())],
            excluded_subtrees: vec![],
        });
    });
    let judged = |leaf: &rcgen::Certificate, name: &str| {
        judge(&chain(&[leaf, &constrained.certificate]), &domain(name), &root.trust(), &[], now())
    };
    let (inside, _) = constrained.leaf(&["im.corp.example"], server_auth);
    assert_eq!(judged(&inside, "im.corp.example"), Ok(()));
    let (outside, _) = constrained.leaf(&["a.example"], server_auth);
    assert!(matches!(judged(&outside, "a.example"), Err(CertificateReason::Invalid { .. })));
    let (by_other_form, _) = constrained.leaf(&[], |p| {
        p.custom_extensions = vec![other_name(XMPP_ADDR, UTF8_STRING, "a.example")];
    });
    assert_eq!(judged(&by_other_form, "a.example"), mismatch(&["a.example"]));
}

/// A root that may certify `corp.example` only, and a self-made certificate with its name and key for another domain.
fn limited_root_and_forgery(is_ca: IsCa) -> (rcgen::Certificate, rcgen::Certificate) {
    let key = KeyPair::generate().unwrap();
    let mut root = leaf_params(&[], |p| p.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    root.distinguished_name.push(rcgen::DnType::CommonName, "Corp Root");
    root.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("corp.example".to_owned())],
        excluded_subtrees: vec![],
    });
    let mut forged = leaf_params(&["bank.example"], |p| p.is_ca = is_ca);
    forged.distinguished_name = root.distinguished_name.clone();
    (root.self_signed(&key).unwrap(), forged.self_signed(&key).unwrap())
}

#[test]
fn rfc5280_4_2_1_10_the_key_of_a_limited_root_speaks_for_nobody_beyond_its_limits() {
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa, IsCa::Ca(rcgen::BasicConstraints::Unconstrained)]
    {
        let (root, forged) = limited_root_and_forgery(is_ca);
        let trust = Trust::from_pem(root.pem().as_bytes(), "bundle").unwrap();
        for presented in [chain(&[&forged]), chain(&[&forged, &root])] {
            let verdict = judge(&presented, &domain("bank.example"), &trust, &[], now());
            assert!(verdict.is_err(), "{is_ca:?}");
        }
    }
}

#[test]
fn only_the_very_certificate_of_the_bundle_stands_without_an_issuer() {
    let key = KeyPair::generate().unwrap();
    let ca = || IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let of_key = |name: &str, change: &dyn Fn(&mut CertificateParams)| {
        leaf_params(&[name], |p| {
            p.is_ca = ca();
            change(p);
        })
        .self_signed(&key)
        .unwrap()
    };
    let trusted = of_key("a.example", &|_| {});
    let trust = Trust::from_pem(trusted.pem().as_bytes(), "bundle").unwrap();
    let judged = |certificate: &rcgen::Certificate, trust: &Trust, name: &str| {
        judge(&chain(&[certificate]), &domain(name), trust, &[], now())
    };
    assert_eq!(judged(&trusted, &trust, "a.example"), Ok(()));
    let twin = of_key("bank.example", &|_| {});
    assert_eq!(judged(&twin, &trust, "bank.example"), Err(CertificateReason::SelfSigned));
    // Nor does the bundle replace the checks that a path would have failed.
    for change in [
        &(|p: &mut CertificateParams| p.not_after = date_time_ymd(2026, 5, 1))
            as &dyn Fn(&mut CertificateParams),
        &|p: &mut CertificateParams| {
            p.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        },
    ] {
        let own = of_key("a.example", change);
        let trust = Trust::from_pem(own.pem().as_bytes(), "bundle").unwrap();
        assert!(judged(&own, &trust, "a.example").is_err());
    }
    // A certificate that is trusted by configuration needs no issuer.
    let (leaf, _) = Ca::root("Unknown").leaf(&["a.example"], server_auth);
    let trust = Trust::from_pem(leaf.pem().as_bytes(), "bundle").unwrap();
    assert_eq!(judged(&leaf, &trust, "a.example"), Ok(()));
}

fn pin_of(certificate: &rcgen::Certificate) -> Pin {
    Pin::of_spki(parse(certificate.der()).unwrap().public_key().raw)
}

#[test]
fn rfc7469_2_6_a_pinned_key_replaces_the_root_not_the_name_nor_the_dates() {
    let root = Ca::root("Root");
    let intermediate = root.intermediate("Intermediate");
    let (leaf, _) = intermediate.leaf(&["a.example"], server_auth);
    let (old, _) = intermediate.leaf(&["a.example"], |p| p.not_after = date_time_ymd(2026, 5, 1));
    let presented = chain(&[&leaf, &intermediate.certificate]);
    let name = domain("a.example");
    let stranger = pin_of(&Ca::root("Root").certificate);
    let nobody = Trust::none();

    for pinned in [pin_of(&leaf), pin_of(&intermediate.certificate)] {
        let pins = [stranger, pinned];
        assert_eq!(judge(&presented, &name, &nobody, &pins, now()), Ok(()));
        assert_eq!(
            judge(&presented, &domain("b.example"), &nobody, &pins, now()),
            mismatch(&["a.example"])
        );
    }
    let root_pin = [pin_of(&root.certificate)];
    assert_eq!(judge(&presented, &name, &root.trust(), &root_pin, now()), Ok(()));
    assert_eq!(
        judge(&presented, &name, &nobody, &root_pin, now()),
        Err(CertificateReason::PinMismatch)
    );
    assert_eq!(
        judge(&presented, &name, &root.trust(), &[stranger], now()),
        Err(CertificateReason::PinMismatch),
        "a valid chain without a pinned key"
    );
    assert!(matches!(
        judge(&chain(&[&old]), &name, &nobody, &[pin_of(&old)], now()),
        Err(CertificateReason::Expired { .. })
    ));
    assert!(
        matches!(
            judge(
                &chain(&[&old, &intermediate.certificate]),
                &name,
                &nobody,
                &[pin_of(&intermediate.certificate)],
                now()
            ),
            Err(CertificateReason::Expired { .. })
        ),
        "below a pinned CA the dates count as well"
    );
}

#[test]
fn a_pinned_ca_in_the_chain_proves_only_what_it_signed() {
    let (stranger, _) = Ca::root("Other").leaf(&["a.example"], server_auth);
    let judged = |pinned: &Ca| {
        let presented = chain(&[&stranger, &pinned.certificate]);
        let pins = [pin_of(&pinned.certificate)];
        judge(&presented, &domain("a.example"), &Trust::none(), &pins, now())
    };
    // It is not part of the chain, or has only the name of the issuer.
    assert_eq!(judged(&Ca::root("Pinned")), Err(CertificateReason::PinMismatch));
    let namesake = judged(&Ca::root("Other"));
    assert!(matches!(namesake, Err(CertificateReason::Invalid { .. })), "{namesake:?}");
}

#[test]
fn bytes_that_are_no_certificate_are_refused() {
    let garbage = PeerChain::presented(Some(&[CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])]));
    let verdict = judge(&garbage, &domain("a.example"), &Trust::none(), &[], now());
    assert!(matches!(verdict, Err(CertificateReason::Invalid { .. })));
}

/// Made by `testdata/tls/make.sh`, valid from the end of 2026 on.
fn fixture(name: &str) -> CertificateDer<'static> {
    use rustls_pki_types::pem::PemObject;
    let path = format!("{}/../testdata/tls/{name}.pem", env!("CARGO_MANIFEST_DIR"));
    CertificateDer::from_pem_file(path).unwrap()
}

#[test]
fn rsa_is_accepted_from_2048_bits_on_and_sha1_never() {
    let y2030 = UnixTime::since_unix_epoch(std::time::Duration::from_hours(60 * 365 * 24));
    for (leaf, ca, refused) in [
        ("rsa-sha256", "rsa2048-ca", None),
        ("rsa-sha1", "rsa2048-ca", Some("an algorithm that is not accepted")),
        ("by-rsa1024", "rsa1024-ca", Some("a signature in the chain is invalid")),
    ] {
        let pem = std::fs::read(format!("{}/../testdata/tls/{ca}.pem", env!("CARGO_MANIFEST_DIR")));
        let trust = Trust::from_pem(&pem.unwrap(), ca).unwrap();
        let presented = PeerChain::presented(Some(&[fixture(leaf)]));
        match (judge(&presented, &domain("a.example"), &trust, &[], y2030), refused) {
            (Ok(()), None) => {}
            (Err(CertificateReason::Invalid { detail }), Some(expected)) => {
                assert!(detail.contains(expected), "{leaf}: {detail}");
            }
            (verdict, _) => panic!("{leaf}: {verdict:?}"),
        }
    }
}

#[test]
fn a_certificate_of_version_1_proves_nothing_even_when_its_key_is_pinned() {
    let y2030 = UnixTime::since_unix_epoch(std::time::Duration::from_hours(60 * 365 * 24));
    let der = fixture("version1");
    let pin = Pin::of_spki(parse(&der).unwrap().public_key().raw);
    let presented = PeerChain::presented(Some(&[der]));
    let judged =
        |pins: &[Pin]| judge(&presented, &domain("a.example"), &Trust::none(), pins, y2030);
    assert!(
        matches!(judged(&[]), Err(CertificateReason::Invalid { detail }) if detail.contains("version 1"))
    );
    assert_eq!(judged(&[pin]), mismatch(&[]));
}

proptest::proptest! {
    #[test]
    fn a_damaged_certificate_never_proves_another_name(
        place in proptest::prelude::any::<proptest::sample::Index>(),
        value in proptest::prelude::any::<u8>(),
    ) {
        static CERTIFIED: std::sync::LazyLock<(Trust, Vec<u8>)> = std::sync::LazyLock::new(|| {
            let root = Ca::root("Root");
            (root.trust(), root.leaf(&["a.example"], server_auth).0.der().to_vec())
        });
        let (trust, mut der) = CERTIFIED.clone();
        let index = place.index(der.len());
        let damaged = der[index] != value;
        der[index] = value;
        let presented = PeerChain::presented(Some(&[CertificateDer::from(der)]));
        let verdict = judge(&presented, &domain("a.example"), &trust, &[], now());
        proptest::prop_assert_eq!(verdict.is_ok(), !damaged);
        proptest::prop_assert!(judge(&presented, &domain("b.example"), &trust, &[], now()).is_err());
    }
}
