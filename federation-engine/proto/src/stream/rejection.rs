//! Refusals of a peer, for the evidence: the end of a stream without an authenticated pair, or the answer to a dialback
//! request.

use crds::word::Word;

use super::error::StreamError;
use crate::Domain;
use crate::dialback::KeyVerdict;
use crate::pair::Pair;

/// A claim that we did not accept. Nothing in it is authenticated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejection {
    /// The domain that the peer claims.
    pub from: Option<Domain>,
    /// The domain that it addressed; not necessarily a domain of this side.
    pub to: Option<Domain>,
    /// The stable word for the reason.
    pub reason: Word,
    /// The true cause.
    pub text: String,
    /// The stream closes with an error.
    pub ends: bool,
}

impl Rejection {
    /// The stream closes with this error.
    pub fn of_stream(named: &Named, error: &StreamError) -> Self {
        let Named { from, to } = named.clone();
        let text = error.cause.clone().unwrap_or_else(|| error.text.clone());
        Self { from, to, reason: error.reason.clone(), text, ends: true }
    }

    /// The answer to a dialback request; none when it was accepted.
    pub(crate) fn of_pair(pair: &Pair, reason: Option<Word>, answer: &KeyVerdict) -> Option<Self> {
        let (label, text) = match answer {
            KeyVerdict::Valid => return None,
            KeyVerdict::Invalid => {
                let text = "the authoritative server reports that the dialback key is invalid";
                (Word::DialbackInvalid, text.to_owned())
            }
            KeyVerdict::Error { cause: Some(cause), .. } => (Word::DialbackError, cause.clone()),
            KeyVerdict::Error { condition, text, .. } if text.is_empty() => {
                (Word::DialbackError, format!("the dialback key was not verified: {condition}"))
            }
            KeyVerdict::Error { text, .. } => (Word::DialbackError, text.clone()),
        };
        let (from, to) = (Some(pair.from.clone()), Some(pair.to.clone()));
        Some(Self { from, to, reason: reason.unwrap_or(label), text, ends: false })
    }
}

/// The domains in the last header.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// The domain that the peer claims.
    pub from: Option<Domain>,
    /// The domain that it addressed, served here or not.
    pub to: Option<Domain>,
}
