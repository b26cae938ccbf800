//! A simulated partner as receiving server, and as the authoritative server for its domain.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use super::initiating::HasOpened;
use super::partner::{Claim, Partner, Unknown};
use super::wire::{Certificate, Tls, Version};
use crate::acceptor::{Session, check_authzid, stream_id};
use crate::dialback;
use crate::element::Element;
use crate::error::{PeerError, Result};
use crate::namespace::{DIALBACK, DIALBACK_FEATURE, SASL, STANZA_ERRORS, STREAM_ERRORS, TLS};
use crate::receiving::Receiving;
use crate::stream::{Item, Stream};
use crate::{tls, unverified};

/// A fatal alert `protocol_version` in a record of TLS 1.0 (RFC 5246 §7.2): the answer of a server that supports no
/// later version.
const PROTOCOL_VERSION: [u8; 7] = [21, 3, 1, 0, 2, 2, 70];

/// The values of the stream headers in force.
struct Greeted {
    from: String,
    id: String,
    /// EXTERNAL was offered.
    external: bool,
}

impl Receiving for Partner {
    fn accept(&self, tcp: TcpStream) -> Result<Option<Session>> {
        let mut stream = Stream::accepted(tcp, self.timeout)?;
        let mut encrypted = false;
        let Some(mut greeted) = self.greet(&mut stream, encrypted)? else { return Ok(None) };
        loop {
            let awaited = "authentication";
            let element = match stream.receive(awaited)? {
                Item::Element(element) => element,
                Item::Header(got) => return Err(PeerError::unexpected(awaited, &got)),
                Item::End => return Ok(None),
            };
            if element.is(TLS, "starttls") {
                if encrypted || !self.wire.offers_starttls() {
                    return refuse(&mut stream, "unsupported-stanza-type", "");
                }
                stream.send(format!("<proceed xmlns='{TLS}'/>"))?;
                if self.wire.tls == Tls::TooOld {
                    stream.begins_with_tls()?;
                    stream.send(PROTOCOL_VERSION)?;
                    return Ok(None);
                }
                stream = self.secured(stream)?;
                encrypted = true;
                let Some(again) = self.greet(&mut stream, encrypted)? else { return Ok(None) };
                greeted = again;
                if self.wire.certificate == Certificate::Named
                    && !stream.is_authenticated(&greeted.from)
                {
                    return refuse(&mut stream, "not-authorized", "");
                }
                continue;
            }
            if !encrypted && self.wire.tls == Tls::Required {
                return refuse(&mut stream, "policy-violation", "");
            }
            if greeted.external && element.is(SASL, "auth") {
                check_authzid(&element, &greeted.from)?;
                stream.send(format!("<success xmlns='{SASL}'/>"))?;
                stream = stream.restarted();
                let again = self.greet(&mut stream, encrypted)?;
                let Some(Greeted { from, id, .. }) = again else { return Ok(None) };
                return Ok(Some(Session { stream, from, id, both_ways: false }));
            }
            if let (Some(claim), true) = (self.claim, element.is(DIALBACK, "result")) {
                return answer_as_owner(&mut stream, claim, &element);
            }
            if let Some(from) = self.dialback(&mut stream, &element, &greeted.id)? {
                return Ok(Some(Session { stream, from, id: greeted.id, both_ways: false }));
            }
        }
    }

