//! XEP-0368 §3: Direct TLS.

use s2s_peer::error::PeerError;
use s2s_peer::namespace::TLS;
use s2s_peer::stream::Stream;

use crate::Check;
use crate::header::Header;
use crate::opened::Opened;
use crate::outcome::{Finding, ensure, not_applicable, violated};
use crate::outside::names;
use crate::target::Target;
use crate::tls::Client;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 22,
        section: "XEP-0368 §3",
        sentence: "STARTTLS is neither offered nor accepted inside Direct TLS",
        run: no_starttls_inside,
    },
    Check {
        id: 69,
        section: "XEP-0368 §3",
        sentence: "records of both services are one list, ordered by priority and weight",
        run: one_list,
    },
];

fn no_starttls_inside(target: &Target) -> Finding {
    let Some(address) = target.direct_tls else {
        return not_applicable("the target does not accept Direct TLS (--direct-tls)");
    };
    let client = Client::new(None, true)?;
    let stream = Stream::connect(address, target.timeout)?
        .secured_as_client(client.config, &target.domain)?;
    let mut opened = Opened::greet(stream, &Header { ..target.header() })?;
    ensure(opened.features.child(TLS, "starttls").is_none(), || opened.features.to_string())?;
    opened.stream.send(format!("<starttls xmlns='{TLS}'/>"))?;
    match opened.stream.element("a refusal of STARTTLS") {
        Ok(answer) => ensure(!answer.is(TLS, "proceed"), || answer.to_string()),
        Err(PeerError::Deadline { .. }) => violated("STARTTLS inside TLS was not answered"),
        Err(_) => Ok(()),
    }
}

fn one_list(target: &Target) -> Finding {
    let outside = target.resolved()?;
    let cases = [
        (names::STARTTLS_FIRST, &outside.starttls, &outside.direct),
        (names::DIRECT_FIRST, &outside.direct, &outside.starttls),
    ];
    for (name, better, worse) in cases {
        let domain = target.below(name);
        worse.clear();
        let _waiting = target.make_verify(&domain)?;
        let connection = target.accept_at(better);
        ensure(connection.is_ok() && worse.clear() == 0, || {
            format!("{domain}: the target tried the record of the lower priority first")
        })?;
    }
    Ok(())
}
