//! XEP-0114: the stream that a component opens.

use std::time::Duration;

use bytes::BytesMut;
use crds::peer::Profile;
use crds::xmpp::StreamCondition;
use data_encoding::HEXLOWER;
use sha1::{Digest, Sha1};

use super::*;
use crate::stream::component::Component;
use crate::stream::error::StreamError;
use crate::stream::testing::COMPONENT_SECRET;
use crate::xml::Progress;

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='us.example'>";

struct Stream {
    component: Component,
    world: World,
    scanner: Scanner,
    buffer: BytesMut,
    actions: Vec<Action>,
    /// The pairs of the stanzas that took the direct way.
    pairs: Vec<Pair>,
    now: Instant,
    /// The answer to a claim.
    claim: Result<(), StreamError>,
}

impl Stream {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            component: Component::new(LIMITS, now),
            world: World::new(Profile::Standards),
            scanner: Scanner::new(Bounds::PRE_AUTHENTICATION),
            buffer: BytesMut::new(),
            actions: Vec::new(),
            pairs: Vec::new(),
            now,
            claim: Ok(()),
        }
    }

    fn open() -> Self {
        let mut stream = Self::new();
        stream.receive(HEADER);
        assert_eq!(stream.authenticate(COMPONENT_SECRET), "<handshake/>");
        stream
    }

    /// As a driver does; returns what is written.
    fn receive(&mut self, text: &str) -> String {
        self.buffer.extend_from_slice(text.as_bytes());
        let mut written = String::new();
        loop {
            let mut out = Out::default();
            match self.scanner.next_portion(&mut self.buffer) {
                Err(error) => self.component.on_xml_error(error, &self.world, &mut out),
                Ok(progress) => match self.component.rescoped(progress) {
                    Progress::Incomplete => return written,
                    Progress::Portion => continue,
                    Progress::Item(item) => {
                        if let crate::xml::Item::Element(element) = &item
                            && let Ok(pair) = self.component.authorize(element, &self.world)
                        {
                            self.pairs.push(pair.clone());
                            continue;
                        }
                        self.component.on_item(item, &self.world, &mut out);
                    }
                },
            }
            written += &self.perform(out);
            if self.is_closed() {
                return written;
            }
        }
    }

    fn perform(&mut self, mut out: Out) -> String {
        let mut written = String::new();
        while !out.bytes.is_empty() || !out.actions.is_empty() {
            written += std::str::from_utf8(&std::mem::take(&mut out.bytes)).unwrap();
            for action in std::mem::take(&mut out.actions) {
                match &action {
                    Action::Claim(_) => {
                        self.component.on_claim(self.claim.clone(), &self.world, &mut out);
                    }
                    Action::Bounds(bounds) => self.scanner.set_bounds(*bounds),
                    _ => {}
                }
                self.actions.push(action);
            }
        }
        written
    }

    fn is_closed(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Close))
    }

    /// The handshake by this secret, for the ID of the first stream of a world.
    fn authenticate(&mut self, secret: &[u8]) -> String {
        let id = StreamId::new(1).to_string();
        let digest = Sha1::new().chain_update(id).chain_update(secret).finalize();
        self.receive(&format!("<handshake>{}</handshake>", HEXLOWER.encode(&digest)))
    }

    fn rejected(&self) -> Option<&str> {
        self.actions.iter().find_map(|action| match action {
            Action::Rejected(rejection) => Some(rejection.reason.as_str()),
            _ => None,
        })
    }
}

#[test]
fn xep0114_3_header_handshake_and_stanzas() {
    let mut stream = Stream::new();
    let header = stream.receive(HEADER);
    assert_eq!(
        header,
        "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='00000000000000000000000000000001' from='us.example' xml:lang='en'>"
    );
    assert!(stream.component.deadline().is_some());
    assert_eq!(stream.authenticate(COMPONENT_SECRET), "<handshake/>");
    assert!(stream.component.is_authenticated());
    assert_eq!(stream.component.deadline(), None, "a component may be silent for any time");
    let sent =
        "<message from='bot@us.example/r' to='juliet@them.example'><body>Hi</body></message>";
    assert_eq!(stream.receive(sent), "");
    assert_eq!(stream.pairs, [pair("us.example", "them.example")]);
    assert_eq!(stream.receive("</stream:stream>"), "</stream:stream>");
    assert!(stream.is_closed());
}

