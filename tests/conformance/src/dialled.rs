//! A stream that the target opened to us.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use s2s_peer::authority::Identity;
use s2s_peer::element::Element;
use s2s_peer::namespace::{DIALBACK, SASL, TLS};
use s2s_peer::stream::Stream;
use s2s_peer::unverified::server_that_takes_any;

use super::outcome::{Finding, violated};

/// A stream up to our features.
#[derive(Debug)]
pub struct Dialled {
    /// The stream.
    pub stream: Stream,
    /// The target's last header.
    pub header: Element,
    /// The id that we assigned to the stream.
    pub id: String,
}

impl Dialled {
    /// Accepts STARTTLS or Direct TLS, and offers these features after it.
    pub fn accept(mut stream: Stream, identity: &Identity, features: &str) -> Finding<Self> {
        if !stream.begins_with_tls()? {
            stream = Self::proceed(stream)?;
        }
        let stream = stream.secured_as_server(server_that_takes_any(identity)?)?;
        Self::greet(stream, features)
    }

    /// Negotiates up to our `<proceed/>`.
    pub fn proceed(stream: Stream) -> Finding<Stream> {
        let starttls = format!("<starttls xmlns='{TLS}'><required/></starttls>");
        let mut stream = Self::greet(stream, &starttls)?.stream;
        stream.expect(TLS, "starttls", "STARTTLS")?;
        stream.send(format!("<proceed xmlns='{TLS}'/>"))?;
        Ok(stream)
    }

    /// Answers the target's header, and offers these features.
    pub fn greet(mut stream: Stream, features: &str) -> Finding<Self> {
        let header = stream.header()?;
        let id = next_id();
        let (from, to) = (header.attribute("to"), header.attribute("from"));
        stream.send_header(from.unwrap_or_default(), to.unwrap_or_default(), &id)?;
        stream.send(format!("<stream:features>{features}</stream:features>"))?;
        Ok(Self { stream, header, id })
    }

    /// The target's verification request for a key. Some servers first offer a key of their own on the same stream, and
    /// send the request after it is accepted.
    pub fn question(&mut self) -> Finding<Element> {
        loop {
            let element = self.stream.element("a db:verify request")?;
            if element.is(DIALBACK, "verify") {
                return Ok(element);
            }
            self.answer_key(&element, "type='valid'/>")?;
        }
    }

    /// Accepts the target's authentication by SASL EXTERNAL or dialback, whichever it starts. Returns the authenticated
    /// stream.
    pub fn admit(self) -> Finding<Self> {
        let mut stream = self.stream;
        let proof = stream.element("the target's authentication")?;
        if proof.is(SASL, "auth") {
            stream.send(format!("<success xmlns='{SASL}'/>"))?;
            return Self::greet(stream.restarted(), "");
        }
        let mut admitted = Self { stream, ..self };
        admitted.answer_key(&proof, "type='valid'/>")?;
        Ok(admitted)
    }

    /// The next stanza. Verification requests before it are not answered.
    pub fn stanza(&mut self) -> Finding<Element> {
        loop {
            let element = self.stream.element("a stanza of the target")?;
            if element.namespace != DIALBACK {
                return Ok(element);
            }
        }
    }

    /// Answers a dialback key; `rest` is the text after the addresses in the start tag.
    pub fn answer_key(&mut self, request: &Element, rest: &str) -> Finding {
        let (Some(from), Some(to)) = (request.attribute("from"), request.attribute("to")) else {
            return violated(format!("a dialback key without addresses: {request}"));
        };
        if !request.is(DIALBACK, "result") {
            return violated(format!("expected a dialback key, received: {request}"));
        }
        Ok(self.stream.send(format!("<db:result from='{to}' to='{from}' {rest}"))?)
    }
}

/// Ids must differ; in this suite they need not be unpredictable.
fn next_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = String::from("conformance");
    let _ = write!(id, "{:06}", NEXT.fetch_add(1, Ordering::Relaxed));
    id
}
