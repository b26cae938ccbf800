//! The authoritative server's answer to `db:verify` (XEP-0220 §2.2.2). It keeps no state: the shared secret
//! authenticates a key, so any replica can answer for any stream.

use crds::peer::TlsMode;
use crds::xmpp::StanzaCondition;

use super::KeyVerdict;
use super::steps::DialbackElement;
use crate::pair::Pair;
use crate::stream::{Action, Out, Surroundings};

/// A `db:verify` request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// Receiving domain (which sent the request), and the domain whose key it is.
    pub pair: &'a Pair,
    /// ID of the stream on which the key was presented.
    pub id: &'a str,
    /// The key.
    pub key: &'a str,
    /// The request came over TLS.
    pub encrypted: bool,
}

/// Answers it on the same stream.
pub(crate) fn reply(question: &Question<'_>, around: &dyn Surroundings, out: &mut Out) {
    let pair = question.pair.reversed();
    let (answer, id) = (answer(question, around), question.id.to_owned());
    let reported = answer.clone();
    DialbackElement::VerifyAnswer { pair: pair.clone(), id: id.clone(), answer: reported }
        .write(out);
    out.act(Action::KeyAnswered { pair, id, answer });
}

/// The answer. The server that sends the request need not be authenticated (XEP-0220 §2.1.2).
pub(crate) fn answer(question: &Question<'_>, around: &dyn Surroundings) -> KeyVerdict {
    let Pair { from: receiving, to: originating } = question.pair;
    if !around.serves(originating) {
        return KeyVerdict::error(
            StanzaCondition::ItemNotFound,
            format!("{originating} is not served here"),
        );
    }
    if let Err(refusal) = around.admits(question.pair) {
        return KeyVerdict::error(StanzaCondition::PolicyViolation, refusal.to_string());
    }
    if around.peer(receiving).tls == TlsMode::Required && !question.encrypted {
        return KeyVerdict::error(
            StanzaCondition::PolicyViolation,
            "TLS is required here, for db:verify as well",
        );
    }
    if around.keys().key_is_ours(receiving, originating, question.id, question.key) {
        KeyVerdict::Valid
    } else {
        KeyVerdict::Invalid
    }
}
