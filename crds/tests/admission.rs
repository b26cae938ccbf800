//! Every admission rule of the resource, against objects that it must let pass and must refuse (`admission.yaml`), with
//! rules evaluated in this process. The real API server evaluates the same file in the tests of the crate `tests`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::collections::BTreeSet;

use crds::peer::Profile;
use crds::validate::InvalidSpec;
use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    at: String,
    message: String,
    #[expect(dead_code, reason = "only a real API server composes the path of the field")]
    field: String,
    #[serde(default)]
    old: Option<Value>,
    good: Vec<Value>,
    bad: Vec<Value>,
}

fn cases() -> Vec<Case> {
    serde_saphyr::from_str(include_str!("admission.yaml")).unwrap()
}

/// The smallest valid object with the given one laid over it.
fn object(over: &Value) -> Value {
    let mut spec = json!({"domains": [{"name": "example.com"}]});
    for (key, value) in over["spec"].as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({
        "apiVersion": "xmppfederation.dev/v1alpha1",
        "kind": "XmppFederation",
        "metadata": {"name": over.get("name").unwrap_or(&json!("example"))},
        "spec": spec
    })
}

fn schema() -> Value {
    let crd = crds::manifest::custom_resource_definition();
    let schema = crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref();
    serde_json::to_value(schema.unwrap()).unwrap()
}

fn refusals(rules: &CompiledSchema, object: &Value, old: Option<&Value>) -> Vec<String> {
    match Validator::new().validate_compiled(rules, object, old) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.into_vec().into_iter().map(|error| error.message).collect(),
    }
}

#[test]
fn every_rule_lets_the_good_pass_and_refuses_the_bad_with_its_sentence_alone() {
    let rules = compile_schema(&schema());
    for case in cases() {
        let old = case.old.as_ref().map(object);
        assert!(!case.good.is_empty() && !case.bad.is_empty());
        for good in &case.good {
            let found = refusals(&rules, &object(good), old.as_ref());
            assert_eq!(found, [] as [String; 0], "{}: {good}", case.at);
        }
        for bad in &case.bad {
            let found = refusals(&rules, &object(bad), old.as_ref());
            assert_eq!(found, [case.message.as_str()], "{}: {bad}", case.at);
        }
    }
}

#[test]
fn no_rule_of_the_schema_is_without_a_case_and_no_case_without_a_rule() {
    fn collect(path: &str, schema: &Value, found: &mut BTreeSet<(String, String)>) {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let message = rule["message"].as_str().unwrap();
            found.insert((path.to_owned(), message.to_owned()));
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            collect(&below, property, found);
        }
        if schema["items"].is_object() {
            collect(&format!("{path}[]"), &schema["items"], found);
        }
    }
    let mut rules = BTreeSet::new();
    collect("", &schema(), &mut rules);
    let covered: BTreeSet<_> = cases().into_iter().map(|case| (case.at, case.message)).collect();
    assert_eq!(rules, covered);
}

#[test]
fn what_admission_lets_pass_the_operator_can_read_and_finds_valid() {
    for good in cases().iter().flat_map(|case| &case.good) {
        let object = object(good);
        let name = object["metadata"]["name"].as_str().unwrap();
        let spec = serde_json::from_value(object["spec"].clone())
            .unwrap_or_else(|error| panic!("{good}: {error}"));
        assert_eq!(crds::validate::validate(name, &spec), [], "{good}");
    }
}

#[test]
fn what_admission_refuses_the_operator_refuses_too() {
    for case in cases().iter().filter(|case| case.old.is_none()) {
        for bad in &case.bad {
            let object = object(bad);
            let name = object["metadata"]["name"].as_str().unwrap();
            let Ok(spec) = serde_json::from_value(object["spec"].clone()) else { continue };
            let found = crds::validate::validate(name, &spec);
            assert!(
                found.iter().any(|refusal| refusal.to_string().contains(&case.message)),
                "{}: {bad}: {found:?}",
                case.at
            );
        }
    }
}

/// Any peer settings as far as presets speak of them, absent fields included.
fn settings() -> impl Strategy<Value = Value> {
    let profile = select(
        std::iter::once(Value::Null)
            .chain(Profile::ALL.iter().map(|profile| serde_json::to_value(profile).unwrap()))
            .collect::<Vec<_>>(),
    );
    let word = |words: &[&str]| {
        select(
            std::iter::once(Value::Null).chain(words.iter().map(|w| json!(w))).collect::<Vec<_>>(),
        )
    };
    let switch = || select(vec![Value::Null, json!(true), json!(false)]);
    (
        profile,
        word(&["Required", "Optional", "Disabled"]),
        word(&["Required", "Preferred", "None"]),
        word(&["Required", "Allowed", "Disabled"]),
        switch(),
        switch(),
        switch(),
    )
        .prop_map(|(profile, mode, verification, dialback, inbound, outbound, confirm)| {
            without_nulls(json!({
                "profile": profile,
                "tls": {"mode": mode, "verification": verification},
                "authentication": {
                    "dialback": dialback,
                    "confirmDialbackByCertificate": confirm,
                    "external": {"inbound": inbound, "outbound": outbound}
                }
            }))
        })
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, field)| !field.is_null())
            .map(|(name, field)| (name, without_nulls(field)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

#[test]
fn the_rules_in_the_schema_and_the_rules_in_the_program_agree_on_every_combination() {
    let rules = compile_schema(&schema());
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    runner
        .run(&(settings(), settings()), |(defaults, mut peer)| {
            peer["domain"] = json!("partner.example");
            let object = object(&json!({"spec": {"peerDefaults": defaults, "peers": [peer]}}));
            let spec = serde_json::from_value(object["spec"].clone()).unwrap();
            let sentences = |found: Vec<String>| found.into_iter().collect::<BTreeSet<_>>();
            let refused = sentences(refusals(&rules, &object, None));
            let invalid: Vec<_> = crds::validate::validate("example", &spec)
                .into_iter()
                .map(|found| match found {
                    InvalidSpec::PeerDefaults(why) | InvalidSpec::Peer(_, why) => why.sentence(),
                    other => panic!("{other}"),
                })
                .map(str::to_owned)
                .collect();
            // The program names the first combination of each entry, the schema all of them.
            prop_assert_eq!(refused.is_empty(), invalid.is_empty(), "{:?} {:?}", refused, invalid);
            prop_assert!(sentences(invalid).is_subset(&refused));
            Ok(())
        })
        .unwrap();
}
