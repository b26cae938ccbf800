//! RFC 6120 §8.3: stanza errors.

use crate::Check;
use crate::outcome::{Finding, ensure};
use crate::outside::names;
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[Check {
    id: 59,
    section: "RFC 6120 §8.3.1",
    sentence: "an error has the addresses swapped and the same id; an IQ request gets one, an error never does",
    run: errors,
}];

fn errors(target: &Target) -> Finding {
    target.resolved()?;
    let inside = target.inside()?;
    let (foreign, domain) = (target.below(names::REFUSED), &target.domain);
    let mut stream = inside.stream_to(&foreign)?;
    let addresses = format!("from='juliet@{domain}/b' to='romeo@{foreign}'");
    stream.send(format!(
        "<iq type='get' {addresses} id='s59a'><ping xmlns='urn:xmpp:ping'/></iq>\
         <message type='error' {addresses} id='s59b'><error type='cancel'/></message>\
         <message {addresses} id='s59c'><body>x</body></message>"
    ))?;
    for (name, id) in [("iq", "s59a"), ("message", "s59c")] {
        let error = inside.received("s59")?;
        let good = error.name == name
            && error.attribute("id") == Some(id)
            && error.attribute("type") == Some("error")
            && error.attribute("from") == Some(&format!("romeo@{foreign}"))
            && error.attribute("to") == Some(&format!("juliet@{domain}/b"));
        ensure(good, || format!("expected the error for {id}, received: {error}"))?;
    }
    Ok(())
}
