//! The `db:verify` requests about our dialback keys that this replica received. If a peer reports that a key is
//! invalid, they show where to look for the cause. Pure, and bounded.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;

use super::{KeyInquiry, KeyVerdict};
use crate::pair::Pair;

/// Requests remembered of each kind. A peer answers our key within seconds of its request.
const MAX_INQUIRIES_PER_KIND: usize = 512;

/// Completes "the peer reports that our dialback key is invalid".
impl fmt::Display for KeyInquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSeen => {
                ", and sent no db:verify request about it to this replica. The peer probably queries another server: it hosts our domain itself (its administrator must release it), or the SRV records of our domain do not point here. With several replicas, it may have queried one whose dialback secret differs"
            }
            Self::Confirmed => {
                ", although this replica confirmed the key when the peer verified it. The fault is in the peer, or in a device between it and the engine"
            }
            Self::Denied => {
                ", and this replica did not recognise the key that the peer verified. The peer sent another key or stream ID, or the dialback secret changed twice within a short time"
            }
            Self::Refused => {
                ", and this replica answered the peer's db:verify request with an error. The peer sent it without TLS, which is required here, or the policy refuses the peer"
            }
        })
    }
}

impl From<&KeyVerdict> for KeyInquiry {
    fn from(answer: &KeyVerdict) -> Self {
        match answer {
            KeyVerdict::Valid => Self::Confirmed,
            KeyVerdict::Invalid => Self::Denied,
            KeyVerdict::Error { .. } => Self::Refused,
        }
    }
}

/// The latest requests. Any server can send requests about anything, and gets no confirmation for them: its requests
/// never displace the confirmed ones. Only digests are kept, so that no server determines their size.
#[derive(Debug, Default)]
pub struct Inquiries {
    digests: RandomState,
    confirmed: VecDeque<u64>,
    others: VecDeque<(u64, KeyInquiry)>,
}

impl Inquiries {
    /// A request about the key of `pair` (`from` is the domain whose key it is) on the stream of that ID was answered
    /// with this.
    pub fn note(&mut self, pair: &Pair, id: &str, answer: &KeyVerdict) {
        let digest = self.digests.hash_one((pair, id));
        match KeyInquiry::from(answer) {
            KeyInquiry::Confirmed => remember(&mut self.confirmed, digest),
            other => remember(&mut self.others, (digest, other)),
        }
    }

    /// The known result for that key; the latest answer other than a confirmation counts.
    pub fn of(&self, pair: &Pair, id: &str) -> KeyInquiry {
        let digest = self.digests.hash_one((pair, id));
        if self.confirmed.contains(&digest) {
            return KeyInquiry::Confirmed;
        }
        let other = self.others.iter().rev().find(|(known, _)| *known == digest);
        other.map_or(KeyInquiry::NotSeen, |(_, inquiry)| *inquiry)
    }
}

fn remember<T: PartialEq>(kept: &mut VecDeque<T>, new: T) {
    if kept.back() == Some(&new) {
        return;
    }
    if kept.len() >= MAX_INQUIRIES_PER_KIND {
        kept.pop_front();
    }
    kept.push_back(new);
}

#[cfg(test)]
mod tests {
    use crds::xmpp::StanzaCondition;

    use super::*;
    use crate::Domain;

    fn pair(to: &str) -> Pair {
        Pair { from: Domain::parse("us.example").unwrap(), to: Domain::parse(to).unwrap() }
    }

    #[test]
    fn a_question_is_known_by_pair_and_stream() {
        let mut inquiries = Inquiries::default();
        inquiries.note(&pair("them.example"), "s1", &KeyVerdict::Valid);
        inquiries.note(&pair("them.example"), "s2", &KeyVerdict::Invalid);
        inquiries.note(
            &pair("them.example"),
            "s3",
            &KeyVerdict::error(StanzaCondition::PolicyViolation, ""),
        );
        for (to, id, expected) in [
            ("them.example", "s1", KeyInquiry::Confirmed),
            ("them.example", "s2", KeyInquiry::Denied),
            ("them.example", "s3", KeyInquiry::Refused),
            ("them.example", "s4", KeyInquiry::NotSeen),
            ("other.example", "s1", KeyInquiry::NotSeen),
        ] {
            assert_eq!(inquiries.of(&pair(to), id), expected, "{to} {id}");
        }
    }

    #[test]
    fn the_memory_is_bounded_and_strangers_cannot_push_out_what_was_confirmed() {
        let mut inquiries = Inquiries::default();
        let them = pair("them.example");
        inquiries.note(&them, "ours", &KeyVerdict::Valid);
        for n in 0..2 * MAX_INQUIRIES_PER_KIND {
            inquiries.note(&them, &format!("stranger-{n}"), &KeyVerdict::Invalid);
        }
        assert_eq!(inquiries.of(&them, "ours"), KeyInquiry::Confirmed);
        assert_eq!(inquiries.of(&them, "stranger-0"), KeyInquiry::NotSeen);
        assert_eq!(inquiries.others.len(), MAX_INQUIRIES_PER_KIND);
        for n in 0..MAX_INQUIRIES_PER_KIND {
            inquiries.note(&them, &format!("later-{n}"), &KeyVerdict::Valid);
        }
        assert_eq!(inquiries.of(&them, "ours"), KeyInquiry::NotSeen);
        assert_eq!(inquiries.confirmed.len(), MAX_INQUIRIES_PER_KIND);
    }
}
