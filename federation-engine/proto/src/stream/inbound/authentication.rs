//! How a peer authenticates a pair to the receiving entity: SASL EXTERNAL (XEP-0178 §3) and Server Dialback (XEP-0220
//! §2.2).

use std::time::Instant;

use crds::peer::{TlsMode, Verification};
use crds::rules::KeyConfirmation;
use crds::word::Word;
use crds::xmpp::{SaslCondition, StanzaCondition, StreamCondition};

use super::{Inbound, Opened};
use crate::clock;
use crate::dialback::KeyVerdict;
use crate::dialback::authority::{self, Question};
use crate::dialback::receiving::NotTaken;
use crate::dialback::steps::{DialbackElement, NotAStep};
use crate::pair::Pair;
use crate::reason::{Refusal, Setting};
use crate::stream::error::StreamError;
use crate::stream::rejection::{Named, Rejection};
use crate::stream::sasl::{self, MAX_ATTEMPTS};
use crate::stream::{Action, Authentication, Out, StreamId, Surroundings};
use crate::xml::Element;

/// Maximum dialback requests on a stream without an authenticated pair. Each may cost a verification of the certificate
/// and of a key; a server that hosts many domains authenticates its first one before that.
const MAX_UNAUTHENTICATED_REQUESTS: u8 = 16;

impl Inbound {
    pub(super) fn on_sasl(&mut self, element: &Element, around: &dyn Surroundings, out: &mut Out) {
        let (Some(opened), Ok(node)) = (&self.opened, element.tree()) else { return self.end(out) };
        if opened.from.as_ref().is_some_and(|from| self.authenticated.has_peer(from)) {
            let text = "the stream is already authenticated";
            return self.fail(
                &StreamError::new(StreamCondition::PolicyViolation, text),
                around,
                out,
            );
        }
        let (Some(from), Some(to)) = (&opened.from, &opened.to) else {
            return self.sasl_failure(&SaslCondition::InvalidMechanism, around, out);
        };
        match sasl::judge(&node, opened.offered.external, from) {
            Ok(()) => {
                if let Err(refusal) = around.delivers_to(to) {
                    return self.fail(&refusal.into(), around, out);
                }
                self.external = Some(Pair { from: from.clone(), to: to.clone() });
                out.put(sasl::SUCCESS);
                self.restart(out);
            }
            Err(condition) => self.sasl_failure(&condition, around, out),
        }
    }

    fn sasl_failure(
        &mut self,
        condition: &SaslCondition,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        sasl::write_failure(out, condition);
        self.failures += 1;
        if self.failures >= MAX_ATTEMPTS {
            let text = "too many failed authentication attempts";
            self.fail(&StreamError::new(StreamCondition::PolicyViolation, text), around, out);
        }
    }

    pub(super) fn on_dialback(
        &mut self,
        element: Element,
        now: Instant,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        match DialbackElement::read(&element) {
            Ok(DialbackElement::Result { pair, key }) => {
                self.on_result(pair, key, now, around, out);
            }
            Ok(DialbackElement::Verify { pair, id, key }) => {
                let encrypted = self.is_encrypted();
                let question = Question { pair: &pair, id: &id, key: &key, encrypted };
                self.questioned = true;
                authority::reply(&question, around, out);
            }
            // We send no requests on a stream that a peer opened, so every answer on it is forged (XEP-0220 §2.2). It
            // has no effect.
            Ok(DialbackElement::ResultAnswer { .. } | DialbackElement::VerifyAnswer { .. }) => {
                out.act(Action::Refused { element, refusal: Refusal::NotAuthorized });
            }
            Err(NotAStep::Addresses) => {
                let error = StreamError::at(&element, Refusal::ImproperAddressing);
                out.act(Action::Refused { element, refusal: Refusal::ImproperAddressing });
                self.fail(&error, around, out);
            }
            Err(NotAStep::Malformed) => {
                let error = StreamError::at(&element, Refusal::UnsupportedStanzaType);
                out.act(Action::Refused { element, refusal: Refusal::UnsupportedStanzaType });
                self.fail(&error, around, out);
            }
        }
    }