#[test]
fn xep0114_3_errors_of_the_header_come_after_ours_and_close_the_stream() {
    let header = |from: &str, to: &str| HEADER.replace(from, to);
    for (sent, condition) in [
        (header("to='us.example'", "to='other.example'"), "host-unknown"),
        (header("to='us.example'", ""), "host-unknown"),
        (header("to='us.example'", "to='a..b'"), "host-unknown"),
        (header("to='us.example'", "to='sub.us.example'"), "host-unknown"),
        (header("jabber:component:accept", "jabber:client"), "invalid-namespace"),
        (header("jabber:component:accept", "jabber:server"), "invalid-namespace"),
        (header("jabber:component:accept", "jabber:component:connect"), "invalid-namespace"),
        (header("http://etherx.jabber.org/streams", "urn:x"), "invalid-namespace"),
        ("<!DOCTYPE a>".to_owned(), "restricted-xml"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "not-well-formed"),
    ] {
        let mut stream = Stream::new();
        let written = stream.receive(&sent);
        let (response, error) = written.split_once("<stream:error>").unwrap();
        assert!(response.contains("xmlns='jabber:component:accept'"), "{written}");
        assert!(!response.contains("other.example"), "rfc6120_4_9_1_3: {written}");
        assert!(error.starts_with(&format!("<{condition} ")), "{written}");
        assert!(error.ends_with("</stream:error></stream:stream>"), "{written}");
        assert!(stream.is_closed() && stream.rejected().is_some(), "{sent}");
    }
}

#[test]
fn xep0114_3_a_wrong_secret_is_not_authorized_and_there_is_no_second_attempt() {
    for wrong in [&b"other"[..], b""] {
        let mut stream = Stream::new();
        stream.receive(HEADER);
        let written = stream.authenticate(wrong);
        assert!(written.starts_with("<stream:error><not-authorized "), "{written}");
        assert_eq!(stream.rejected(), Some("NotAuthorized"));
        assert!(stream.is_closed() && !stream.component.is_authenticated());
        assert_eq!(stream.authenticate(COMPONENT_SECRET), "");
    }
}

#[test]
fn rfc6120_4_3_5_a_stanza_before_the_handshake_is_refused() {
    let mut stream = Stream::new();
    let stanza = "<message from='us.example' to='them.example'/>";
    let written = stream.receive(&format!("{HEADER}{stanza}"));
    assert!(written.contains("<not-authorized "), "{written}");
    assert!(stream.is_closed() && stream.pairs.is_empty());
}

#[test]
fn xep0114_3_a_second_stream_of_the_domain_is_a_conflict() {
    let mut stream = Stream::new();
    stream.claim = Err(StreamError::new(StreamCondition::Conflict, "taken"));
    stream.receive(HEADER);
    let written = stream.authenticate(COMPONENT_SECRET);
    assert!(written.starts_with("<stream:error><conflict "), "{written}");
    assert_eq!(stream.rejected(), Some("Conflict"));
    assert!(stream.is_closed());
}

#[test]
fn a_component_speaks_for_all_domains_of_its_backend_and_for_no_other() {
    let mut stream = Stream::open();
    stream.receive("<message from='a@chat.us.example' to='them.example'/>");
    stream.receive("<message from='a@CHAT.us.example' to='us.example'/>");
    assert_eq!(
        stream.pairs,
        [pair("chat.us.example", "them.example"), pair("chat.us.example", "us.example")]
    );
    assert!(stream.component.carries(&pair("them.example", "chat.us.example"), &stream.world));
    assert!(!stream.component.carries(&pair("them.example", "other.example"), &stream.world));
    for foreign in [
        "<message from='a@them.example' to='us.example'/>",
        "<message from='a@sub.us.example' to='them.example'/>",
        "<message from='a@b@us.example' to='them.example'/>",
        "<message to='them.example'/>",
        "<message from='' to='them.example'/>",
    ] {
        let mut stream = Stream::open();
        let written = stream.receive(foreign);
        assert!(written.starts_with("<stream:error><invalid-from "), "{foreign}: {written}");
        assert!(stream.is_closed() && stream.pairs.is_empty(), "{foreign}");
        assert_eq!(stream.rejected(), None, "the component is authenticated");
    }
}

