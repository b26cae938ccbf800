//! What the answers of a partner mean. Pure.

use crds::xmpp::{StanzaCondition, StreamCondition};
use s2s_proto::dialback::KeyVerdict;
use s2s_proto::reason::Failure;

use crate::Domain;
use crate::observe::evidence::ClaimOutcome;

/// The answer to one question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// A stream header, with this `from`, and no error.
    Greeted { from: Option<String> },
    /// The partner does not host the domain; in its own words.
    NotHosted(String),
    /// It considers itself authoritative for the domain.
    Authoritative,
    /// Another error; in its own words.
    Refused(String),
    /// No answer.
    Failed(String),
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::StreamError {
                condition: StreamCondition::HostUnknown | StreamCondition::HostGone,
                ..
            } => Self::NotHosted(failure.to_string()),
            Failure::StreamError { .. } => Self::Refused(failure.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<KeyVerdict> for Answer {
    fn from(verdict: KeyVerdict) -> Self {
        match verdict {
            // `valid`, for a random key, is no better.
            KeyVerdict::Invalid | KeyVerdict::Valid => Self::Authoritative,
            KeyVerdict::Error { condition: StanzaCondition::ItemNotFound, text, .. } => {
                Self::NotHosted(format!("item-not-found {text}").trim_end().to_owned())
            }
            KeyVerdict::Error { condition, text, .. } => {
                Self::Refused(format!("{condition} {text}").trim_end().to_owned())
            }
        }
    }
}

/// All answers about one domain.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    /// A stream for the control domain.
    pub(crate) control: Answer,
    /// A stream for the local domain.
    pub(crate) local: Answer,
    /// Keys of the control domain and of the local one; asked if the partner greets both.
    pub(crate) keys: Option<(Answer, Answer)>,
}

/// Whether the partner claims the domain, and the evidence.
pub(crate) fn decide(local: &Domain, answers: &Answers) -> (ClaimOutcome, String) {
    match (&answers.local, &answers.control, &answers.keys) {
        (Answer::NotHosted(words), ..) => (ClaimOutcome::NotClaimed, words.clone()),
        (Answer::Failed(why), ..) | (_, Answer::Failed(why), _) => {
            (ClaimOutcome::Unreachable, why.clone())
        }
        (Answer::Greeted { from }, Answer::NotHosted(words), _) => {
            let from = from.as_deref().unwrap_or_default();
            let detail = format!(
                "it accepts a stream to {local} (from='{from}'), but not to a domain that nobody hosts ({words})"
            );
            (ClaimOutcome::Claimed, detail)
        }
        (Answer::Greeted { .. }, Answer::Greeted { .. }, Some((control, own))) => {
            by_keys(local, control, own)
        }
        (Answer::Refused(words), ..) if words.contains(local.as_str()) => {
            (ClaimOutcome::Claimed, words.clone())
        }
        (Answer::Refused(words), ..) | (_, Answer::Refused(words), _) => {
            (ClaimOutcome::Inconclusive, words.clone())
        }
        _ => (ClaimOutcome::Inconclusive, "it accepts a stream to any domain".to_owned()),
    }
}

fn by_keys(local: &Domain, control: &Answer, own: &Answer) -> (ClaimOutcome, String) {
    match (own, control) {
        (Answer::NotHosted(words), _) => (ClaimOutcome::NotClaimed, words.clone()),
        (Answer::Authoritative, Answer::NotHosted(words) | Answer::Refused(words)) => {
            let detail = format!(
                "it judges dialback keys of {local} as the authoritative server, but not those of a domain that nobody hosts ({words})"
            );
            (ClaimOutcome::Claimed, detail)
        }
        (Answer::Failed(why), _) | (_, Answer::Failed(why)) => {
            (ClaimOutcome::Unreachable, why.clone())
        }
        (Answer::Refused(words), _) => (ClaimOutcome::Inconclusive, words.clone()),
        _ => {
            let detail = "it accepts a stream to any domain, and judges the keys of any domain";
            (ClaimOutcome::Inconclusive, detail.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeted(from: &str) -> Answer {
        Answer::Greeted { from: Some(from.to_owned()) }
    }

    fn unknown() -> Answer {
        Answer::NotHosted("host-unknown".to_owned())
    }

    fn outcome(control: Answer, local: Answer, keys: Option<(Answer, Answer)>) -> ClaimOutcome {
        let domain = Domain::parse("example.com").unwrap();
        decide(&domain, &Answers { control, local, keys }).0
    }

    #[test]
    fn only_a_partner_that_makes_a_difference_claims_the_domain() {
        use ClaimOutcome::{Claimed, Inconclusive, NotClaimed, Unreachable};
        let failed = || Answer::Failed("refused".to_owned());
        let refused = |text: &str| Answer::Refused(text.to_owned());
        let (ours, any) = (|| greeted("example.com"), || greeted("partner.example"));
        for (control, local, keys, expected) in [
            (unknown(), unknown(), None, NotClaimed),
            (unknown(), ours(), None, Claimed),
            (unknown(), refused("example.com is a customer"), None, Claimed),
            (unknown(), refused("policy-violation"), None, Inconclusive),
            (failed(), ours(), None, Unreachable),
            (unknown(), failed(), None, Unreachable),
            (any(), any(), Some((unknown(), Answer::Authoritative)), Claimed),
            (any(), any(), Some((unknown(), unknown())), NotClaimed),
            (any(), any(), Some((Answer::Authoritative, Answer::Authoritative)), Inconclusive),
            (any(), any(), Some((unknown(), refused("policy-violation"))), Inconclusive),
            (any(), any(), Some((unknown(), failed())), Unreachable),
            (any(), unknown(), None, NotClaimed),
        ] {
            let label = format!("{control:?} {local:?} {keys:?}");
            assert_eq!(outcome(control, local, keys), expected, "{label}");
        }
    }
}
