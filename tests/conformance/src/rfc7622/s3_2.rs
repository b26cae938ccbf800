//! RFC 7622 §3.2: domains.

use crate::Check;
use crate::ending::{Ending, expect_error};
use crate::header::Header;
use crate::outcome::{Finding, Obstacle, ensure};
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[Check {
    id: 71,
    section: "RFC 7622 §3.2",
    sentence: "domains are compared after removing one trailing dot and mapping case and width; a \
               resource begins at the first '/'; 1024 octets are not a domain",
    run: comparison,
}];

fn comparison(target: &Target) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    let upper = domain.to_uppercase();
    let dotted = format!("{domain}.");
    let wide: String = domain
        .chars()
        .map(|c| match c {
            // U+FF41 to U+FF5A, FULLWIDTH LATIN SMALL LETTER A to Z.
            'a'..='z' => char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c),
            other => other,
        })
        .collect();
    for to in [&upper, &dotted, &wide] {
        target.clear(&Header { to: Some(to), ..target.header() }).map_err(|obstacle| {
            Obstacle::Violated(format!("the domain written as {to:?}: {obstacle}"))
        })?;
    }
    let mut stream = target.authenticated()?;
    for to in [format!("juliet@{upper}"), format!("juliet@{dotted}/a@b/c")] {
        stream.send(format!(
            "<message from='romeo@{peer}/x@y' to='{to}' id='s71'><body/></message>"
        ))?;
    }
    stream.send("</stream:stream>")?;
    let ending = Ending::of(&mut stream)?;
    ensure(ending.error.is_none(), || {
        format!("stanzas to other spellings of the domain: {}", ending.seen())
    })?;
    if let Some(inside) = &target.inside {
        inside.received("s71")?;
        inside.received("s71")?;
    }
    let long = ["a".repeat(63).as_str(); 16].join(".") + "aaaaaaaaa";
    let mut stream = target.connect()?;
    stream.send(Header { to: Some(&long), ..target.header() }.to_string())?;
    expect_error(&mut stream, &["host-unknown", "improper-addressing", "policy-violation"])
}
