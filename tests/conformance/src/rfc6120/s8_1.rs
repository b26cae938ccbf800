//! RFC 6120 §8.1: addresses of stanzas.

use crate::Check;
use crate::ending::expect_error;
use crate::outcome::{Finding, Obstacle};
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 52,
        section: "RFC 6120 §8.1.1.2, §8.1.2.2, §4.9.3.7",
        sentence: "a stanza whose 'to' or 'from' is missing, empty or not an address is answered with improper-addressing",
        run: improper_addresses,
    },
    Check {
        id: 53,
        section: "RFC 6120 §8.1.2.2",
        sentence: "a stanza from a domain that is not authenticated is answered with invalid-from",
        run: not_authenticated,
    },
    Check {
        id: 54,
        section: "RFC 6120 §8.1.1.2, §10.4",
        sentence: "a stanza to a domain that the server does not host is answered with host-unknown, never relayed",
        run: not_served,
    },
];

/// Sends a message with these attributes on a valid stream.
fn refused(target: &Target, attributes: &str, condition: &str) -> Finding {
    let mut stream = target.authenticated()?;
    stream.send(format!("<message {attributes}><body>x</body></message>"))?;
    expect_error(&mut stream, &[condition]).map_err(|obstacle| match obstacle {
        Obstacle::Violated(seen) => Obstacle::Violated(format!("{attributes}: {seen}")),
        other @ Obstacle::NotApplicable(_) => other,
    })
}

fn improper_addresses(target: &Target) -> Finding {
    let from = format!("from='romeo@{}'", target.peer);
    let to = format!("to='juliet@{}'", target.domain);
    for attributes in [
        from.clone(),
        to.clone(),
        format!("{from} to=''"),
        format!("{from} to='juliet@'"),
        format!("{from} to='@{}'", target.domain),
        format!("{to} from=''"),
        format!("{to} from='@{}'", target.peer),
    ] {
        refused(target, &attributes, "improper-addressing")?;
    }
    Ok(())
}

fn not_authenticated(target: &Target) -> Finding {
    let to = format!("to='juliet@{}'", target.domain);
    for from in [target.below("other"), "other.invalid".to_owned()] {
        refused(target, &format!("{to} from='romeo@{from}'"), "invalid-from")?;
    }
    Ok(())
}

fn not_served(target: &Target) -> Finding {
    let from = format!("from='romeo@{}'", target.peer);
    refused(target, &format!("{from} to='juliet@nowhere.invalid'"), "host-unknown")
}
