//! The server under test, and the data that the suite has about it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use s2s_peer::authority::{Authority, Identity};
use s2s_peer::dialback::{self, Secret};
use s2s_peer::element::Element;
use s2s_peer::error::PeerError;
use s2s_peer::listener::Listener;
use s2s_peer::namespace::{DIALBACK, SASL, TLS};
use s2s_peer::stream::{Item, Stream};

use super::dialled::Dialled;
use super::header::Header;
use super::inside::Inside;
use super::opened::Opened;
use super::outcome::{Finding, not_applicable, violated};
use super::outside::Outside;
use super::tls::Client;

/// Interval for alternating between two awaited events.
const MOMENT: Duration = Duration::from_millis(20);

/// A server and the ways to reach it. A field that is `None` leaves some statements without an answer.
#[derive(Debug)]
pub struct Target {
    /// The address at which it accepts streams.
    pub address: SocketAddr,
    /// The address at which it accepts Direct TLS streams.
    pub direct_tls: Option<SocketAddr>,
    /// A domain that it serves.
    pub domain: String,
    /// Another domain that it serves, with its own certificate.
    pub second_domain: Option<String>,
    /// Our domain.
    pub peer: String,
    /// The authority that signs our certificates; the target trusts it.
    pub authority: Authority,
    /// Its dialback secret.
    pub secret: Option<Secret>,
    /// The servers and DNS records by which the target finds us.
    pub outside: Option<Outside>,
    /// The server behind the target.
    pub inside: Option<Inside>,
    /// A domain of ours that it authenticates by certificate only.
    pub strict: Option<String>,
    /// Whether it closes idle streams within the time that the suite can wait.
    pub closes_idle: bool,
    /// Its process ID; the suite may terminate the process.
    pub process: Option<u32>,
    /// Maximum time for each required event.
    pub timeout: Duration,
}

impl Target {
    /// A domain below ours.
    pub fn below(&self, name: &str) -> String {
        format!("{name}.{}", self.peer)
    }