#[test]
fn a_stanza_without_a_usable_receiver_is_answered_and_the_stream_continues() {
    let mut stream = Stream::open();
    let written = stream.receive("<iq from='us.example' to='a..b' id='1' type='get'/>");
    let start = "<iq from='us.example' to='us.example' id='1' type='error'>";
    assert!(written.starts_with(start) && written.contains("<bad-request "), "{written}");
    let written = stream.receive("<presence from='a@chat.us.example'/>");
    let start = "<presence from='us.example' to='a@chat.us.example' type='error'>";
    assert!(written.starts_with(start), "{written}");
    assert!(!stream.is_closed());
    stream.receive("<message from='us.example' to='them.example'/>");
    assert_eq!(stream.pairs, [pair("us.example", "them.example")]);
}

#[test]
fn rfc6120_4_8_4_other_elements_are_not_relayed() {
    let mut stream = Stream::open();
    for ignored in
        ["<a xmlns='urn:x'/>", "<message xmlns='urn:x' from='us.example' to='them.example'/>"]
    {
        assert_eq!(stream.receive(ignored), "", "{ignored}");
    }
    // An element of a stream between servers is foreign as well.
    stream.receive("<message xmlns='jabber:server' from='us.example' to='them.example'/>");
    assert!(stream.pairs.is_empty() && !stream.is_closed());
    let written = stream.receive("<handshake/>");
    assert!(written.contains("<unsupported-stanza-type "), "{written}");
}

#[test]
fn many_pairs_are_permitted_in_any_order() {
    let mut stream = Stream::open();
    let to: Vec<_> = (0..100).map(|n| format!("d{n}.example")).collect();
    for _ in 0..2 {
        for name in &to {
            stream.receive(&format!("<message from='us.example' to='a@{name}/r'/>"));
        }
    }
    let expected: Vec<_> = to.iter().chain(&to).map(|name| pair("us.example", name)).collect();
    assert_eq!(stream.pairs, expected);
    stream.world.local.remove(0);
    stream.component.forget_pairs();
    assert!(stream.world.local.contains(&domain("chat.us.example")));
}

#[test]
fn a_component_that_does_not_authenticate_in_time_is_closed() {
    let mut stream = Stream::new();
    stream.receive(HEADER);
    let due = stream.component.deadline().unwrap();
    assert_eq!(due, stream.now + LIMITS.negotiation);
    let mut out = Out::default();
    stream.component.on_timeout(due - Duration::from_millis(1), &stream.world, &mut out);
    assert!(out.bytes.is_empty());
    stream.component.on_timeout(due, &stream.world, &mut out);
    let written = stream.perform(out);
    assert!(written.starts_with("<stream:error><connection-timeout "), "{written}");
}

#[test]
fn rfc6120_4_4_stanzas_that_arrive_while_the_stream_closes_are_accepted() {
    let mut stream = Stream::open();
    let mut out = Out::default();
    stream.component.close(stream.now, &mut out);
    assert_eq!(stream.perform(out), "</stream:stream>");
    stream.receive("<message from='us.example' to='them.example'/>");
    assert_eq!(stream.pairs, [pair("us.example", "them.example")]);
    stream.receive("</stream:stream>");
    assert!(stream.is_closed());
}

#[test]
fn a_stream_error_of_the_component_is_its_failure() {
    let mut stream = Stream::open();
    stream.receive("<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>");
    assert!(stream.is_closed());
    assert!(
        stream.actions.iter().any(|action| matches!(
            action,
            Action::Failed(Failure::StreamError { condition: StreamCondition::SystemShutdown, .. })
        )),
        "{:?}",
        stream.actions
    );
}
