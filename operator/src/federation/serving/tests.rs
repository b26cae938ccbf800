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
        let offers = Offers { referenced: Some(referenced), kept: Some(old()), self_signed: None };
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
        let offers = Offers { referenced, kept: Some(kept), self_signed: None };
        chosen(Some(&secret()), offers).unwrap()
    };
    let expired = |params: &mut CertificateParams| {
        params.not_after = rcgen::date_time_ymd(2026, 5, 1);
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

#[test]
fn an_issuer_without_effect_yet_takes_no_certificate_away() {
    let serve = |kept: Option<Offer>| {
        let offers = Offers { kept, self_signed: Some(own()), referenced: None };
        chosen(Some(&issuer()), offers).unwrap()
    };
    assert_eq!(serve(Some(old())), "Secret/old");
    assert_eq!(serve(Some(own())), "SelfSigned");
    assert_eq!(serve(None), "SelfSigned");
    let expired = offer(Source::Secret("old".into()), &BOTH, |params| {
        params.not_after = rcgen::date_time_ymd(2026, 5, 1);
    });
    assert_eq!(serve(Some(expired)), "SelfSigned");
}

#[test]
fn the_self_signed_certificate_is_renewed_under_an_issuer_and_served_where_the_spec_names_none() {
    let renewed = own();
    let offers = Offers { kept: Some(own()), self_signed: Some(renewed.clone()), referenced: None };
    let served = offers.clone().choose(Some(&issuer()), now()).unwrap();
    assert!(served.pair == renewed.pair);
    assert!(offers.choose(None, now()).unwrap().pair == renewed.pair);
    let offers = Offers { kept: Some(old()), self_signed: Some(renewed), referenced: None };
    assert_eq!(chosen(None, offers).as_deref(), Some("SelfSigned"));
}

#[test]
fn what_is_served_is_read_back_from_its_secret_with_its_source() {
    for offer in [old(), own()] {
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
