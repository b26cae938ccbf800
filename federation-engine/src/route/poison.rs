//! Stanzas on which a peer closes its streams. Such a stanza must not delay the stanzas after it for more than a
//! moment. Pure.
//!
//! An acknowledgement (XEP-0198) shows which stanzas the peer has accepted, but not on which one it closed the stream:
//! any unacknowledged stanza may be the cause. So the next stream sends these one by one, each when the one before is
//! confirmed. If the peer closes that stream as well, the cause is the one stanza that is in transit. Without
//! acknowledgements, TCP confirms, and what it has confirmed is gone. A stanza that the peer does not read to its end
//! is not confirmed, and is found the same way.

use crds::xmpp::{StanzaCondition, StreamCondition};
use s2s_proto::reason::{Failure, StanzaError};

use super::queue::Waiting;

/// What the end of a stream shows about the unconfirmed stanzas.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// No change.
    NotAtFault,
    /// One of them may be the cause; all are marked.
    OneOfThem,
    /// The oldest is the cause.
    TheOldest,
}

/// Maximum suspects that a stream sends one by one. Any further ones are innocent, because the cause is near the front.
const ONE_BY_ONE: usize = 16;

/// No server may refuse stanzas up to this size (RFC 6120 §13.12 item 4), and TLS delivers less than 16 KiB at once: if
/// TCP has not confirmed all of a smaller one, none of it was read.
const NEVER_TOO_LARGE: usize = 10_000;

/// Maximum suspects in transit at once, on a stream that has confirmed `cleared` of them. Each confirmed group doubles
/// the next one, so that a long queue does not take a round trip for each stanza.
pub(crate) fn group(cleared: usize) -> usize {
    cleared.saturating_sub(ONE_BY_ONE).saturating_add(1)
}

/// Judges the stanzas, oldest first, that were unconfirmed when a stream ended with `failure`. `managed`: the peer
/// acknowledged stanzas.
pub(crate) fn judge<'a>(
    failure: &Failure,
    managed: bool,
    mut unconfirmed: impl Iterator<Item = &'a mut Waiting>,
) -> Verdict {
    if !is_about_a_stanza(failure) {
        return Verdict::NotAtFault;
    }
    let Some(oldest) = unconfirmed.next() else { return Verdict::NotAtFault };
    let known = std::mem::replace(&mut oldest.suspect, true);
    let partly_read = !managed && oldest.stanza.len() > NEVER_TOO_LARGE;
    let mut alone = true;
    for other in unconfirmed {
        other.suspect = true;
        alone = false;
    }
    // Any stanza of a group may be the cause.
    let found = partly_read || (managed && alone);
    if known && found { Verdict::TheOldest } else { Verdict::OneOfThem }
}

/// Whether a peer closes streams like that because of the last data that it read, and not for reasons of its own or of
/// the two domains (RFC 6120 §4.9.3, and the name that RFC 3920 §4.7.3 gave to one of them).
fn is_about_a_stanza(failure: &Failure) -> bool {
    use StreamCondition as Condition;
    let Failure::StreamError { condition, .. } = failure else { return false };
    match condition {
        Condition::BadFormat
        | Condition::BadNamespacePrefix
        | Condition::ImproperAddressing
        | Condition::InternalServerError
        | Condition::InvalidFrom
        | Condition::InvalidNamespace
        | Condition::InvalidXml
        | Condition::NotWellFormed
        | Condition::PolicyViolation
        | Condition::RestrictedXml
        | Condition::UndefinedCondition
        | Condition::UnsupportedEncoding
        | Condition::UnsupportedStanzaType
        | Condition::XmlNotWellFormed => true,
        Condition::Conflict
        | Condition::ConnectionTimeout
        | Condition::HostGone
        | Condition::HostUnknown
        | Condition::InvalidId
        | Condition::NotAuthorized
        | Condition::RemoteConnectionFailed
        | Condition::Reset
        | Condition::ResourceConstraint
        | Condition::SeeOtherHost
        | Condition::SystemShutdown
        | Condition::UnsupportedFeature
        | Condition::UnsupportedVersion
        | Condition::Other(_) => false,
    }
}

