//! The adversarial cases against the real engine on loopback: one test for each case that runs over sockets. The tests
//! also verify that the proofs of the other cases exist, and that the table in docs/conformance.md contains all cases.

use std::error::Error;
use std::fs;
use std::path::Path;

use harness::program::engine;
use s2s_conformance::adversarial::{Proof, cases};
use s2s_conformance::outcome::Outcome;
use s2s_conformance::statements;
use s2s_conformance::world::World;

fn holds(name: &str) -> Result<(), Box<dyn Error>> {
    let case = cases().into_iter().find(|case| case.name == name);
    let case = case.ok_or_else(|| format!("there is no case {name}"))?;
    let world = World::start_hostile(engine())?;
    let outcome = case.put(&world.target);
    let log = world.engine.log();
    assert_eq!(outcome, Some(Outcome::Holds), "{name}. {}\n{log}", case.sentence);
    Ok(())
}

macro_rules! cases {
    ($($test:ident = $case:literal;)*) => {
        $(#[test] fn $test() -> Result<(), Box<dyn Error>> { holds($case) })*

        /// The cases that a test of this file asserts.
        const ASSERTED: &[&str] = &[$($case),*];
    };
}

cases! {
    a3_answers_with_other_addresses_confirm_nothing = "A3";
    a4_a_late_answer_does_no_harm = "A4";
    a5_authority_is_for_one_local_domain = "A5";
    a7_dialback_from_ourselves_is_never_valid = "A7";
    a9_another_to_after_sasl_leads_nowhere = "A9";
    a13_hostile_spellings_in_certificates = "A13";
    a14_common_names_prove_nothing = "A14";
    a17_bad_certificates_prove_nothing = "A17";
    a19_a_domain_below_is_another_domain = "A19";
    a20_spellings_of_from = "A20";
    a21_nobody_claims_our_domain = "A21";
    b2_what_follows_proceed_is_not_read = "B2";
    b4_proceed_unasked_starts_nothing = "B4";
    b5_starttls_inside_tls_is_refused = "B5";
    b8_other_protocols_are_closed = "B8";
    b9_a_handshake_has_a_deadline = "B9";
    b10_a_cut_stanza_is_not_handed_on = "B10";
    b11_other_alpn_does_no_harm = "B11";
    c1_a_large_attribute_of_the_header = "C1";
    c2_many_attributes = "C2";
    c3_depth = "C3";
    c4_many_children = "C4";
    c5_a_long_name = "C5";
    c6_long_text_of_a_stranger = "C6";
    c7_white_space_of_a_stranger = "C7";
    c8_silence_has_a_deadline = "C8";
    c10_many_dialback_requests = "C10";
    c11_many_declarations = "C11";
    c12_many_character_references = "C12";
    c19_an_error_is_not_answered_by_an_error = "C19";
    c21_nothing_is_left_of_strangers = "C21";
    d2_bytes_and_characters = "D2";
    d3_attributes_stand_once = "D3";
    d4_prefixes_are_declared = "D4";
    d5_tags_match = "D5";
    d6_look_alikes_are_no_stanzas = "D6";
    d8_the_namespace_of_clients = "D8";
}

/// The root of the tree.
fn tree() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn every_case_that_is_put_has_a_test_and_every_other_proof_exists() {
    let numbers: Vec<u8> = statements().iter().map(|check| check.id).collect();
    let mut put = Vec::new();
    for case in cases() {
        match case.proof {
            Proof::Check(_) => put.push(case.name),
            Proof::Statement(number) => assert!(numbers.contains(&number), "{}", case.name),
            Proof::Test(file, name) => {
                let text = fs::read_to_string(tree().join(file)).unwrap();
                let function = format!("fn {name}(");
                // A macro writes the tests of the attacks.
                let in_macro = format!("    {name} = ");
                let exists = text.contains(&function) || text.contains(&in_macro);
                assert!(exists, "{}: no test {name} in {file}", case.name);
            }
            Proof::Construction(how) => assert!(!how.is_empty()),
        }
    }
    assert_eq!(ASSERTED, put);
}

#[test]
fn the_document_has_every_case_as_it_is() {
    let document = fs::read_to_string(tree().join("docs/conformance.md")).unwrap();
    for case in cases() {
        let row = case.row();
        assert!(document.lines().any(|line| line == row), "docs/conformance.md misses: {row}");
    }
    let rows = document.lines().filter(|line| {
        let name = line.strip_prefix("| ").and_then(|rest| rest.split(' ').next());
        name.is_some_and(|name| {
            name.starts_with(['A', 'B', 'C', 'D', 'E'])
                && name.len() > 1
                && name.chars().skip(1).all(|digit| digit.is_ascii_digit())
        })
    });
    assert_eq!(rows.count(), cases().len(), "a row of docs/conformance.md is of no case");
}
