//! E: policy and operations.

use super::{Case, Proof};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "E1",
        sentence: "the server of a denied domain gets no db:verify request",
        proof: Proof::Test(
            "federation-engine/proto/src/stream/tests/initiating_dialback.rs",
            "a_denied_domain_is_not_asked_about_keys",
        ),
    },
    Case {
        name: "E2",
        sentence: "streams and stanzas that a new policy forbids are refused from then on",
        proof: Proof::Test(
            "tests/engine/tests/engine_reload.rs",
            "the_streams_of_a_peer_that_is_denied_end_and_what_waits_for_it_comes_back",
        ),
    },
    Case {
        name: "E3",
        sentence: "texts for remote servers reveal nothing about the internal side",
        proof: Proof::Test(
            "federation-engine/proto/src/reason/remote_text.rs",
            "what_strangers_are_notified_names_nothing_of_our_inside",
        ),
    },
    Case {
        name: "E4",
        sentence: "keys and secrets are not printed",
        proof: Proof::Test(
            "federation-engine/proto/src/dialback/key.rs",
            "keys_and_secrets_are_not_printed",
        ),
    },
    Case {
        name: "E5",
        sentence: "labels of metrics come from closed lists",
        proof: Proof::Test(
            "federation-engine/src/observe/metrics.rs",
            "every_metric_has_the_prefix_and_only_closed_labels",
        ),
    },
    Case {
        name: "E6",
        sentence: "every stanza is delivered, bounced, or refused with a reason",
        proof: Proof::Test(
            "tests/soak/tests/engine_soak.rs",
            "every_stanza_has_an_outcome_while_streams_servers_and_settings_change",
        ),
    },
    Case {
        name: "E7",
        sentence: "a server that shuts down sends system-shutdown",
        proof: Proof::Statement(65),
    },
];
