use jiff::SignedDuration;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::*;
use crate::build::secrets;
use crate::fixtures::{given, now, smallest, validated};

/// The Secrets as they are in the cluster after this material was applied.
fn applied(federation: &Validated, material: &Material) -> Existing {
    let mut given = given();
    given.material = material.clone();
    Existing {
        control: Some(secrets::control(federation, &given)),
        dialback: secrets::dialback(federation, &given),
        backend_ca: secrets::backend_ca(federation, &given),
        backend_ca_public: secrets::backend_ca_public(federation, &given),
        backend_tls: secrets::backend_tls(federation, &given)
            .into_iter()
            .map(|secret| (secret.metadata.name.clone().unwrap(), secret))
            .collect(),
        self_signed: secrets::self_signed(federation, &given),
        serving: None,
    }
}

fn made(spec: &Value) -> (Validated, Material, Existing) {
    let federation = validated(spec);
    let material = complete(&Existing::default(), &federation, now()).unwrap();
    let existing = applied(&federation, &material);
    (federation, material, existing)
}

fn days(days: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * days)
}

fn dialback(material: &Material) -> (&str, Option<&str>) {
    let dialback = material.dialback.as_ref().unwrap();
    (&dialback.secret, dialback.previous.as_deref())
}

fn leaf(backend: &BackendMaterial) -> &PemPair {
    &backend.leaves[0].pair
}

#[test]
fn what_was_made_once_is_kept() {
    let (federation, first, existing) = made(&smallest());
    let second = complete(&existing, &federation, days(1)).unwrap();
    assert!(first.control.pair == second.control.pair);
    assert_eq!(first.control.token, second.control.token);
    assert_eq!(dialback(&first), dialback(&second));
    assert!(first.self_signed == second.self_signed);
    let (first, second) = (first.backend.unwrap(), second.backend.unwrap());
    assert!(first.ca.signing == second.ca.signing && leaf(&first) == leaf(&second));
}

#[test]
fn certificates_are_made_again_before_they_end_and_the_ca_stays() {
    let (federation, first, existing) = made(&smallest());
    let second = complete(&existing, &federation, days(70)).unwrap();
    let (old, new) = (first.backend.unwrap(), second.backend.unwrap());
    assert!(old.ca.signing == new.ca.signing && leaf(&old) != leaf(&new));
    assert!(first.self_signed == second.self_signed);
    let third = complete(&existing, &federation, days(310)).unwrap();
    assert!(first.self_signed != third.self_signed);
    assert!(first.control.pair != third.control.pair);
}

#[test]
fn another_domain_needs_other_certificates() {
    let (_, first, existing) = made(&smallest());
    let mut spec = smallest();
    spec["domains"] = json!([{"name": "example.com"}, {"name": "chat.example.com"}]);
    let federation = validated(&spec);
    let second = complete(&existing, &federation, now()).unwrap();
    assert!(first.self_signed != second.self_signed);
    let names = |pair: &PemPair| facts(pair).unwrap().names;
    assert_eq!(names(second.self_signed.as_ref().unwrap()), ["example.com", "chat.example.com"]);
    assert_eq!(names(leaf(&second.backend.unwrap())), ["example.com", "chat.example.com"]);
    assert!(first.control.pair == second.control.pair);
}

#[test]
fn a_damaged_secret_is_made_again() {
    let (federation, first, mut existing) = made(&smallest());
    let damage = |secret: &mut Option<Secret>, key: &str| {
        let data = secret.as_mut().unwrap().data.as_mut().unwrap();
        data.insert(key.to_owned(), ByteString(b"nonsense".to_vec()));
    };
    damage(&mut existing.backend_ca, paths::TLS_CRT);
    damage(&mut existing.dialback, paths::SECRET);
    damage(&mut existing.control, paths::TOKEN);
    let second = complete(&existing, &federation, now()).unwrap();
    assert_ne!(dialback(&first).0, dialback(&second).0);
    assert_ne!(first.control.token, second.control.token);
    let (old, new) = (first.backend.unwrap(), second.backend.unwrap());
    // A leaf of the lost CA is of no use either.
    assert!(old.ca.signing != new.ca.signing && leaf(&old) != leaf(&new));
}

#[test]
fn a_rotated_dialback_secret_is_confirmed_for_an_hour() {
    let (mut federation, first, existing) = made(&smallest());
    federation.rotation = Some("monday".to_owned());
    let rotated = complete(&existing, &federation, now()).unwrap();
    let (old, new) = (dialback(&first).0, dialback(&rotated).0);
    assert_ne!(old, new);
    assert_eq!(dialback(&rotated).1, Some(old));

    let existing = applied(&federation, &rotated);
    let at = |minutes: i64| {
        complete(&existing, &federation, now() + SignedDuration::from_mins(minutes)).unwrap()
    };
    assert_eq!(dialback(&at(59)), (new, Some(old)));
    assert_eq!(dialback(&at(61)), (new, None));
}

#[test]
fn what_the_resource_brings_itself_is_not_made() {
    let mut spec = json!({"domains": [{"name": "example.com"}]});
    spec["tls"] = json!({"certificate": {"secretRef": {"name": "own"}}});
    spec["dialback"] = json!({"secretRef": {"name": "shared"}});
    let (_, material, _) = made(&spec);
    assert!(material.dialback.is_none());
    assert!(material.backend.is_none());
    assert!(material.self_signed.is_none());
}

#[test]
fn until_an_issuer_has_issued_there_is_a_self_signed_certificate() {
    let mut spec = json!({"domains": [{"name": "example.com"}]});
    let (_, first, existing) = made(&spec);
    spec["tls"] = json!({"certificate": {"issuerRef": {"name": "ca"}}});
    let second = complete(&existing, &validated(&spec), now()).unwrap();
    assert!(second.self_signed.is_some() && second.self_signed == first.self_signed);
}

#[test]
fn each_backend_gets_a_certificate_for_its_own_domains_only() {
    let spec = json!({
        "domains": [
            {"name": "example.com"},
            {"name": "rooms.example.com", "backend": "rooms"},
            {"name": "bot.example.com", "backend": "bot"},
            {"name": "chat.example.com", "backend": "im"},
        ],
        "backends": [
            {"name": "bot", "component": {"secretRef": {"name": "bot", "key": "secret"}}},
            {"name": "im", "server": {"host": "prosody.im.svc"}},
            {"name": "rooms", "server": {"host": "rooms.im.svc"}},
            {"name": "idle", "server": {"host": "idle.im.svc"}},
        ]
    });
    let (federation, material, existing) = made(&spec);
    let leaves = material.backend.unwrap().leaves;
    let found: Vec<_> = leaves
        .iter()
        .map(|leaf| (leaf.secret.as_str(), facts(&leaf.pair).unwrap().names))
        .collect();
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    // The first domain has the first backend, which is a component and needs no certificate.
    assert_eq!(
        found,
        [
            ("example-backend-tls", names(&["chat.example.com"])),
            ("example-backend-tls-rooms", names(&["rooms.example.com"])),
        ]
    );
    let again = complete(&existing, &federation, days(1)).unwrap().backend.unwrap().leaves;
    assert!(again.iter().zip(&leaves).all(|(again, first)| again.pair == first.pair));
}
