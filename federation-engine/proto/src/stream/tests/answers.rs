//! Answers that a peer sends on the stream that brought it the answered stanza.

use super::initiating::{established_by_dialback, established_by_external};
use super::*;

const ERROR: &str = "<message from='romeo@them.example' to='juliet@us.example/b' type='error'/>";

fn established(world: &World) -> [Initiating; 2] {
    [established_by_external(world), established_by_dialback(world)]
}

#[test]
fn an_answer_of_the_pair_reversed_is_passed_on() {
    let world = standards();
    for mut side in established(&world) {
        for answer in [
            ERROR,
            "<iq from='them.example' to='juliet@us.example/b' type='error' id='1'/>",
            "<iq from='them.example' to='juliet@us.example/b' type='result' id='1'/>",
            "<presence from='room@them.example' to='juliet@us.example/b' type='error'/>",
        ] {
            side.machine.management().sending(1);
            assert_eq!(side.send(answer, &world), "", "{answer}");
            side.machine.handled();
        }
        assert_eq!((side.delivered(), side.closed()), (4, false));
    }
}

#[test]
fn nothing_else_is_taken_on_a_stream_that_we_opened() {
    let world = standards();
    for stanza in [
        "<message from='romeo@them.example' to='juliet@us.example'/>",
        "<message from='romeo@them.example' to='juliet@us.example' type='result'/>",
        "<iq from='them.example' to='juliet@us.example' type='get' id='1'/>",
        "<presence from='romeo@them.example' to='juliet@us.example' type='unavailable'/>",
        "<message from='romeo@other.example' to='juliet@us.example' type='error'/>",
        "<message from='romeo@them.example' to='juliet@chat.us.example' type='error'/>",
        "<message from='juliet@us.example' to='romeo@them.example' type='error'/>",
        "<message to='juliet@us.example' type='error'/>",
    ] {
        for mut side in established(&world) {
            side.machine.management().sending(10);
            let written = side.send(stanza, &world);
            assert_eq!(side.refusals(), [Refusal::NotAuthorized], "{stanza}");
            assert_stream_error(&side, &written, "not-authorized");
            assert_eq!(side.delivered(), 0, "{stanza}");
        }
    }
}

#[test]
fn there_is_one_answer_at_most_for_each_stanza() {
    let world = standards();
    for mut side in established(&world) {
        side.machine.management().sending(1);
        side.send(ERROR, &world);
        side.machine.handled();
        let written = side.send(ERROR, &world);
        assert_stream_error(&side, &written, "not-authorized");
        assert_eq!(side.delivered(), 1);
    }
}

#[test]
fn who_can_neither_be_believed_by_certificate_nor_by_dialback_answers_on_a_stream_of_its_own() {
    let untrusted = |rules: &mut PeerRules| {
        rules.dialback = Dialback::Disabled;
        rules.external_inbound = false;
    };
    let denied = World { denied: vec![pair("them.example", "us.example")], ..standards() };
    for world in [with(Profile::Standards, untrusted), denied] {
        let mut side = established_by_external(&world);
        side.machine.management().sending(1);
        let written = side.send(ERROR, &world);
        assert_stream_error(&side, &written, "not-authorized");
    }
}

#[test]
fn an_answer_may_be_as_large_as_any_stanza() {
    let world = standards();
    for mut side in established(&world) {
        side.machine.management().sending(1);
        let text = "x".repeat(LIMITS.unauthenticated_bytes * 2);
        side.send(&ERROR.replace("/>", &format!("><body>{text}</body></message>")), &world);
        assert_eq!((side.delivered(), side.closed()), (1, false));
    }
}
