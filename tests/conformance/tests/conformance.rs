//! The conformance suite against the real engine on loopback: one test for each statement, named after its section.

use std::error::Error;

use harness::program::engine;
use s2s_conformance::outcome::Outcome;
use s2s_conformance::world::World;
use s2s_conformance::{Check, STATEMENTS, statements};

/// The reason why a check could not run.
type Failure = Box<dyn Error>;

/// Runs one check against an engine of its own.
fn put(id: u8) -> Result<(Check, Outcome, String), Failure> {
    let found = statements().into_iter().find(|check| check.id == id);
    let check = found.ok_or_else(|| format!("there is no statement {id}"))?;
    let world = World::start(engine(), id)?;
    let outcome = check.put(&world.target);
    Ok((check, outcome, world.engine.log()))
}

fn holds(id: u8) -> Result<(), Failure> {
    let (check, outcome, log) = put(id)?;
    let Check { sentence, section, .. } = check;
    assert_eq!(outcome, Outcome::Holds, "{id}. {sentence} ({section})\n{log}");
    Ok(())
}

macro_rules! statements {
    ($($name:ident = $id:literal;)*) => {
        $(#[test] fn $name() -> Result<(), Failure> { holds($id) })*

        /// The statements that a test of this file asserts.
        const ASSERTED: &[u8] = &[$($id),*];
    };
}

statements! {
    rfc6120_4_9_1_2_a_header_comes_before_every_error = 1;
    rfc6120_4_7_3_an_initial_id_is_ignored = 2;
    rfc6120_4_3_3_ids_never_repeat = 3;
    rfc6120_4_7_1_the_response_header_has_the_addresses_swapped = 4;
    rfc6120_4_9_1_3_unknown_to_answers_host_unknown = 5;
    rfc6120_4_7_5_a_higher_version_is_no_error = 6;
    rfc6120_4_7_5_without_a_version_there_are_no_features = 7;
    rfc6120_4_3_2_features_follow_the_header = 8;
    rfc6120_4_8_1_wrong_namespaces_answer_invalid_namespace = 9;
    rfc6120_4_8_5_another_prefix_is_accepted_or_refused = 10;
    rfc6120_4_8_every_legal_spelling_of_a_header_is_accepted = 11;
    rfc6120_11_6_other_encodings_are_refused = 12;
    rfc6120_4_7_1_from_before_tls_is_optional_and_proves_nothing = 13;
    rfc6120_4_7_4_language_of_the_stream = 14;
    rfc6120_5_3_1_mandatory_starttls_stands_alone = 15;
    rfc7590_3_1_starttls_is_tried_unoffered = 16;
    rfc6120_5_3_3_nothing_between_starttls_and_the_client_hello = 17;
    rfc6120_5_4_2_failures_of_starttls = 18;
    rfc6120_5_4_3_1_certificate_of_the_domain_in_to = 19;
    rfc6120_5_4_3_1_a_client_certificate_is_asked_for = 20;
    rfc6120_5_4_3_3_everything_is_new_after_tls = 21;
    xep0368_3_no_starttls_inside_direct_tls = 22;
    rfc7590_3_verification_is_encrypted = 23;
    rfc6120_13_7_2_1_reference_identity_is_the_domain = 24;
    rfc6120_13_7_1_2_1_names_of_certificates = 25;
    xep0178_3_server_auth_alone_is_accepted = 26;
    rfc6120_13_7_2_3_an_expired_certificate_resets_the_stream = 27;
    rfc7673_3_dane_decides_about_servers_and_certificates = 28;
    rfc6120_6_3_4_external_is_offered_when_it_succeeds = 29;
    rfc6120_6_3_4_external_is_first = 30;
    rfc6120_6_3_8_authorization_identity = 31;
    rfc6120_6_3_8_authorization_identity_is_a_bare_domain = 32;
    rfc6120_6_3_5_base64_is_strict = 33;
    rfc6120_4_3_5_success_restarts_the_stream = 34;
    rfc6120_6_4_5_attempts_are_bounded = 35;
    rfc6120_6_4_5_not_sufficient_is_said_at_once = 36;
    xep0220_2_4_1_prefixes = 37;
    xep0220_2_4_2_errors_are_advertised = 38;
    xep0185_3_keys = 39;
    xep0220_2_2_unsolicited_answers_authorise_nothing = 40;
    xep0220_2_1_2_id_of_the_stream = 41;
    xep0220_2_1_1_stanzas_wait_for_valid = 42;
    xep0220_2_1_1_what_is_returned = 43;
    xep0220_2_2_1_unknown_to_answers_item_not_found = 44;
    xep0220_2_2_1_invalid_keys = 45;
    xep0220_2_5_unreachable_authority_is_an_error = 46;
    xep0220_2_2_2_answers_to_verify = 47;
    xep0220_2_2_2_verify_needs_no_authentication = 48;
    xep0220_2_6_multiplexing = 49;
    xep0220_2_3_dialback_is_per_direction = 50;
    xep0288_2_bidi = 51;
    rfc6120_8_1_1_2_improper_addresses = 52;
    rfc6120_8_1_2_2_not_proven_answers_invalid_from = 53;
    rfc6120_8_1_1_2_not_served_answers_host_unknown = 54;
    rfc6120_4_3_5_a_stanza_too_early_answers_not_authorized = 55;
    rfc6120_4_8_4_foreign_elements_are_never_routed = 56;
    rfc6120_4_8_5_prefix_of_the_header_is_declared_again = 57;
    rfc6120_10_1_order = 58;
    rfc6120_8_3_1_errors = 59;
    rfc6120_10_4_3_unreachable_domains = 60;
    rfc6120_13_12_sizes = 61;
    rfc6120_11_1_restricted_xml = 62;
    rfc6120_4_4_closing = 63;
    rfc6120_4_6_3_an_idle_stream_is_no_error = 64;
    rfc6120_4_9_3_20_system_shutdown = 65;
    rfc6120_4_9_3_19_see_other_host_is_ignored_before_tls = 66;
    rfc6120_3_2_1_no_fallback_to_address_records = 67;
    xep0368_5_no_direct_tls = 68;
    xep0368_3_both_services_are_one_list = 69;
    rfc6120_3_3_attempts_are_spaced_out = 70;
    rfc7622_3_2_comparison_of_domains = 71;
}

#[test]
fn every_statement_has_one_check_and_a_test() {
    let checks: Vec<u8> = statements().iter().map(|check| check.id).collect();
    assert_eq!(checks, (1..=STATEMENTS).collect::<Vec<u8>>());
    assert_eq!(ASSERTED, checks);
}
