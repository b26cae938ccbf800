//! RFC 6120 §4.6: peers that stop responding.

use s2s_peer::stream::Item;

use crate::Check;
use crate::ending::Ending;
use crate::outcome::{Finding, ensure, violated};
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[Check {
    id: 64,
    section: "RFC 6120 §4.6.3, §4.9.3.4",
    sentence: "an idle peer is left alone or its stream closed without an error",
    run: idle,
}];

fn idle(target: &Target) -> Finding {
    let mut stream = target.authenticated()?;
    if target.closes_idle {
        let ending = Ending::of(&mut stream)?;
        return ensure(ending.error.is_none() && ending.elements.is_empty(), || ending.seen());
    }
    match stream.receive("nothing") {
        Ok(Item::Element(element)) => {
            violated(format!("received within {:?}: {element}", target.timeout))
        }
        // The target kept the stream open all the time, or closed it without an error.
        Ok(_) | Err(_) => Ok(()),
    }
}
