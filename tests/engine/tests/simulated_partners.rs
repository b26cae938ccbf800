//! Simulated partners: closed systems as their vendors documented them, against the real engine with the matching
//! preset, and with a wrong one. Each reason and each sentence that is expected here is also in `docs/partners`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test states its expectations so")]

use std::net::Ipv4Addr;

use harness::claim;
use harness::evidence::of_all;
use harness::loopback::{DEADLINE, LOCAL, eventually, until};
use harness::program::engine;
use s2s_peer::element::Element;
use s2s_peer::error::PeerError;
use s2s_peer::nameserver::{Nameserver, Zone};
use s2s_peer::namespace::{SERVER, STANZA_ERRORS};
use s2s_peer::partners::partner::{Claim, Unknown};
use s2s_peer::partners::wire::Wire;
use s2s_peer::partners::{
    cisco_imp, expressway, google_talk, sametime, webex_app, webex_messenger,
};
use s2s_peer::server::{Event, Server};
use serde_json::{Value, json};
use world::{Certificate, PARTNER, Records, SHORTEST_QUEUE_SECONDS, Setup, World};

#[path = "simulated_partners/world.rs"]
mod world;

const TO_LOCAL: &str = "<message from='jdoe1@partner.example/r' to='cupuser1@local.example' id='m1'><body>Hi</body></message>";
const TO_PARTNER: &str = "<message from='cupuser1@local.example/b' to='jdoe1@partner.example' id='m2' type='chat'><body>Ho</body></message>";

/// The documentation pages about the behaviour that is tested here.
mod page {
    pub(super) const GOOGLE_TALK: &str = include_str!("../../../docs/partners/google-talk.md");
    pub(super) const WEBEX_MESSENGER: &str =
        include_str!("../../../docs/partners/webex-messenger.md");
    pub(super) const SAMETIME: &str = include_str!("../../../docs/partners/sametime.md");
    pub(super) const CISCO_IMP: &str = include_str!("../../../docs/partners/cisco-imp.md");
    pub(super) const EXPRESSWAY: &str = include_str!("../../../docs/partners/cisco-expressway.md");
}

/// The engine's log term for a stream's authentication method.
const OVER_TCP: &str = "how=Dialback";
const OVER_TLS: &str = "how=DialbackWithTLS";
const EXTERNAL: &str = "how=SaslExternal";

/// Error text for a partner that supports only dialback, with the profile that does not use it.
const NO_DIALBACK: &str = "and dialback is not used because `peers[].authentication.dialback` is Disabled (from profile Strict)";

fn profile(name: &str) -> Value {
    json!({"profile": name})
}

fn start(setup: &Setup) -> World {
    World::start(engine(), setup).unwrap()
}

fn world(wire: Wire, settings: Value) -> World {
    start(&Setup::new(wire, settings))
}

/// The next stanza with that name; the engine's own pings of the backend come in between.
fn next(server: &Server, name: &str) -> Element {
    server
        .wait("a stanza", |event| match event {
            Event::Stanza { stanza, .. } if stanza.name == name => Some(stanza),
            _ => None,
        })
        .unwrap()
}

fn body(message: &Element) -> &str {
    &message.child(SERVER, "body").unwrap().text
}

/// The lines of the engine's log in which a stream with the partner was authorised.
fn authorised(world: &World) -> Vec<String> {
    let log = world.engine.log();
    let ours = |line: &&str| line.contains("stream authorised") && line.contains(PARTNER);
    log.lines().filter(|line| line.contains("Outer")).filter(ours).map(str::to_owned).collect()
}