    fn on_result(
        &mut self,
        pair: Pair,
        key: String,
        now: Instant,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        if self.authenticated.contains(&pair) {
            return self.answer_result(&pair, KeyVerdict::Valid, None, out);
        }
        if self.authenticated.is_empty() {
            self.requests = self.requests.saturating_add(1);
            if self.requests > MAX_UNAUTHENTICATED_REQUESTS {
                let text = "too many dialback requests on a stream without an authenticated domain";
                let answer = KeyVerdict::error(StanzaCondition::ResourceConstraint, text);
                return self.answer_result(&pair, answer, Some(Word::TooManyVerifications), out);
            }
        }
        let Some(opened) = &self.opened else { return self.end(out) };
        let confirmed_by = match self.confirmed_by(opened, &pair, around) {
            Ok(confirmed_by) => confirmed_by,
            Err(objection) => {
                let Some(error) = objection.fatal else {
                    let reason = Some(objection.reason);
                    return self.answer_result(&pair, objection.answer, reason, out);
                };
                DialbackElement::ResultAnswer { pair: pair.reversed(), answer: objection.answer }
                    .write(out);
                // The request names both domains; a header from before version 1.0 does not.
                self.named = Named { from: Some(pair.from), to: Some(pair.to) };
                return self.fail(&(*error).because(objection.reason), around, out);
            }
        };
        let id = opened.id.clone();
        // The driver verifies some of them at once; the others wait for their turn.
        let cap = self.limits.pairs.saturating_sub(self.authenticated.len());
        match (
            self.pending.insert(&pair, clock::after(now, self.limits.dialback), cap),
            confirmed_by,
        ) {
            (Ok(()), ConfirmedBy::AuthoritativeServer) => {
                out.act(Action::Verify { pair, id, key });
            }
            (Ok(()), ConfirmedBy::Certificate) => {
                self.pending.remove(&pair);
                self.answer_result(&pair, KeyVerdict::Valid, None, out);
                self.authorized(&pair, Authentication::DialbackByCertificate, out);
            }
            // The first request will be answered; the peer would interpret a second answer as the answer to another
            // request.
            (Err(NotTaken::Duplicate), _) => {}
            (Err(NotTaken::TooMany), _) => {
                let text = NotTaken::TooMany.to_string();
                let answer = KeyVerdict::error(StanzaCondition::ResourceConstraint, text);
                self.answer_result(&pair, answer, Some(Word::TooManyVerifications), out);
            }
        }
    }

    /// How a key of the pair is confirmed.
    ///
    /// # Errors
    /// Why it is refused.
    fn confirmed_by(
        &self,
        opened: &Opened,
        pair: &Pair,
        around: &dyn Surroundings,
    ) -> Result<ConfirmedBy, EarlyAnswer> {
        if !around.serves(&pair.to) {
            let text = format!("{} is not served here", pair.to);
            return Err(EarlyAnswer::new(
                StanzaCondition::ItemNotFound,
                text,
                Refusal::HostUnknown.word(),
            ));
        }
        if let Err(refusal) = around.admits(pair) {
            let text = refusal.to_string();
            return Err(EarlyAnswer::new(StanzaCondition::PolicyViolation, text, refusal.word()));
        }
        if let Err(refusal) = around.delivers_to(&pair.to) {
            return Err(EarlyAnswer::new(
                StanzaCondition::RemoteConnectionFailed,
                refusal.to_string(),
                refusal.word(),
            ));
        }
        if let Err(refusal) = around.has_room(self.tls.as_ref(), &pair.from) {
            return Err(EarlyAnswer::new(
                StanzaCondition::ResourceConstraint,
                refusal.to_string(),
                refusal.word(),
            ));
        }
        let rules = around.peer(&pair.from);
        if rules.tls == TlsMode::Required && self.tls.is_none() {
            let objection = EarlyAnswer::new(
                StanzaCondition::PolicyViolation,
                "TLS is required here",
                Word::TlsRequired,
            );
            // Such a peer cannot retry with TLS on this stream.
            return Err(if opened.versioned { objection } else { objection.fatal() });
        }
        if let Some(setting) = Setting::against_dialback(rules, around.set_by(&pair.from)) {
            let text = "this domain must authenticate by SASL EXTERNAL";
            let cause = format!("dialback is not accepted because {setting}");
            let answer = KeyVerdict::error_of(StanzaCondition::PolicyViolation, text, cause);
            return Err(EarlyAnswer { answer, reason: Word::DialbackDisabled, fatal: None });
        }
        let required = rules.verification == Verification::Required;
        let by_certificate = rules.key_confirmation == KeyConfirmation::CertificateFirst;
        // For the sender of the key and at the time of the key (XEP-0344 §2.5), not for the stream's header.
        let verdict = match &self.tls {
            Some(chain) if required || by_certificate => around.judge(chain, &pair.from),
            _ => return Ok(ConfirmedBy::AuthoritativeServer),
        };
        match verdict {
            Ok(()) if by_certificate => Ok(ConfirmedBy::Certificate),
            Err(reason) if required => {
                let say = |reason| {
                    format!("the certificate does not authenticate {}: {reason}", pair.from)
                };
                let (text, cause) = (say(reason.remote_text()), say(reason.to_string()));
                let answer = KeyVerdict::error_of(StanzaCondition::PolicyViolation, text, cause);
                Err(EarlyAnswer { answer, reason: reason.word(), fatal: None }.fatal())
            }
            Ok(()) | Err(_) => Ok(ConfirmedBy::AuthoritativeServer),
        }
    }

