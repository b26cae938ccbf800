//! The engine's file and the admission of the resource both refuse settings that no peer could ever satisfy: the same
//! objects, with the same messages. The tests of the crate `crds` evaluate the resource's rules over the same cases.

#![allow(clippy::unwrap_used, reason = "a test states its expectations so")]

use std::collections::BTreeSet;

use crds::impossible::ImpossibleCombination;
use federation_engine::config::load::parse_text;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Case {
    at: String,
    message: String,
    good: Vec<Value>,
    bad: Vec<Value>,
}

const COMBINATIONS: [ImpossibleCombination; 6] = [
    ImpossibleCombination::TlsDisabledWithExternal,
    ImpossibleCombination::TlsDisabledWithoutDialback,
    ImpossibleCombination::UnverifiedWithoutDialback,
    ImpossibleCombination::VerificationRequiredWithoutTls,
    ImpossibleCombination::CertificateConfirmsOtherThanAllowed,
    ImpossibleCombination::UnseenCertificateConfirms,
];

/// The cases of the rules about combinations.
fn combinations() -> Vec<Case> {
    let cases: Vec<Case> =
        serde_saphyr::from_str(include_str!("../../crds/tests/admission.yaml")).unwrap();
    let is_combination =
        |case: &Case| COMBINATIONS.iter().any(|combination| combination.sentence() == case.message);
    cases.into_iter().filter(is_combination).collect()
}

/// The part of the resource that the engine's file also contains.
fn file(object: &Value) -> String {
    let spec = object.get("spec").unwrap();
    let mut file = json!({"domains": [{"name": "example.com"}]});
    for field in ["peerDefaults", "peers"] {
        if let (Some(value), Some(file)) = (spec.get(field), file.as_object_mut()) {
            file.insert(field.to_owned(), value.clone());
        }
    }
    file.to_string()
}

#[test]
fn the_file_is_refused_in_the_words_of_the_resource() {
    let cases = combinations();
    let of = |part: fn(&Case) -> &str| cases.iter().map(part).collect::<BTreeSet<_>>();
    assert_eq!(of(|case| &case.message).len(), COMBINATIONS.len(), "every combination");
    assert_eq!(of(|case| &case.at).len(), 3, "in the defaults, in a peer, in both together");
    for case in &cases {
        for good in &case.good {
            let refused = parse_text(&file(good)).err().map(|error| error.to_string());
            assert_eq!(refused, None, "{good}");
        }
        for bad in &case.bad {
            let refused = parse_text(&file(bad)).unwrap_err();
            assert_eq!(refused.kind.to_string(), case.message, "{bad}");
            let at = if case.at == "spec.peerDefaults" { "peerDefaults" } else { "peers[0]" };
            assert_eq!(refused.field, at, "{bad}");
        }
    }
}