    /// Our header.
    pub fn header(&self) -> Header<'_> {
        Header::new(&self.peer, &self.domain)
    }

    /// A certificate for these domains that the target can verify.
    pub fn identity(&self, domains: &[&str]) -> Finding<Identity> {
        Ok(self.authority.issue(domains)?)
    }

    /// A TCP connection to it.
    pub fn connect(&self) -> Finding<Stream> {
        Ok(Stream::connect(self.address, self.timeout)?)
    }

    /// An unencrypted stream, up to the first features.
    pub fn clear(&self, header: &Header<'_>) -> Finding<Opened> {
        Opened::greet(self.connect()?, header)
    }

    /// A connection on which the target has sent `<proceed/>`.
    pub fn proceeding(&self, header: &Header<'_>) -> Finding<Stream> {
        let Opened { mut stream, features, .. } = self.clear(header)?;
        if features.child(TLS, "starttls").is_none() {
            return not_applicable("the target does not offer STARTTLS");
        }
        stream.send(format!("<starttls xmlns='{TLS}'/>"))?;
        stream.expect(TLS, "proceed", "<proceed/>")?;
        Ok(stream)
    }

    /// An encrypted connection before its stream header.
    pub fn secured(&self, header: &Header<'_>, identity: Option<&Identity>) -> Finding<Stream> {
        let client = Client::new(identity, false)?;
        let name = header.to.unwrap_or(&self.domain);
        Ok(self.proceeding(header)?.secured_as_client(client.config, name)?)
    }

    /// An encrypted stream up to the features that offer authentication.
    pub fn encrypted(&self, header: &Header<'_>, identity: Option<&Identity>) -> Finding<Opened> {
        Opened::greet(self.secured(header, identity)?, header)
    }

    /// An encrypted stream of our domain with a valid certificate.
    pub fn certified(&self) -> Finding<Opened> {
        let identity = self.identity(&[&self.peer])?;
        self.encrypted(&self.header(), Some(&identity))
    }

    /// A stream that our certificate authenticates.
    pub fn authenticated(&self) -> Finding<Stream> {
        Ok(self.external(&self.header())?.stream)
    }

    /// A stream that a certificate for the `from` of that header authenticates.
    pub fn external(&self, header: &Header<'_>) -> Finding<Opened> {
        let from = header.from.unwrap_or_default();
        let identity = self.identity(&[from])?;
        let opened = self.encrypted(header, Some(&identity))?;
        if !opened.offers_external() {
            return not_applicable(
                "the target does not offer EXTERNAL for a certificate of the suite's CA",
            );
        }
        let mut stream = opened.stream;
        send_auth(&mut stream, &BASE64_STANDARD.encode(from))?;
        stream.expect(SASL, "success", "the answer to SASL EXTERNAL")?;
        Opened::greet(stream.restarted(), header)
    }

    /// Whether that certificate authenticates that domain to the target. If the target closes the stream, or offers
    /// EXTERNAL and then fails it, the certificate does not authenticate the domain.
    pub fn proves(&self, from: &str, identity: &Identity) -> bool {
        let header = Header { from: Some(from), ..self.header() };
        let Ok(mut opened) = self.encrypted(&header, Some(identity)) else { return false };
        let awaited = "the answer to SASL EXTERNAL";
        opened.offers_external()
            && send_auth(&mut opened.stream, &BASE64_STANDARD.encode(from)).is_ok()
            && opened.stream.expect(SASL, "success", awaited).is_ok()
    }

    /// The servers and DNS records by which the target finds us.
    pub fn outside(&self) -> Finding<&Outside> {
        match &self.outside {
            Some(outside) => Ok(outside),
            None => not_applicable("the target cannot find the suite's own server (--listen)"),
        }
    }

    /// The same, only if the suite also answers DNS.
    pub fn resolved(&self) -> Finding<&Outside> {
        let outside = self.outside()?;
        match outside.resolver() {
            Some(_) => Ok(outside),
            None => {
                not_applicable("the target does not query the suite's name server (--resolver)")
            }
        }
    }

    /// The server behind the target.
    pub fn inside(&self) -> Finding<&Inside> {
        match &self.inside {
            Some(inside) => Ok(inside),
            None => not_applicable("it needs a server or client behind the target"),
        }
    }

    /// The key that we, as `originating`, offer on a stream with that id.
    pub fn key(&self, originating: &str, id: &str) -> String {
        our_secret().key(&self.domain, originating, id)
    }

    /// Offers a key for that domain of ours on an open stream.
    pub fn offer_key(&self, opened: &mut Opened, from: &str) -> Finding {
        let (to, key) = (&self.domain, self.key(from, &opened.id()));
        Ok(opened.stream.send(format!("<db:result from='{from}' to='{to}'>{key}</db:result>"))?)
    }

    /// Makes the target verify a key of that domain of ours. Returns the stream on which we await the answer.
    pub fn make_verify(&self, from: &str) -> Finding<Opened> {
        self.outside()?;
        let mut opened = self.encrypted(&Header { from: Some(from), ..self.header() }, None)?;
        if !opened.offers_dialback() {
            return not_applicable("the target does not offer dialback");
        }
        self.offer_key(&mut opened, from)?;
        Ok(opened)
    }

    /// The next connection of the target to our STARTTLS port.
    pub fn accept(&self) -> Finding<Stream> {
        self.accept_at(&self.outside()?.starttls)
    }

    /// The next connection of the target to that port.
    pub fn accept_at(&self, listener: &Listener) -> Finding<Stream> {
        match listener.next(self.timeout) {
            Some(tcp) => Ok(Stream::accepted(tcp, self.timeout)?),
            None => violated("the target did not connect to the suite's server"),
        }
    }

    /// The next connection of the target, with us as the server of those domains, up to the features after TLS.
    pub fn accept_dialled(&self, domains: &[&str], features: &str) -> Finding<Dialled> {
        let identity = self.identity(domains)?;
        Dialled::accept(self.accept()?, &identity, features)
    }

    /// Answers the target's verification request on a connection, which the caller must keep open.
    pub fn answer_verification(&self, domains: &[&str]) -> Finding<Stream> {
        self.answer_verification_on(self.accept()?, domains)
    }

    fn answer_verification_on(&self, stream: Stream, domains: &[&str]) -> Finding<Stream> {
        let identity = self.identity(domains)?;
        let mut dialled = Dialled::accept(stream, &identity, DIALBACK_FEATURES)?;
        let request = dialled.question()?;
        dialback::answer_verify(&mut dialled.stream, &our_secret(), &request)?;
        Ok(dialled.stream)
    }

    /// A stream that dialback authenticates for that domain of ours.
    pub fn dialback(&self, from: &str) -> Finding<Opened> {
        let mut opened = self.make_verify(from)?;
        self.prove_by_dialback(&mut opened, from)?;
        Ok(opened)
    }

    /// Answers the verification request for the offered key, and awaits the target's result.
    pub fn prove_by_dialback(&self, opened: &mut Opened, from: &str) -> Finding {
        opened.kept.push(self.answer_verification(&[from])?);
        Self::expect_valid(opened)
    }

    /// The same on a stream whose certificate authenticates us: the target need not verify the key (XEP-0344 §2.4).
    pub fn prove_by_dialback_or_certificate(&self, opened: &mut Opened, from: &str) -> Finding {
        let listener = &self.outside()?.starttls;
        let begun = Instant::now();
        while !opened
            .stream
            .transport()
            .is_readable_within(MOMENT)
            .map_err(PeerError::io("awaiting a verdict"))?
        {
            if let Some(tcp) = listener.next(MOMENT) {
                let stream = Stream::accepted(tcp, self.timeout)?;
                opened.kept.push(self.answer_verification_on(stream, &[from])?);
                break;
            }
            if begun.elapsed() > self.timeout {
                return violated("the target neither verified nor answered a dialback key");
            }
        }
        Self::expect_valid(opened)
    }

    fn expect_valid(opened: &mut Opened) -> Finding {
        let awaited = "the verdict on a dialback key";
        let verdict = opened.stream.expect(DIALBACK, "result", awaited)?;
        match verdict.attribute("type") {
            Some("valid") => Ok(()),
            _ => violated(format!("a valid dialback key was answered with {verdict}")),
        }
    }

    /// Makes the target send a stanza with that `id` to that domain of ours. The caller must keep the returned stream
    /// until the stanza arrives.
    pub fn make_send(&self, foreign: &str, id: &str) -> Finding<Stream> {
        self.outside()?;
        let domain = &self.domain;
        if let Some(inside) = &self.inside {
            let mut stream = inside.stream_to(foreign)?;
            stream.send(format!(
                "<message from='juliet@{domain}' to='romeo@{foreign}' id='{id}'><body>Ho</body></message>"
            ))?;
            return Ok(stream);
        }
        let mut stream = self.external(&Header { from: Some(foreign), ..self.header() })?.stream;
        stream.send(format!(
            "<iq type='get' from='romeo@{foreign}/r' to='{domain}' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>"
        ))?;
        Ok(stream)
    }

    /// Makes the target fail to connect to that domain of ours. Returns `Ok` if the target reports the failure.
    pub fn make_fail(&self, foreign: &str) -> Finding<Element> {
        self.resolved()?;
        let mut opened = self.make_verify(foreign)?;
        let awaited = "a dialback error, because the authoritative server is unreachable";
        Ok(opened.stream.expect(DIALBACK, "result", awaited)?)
    }
}

/// The features that our servers offer for dialback alone.
pub const DIALBACK_FEATURES: &str =
    "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>";
/// The features that our servers offer for certificates, with dialback as the alternative.
pub const EXTERNAL_FEATURES: &str = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>\
    <mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>";

/// The dialback secret of all our domains.
pub fn our_secret() -> Secret {
    Secret::new("the secret of the conformance suite")
}

/// Sends a request of SASL EXTERNAL with that initial response.
pub fn send_auth(stream: &mut Stream, initial: &str) -> Finding {
    Ok(stream.send(format!("<auth xmlns='{SASL}' mechanism='EXTERNAL'>{initial}</auth>"))?)
}

/// The next item, for checks that accept several kinds.
pub fn next(stream: &mut Stream, awaited: &'static str) -> Finding<Option<Element>> {
    match stream.receive(awaited)? {
        Item::Header(element) | Item::Element(element) => Ok(Some(element)),
        Item::End => Ok(None),
    }
}