    /// The result of [`Action::Verify`], with its pair and ID. An answer to a request that is not pending (any more),
    /// or that was about the stream before its last restart, has no effect.
    pub fn on_verification(
        &mut self,
        pair: &Pair,
        id: &StreamId,
        result: KeyVerdict,
        out: &mut Out,
    ) {
        let current = self.opened.as_ref().is_some_and(|opened| opened.id == *id);
        if !current || !self.pending.remove(pair) {
            return;
        }
        let valid = result == KeyVerdict::Valid;
        // XEP-0220 §2.2.1: the first pair's failure ends the stream, a further pair's does not.
        let ends = result == KeyVerdict::Invalid && self.authenticated.is_empty();
        let answer = match result {
            KeyVerdict::Invalid if !ends => KeyVerdict::error(
                StanzaCondition::Forbidden,
                "the authoritative server reports that the key is invalid",
            ),
            other => other,
        };
        self.answer_result(pair, answer, None, out);
        if valid {
            self.authorized(pair, Authentication::Dialback, out);
        } else if ends {
            out.put("</stream:stream>");
            self.end(out);
        }
    }

    /// Answers a dialback request; `reason` is more specific about a refusal than the answer.
    pub(super) fn answer_result(
        &mut self,
        pair: &Pair,
        answer: KeyVerdict,
        reason: Option<Word>,
        out: &mut Out,
    ) {
        if let Some(rejection) = Rejection::of_pair(pair, reason, &answer) {
            out.act(Action::Rejected(rejection.clone()));
            self.refused = Some(rejection);
        }
        DialbackElement::ResultAnswer { pair: pair.reversed(), answer }.write(out);
    }
}

/// How a dialback key is confirmed.
#[derive(Clone, Copy)]
enum ConfirmedBy {
    /// The authoritative server of the pair's `from` (XEP-0220 §2.2).
    AuthoritativeServer,
    /// The certificate of this stream, which authenticates the pair's `from` (XEP-0344 §2.4).
    Certificate,
}

/// An answer to the initiating server without querying the authoritative one.
struct EarlyAnswer {
    answer: KeyVerdict,
    /// The stable word for it.
    reason: Word,
    /// The stream closes with this error as well.
    fatal: Option<Box<StreamError>>,
}

impl EarlyAnswer {
    fn new(condition: StanzaCondition, text: impl Into<String>, reason: Word) -> Self {
        Self { answer: KeyVerdict::error(condition, text), reason, fatal: None }
    }

    fn fatal(self) -> Self {
        let (text, cause) = match &self.answer {
            KeyVerdict::Error { text, cause, .. } => (text.clone(), cause.clone()),
            KeyVerdict::Valid | KeyVerdict::Invalid => (String::new(), None),
        };
        let error = StreamError::new(StreamCondition::PolicyViolation, text);
        Self { fatal: Some(Box::new(StreamError { cause, ..error })), ..self }
    }
}