/// The errors for the sender of a stanza on which the peer closed two streams with `failure`: for local users, and for
/// remote ones.
pub(crate) fn errors(failure: &Failure) -> (StanzaError, StanzaError) {
    let condition = match failure {
        Failure::StreamError { condition, .. } => match condition {
            StreamCondition::PolicyViolation => StanzaCondition::PolicyViolation,
            StreamCondition::ImproperAddressing | StreamCondition::InvalidFrom => {
                StanzaCondition::JidMalformed
            }
            StreamCondition::InternalServerError | StreamCondition::UndefinedCondition => {
                StanzaCondition::UndefinedCondition
            }
            _ => StanzaCondition::BadRequest,
        },
        _ => StanzaCondition::BadRequest,
    };
    let error = |text: String| StanzaError::new(condition.clone(), text);
    (
        error(format!("two streams closed when this stanza was sent: {failure}")),
        error("the server of this domain does not accept the stanza".to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;
    use crds::xmpp::ErrorType;

    use super::*;
    use crate::route::queue::Queue;

    fn ended(condition: &str) -> Failure {
        Failure::StreamError { condition: condition.into(), text: String::new() }
    }

    fn waiting(number: usize, size: usize) -> Vec<Waiting> {
        let mut queue = Queue::default();
        let mut waiting = Vec::new();
        for _ in 0..number {
            queue.push(Bytes::from(vec![b'x'; size]), Instant::now());
        }
        queue.take(usize::MAX, 1, &mut waiting);
        waiting
    }

    #[test]
    fn the_stanza_at_which_a_second_stream_ends_is_at_fault() {
        let mut unconfirmed = waiting(3, 10);
        let error = ended("not-well-formed");
        assert_eq!(judge(&error, true, unconfirmed.iter_mut()), Verdict::OneOfThem);
        assert!(unconfirmed.iter().all(|waiting| waiting.suspect));
        // The first was confirmed on the next stream, which ended at the second.
        assert_eq!(judge(&error, true, unconfirmed[1..2].iter_mut()), Verdict::TheOldest);
        // Of two stanzas in transit, either may be the cause.
        assert_eq!(judge(&error, true, unconfirmed[1..].iter_mut()), Verdict::OneOfThem);
    }

    #[test]
    fn without_acknowledgements_only_a_stanza_that_may_be_read_in_part_is_at_fault() {
        let error = ended("policy-violation");
        for (size, second) in
            [(NEVER_TOO_LARGE, Verdict::OneOfThem), (NEVER_TOO_LARGE + 1, Verdict::TheOldest)]
        {
            let mut unconfirmed = waiting(2, size);
            assert_eq!(judge(&error, false, unconfirmed.iter_mut()), Verdict::OneOfThem);
            assert_eq!(judge(&error, false, unconfirmed.iter_mut()), second, "{size}");
        }
    }

    #[test]
    fn a_long_queue_of_suspects_takes_few_round_trips() {
        let (mut cleared, mut trips) = (0, 0);
        while cleared < 4_096 {
            cleared += group(cleared);
            trips += 1;
            assert!(trips > ONE_BY_ONE || cleared == trips, "one by one");
        }
        assert_eq!(trips, ONE_BY_ONE + 12);
    }

    #[test]
    fn a_stream_that_ends_with_nothing_on_its_way_or_for_other_reasons_accuses_nobody() {
        let mut unconfirmed = waiting(2, 10);
        assert_eq!(judge(&ended("policy-violation"), true, [].into_iter()), Verdict::NotAtFault);
        for failure in [
            ended("system-shutdown"),
            ended("reset"),
            ended("connection-timeout"),
            ended("resource-constraint"),
            ended("host-unknown"),
            ended("not-authorized"),
            Failure::ConnectionLost("waiting for stanzas"),
        ] {
            for _ in 0..2 {
                let verdict = judge(&failure, true, unconfirmed.iter_mut());
                assert_eq!(verdict, Verdict::NotAtFault);
            }
        }
        assert!(unconfirmed.iter().all(|waiting| !waiting.suspect));
    }

    #[test]
    fn the_sender_hears_what_the_peer_said_and_a_stranger_does_not() {
        for (condition, kind, stanza_condition) in [
            ("policy-violation", ErrorType::Modify, "policy-violation"),
            ("not-well-formed", ErrorType::Modify, "bad-request"),
            ("internal-server-error", ErrorType::Cancel, "undefined-condition"),
        ] {
            let (ours, outside) = errors(&ended(condition));
            for error in [&ours, &outside] {
                assert_eq!((error.kind, error.condition.as_str()), (kind, stanza_condition));
            }
            assert!(ours.text.contains(condition), "{}", ours.text);
            assert!(!outside.text.contains("stream"), "{}", outside.text);
        }
    }
}
