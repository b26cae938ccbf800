//! XEP-0220 §2.4: advertising dialback.

use std::io::Read as _;

use s2s_peer::error::PeerError;
use s2s_peer::namespace::{DIALBACK, DIALBACK_FEATURE};

use crate::Check;
use crate::opened::Opened;
use crate::outcome::{Finding, ensure, violated};
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 37,
        section: "XEP-0220 §2, §2.4.1",
        sentence: "the header declares the prefix db; any prefix that is bound to the namespace is accepted",
        run: prefixes,
    },
    Check {
        id: 38,
        section: "XEP-0220 §2.4.2",
        sentence: "dialback is advertised, with <errors/> by servers that answer with errors",
        run: feature,
    },
];

fn prefixes(target: &Target) -> Finding {
    let mut stream = target.connect()?;
    stream.send(target.header().to_string())?;
    stream.transport().begin();
    let (mut header, mut byte) = (String::new(), [0]);
    while !header.contains("stream:stream") || !header.ends_with('>') {
        stream.transport().read_exact(&mut byte).map_err(PeerError::io("reading a header"))?;
        header.extend(byte.map(char::from));
        if header.len() > 4096 {
            return violated(format!("no header ends within 4096 bytes: {header}"));
        }
    }
    let declares = ["'", "\""]
        .iter()
        .any(|quote| header.contains(&format!("xmlns:db={quote}{DIALBACK}{quote}")));
    ensure(declares, || header.clone())?;

    let (peer, domain) = (&target.peer, &target.domain);
    for (prefix, declaration) in [("x:", "xmlns:x"), ("", "xmlns")] {
        let mut stream = target.encrypted(&target.header(), None)?.stream;
        stream.send(format!(
            "<{prefix}verify {declaration}='{DIALBACK}' from='{peer}' to='{domain}' id='s37'>no key</{prefix}verify>"
        ))?;
        let answer = stream.expect(DIALBACK, "verify", "the verification of a dialback key");
        ensure(answer.is_ok(), || {
            format!("<{prefix}verify {declaration}='{DIALBACK}'> was not answered: {answer:?}")
        })?;
    }
    Ok(())
}

fn feature(target: &Target) -> Finding {
    let Opened { mut stream, features, .. } = target.encrypted(&target.header(), None)?;
    let Some(dialback) = features.child(DIALBACK_FEATURE, "dialback") else {
        return violated(format!("dialback is not advertised: {features}"));
    };
    if dialback.child(DIALBACK_FEATURE, "errors").is_some() {
        return Ok(());
    }
    let peer = &target.peer;
    stream.send(format!(
        "<db:verify from='{peer}' to='nowhere.invalid' id='s38'>no key</db:verify>"
    ))?;
    let errors = stream.element("a dialback error, or the end of the stream").is_ok_and(|answer| {
        answer.namespace == DIALBACK && answer.attribute("type") == Some("error")
    });
    ensure(!errors, || {
        format!("the target answers with errors but does not advertise them: {features}")
    })
}
