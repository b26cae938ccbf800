//! RFC 6120 §5.4: the process of STARTTLS.

use s2s_peer::namespace::TLS;
use s2s_peer::tls::covers;
use s2s_peer::transport::Transport;
use s2s_peer::unverified::server_that_takes_any;

use crate::Check;
use crate::dialled::Dialled;
use crate::ending::{Ending, rest};
use crate::header::Header;
use crate::outcome::{Finding, ensure, violated};
use crate::outside::names;
use crate::target::{DIALBACK_FEATURES, Target};
use crate::tls::Client;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 18,
        section: "RFC 6120 §5.4.2, §5.4.3.2",
        sentence: "TLS starts at the end of <proceed/>; a failed handshake closes TCP without \
                   </stream:stream>, and <failure/> closes the stream",
        run: failures,
    },
    Check {
        id: 19,
        section: "RFC 6120 §5.4.3.1, RFC 7590 §3.5, XEP-0368 §3",
        sentence: "the presented certificate is that of the domain in 'to', whatever the server name; \
                   with Direct TLS a server name is sent",
        run: certificate_of_the_domain,
    },
    Check {
        id: 20,
        section: "RFC 6120 §5.4.3.1",
        sentence: "the receiving server asks for a client certificate",
        run: client_certificate,
    },
    Check {
        id: 21,
        section: "RFC 6120 §5.4.3.3",
        sentence: "after TLS there is a new header with a new id, and features without STARTTLS",
        run: everything_is_new,
    },
];

fn failures(target: &Target) -> Finding {
    let mut stream = target.proceeding(&target.header())?;
    stream.send("this is not a TLS handshake, and neither is the following data")?;
    let (said, _) = rest(&mut stream)?;
    ensure(!said.contains("stream"), || format!("a failed handshake was answered with {said:?}"))?;
    if target.outside.is_none() {
        return Ok(());
    }
    let _waiting = target.make_verify(&target.peer)?;
    let starttls = format!("<starttls xmlns='{TLS}'><required/></starttls>");
    let mut stream = Dialled::greet(target.accept()?, &starttls)?.stream;
    stream.expect(TLS, "starttls", "STARTTLS")?;
    stream.send(format!("<failure xmlns='{TLS}'/></stream:stream>"))?;
    let ending = Ending::of(&mut stream)?;
    ensure(ending.elements.is_empty(), || format!("<failure/> was answered with {}", ending.seen()))
}

fn certificate_of_the_domain(target: &Target) -> Finding {
    let domains = [Some(&target.domain), target.second_domain.as_ref()];
    for domain in domains.into_iter().flatten() {
        let stream = target.proceeding(&Header { to: Some(domain), ..target.header() })?;
        let config = Client::new(None, false)?.config;
        let mut stream = stream.secured_as_client(config, "other.invalid")?;
        let leaf = stream.transport().peer_certificate();
        ensure(leaf.is_some_and(|leaf| covers(leaf, domain)), || {
            format!("the presented certificate is not for {domain}")
        })?;
    }
    let Some(outside) = target.outside.as_ref().filter(|outside| outside.resolver().is_some())
    else {
        return Ok(());
    };
    let direct = target.below(names::DIRECT);
    let _waiting = target.make_verify(&direct)?;
    let mut stream = target.accept_at(&outside.direct)?;
    ensure(stream.begins_with_tls()?, || "Direct TLS did not begin with TLS".to_owned())?;
    let identity = target.identity(&[&direct])?;
    let mut stream = stream.secured_as_server(server_that_takes_any(&identity)?)?;
    let Transport::Server(session) = stream.transport() else {
        return violated("the stream is not encrypted");
    };
    let name = session.conn.server_name().map(str::to_owned);
    ensure(name.as_deref() == Some(&direct), || format!("the server name was {name:?}"))?;
    Dialled::greet(stream, DIALBACK_FEATURES).map(drop)
}

fn client_certificate(target: &Target) -> Finding {
    let stream = target.proceeding(&target.header())?;
    let client = Client::new(None, false)?;
    stream.secured_as_client(client.config.clone(), &target.domain)?;
    ensure(client.was_asked(), || "it did not".to_owned())
}

fn everything_is_new(target: &Target) -> Finding {
    let before = target.clear(&target.header())?;
    let after = target.certified()?;
    ensure(before.id() != after.id(), || format!("the id is still {} after TLS", after.id()))?;
    ensure(after.features.child(TLS, "starttls").is_none(), || after.features.to_string())
}
