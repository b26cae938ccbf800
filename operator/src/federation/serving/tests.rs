use crds::federation::reference::LocalRef;
use crds::federation::tls::IssuerRef;
use jiff::SignedDuration;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose};
use s2s_proto::certificate::testing::Ca;

use super::*;
use crate::build::secrets;
use crate::fixtures::{given, smallest, validated};

/// Within the validity of what [`Ca`] issues.
fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn domains() -> Vec<Domain> {
    ["example.com", "chat.example.com"].map(|name| name.parse().unwrap()).into()
}

fn offer(source: Source, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Offer {
    let root = Ca::root("Root");
    let (leaf, key) = root.leaf(names, change);
    let pair = PemPair { certificate: leaf.pem(), private_key: key.serialize_pem() };
    Offer::of(pair, source, &domains(), &root.trust(), now()).unwrap()
}

const BOTH: [&str; 2] = ["example.com", "chat.example.com"];

fn old() -> Offer {
    offer(Source::Secret("old".into()), &BOTH, |_| {})
}

fn new(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Offer {
    offer(Source::Secret("new".into()), names, change)
}

fn own() -> Offer {
    offer(Source::SelfSigned, &BOTH, |_| {})
}

fn secret() -> CertificateSource {
    CertificateSource::Secret(LocalRef { name: "new".into() })
}

fn issuer() -> CertificateSource {
    let (name, kind, group) = ("ca".into(), "Issuer".into(), "cert-manager.io".into());
    CertificateSource::Issuer(IssuerRef { name, kind, group })
}

fn chosen(wanted: Option<&CertificateSource>, offers: Offers) -> Option<String> {
    offers.choose(wanted, now()).map(|offer| offer.source.annotation())
}

#[test]
fn a_reference_to_nothing_usable_leaves_the_certificate_that_is_served() {
    let kept = Offers { kept: Some(old()), ..Offers::default() };
    assert_eq!(chosen(Some(&secret()), kept).as_deref(), Some("Secret/old"));
    let kept = Offers { kept: Some(own()), ..Offers::default() };
    assert_eq!(chosen(Some(&secret()), kept).as_deref(), Some("SelfSigned"));
    assert_eq!(chosen(Some(&secret()), Offers::default()), None);
}

#[test]
fn a_valid_replacement_is_served_at_once_and_a_worse_one_is_not() {
    let serve = |referenced: Offer| {
        let offers =
            Offers { referenced: Some(referenced), kept: Some(old()), ..Offers::default() };
        chosen(Some(&secret()), offers).unwrap()
    };
    assert_eq!(serve(new(&BOTH, |_| {})), "Secret/new");
    assert_eq!(serve(new(&["example.com"], |_| {})), "Secret/old");
    let expired = new(&BOTH, |params| params.not_after = rcgen::date_time_ymd(2026, 5, 1));
    assert_eq!(serve(expired), "Secret/old");
    let early = new(&BOTH, |params| params.not_before = rcgen::date_time_ymd(2026, 7, 1));
    assert_eq!(serve(early), "Secret/old");
    let client = new(&BOTH, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    assert_eq!(serve(client), "Secret/old");
    let mut incomplete = new(&BOTH, |_| {});
    incomplete.readable.missing_issuer = Some("CN=Intermediate".into());
    assert_eq!(serve(incomplete), "Secret/old");
}

#[test]
fn a_defect_of_the_served_certificate_ends_its_precedence() {
    let serve = |kept: Offer| {
        let referenced = Some(new(&["example.com"], |_| {}));
        let offers = Offers { referenced, kept: Some(kept), ..Offers::default() };
        chosen(Some(&secret()), offers).unwrap()
    };
    assert_eq!(serve(offer(Source::Secret("old".into()), &BOTH, expired)), "Secret/new");
    // As good as the other: what the spec says counts.
    let same = offer(Source::Secret("old".into()), &["chat.example.com"], |_| {});
    assert_eq!(serve(same), "Secret/new");
}

#[test]
fn without_another_a_certificate_with_a_defect_is_served() {
    let referenced = Some(new(&["other.example"], |_| {}));
    let offers = Offers { referenced, ..Offers::default() };
    assert_eq!(chosen(Some(&secret()), offers).as_deref(), Some("Secret/new"));
}

fn issued(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Offer {
    offer(Source::Certificate("example-tls-issued".into()), names, change)
}

fn expired(params: &mut CertificateParams) {
    params.not_after = rcgen::date_time_ymd(2026, 5, 1);
}

#[test]
fn what_an_issuer_issues_is_served_at_once_and_nothing_is_taken_away_before() {
    let serve = |issued: Option<Offer>, kept: Option<Offer>| {
        let self_signed = Some(own());
        let offers = Offers { issued, self_signed, kept, ..Offers::default() };
        chosen(Some(&issuer()), offers).unwrap()
    };
    assert_eq!(serve(None, Some(old())), "Secret/old");
    assert_eq!(serve(None, Some(own())), "SelfSigned");
    assert_eq!(serve(None, None), "SelfSigned");
    assert_eq!(
        serve(None, Some(offer(Source::Secret("old".into()), &BOTH, expired))),
        "SelfSigned"
    );
    let good = || Some(issued(&BOTH, |_| {}));
    for kept in [None, Some(own()), Some(old())] {
        assert_eq!(serve(good(), kept), "Certificate/example-tls-issued");
    }
    assert_eq!(serve(Some(issued(&BOTH, expired)), Some(old())), "Secret/old");
    assert_eq!(serve(Some(issued(&BOTH[..1], |_| {})), Some(old())), "Secret/old");
}

#[test]
fn the_self_signed_certificate_replaces_none_that_peers_verify() {
    // A domain was added: the new certificate is not issued yet, and the self-signed one covers both.
    let before = || Some(issued(&BOTH[..1], |_| {}));
    let offers =
        Offers { issued: before(), kept: before(), self_signed: Some(own()), ..Offers::default() };
    let served = chosen(Some(&issuer()), offers);
    assert_eq!(served.as_deref(), Some("Certificate/example-tls-issued"));
}

#[test]
fn renewals_are_served_until_another_source_has_a_valid_certificate() {
    let renewed = issued(&BOTH, |_| {});
    let serve = |referenced: Option<Offer>| {
        let kept = Some(issued(&BOTH, |_| {}));
        let offers =
            Offers { referenced, issued: Some(renewed.clone()), kept, ..Offers::default() };
        offers.choose(Some(&secret()), now()).unwrap()
    };
    assert!(serve(None).pair == renewed.pair);
    assert!(serve(Some(new(&BOTH, expired))).pair == renewed.pair);
    assert_eq!(serve(Some(new(&BOTH, |_| {}))).source.annotation(), "Secret/new");
    // What was served before is not affected by a Secret that cert-manager left.
    let offers = Offers { issued: Some(renewed.clone()), kept: Some(old()), ..Offers::default() };
    assert_eq!(chosen(Some(&secret()), offers).as_deref(), Some("Secret/old"));
}

#[test]
fn the_self_signed_certificate_is_renewed_under_an_issuer_and_served_where_the_spec_names_none() {
    let renewed = own();
    let offers =
        Offers { kept: Some(own()), self_signed: Some(renewed.clone()), ..Offers::default() };
    let served = offers.clone().choose(Some(&issuer()), now()).unwrap();
    assert!(served.pair == renewed.pair);
    assert!(offers.choose(None, now()).unwrap().pair == renewed.pair);
    let offers = Offers { kept: Some(old()), self_signed: Some(renewed), ..Offers::default() };
    assert_eq!(chosen(None, offers).as_deref(), Some("SelfSigned"));
}

#[test]
fn what_is_served_is_read_back_from_its_secret_with_its_source() {
    for offer in [old(), own(), issued(&BOTH, |_| {})] {
        let mut given = given();
        given.serving = Some(offer.clone());
        let secret = secrets::serving(&validated(&smallest()), &given).unwrap();
        let root = Trust::none();
        let kept = Offer::kept(&secret, &domains(), &root, now() + SignedDuration::from_hours(1));
        let kept = kept.unwrap();
        assert!(kept.pair == offer.pair);
        assert_eq!(kept.source, offer.source);
    }
    assert!(Offer::kept(&Secret::default(), &domains(), &Trust::none(), now()).is_none());
}
