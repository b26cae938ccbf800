//! The end of a stream: RFC 6120 §4.4, §4.9.

use crds::xmpp::StreamCondition;

use super::*;
use crate::stream::error::StreamError;

#[test]
fn rfc6120_4_4_the_peers_end_is_answered() {
    let world = standards();
    let mut side = Receiving::authenticated(&world);
    assert_eq!(side.send("</stream:stream>", &world), "</stream:stream>");
    assert!(side.closed());
    assert_eq!(side.send("<message from='them.example' to='us.example'/>", &world), "");
    assert_eq!(side.delivered(), 0);
}

#[test]
fn rfc6120_4_4_after_our_end_stanzas_under_way_are_still_taken() {
    let world = standards();
    let mut side = Receiving::authenticated(&world);
    let mut out = Out::default();
    side.machine.close(side.now, &mut out);
    assert_eq!(side.take(out), "</stream:stream>");
    assert!(!side.closed());
    side.send("<message from='them.example' to='us.example'/>", &world);
    assert_eq!(side.delivered(), 1);
    assert_eq!(side.send("</stream:stream>", &world), "");
    assert!(side.closed());
}

#[test]
fn rfc6120_4_4_the_peers_end_is_not_awaited_for_ever() {
    let world = standards();
    let mut side = Receiving::authenticated(&world);
    let mut out = Out::default();
    side.machine.close(side.now, &mut out);
    side.take(out);
    let until = side.machine.deadline().unwrap();
    assert_eq!(side.pass(until - side.now, &world), "");
    assert!(side.closed());
}

#[test]
fn rfc6120_4_9_3_20_shutdown_is_notified() {
    let world = standards();
    let mut side = Receiving::authenticated(&world);
    let mut out = Out::default();
    side.machine.fail(&StreamError::new(StreamCondition::SystemShutdown, ""), &world, &mut out);
    let written = side.take(out);
    assert_eq!(
        written,
        "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    );
    assert!(side.closed());
}

#[test]
fn rfc6120_4_9_a_peers_error_is_reported_in_its_own_words_and_not_answered_by_an_error() {
    let world = standards();
    for (error, condition, text) in [
        (
            "<host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>no &lt;such&gt;</text>",
            "host-unknown",
            "no <such>",
        ),
        ("<xml-not-well-formed/>", "xml-not-well-formed", ""),
        ("only words", "undefined-condition", "only words"),
        ("", "undefined-condition", ""),
    ] {
        let mut side = Receiving::authenticated(&world);
        let written = side.send(&format!("<stream:error>{error}</stream:error>"), &world);
        assert_eq!(written, "</stream:stream>");
        assert_eq!(
            side.failure(),
            Some(&Failure::StreamError { condition: condition.into(), text: text.to_owned() })
        );
        assert!(side.closed());
    }
}

#[test]
fn error_texts_are_escaped_and_bounded() {
    let mut out = Out::default();
    StreamError::new(StreamCondition::PolicyViolation, format!("<&'{}\u{0}", "x".repeat(5000)))
        .write(&mut out.bytes);
    let written = String::from_utf8(out.bytes.to_vec()).unwrap();
    assert!(written.contains("&lt;&amp;'xxx") && written.len() < 1000, "{written}");
}
