//! The accounts of people.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use harness::loopback::DEADLINE;
use s2s_peer::namespace::CLIENT;
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
        let mut registered = register(&connect, server, &domain, user);
        for _ in 1..ATTEMPTS {
            if !matches!(registered, Err(FlowError::Xml(_))) {
                break;
            }
            registered = register(&connect, server, &domain, user);
        }
        registered?;
        known.insert(user.to_owned());
        Ok(())
    })
}

fn register(connect: &Connect, server: SocketAddr, domain: &str, user: &str) -> Result<()> {
    let tcp = connect(server).map_err(FlowError::io("connecting to", domain))?;
    let mut stream = Stream::accepted(tcp, DEADLINE)?;
    stream.send_header_in(CLIENT, "", domain, "")?;
    stream.header()?;
    stream.features()?;
    stream.send(format!(
        "<iq type='set' id='register' to='{domain}'><query xmlns='jabber:iq:register'><username>{user}</username><password>{PASSWORD}</password></query></iq>"
    ))?;
    let answer = stream.expect(CLIENT, "iq", "the answer to a registration")?;
    if answer.attribute("type") != Some("result") {
        let reason = format!("cannot register: {answer}");
        return Err(FlowError::Client { who: format!("{user}@{domain}"), reason });
    }
    Ok(())
}