    fn dialback(&self, stream: &mut Stream, element: &Element, id: &str) -> Result<Option<String>> {
        if element.is(DIALBACK, "verify") {
            let to = element.attribute("to").unwrap_or_default();
            if !self.hosts(to) {
                return not_hosted(stream, element);
            }
            dialback::answer_verify(stream, &self.secret(), element)?;
            return Ok(None);
        }
        let (true, Some(from)) = (element.is(DIALBACK, "result"), element.attribute("from")) else {
            return Err(PeerError::unexpected("authentication", element));
        };
        let HasOpened { stream: mut question, .. } = self.open(from)?;
        let valid = dialback::verify(&mut question, element, id)?;
        dialback::answer_result(stream, element, valid)?;
        Ok(valid.then(|| from.to_owned()))
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn closes_idle_streams(&self) -> bool {
        self.wire.closes_idle_streams
    }
}

impl Partner {
    /// Answers a header; `None` if it refuses the stream.
    fn greet(&self, stream: &mut Stream, encrypted: bool) -> Result<Option<Greeted>> {
        let header = stream.header()?;
        let from = header.attribute("from").unwrap_or_default().to_owned();
        let id = stream_id();
        let to = header.attribute("to").filter(|to| self.hosts(to));
        let own = to.unwrap_or(&self.domain);
        if self.wire.version == Version::None {
            stream.send_unversioned_header(own, "", &id)?;
        }
        if to.is_none() && self.unknown == Unknown::HostUnknown {
            if self.wire.version == Version::One {
                stream.send_header(own, &from, &id)?;
            }
            refuse(stream, "host-unknown", "")?;
            return Ok(None);
        }
        if self.wire.version == Version::None {
            return Ok(Some(Greeted { from, id, external: false }));
        }
        let external =
            self.wire.external && encrypted && !from.is_empty() && stream.is_authenticated(&from);
        let mut features = String::new();
        if self.wire.offers_starttls() && !encrypted {
            let required = if self.wire.tls == Tls::Required { "<required/>" } else { "" };
            let _ = write!(features, "<starttls xmlns='{TLS}'>{required}</starttls>");
        }
        if self.wire.announces_dialback {
            let _ = write!(features, "<dialback xmlns='{DIALBACK_FEATURE}'/>");
        }
        if external {
            let mechanism = "<mechanism>EXTERNAL</mechanism>";
            let _ = write!(features, "<mechanisms xmlns='{SASL}'>{mechanism}</mechanisms>");
        }
        stream.send_header(own, &from, &id)?;
        stream.send(format!("<stream:features>{features}</stream:features>"))?;
        Ok(Some(Greeted { from, id, external }))
    }

    fn secured(&self, stream: Stream) -> Result<Stream> {
        stream.secured_as_server(match self.wire.certificate {
            Certificate::Nothing => unverified::server_that_asks_for_none(&self.identity)?,
            Certificate::Named => unverified::server_that_takes_any(&self.identity)?,
            Certificate::Trusted => tls::server(&self.identity, &self.roots)?,
        })
    }
}

/// Closes the stream with an error; there is no session.
fn refuse(stream: &mut Stream, condition: &str, text: &str) -> Result<Option<Session>> {
    let text = if text.is_empty() {
        String::new()
    } else {
        format!("<text xmlns='{STREAM_ERRORS}'>{text}</text>")
    };
    stream.send(format!(
        "<stream:error><{condition} xmlns='{STREAM_ERRORS}'/>{text}</stream:error></stream:stream>"
    ))?;
    Ok(None)
}

/// Answers a question about a key of a domain that it does not host (XEP-0220 §2.5).
fn not_hosted(stream: &mut Stream, question: &Element) -> Result<Option<String>> {
    let attribute = |name| question.attribute(name).unwrap_or_default();
    let (from, to, id) = (attribute("from"), attribute("to"), attribute("id"));
    stream.send(format!(
        "<db:verify from='{to}' to='{from}' id='{id}' type='error'><error type='cancel'>\
         <item-not-found xmlns='{STANZA_ERRORS}'/></error></db:verify>"
    ))?;
    Ok(None)
}

fn answer_as_owner(
    stream: &mut Stream,
    claim: Claim,
    request: &Element,
) -> Result<Option<Session>> {
    let from = request.attribute("from").unwrap_or_default();
    let to = request.attribute("to").unwrap_or_default();
    match claim {
        Claim::StreamError(text) => {
            refuse(stream, "undefined-condition", &text.replace("{}", from))
        }
        Claim::Invalid => {
            dialback::answer_result(stream, request, false)?;
            stream.send("</stream:stream>")?;
            Ok(None)
        }
        Claim::Error { condition, text } => {
            let text = text.replace("{}", from);
            stream.send(format!(
                "<db:result from='{to}' to='{from}' type='error'><error type='cancel'>\
                 <{condition} xmlns='{STANZA_ERRORS}'/>\
                 <text xmlns='{STANZA_ERRORS}'>{text}</text></error></db:result></stream:stream>"
            ))?;
            Ok(None)
        }
    }
}
