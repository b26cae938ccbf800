//! A simulated partner that fails at one step of the protocol.

use std::net::TcpStream;
use std::time::Duration;

use s2s_peer::acceptor::{Session, stream_id};
use s2s_peer::dialback;
use s2s_peer::element::Element;
use s2s_peer::error::{PeerError, Result};
use s2s_peer::namespace::{DIALBACK, DIALBACK_FEATURE, SASL, STANZA_ERRORS, TLS};
use s2s_peer::partners::initiating::HasOpened;
use s2s_peer::partners::partner::Partner;
use s2s_peer::receiving::Receiving;
use s2s_peer::stream::{Item, Stream};
use s2s_peer::unverified;

/// The step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deviation {
    /// It offers SASL EXTERNAL only, and refuses it.
    RefusesExternal,
    /// It calls a key invalid that the authoritative server has confirmed.
    DistrustsAnswers,
    /// It reports that it cannot connect to the authoritative server (XEP-0220 §2.5).
    CannotCallBack,
    /// It answers for the dialback keys of every domain.
    JudgesAnyKey,
}

/// The partner.
#[derive(Debug)]
pub struct Deviating {
    /// How it behaves otherwise. TLS is required, and certificates are not checked.
    pub partner: Partner,
    /// Where it fails.
    pub deviation: Deviation,
}

impl Receiving for Deviating {
    fn accept(&self, tcp: TcpStream) -> Result<Option<Session>> {
        let mut stream = Stream::accepted(tcp, self.partner.timeout)?;
        self.greet(&mut stream, &format!("<starttls xmlns='{TLS}'><required/></starttls>"))?;
        stream.expect(TLS, "starttls", "STARTTLS")?;
        stream.send(format!("<proceed xmlns='{TLS}'/>"))?;
        let identity = &self.partner.identity;
        let mut stream = stream.secured_as_server(unverified::server_that_takes_any(identity)?)?;
        let features = match self.deviation {
            Deviation::RefusesExternal => {
                format!("<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>")
            }
            _ => format!("<dialback xmlns='{DIALBACK_FEATURE}'><errors/></dialback>"),
        };
        let id = self.greet(&mut stream, &features)?;
        loop {
            let element = match stream.receive("authentication")? {
                Item::Element(element) => element,
                Item::Header(got) => return Err(PeerError::unexpected("authentication", &got)),
                Item::End => return Ok(None),
            };
            if element.is(SASL, "auth") {
                stream.send(format!("<failure xmlns='{SASL}'><not-authorized/></failure>"))?;
                stream.send("</stream:stream>")?;
                return Ok(None);
            }
            self.dialback(&mut stream, &element, &id)?;
        }
    }

    fn dialback(&self, stream: &mut Stream, element: &Element, id: &str) -> Result<Option<String>> {
        if element.is(DIALBACK, "verify") && self.deviation == Deviation::JudgesAnyKey {
            dialback::answer_verify(stream, &self.partner.secret(), element)?;
            return Ok(None);
        }
        if !element.is(DIALBACK, "result") {
            return self.partner.dialback(stream, element, id);
        }
        let attribute = |name| element.attribute(name).unwrap_or_default();
        let (from, to) = (attribute("from"), attribute("to"));
        if self.deviation == Deviation::CannotCallBack {
            stream.send(format!(
                "<db:result from='{to}' to='{from}' type='error'><error type='cancel'>\
                 <remote-server-not-found xmlns='{STANZA_ERRORS}'/></error></db:result>"
            ))?;
            return Ok(None);
        }
        let HasOpened { stream: mut question, .. } = self.partner.open(from)?;
        dialback::verify(&mut question, element, id)?;
        dialback::answer_result(stream, element, false)?;
        Ok(None)
    }

    fn timeout(&self) -> Duration {
        self.partner.timeout
    }
}

impl Deviating {
    fn greet(&self, stream: &mut Stream, features: &str) -> Result<String> {
        let header = stream.header()?;
        let id = stream_id();
        let from = header.attribute("from").unwrap_or_default();
        stream.send_header(&self.partner.domain, from, &id)?;
        stream.send(format!("<stream:features>{features}</stream:features>"))?;
        Ok(id)
    }
}
