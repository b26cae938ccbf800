use crds::xmpp::{ErrorType, StanzaCondition, StreamCondition};

use super::*;
use crate::reason::{Failure, StanzaError};
use crate::stanza::bounce::{error_reply, is_ping, ping, ping_result};
use crate::stanza::{Kind, address::domainpart};

fn error() -> StanzaError {
    StanzaError {
        kind: ErrorType::Wait,
        condition: StanzaCondition::RemoteServerTimeout,
        text: "<no> \"answer\" & \u{1}".to_owned(),
    }
}

fn text(bytes: Option<bytes::Bytes>) -> String {
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

#[test]
fn rfc6120_8_3_1_an_error_reply_swaps_the_addresses_and_keeps_the_id() {
    let stanza = element(
        "<message id='i&apos;1' to='b@us.example' from='a@them.example/r'><body/></message>",
    );
    let reply = text(error_reply(&stanza, &error()));
    assert_eq!(
        reply,
        "<message from='b@us.example' to='a@them.example/r' id='i&apos;1' type='error'>\
         <error type='wait'><remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>\
         &lt;no> \"answer\" &amp; \u{FFFD}</text></error></message>"
    );
    let reply = element(&reply);
    assert_eq!((Kind::of(&reply), reply.type_().as_deref()), (Some(Kind::Message), Some("error")));
    assert_eq!(domainpart(&reply.to().unwrap()), "them.example");
}

#[test]
fn rfc6120_8_3_3_8_a_reply_names_the_domain_instead_of_a_malformed_address() {
    for (from, to) in [
        ("a b@them.example/r", "b@us.example"),
        ("a@them.example/r", "b&amp;c@us.example/r"),
        (
            &format!("a@them.example/{}", "r".repeat(100_000)),
            &format!("{}@us.example", "l".repeat(100_000)),
        ),
    ] {
        let stanza = element(&format!("<message from='{from}' to='{to}' id='1'/>"));
        let reply = element(&text(error_reply(&stanza, &error())));
        for (address, domain) in [(reply.from(), "us.example"), (reply.to(), "them.example")] {
            let address = address.unwrap();
            assert_eq!(domainpart(&address), domain);
            assert!(crate::stanza::address::is_well_formed(&address), "{address}");
        }
    }
}

#[test]
fn a_reply_is_larger_than_what_it_answers_by_a_constant_at_most() {
    const MOST: usize = 4_096;
    for unit in [
        "'", "\"", "&#39;", "&#34;", "&amp;", "<>", "&lt;", ">", "x", "\u{E9}", "&#9;", "\t",
        "\r\n",
    ] {
        for quote in ['\'', '"'] {
            let value = unit.replace('<', "");
            let value = value.replace(quote, "&#x22;").repeat(40_000);
            for name in ["id", "xml:lang", "type", "other"] {
                let addresses = "to='b@us.example' from='a@them.example'";
                let stanza = format!("<message {addresses} {name}={quote}{value}{quote}/>");
                let stanza = element(&stanza);
                let reply = error_reply(&stanza, &error()).unwrap();
                assert!(reply.len() <= stanza.bytes().len() + MOST, "{name} of {unit:?}");
                let again = element(std::str::from_utf8(&reply).unwrap());
                assert_eq!(again.id(), stanza.id(), "{unit:?}");
            }
        }
    }
}

#[test]
fn rfc6120_8_3_1_errors_and_results_are_never_answered() {
    for stanza in [
        "<message type='error' to='b@us.example' from='a@them.example'/>",
        "<presence type='error' to='b@us.example' from='a@them.example'/>",
        "<iq type='error' to='b@us.example' from='a@them.example' id='1'/>",
        "<iq type='result' to='b@us.example' from='a@them.example' id='1'/>",
        "<message to='b@us.example'/>",
        "<message from='b@us.example'/>",
        "<other to='b@us.example' from='a@them.example'/>",
        "<message xmlns='jabber:client' to='b@us.example' from='a@them.example'/>",
    ] {
        assert_eq!(error_reply(&element(stanza), &error()), None, "{stanza}");
    }
    for stanza in [
        "<iq type='get' to='b@us.example' from='a@them.example' id='1'/>",
        "<iq type='set' to='b@us.example' from='a@them.example' id='1'/>",
        "<presence type='subscribe' to='b@us.example' from='a@them.example'/>",
        "<message type='result' to='b@us.example' from='a@them.example'/>",
    ] {
        let reply = element(&text(error_reply(&element(stanza), &error())));
        assert_eq!(error_reply(&reply, &error()), None, "no answer to the answer");
    }
}

#[test]
fn a_bounce_carries_the_true_cause_within_bounds() {
    let failure =
        Failure::StreamError { condition: StreamCondition::HostUnknown, text: "x".repeat(9000) };
    let stanza = element("<message to='b@us.example' from='a@them.example'/>");
    let reply = text(error_reply(&stanza, &failure.stanza_error()));
    assert!(reply.contains("host-unknown") && reply.len() < 1500, "{reply}");
}

#[test]
fn xep0199_ping_and_its_answer() {
    let request = element(std::str::from_utf8(&ping("us.example", "them.example", "p&1")).unwrap());
    assert!(is_ping(&request));
    assert_eq!(
        text(ping_result(&request)),
        "<iq from='them.example' to='us.example' id='p&amp;1' type='result'/>"
    );
    let other = "<iq type='get' id='1' from='a.example' to='b.example'><query xmlns='x'/></iq>";
    assert!(!is_ping(&element(other)));
    let unavailable = StanzaError::new(StanzaCondition::ServiceUnavailable, "");
    assert!(text(error_reply(&element(other), &unavailable)).contains("<service-unavailable "));
    assert!(!is_ping(&element(
        &other
            .replace("get", "result")
            .replace("<query xmlns='x'/>", "<ping xmlns='urn:xmpp:ping'/>")
    )));
}
