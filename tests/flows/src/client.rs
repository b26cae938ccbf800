//! A person's client: a real library, logged in on the client port. The library answers what every client answers by
//! itself (service discovery, version, ping, receipts). A flow sends stanzas of its own through it, and sees every
//! stanza that it receives.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use s2s_peer::element::Element;
use s2s_peer::namespace::CLIENT;
use s2s_peer::stream;
use serde_json::{Value, json};

use crate::driver::{Driver, Event};
use crate::error::{FlowError, Result};

/// Maximum time until a stanza arrives. Only a failing flow waits that long.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A person's client; it logs out when dropped.
#[derive(Debug)]
pub struct Client {
    driver: Arc<Driver>,
    number: u64,
    address: String,
    bare: String,
    events: Receiver<Event>,
    /// Stanzas that nothing has expected yet.
    kept: VecDeque<Element>,
    sent: u64,
}

impl Client {
    /// Logs in. `login` has the further fields of the command.
    pub(crate) fn log_in(driver: &Arc<Driver>, jid: &str, mut login: Value) -> Result<Self> {
        let (number, events) = driver.client();
        if let Some(login) = login.as_object_mut() {
            login.insert("do".to_owned(), json!("login"));
            login.insert("client".to_owned(), json!(number));
            login.insert("jid".to_owned(), json!(jid));
        }
        driver.tell(&login)?;
        let mut client = Self {
            driver: Arc::clone(driver),
            number,
            address: jid.to_owned(),
            bare: String::new(),
            events,
            kept: VecDeque::new(),
            sent: 0,
        };
        let deadline = Instant::now() + DEADLINE;
        loop {
            match client.next(deadline)? {
                Some(Event::Online { jid }) => {
                    jid.split('/').next().unwrap_or_default().clone_into(&mut client.bare);
                    client.address = jid;
                    return Ok(client);
                }
                Some(_) => {}
                None => return Err(client.missing("its login", None)),
            }
        }
    }

    /// The full address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The bare address.
    pub fn bare(&self) -> &str {
        &self.bare
    }

    /// Sends XML as it is.
    pub fn send(&mut self, xml: &str) -> Result<()> {
        self.driver.tell(&json!({"do": "send", "client": self.number, "xml": xml}))
    }

    /// Sends the library's own presence, with its capabilities (XEP-0115).
    pub fn present(&mut self) -> Result<()> {
        self.driver.tell(&json!({"do": "present", "client": self.number}))
    }

    /// Waits for a stanza. Others that arrived before it are kept for later calls, in their order.
    pub fn expect(&mut self, what: &str, mut is: impl FnMut(&Element) -> bool) -> Result<Element> {
        if let Some(place) = self.kept.iter().position(&mut is) {
            return self.kept.remove(place).ok_or_else(|| self.missing(what, None));
        }
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.next(deadline)? {
                Some(Event::Stanza { xml }) => {
                    let stanza = stream::parse(&xml)?;
                    if is(&stanza) {
                        return Ok(stanza);
                    }
                    self.kept.push_back(stanza);
                }
                Some(_) => {}
                None => return Err(self.missing(what, None)),
            }
        }
    }

    /// Sends a request (`get` or `set`) and waits for the result or the error.
    pub fn request(&mut self, to: &str, kind: &str, payload: &str) -> Result<Element> {
        let id = self.next_id("iq");
        // Without a receiver, the request is to the own account (RFC 6120 §8.1.1.1).
        let to = if to.is_empty() { String::new() } else { format!(" to='{to}'") };
        self.send(&format!("<iq type='{kind}' id='{id}'{to}>{payload}</iq>"))?;
        self.expect(&format!("the answer to {payload}"), |stanza| {
            stanza.is(CLIENT, "iq")
                && stanza.attribute("id") == Some(&id)
                && matches!(stanza.attribute("type"), Some("result" | "error"))
        })
    }

    /// All stanzas of this client's account that have arrived at `other` and were not expected there, up to a marker that
    /// is sent now. Stanzas between two accounts keep their order (RFC 6120 §10.1).
    pub fn fence(&mut self, other: &mut Client) -> Result<Vec<Element>> {
        let id = self.next_id("fence");
        self.send(&format!(
            "<message type='chat' id='{id}' to='{}'><body>fence</body></message>",
            other.address
        ))?;
        other.expect("the marker of a fence", |stanza| {
            stanza.is(CLIENT, "message") && stanza.attribute("id") == Some(&id)
        })?;
        let kept = std::mem::take(&mut other.kept);
        let ours = |stanza: &Element| {
            let from = stanza.attribute("from").unwrap_or_default();
            from.split('/').next() == Some(self.bare.as_str())
        };
        let (ours, others): (Vec<_>, Vec<_>) = kept.into_iter().partition(ours);
        other.kept = others.into();
        Ok(ours)
    }

    /// The number of stanzas of that kind that have arrived and were not expected.
    pub fn unexpected(&self, is: impl Fn(&Element) -> bool) -> usize {
        self.kept.iter().filter(|stanza| is(stanza)).count()
    }

    /// An id that this client has not used.
    pub fn next_id(&mut self, prefix: &str) -> String {
        self.sent += 1;
        format!("{prefix}-{}-{}", self.number, self.sent)
    }

    fn next(&self, deadline: Instant) -> Result<Option<Event>> {
        let left = deadline.saturating_duration_since(Instant::now());
        let lost = |reason: &str| FlowError::Client {
            who: self.address.clone(),
            reason: reason.to_owned(),
        };
        match self.events.recv_timeout(left) {
            Ok(Event::Failed { reason }) => Err(lost(&reason)),
            Ok(Event::Offline) => Err(lost("its connection has ended")),
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(lost("its program has ended")),
        }
    }

    fn missing(&self, what: &str, last: Option<&Element>) -> FlowError {
        let seen = self.kept.iter().chain(last).map(ToString::to_string).collect();
        FlowError::Missing { who: self.address.clone(), what: what.to_owned(), seen }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The program may have ended already.
        let _ = self.driver.tell(&json!({"do": "logout", "client": self.number}));
    }
}