/// A message in each direction, on streams that were authenticated in this way.
fn both_ways(world: &World, how: &str) {
    let mut inbound = world.partner.stream_to(LOCAL).unwrap();
    inbound.send(TO_LOCAL).unwrap();
    let message = next(&world.backend, "message");
    assert_eq!(body(&message), "Hi");
    assert_eq!(message.attribute("from"), Some("jdoe1@partner.example/r"));

    let mut outbound = world.stream_from_backend().unwrap();
    outbound.send(TO_PARTNER).unwrap();
    let message = next(&world.server, "message");
    assert_eq!(body(&message), "Ho");
    assert_eq!(message.attribute("from"), Some("cupuser1@local.example/b"));

    eventually("two streams in the log", &2, || Ok(authorised(world).len())).unwrap();
    for line in authorised(world) {
        assert!(line.split_whitespace().any(|word| word == how), "{line}");
    }
}

/// The bounce text of a message that does not reach the partner. The reason is the same in log, status and metrics, and
/// the partner's page contains it.
fn bounce(world: &World, page: &str, reason: &str) -> String {
    let row = |line: &&str| line.starts_with('|') && line.contains(&format!("`{reason}`"));
    assert!(page.lines().any(|line| row(&line)), "the page does not name {reason}");
    let mut outbound = world.stream_from_backend().unwrap();
    outbound.send(TO_PARTNER).unwrap();
    let bounce = next(&world.backend, "message");
    assert_eq!(bounce.attribute("type"), Some("error"), "{bounce}");
    assert_eq!(bounce.attribute("from"), Some("jdoe1@partner.example"));
    assert_eq!(bounce.attribute("id"), Some("m2"));
    let logged = format!("reason=\"{reason}\"");
    until("the reason in the log", || world.engine.log().contains(&logged)).unwrap();
    let error = bounce.child(SERVER, "error").unwrap();
    error.child(STANZA_ERRORS, "text").unwrap().text.clone()
}

