//! The accounts of people.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use harness::loopback::DEADLINE;
use s2s_peer::element::Element;
use s2s_peer::namespace::{CLIENT, STANZA_ERRORS};
use s2s_peer::stream::Stream;

use crate::error::{FlowError, Result};
use crate::side::{Connect, Register};

/// The password of every account.
pub(crate) const PASSWORD: &str = "only for this test";

/// Attempts to register an account: jabberd2 sometimes closes the stream of a client with an error of its own.
const ATTEMPTS: usize = 3;

/// Registers accounts as clients do (XEP-0077), in the clear: the tests are about the streams after it.
pub(crate) fn registration(connect: Connect, server: SocketAddr, domain: &str) -> Register {
    let domain = domain.to_owned();
    let known: Mutex<HashSet<String>> = Mutex::default();
    Arc::new(move |user: &str| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(user) {
            return Ok(());
        }
        let mut attempts = 1;
        let mut registered = register(&connect, server, &domain, user);
        while attempts < ATTEMPTS && matches!(registered, Err(FlowError::Xml(_))) {
            attempts += 1;
            registered = register(&connect, server, &domain, user);
        }
        // jabberd2 may have made the account before it closed the stream of an earlier attempt.
        if !registered? && attempts == 1 {
            let reason = "the account already exists".to_owned();
            return Err(FlowError::Client { who: format!("{user}@{domain}"), reason });
        }
        known.insert(user.to_owned());
        Ok(())
    })
}

/// Whether the account is new; another one of that name may exist (XEP-0077 §3.1.1).
fn register(connect: &Connect, server: SocketAddr, domain: &str, user: &str) -> Result<bool> {
    let tcp = connect(server).map_err(FlowError::io("connecting to", domain))?;
    let mut stream = Stream::accepted(tcp, DEADLINE)?;
    stream.send_header_in(CLIENT, "", domain, "")?;
    stream.header()?;
    stream.features()?;
    stream.send(format!(
        "<iq type='set' id='register' to='{domain}'><query xmlns='jabber:iq:register'><username>{user}</username><password>{PASSWORD}</password></query></iq>"
    ))?;
    let answer = stream.expect(CLIENT, "iq", "the answer to a registration")?;
    let is_conflict = |error: &Element| error.child(STANZA_ERRORS, "conflict").is_some();
    if answer.child(CLIENT, "error").is_some_and(is_conflict) {
        return Ok(false);
    }
    if answer.attribute("type") != Some("result") {
        let reason = format!("cannot register: {answer}");
        return Err(FlowError::Client { who: format!("{user}@{domain}"), reason });
    }
    Ok(true)
}
