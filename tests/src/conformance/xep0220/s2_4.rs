//! XEP-0220 §2.4: advertising dialback.

use std::io::Read as _;

use crate::conformance::Check;
use crate::conformance::outcome::{Finding, ensure, violated};
use crate::conformance::target::Target;
use crate::peer::error::PeerError;
use crate::peer::namespace::{DIALBACK, DIALBACK_FEATURE};

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
        sentence: "dialback is advertised with <errors/>",
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
        stream.expect(DIALBACK, "verify", "the verification of a dialback key")?;
    }
    Ok(())
}

fn feature(target: &Target) -> Finding {
    let features = target.encrypted(&target.header(), None)?.features;
    let errors = features
        .child(DIALBACK_FEATURE, "dialback")
        .is_some_and(|dialback| dialback.child(DIALBACK_FEATURE, "errors").is_some());
    ensure(errors, || features.to_string())
}
