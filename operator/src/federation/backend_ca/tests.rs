use k8s_openapi::api::core::v1::ConfigMap;

use super::*;
use crate::build::secrets;
use crate::federation::material::BackendMaterial;
use crate::fixtures::{given, now, smallest, validated};

fn days(days: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * days)
}

/// The Secret and the ConfigMap as they are in the cluster after this CA was applied.
fn applied(ca: &BackendCa) -> (Secret, ConfigMap) {
    let (federation, mut given) = (validated(&smallest()), given());
    given.material.backend = Some(BackendMaterial { ca: ca.clone(), leaves: Vec::new() });
    let secret = secrets::backend_ca(&federation, &given).unwrap();
    (secret, secrets::backend_ca_public(&federation, &given).unwrap())
}

/// The CA at a later time.
fn at(ca: &BackendCa, rotation: Option<&str>, now: Timestamp) -> BackendCa {
    let (secret, public) = applied(ca);
    complete(Known { secret: Some(&secret), public: Some(&public) }, "a CA", rotation, now).unwrap()
}

fn first() -> BackendCa {
    complete(Known::default(), "a CA", None, now()).unwrap()
}

fn certificates(pem: &str) -> usize {
    pem.matches("-----BEGIN CERTIFICATE-----").count()
}

#[test]
fn a_ca_is_kept_until_a_year_before_it_expires() {
    let ca = first();
    assert_eq!((certificates(&ca.bundle()), ca.signs_from), (1, None));
    assert_eq!(ca.renewal, days(3650 - 365));
    let later = at(&ca, None, days(3284));
    assert!(later.signing == ca.signing && later.next.is_none());
    let due = at(&ca, None, days(3285));
    assert!(due.signing == ca.signing && due.next.is_some());
}

#[test]
fn both_cas_are_in_the_bundle_before_the_new_one_signs_and_after() {
    let ca = first();
    let prepared = at(&ca, Some("monday"), days(1));
    assert!(prepared.signing == ca.signing);
    let next = prepared.next.clone().unwrap();
    assert_eq!(prepared.renewal, days(8), "from then on it signs");
    assert_eq!(certificates(&prepared.bundle()), 2);
    let (_, public) = applied(&prepared);
    let published = public.data.unwrap()[paths::CA_CRT].clone();
    assert!(published.contains(&ca.signing.certificate) && published.contains(&next.certificate));

    // A pass in between changes nothing.
    let waiting = at(&prepared, Some("monday"), days(7));
    assert!(waiting.signing == ca.signing && waiting.next == Some(next.clone()));
    let rotated = at(&waiting, Some("monday"), days(8));
    assert!(rotated.signing == next && rotated.next.is_none());
    assert_eq!(rotated.previous, std::slice::from_ref(&ca.signing.certificate));
    assert!(rotated.bundle().contains(&ca.signing.certificate));

    let kept = at(&rotated, Some("monday"), days(8 + 89));
    assert_eq!(kept.previous, rotated.previous);
    let forgotten = at(&kept, Some("monday"), days(8 + 90));
    assert!(forgotten.signing == next && forgotten.previous.is_empty());
    assert_eq!(certificates(&forgotten.bundle()), 1);
}

#[test]
fn one_request_rotates_once() {
    let ca = first();
    let rotated = at(&at(&ca, Some("monday"), now()), Some("monday"), days(7));
    assert!(rotated.signing != ca.signing);
    let same = at(&rotated, Some("monday"), days(20));
    assert!(same.signing == rotated.signing && same.next.is_none());
    assert!(at(&same, Some("tuesday"), days(21)).next.is_some());
    // The value that was there at the beginning is no request.
    let known = complete(Known::default(), "a CA", Some("monday"), now()).unwrap();
    assert!(at(&known, Some("monday"), days(1)).next.is_none());
}

#[test]
fn a_lost_secret_gets_a_ca_that_signs_later_while_the_last_one_stays_trusted() {
    let ca = first();
    let (_, public) = applied(&ca);
    let lost = Known { secret: None, public: Some(&public) };
    let new = complete(lost, "a CA", None, days(1)).unwrap();
    assert!(new.signing != ca.signing);
    assert_eq!(new.signs_from, Some(days(8)));
    assert_eq!(new.renewal, days(8));
    assert_eq!(new.previous, std::slice::from_ref(&ca.signing.certificate));
    let (secret, _) = applied(&new);
    assert_eq!(text(&secret, paths::SIGNS_FROM), Some(days(8).to_string()));

    let waiting = at(&new, None, days(7));
    assert!(waiting.signing == new.signing && waiting.signs_from == Some(days(8)));
    let done = at(&waiting, None, days(8));
    assert!(done.signing == new.signing && done.signs_from.is_none());
    assert_eq!(
        done.previous,
        std::slice::from_ref(&ca.signing.certificate),
        "its leaves may be in use"
    );
    let (secret, _) = applied(&done);
    assert_eq!(text(&secret, paths::SIGNS_FROM), None);
}

#[test]
fn a_secret_that_is_lost_during_a_rotation_keeps_both_certificates_trusted() {
    let prepared = at(&first(), Some("monday"), days(1));
    let (mut secret, public) = applied(&prepared);
    secret.data.as_mut().unwrap().remove(paths::TLS_KEY);
    let known = Known { secret: Some(&secret), public: Some(&public) };
    let new = complete(known, "a CA", Some("monday"), days(2)).unwrap();
    assert_eq!(new.previous.len(), 2);
    assert_eq!(certificates(&new.bundle()), 3);
}

#[test]
fn an_expired_ca_is_replaced_at_once() {
    let ca = first();
    let new = at(&ca, None, days(3651));
    assert!(new.signing != ca.signing);
    assert_eq!((new.previous.len(), new.signs_from), (0, None));
}

#[test]
fn what_is_no_certificate_does_not_reach_the_bundle() {
    let ca = first();
    let (_, mut public) = applied(&ca);
    let pem = format!(
        "# a comment\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{}garbage",
        ca.signing.certificate
    );
    public.data.as_mut().unwrap().insert(paths::CA_CRT.to_owned(), pem);
    let known = Known { secret: None, public: Some(&public) };
    let new = complete(known, "a CA", None, days(1)).unwrap();
    assert_eq!(new.previous, std::slice::from_ref(&ca.signing.certificate));
}
