//! The links at the end of messages: each leads to the section of docs/troubleshooting.md about its reason.

use crate::condition::{MAX_MESSAGE, bounded_sentence};
use crate::reason::ConditionReason;

/// Where the page is published. The links are in events, logs and tickets, so this never changes.
pub const TROUBLESHOOTING: &str = "https://xmppfederation.dev/troubleshooting";
/// Between the message and its link.
const SEE: &str = " See ";

/// The heading of a reason's section. All conditions share the section about waiting.
pub fn heading(reason: ConditionReason) -> String {
    match reason {
        ConditionReason::WaitingFor { .. } => "WaitingFor".to_owned(),
        _ => format!("{}: {reason}", reason.condition()),
    }
}

/// The fragment that leads to the heading, as GitHub and other renderers of Markdown make it.
pub fn anchor(reason: ConditionReason) -> String {
    heading(reason).to_ascii_lowercase().replace(": ", "-")
}

/// The link to the section.
pub fn link(reason: ConditionReason) -> String {
    format!("{TROUBLESHOOTING}#{}", anchor(reason))
}

/// The message as a sentence, with the link behind it. A long message is cut, and the link never is.
pub fn with_link(message: &str, reason: ConditionReason) -> String {
    let end = format!("{SEE}{}", link(reason));
    bounded_sentence(message, MAX_MESSAGE.saturating_sub(end.len())) + &end
}

/// The message without the link that [`with_link`] added.
pub fn without_link(message: &str) -> &str {
    match message.rsplit_once(SEE) {
        Some((text, link)) if link.starts_with(TROUBLESHOOTING) => text,
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::ConditionType;
    use crate::reason::SRVResolvesReason;

    #[test]
    fn a_link_survives_a_message_that_is_too_long_and_is_removed_again() {
        let reason = SRVResolvesReason::SRVNotFound.into();
        let link = "https://xmppfederation.dev/troubleshooting#srvresolves-srvnotfound";
        let short = with_link("no record", reason);
        assert_eq!(short, format!("No record. See {link}"));
        assert_eq!(without_link(&short), "No record.");
        let long = with_link(&"x".repeat(3000), reason);
        assert!(long.len() <= MAX_MESSAGE && long.ends_with(link), "{long}");
        assert_eq!(without_link("See it."), "See it.");
    }

    #[test]
    fn waiting_has_one_section() {
        let rung = ConditionType::HostResolves;
        let waiting = ConditionReason::WaitingFor { rung, on: ConditionType::AddressAssigned };
        assert_eq!(anchor(waiting), "waitingfor");
    }
}
