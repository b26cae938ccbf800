//! The engine's questions to its backends, and the stanzas that answer them. A backend answers on its own stream to the
//! probe domain, like a ping.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use s2s_proto::pair::Pair;
use s2s_proto::stream::StreamId;
use s2s_proto::xml::Element;
use tokio::sync::oneshot;

use crate::Domain;

/// A question without an answer yet.
struct Open {
    /// The domain that was asked.
    domain: Domain,
    answer: oneshot::Sender<Element>,
}

/// The questions without an answer yet, by their `id`.
#[derive(Default)]
pub(crate) struct Questions(Mutex<HashMap<String, Open>>);

impl Questions {
    /// Opens a question to this domain; its `id` must be sent.
    pub(crate) fn ask(&self, domain: &Domain) -> Question<'_> {
        let id = StreamId::new(rand::random()).to_string();
        let (sender, answer) = oneshot::channel();
        self.open().insert(id.clone(), Open { domain: domain.clone(), answer: sender });
        Question { questions: self, id, answer }
    }

    /// Whether the stanza answers an open question. Only the domain itself can answer, not one of its users.
    pub(super) fn answered(&self, stanza: &Element, pair: &Pair) -> bool {
        let is_answer = matches!(stanza.type_().as_deref(), Some("result" | "error"));
        let is_of_domain = stanza.from().is_some_and(|from| !from.contains(['@', '/']));
        let Some(id) = stanza.id().filter(|_| is_answer && is_of_domain) else { return false };
        let mut open = self.open();
        if open.get(&*id).is_none_or(|question| question.domain != pair.from) {
            return false;
        }
        let question = open.remove(&*id);
        drop(open);
        // The task that asked may have given up.
        question.is_some_and(|question| question.answer.send(stanza.clone()).is_ok())
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open question. Dropping it closes it.
pub(crate) struct Question<'a> {
    questions: &'a Questions,
    /// The `id` of its stanza.
    pub(crate) id: String,
    answer: oneshot::Receiver<Element>,
}

impl Question<'_> {
    /// Waits for the answer.
    pub(crate) async fn answer(mut self) -> Option<Element> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.questions.open().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::testing::pair;

    fn answer(from: &str, id: &str, kind: &str) -> Element {
        let iq = format!(
            "<iq type='{kind}' from='{from}' to='xfed-probe.xmpp.local.example' id='{id}'/>"
        );
        Element::parse(iq.as_bytes()).unwrap()
    }

    #[test]
    fn only_the_domain_that_was_asked_answers_and_only_once() {
        let questions = Questions::default();
        let of_local = pair("local.example", "xfed-probe.xmpp.local.example");
        let of_rooms = pair("rooms.example", "xfed-probe.xmpp.local.example");
        let question = questions.ask(&of_local.from);
        let id = question.id.clone();
        for (stanza, pair) in [
            (answer("rooms.example", &id, "result"), &of_rooms),
            (answer("user@local.example", &id, "result"), &of_local),
            (answer("local.example/r", &id, "result"), &of_local),
            (answer("local.example", &id, "get"), &of_local),
            (answer("local.example", "another", "result"), &of_local),
        ] {
            assert!(!questions.answered(&stanza, pair), "{stanza:?}");
        }
        assert!(questions.answered(&answer("local.example", &id, "result"), &of_local));
        assert!(!questions.answered(&answer("local.example", &id, "result"), &of_local));
        drop(question);
        let given_up = questions.ask(&of_local.from).id.clone();
        assert!(!questions.answered(&answer("local.example", &given_up, "error"), &of_local));
        assert!(questions.open().is_empty());
    }
}