/// The stream error that ends the partner's own attempt.
fn refused(world: &World) -> (String, String) {
    match world.partner.stream_to(LOCAL) {
        Err(PeerError::Stream { condition, text }) => (condition, text.unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

/// The answer to its dialback key ends the partner's own attempt.
fn key_is_refused(world: &World, text: &str) {
    match world.partner.stream_to(LOCAL) {
        Err(PeerError::Refused { answer }) => {
            assert!(answer.contains("policy-violation") && answer.contains(text), "{answer}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn simulated_google_talk_over_tcp_with_dialback_from_before_version_1_0() {
    let setup = Setup {
        records: Records::LastOfMany(&google_talk::TARGETS),
        ..Setup::new(google_talk::WIRE, profile("LegacyDialback"))
    };
    both_ways(&start(&setup), OVER_TCP);
}

#[test]
fn simulated_google_talk_is_found_by_the_service_name_of_its_time() {
    let setup = Setup {
        records: Records::Jabber,
        ..Setup::new(google_talk::WIRE, profile("LegacyDialback"))
    };
    both_ways(&start(&setup), OVER_TCP);
}

#[test]
fn simulated_google_talk_is_refused_where_tls_is_required() {
    let world = world(google_talk::WIRE, profile("Standards"));
    let text = bounce(&world, page::GOOGLE_TALK, "STARTTLSNotOffered");
    assert_eq!(text, "TLS is required here, and the peer does not offer STARTTLS");
    // The partner does not identify itself before its dialback key, so it gets the refusal only then.
    key_is_refused(&world, "TLS is required here");
}

#[test]
fn simulated_google_talk_says_in_its_own_words_that_it_has_the_domain_itself() {
    let setup = Setup {
        claim: Some(google_talk::CLAIM),
        ..Setup::new(google_talk::WIRE, profile("LegacyDialback"))
    };
    let text = bounce(&start(&setup), page::GOOGLE_TALK, "StreamError");
    let words = "\"local.example is a Google Apps Domain with Talk service enabled\"";
    assert_eq!(text, format!("the peer closed the stream with undefined-condition ({words})"));
}

#[test]
fn simulated_webex_messenger_with_encryption_and_no_client_certificate() {
    let world = world(webex_messenger::WIRE, profile("WebexMessenger"));
    both_ways(&world, OVER_TLS);
}

#[test]
fn simulated_webex_messenger_takes_a_self_signed_certificate() {
    let setup = Setup {
        certificate: Certificate::SelfSigned,
        ..Setup::new(webex_messenger::WIRE, profile("WebexMessenger"))
    };
    both_ways(&start(&setup), OVER_TLS);
}

#[test]
fn simulated_webex_messenger_has_nothing_that_a_strict_federation_accepts() {
    let world = world(webex_messenger::WIRE, profile("Strict"));
    let text = bounce(&world, page::WEBEX_MESSENGER, "NoAuthenticationMethod");
    assert_eq!(
        text,
        format!(
            "no authentication method is available: the peer does not offer SASL EXTERNAL (it may not \
             accept our certificate), {NO_DIALBACK}"
        )
    );
    let (condition, text) = refused(&world);
    assert_eq!(condition, "policy-violation");
    assert_eq!(
        text,
        "the certificate does not authenticate partner.example: no certificate was presented"
    );
}

#[test]
fn simulated_webex_messenger_that_has_the_domain_itself_denies_the_key_without_asking() {
    let setup = Setup {
        claim: Some(webex_messenger::CLAIM),
        ..Setup::new(webex_messenger::WIRE, profile("WebexMessenger"))
    };
    let text = bounce(&start(&setup), page::WEBEX_MESSENGER, "DialbackInvalidUnasked");
    let words =
        "the peer reports that our dialback key is invalid, and sent no db:verify request about it";
    assert!(text.starts_with(words), "{text}");
}

#[test]
fn simulated_hoster_that_answers_the_key_with_an_error_is_quoted() {
    let claim = Claim::Error { condition: "forbidden", text: "{} is provisioned here" };
    let setup = Setup {
        claim: Some(claim),
        ..Setup::new(webex_messenger::WIRE, profile("WebexMessenger"))
    };
    let text = bounce(&start(&setup), page::WEBEX_MESSENGER, "DialbackError");
    let words = "\"local.example is provisioned here\"";
    let expected = format!("the peer answered our dialback key with the error forbidden ({words})");
    assert_eq!(text, expected);
}

#[test]
fn simulated_webex_app_whose_people_always_look_away() {
    let world = world(webex_app::WIRE, profile("WebexApp"));
    both_ways(&world, OVER_TLS);
    let show = webex_app::SHOW;
    let mut inbound = world.partner.stream_to(LOCAL).unwrap();
    inbound
        .send(format!(
            "<presence from='jdoe1@partner.example/app' to='cupuser1@local.example'><show>{show}</show></presence>"
        ))
        .unwrap();
    let presence = next(&world.backend, "presence");
    assert_eq!(presence.child(SERVER, "show").unwrap().text, show);
}

#[test]
fn simulated_sametime_over_tls_with_external() {
    let world = world(sametime::OVER_TLS, profile("SametimeGateway"));
    both_ways(&world, EXTERNAL);
}

#[test]
fn simulated_sametime_without_tls_needs_more_than_its_preset() {
    let world = world(sametime::PLAIN, profile("SametimeGateway"));
    let text = bounce(&world, page::SAMETIME, "STARTTLSNotOffered");
    assert_eq!(text, "TLS is required here, and the peer does not offer STARTTLS");
    key_is_refused(&world, "TLS is required here");
}

#[test]
fn simulated_sametime_without_tls_over_tcp_with_dialback() {
    let settings = json!({
        "profile": "SametimeGateway",
        "tls": {"mode": "Disabled"},
        "authentication": {"external": {"inbound": false, "outbound": false}, "dialback": "Required"},
    });
    both_ways(&world(sametime::PLAIN, settings), OVER_TCP);
}

#[test]
fn simulated_sametime_refuses_a_certificate_that_it_was_not_given() {
    let setup = Setup {
        certificate: Certificate::SelfSigned,
        queue_seconds: Some(SHORTEST_QUEUE_SECONDS),
        ..Setup::new(sametime::OVER_TLS, profile("SametimeGateway"))
    };
    let text = bounce(&start(&setup), page::SAMETIME, "HandshakeFailed");
    let refused = "the TLS handshake failed: the peer refused our certificate for local.example (TLS alert UnknownCA)";
    assert_eq!(text, refused);
}

#[test]
fn simulated_sametime_connects_to_the_first_srv_record_alone() {
    let world = world(sametime::OVER_TLS, profile("SametimeGateway"));
    let ours = world.ground.outer;
    let closed = claim::port().unwrap();
    let host = format!("xmpp.{LOCAL}");
    for (ports, reached) in
        [(vec![ours], true), (vec![ours, closed], true), (vec![closed, ours], false)]
    {
        let mut zone = Zone::default().address(&host, Ipv4Addr::LOCALHOST).unwrap();
        for address in ports {
            zone = zone.server("_xmpp-server", LOCAL, &host, address.port()).unwrap();
        }
        let dns = Nameserver::start((Ipv4Addr::LOCALHOST, 0).into(), zone).unwrap();
        let first = sametime::first_server(dns.address(), LOCAL, DEADLINE).unwrap();
        let stream = world.partner.stream_at(first, LOCAL);
        assert_eq!(stream.is_ok(), reached, "{stream:?}");
    }
}

#[test]
fn simulated_cups_in_each_of_its_modes_with_one_preset() {
    both_ways(&world(cisco_imp::NO_TLS, profile("CiscoIMP")), OVER_TCP);
    both_ways(&world(cisco_imp::TLS_OPTIONAL, profile("CiscoIMP")), OVER_TLS);
    both_ways(&world(cisco_imp::TLS_REQUIRED, profile("CiscoIMP")), EXTERNAL);
}

#[test]
fn simulated_cups_without_tls_is_refused_where_tls_is_required() {
    let settings = json!({"profile": "CiscoIMP", "tls": {"mode": "Required"}});
    let world = world(cisco_imp::NO_TLS, settings);
    let text = bounce(&world, page::CISCO_IMP, "STARTTLSNotOffered");
    assert_eq!(text, "TLS is required here, and the peer does not offer STARTTLS");
    key_is_refused(&world, "TLS is required here");
}

#[test]
fn simulated_cups_that_requires_tls_is_not_reached_without() {
    let world = world(cisco_imp::TLS_REQUIRED, profile("LegacyDialback"));
    let text = bounce(&world, page::CISCO_IMP, "NoAuthenticationMethod");
    assert_eq!(
        text,
        "no authentication method is available: the peer requires TLS, and tls.mode is Disabled for it"
    );
    assert!(world.partner.stream_to(LOCAL).is_err());
}

#[test]
fn simulated_cups_with_old_tls_is_reached_without_only() {
    let setup = Setup {
        queue_seconds: Some(SHORTEST_QUEUE_SECONDS),
        ..Setup::new(cisco_imp::OLD_TLS, profile("CiscoIMP"))
    };
    let text = bounce(&start(&setup), page::CISCO_IMP, "HandshakeFailed");
    assert!(text.starts_with("the TLS handshake failed: "), "{text}");
    assert!(text.contains("ProtocolVersion"), "{text}");
    both_ways(&world(cisco_imp::OLD_TLS, profile("LegacyDialback")), OVER_TCP);
}

/// RFC 6120 §5.3.1: STARTTLS counts as required if it is the only announced feature.
#[test]
fn simulated_cups_that_announces_starttls_alone_is_not_reached_without() {
    let world = world(cisco_imp::TLS_OPTIONAL, profile("LegacyDialback"));
    let text = bounce(&world, page::CISCO_IMP, "NoAuthenticationMethod");
    assert_eq!(
        text,
        "no authentication method is available: the peer requires TLS, and tls.mode is Disabled for it"
    );
}

#[test]
fn simulated_expressway_always_by_dialback_and_with_any_certificate_of_our_name() {
    for certificate in [Certificate::Trusted, Certificate::SelfSigned] {
        let setup =
            Setup { certificate, ..Setup::new(expressway::WIRE, profile("CiscoExpressway")) };
        both_ways(&start(&setup), OVER_TLS);
    }
}

#[test]
fn simulated_expressway_wants_our_domain_in_our_certificate() {
    let setup = Setup {
        certificate: Certificate::OfAnotherDomain,
        ..Setup::new(expressway::WIRE, profile("CiscoExpressway"))
    };
    let world = start(&setup);
    let text = bounce(&world, page::EXPRESSWAY, "StreamError");
    assert_eq!(text, "the peer closed the stream with not-authorized");
    let refused = world.partner.stream_to(LOCAL);
    assert!(matches!(refused, Err(PeerError::Script(_))), "{refused:?}");
}

#[test]
fn simulated_expressway_closes_idle_streams_and_nothing_is_lost() {
    let world = world(expressway::WIRE, profile("CiscoExpressway"));
    let mut outbound = world.stream_from_backend().unwrap();
    for _ in 0..3 {
        outbound.send(TO_PARTNER).unwrap();
        assert_eq!(body(&next(&world.server, "message")), "Ho");
        world
            .server
            .wait("the end of an idle stream", |event| match event {
                Event::Ended { from: Some(_) } => Some(()),
                _ => None,
            })
            .unwrap();
    }
    eventually("each message on a stream of its own", &3, || Ok(authorised(&world).len())).unwrap();
    let fell = "the peer closed the stream without an error; it is opened again on demand";
    until("the end of the streams in the log", || world.engine.log().contains(fell)).unwrap();
    let log = world.engine.log();
    assert!(!log.contains("no stream:"), "{log}");
}

#[test]
fn simulated_expressway_has_nothing_that_a_strict_federation_accepts() {
    let world = world(expressway::WIRE, profile("Strict"));
    let text = bounce(&world, page::EXPRESSWAY, "NoAuthenticationMethod");
    assert!(text.ends_with(NO_DIALBACK), "{text}");
}

/// A word of the engine's evidence.
fn evidence_of(world: &World, path: &str) -> String {
    let roots = world.ground.authority.roots().unwrap();
    let all: Value = of_all(world.control.unwrap(), &roots).unwrap();
    all.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[test]
fn simulated_hosters_show_by_their_answers_whether_they_host_the_domain() {
    for (wire, name) in
        [(google_talk::WIRE, "LegacyDialback"), (webex_messenger::WIRE, "WebexMessenger")]
    {
        for (unknown, customers, expected) in [
            (Unknown::HostUnknown, vec![LOCAL.to_owned()], "Claimed"),
            (Unknown::HostUnknown, Vec::new(), "NotClaimed"),
            (Unknown::Greeted, vec![LOCAL.to_owned()], "Claimed"),
            (Unknown::Greeted, Vec::new(), "NotClaimed"),
        ] {
            let setup = Setup { customers, unknown, ..Setup::new(wire, profile(name)) };
            let world = start(&Setup { claim_check: true, ..setup });
            let seen = || Ok(evidence_of(&world, "/claims/0/outcome"));
            let context = format!("{name} {unknown:?}");
            eventually(&context, &expected.to_owned(), seen).unwrap();
        }
    }
}

#[test]
fn simulated_partner_answers_a_ping_over_its_own_stream() {
    let echo = json!({"profile": "WebexMessenger", "probe": {"to": "echo@partner.example"}});
    let setup = Setup { claim_check: true, ..Setup::new(webex_messenger::WIRE, echo) };
    let world = start(&setup);
    let ping = next(&world.server, "iq");
    assert_eq!(ping.attribute("to"), Some("echo@partner.example"));
    assert_eq!(ping.attribute("from"), Some("local.example/xfed-probe"));
    let id = ping.attribute("id").unwrap();
    let mut back = world.partner.stream_to(LOCAL).unwrap();
    back.send(format!(
        "<iq type='result' from='echo@partner.example' to='local.example/xfed-probe' id='{id}'/>"
    ))
    .unwrap();
    let seen = || Ok(evidence_of(&world, "/flows/0/outcome"));
    eventually("the outcome of the ping", &"Answered".to_owned(), seen).unwrap();
}
