//! One XML stream over a connection (RFC 6120 §4).

use std::fmt::Write as _;
use std::io::{self, BufRead as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use quick_xml::NsReader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

use super::element::Element;
use super::error::{PeerError, Result};
use super::namespace::{DIALBACK, SERVER, STREAMS};
use super::tls;
use super::transport::{Timed, Transport};

/// The items that a stream can deliver.
#[derive(Debug)]
pub enum Item {
    /// The stream's start tag.
    Header(Element),
    /// A first-level element: stream feature list, error, negotiation, stanza.
    Element(Element),
    /// `</stream:stream>`, or the end of the connection.
    End,
}

/// One XML stream in each direction over one connection.
#[derive(Debug)]
pub struct Stream {
    reader: NsReader<Transport>,
    buffer: Vec<u8>,
    inside: bool,
}

impl Stream {
    /// Connects by TCP.
    pub fn connect(address: SocketAddr, timeout: Duration) -> Result<Self> {
        let tcp = TcpStream::connect_timeout(&address, timeout)
            .map_err(PeerError::io("connecting by TCP"))?;
        Self::accepted(tcp, timeout)
    }

    /// A stream over an accepted connection.
    pub fn accepted(tcp: TcpStream, timeout: Duration) -> Result<Self> {
        let timed =
            Timed::new(tcp, timeout).map_err(PeerError::io("setting time-outs of a socket"))?;
        Ok(Self::over(Transport::Plain(timed)))
    }

    fn over(transport: Transport) -> Self {
        Self { reader: NsReader::from_reader(transport), buffer: Vec::new(), inside: false }
    }

    /// A new stream over the same connection (RFC 6120 §4.3.3), without the declarations and elements of the old one.
    #[must_use]
    pub fn restarted(self) -> Self {
        Self::over(self.reader.into_inner())
    }

    /// Starts TLS as client (RFC 6120 §5.4.3).
    pub fn secured_as_client(self, config: Arc<ClientConfig>, domain: &str) -> Result<Self> {
        let mut session = ClientConnection::new(config, tls::server_name(domain)?)?;
        let mut timed = self.plain()?;
        session.complete_io(&mut timed).map_err(handshake)?;
        Ok(Self::over(Transport::Client(Box::new(StreamOwned::new(session, timed)))))
    }

    /// Starts TLS as server (RFC 6120 §5.4.3).
    pub fn secured_as_server(self, config: Arc<ServerConfig>) -> Result<Self> {
        let mut session = ServerConnection::new(config)?;
        let mut timed = self.plain()?;
        session.complete_io(&mut timed).map_err(handshake)?;
        Ok(Self::over(Transport::Server(Box::new(StreamOwned::new(session, timed)))))
    }

    fn plain(mut self) -> Result<Timed> {
        self.transport().begin();
        match self.reader.into_inner() {
            Transport::Plain(timed) => Ok(timed),
            Transport::Client(_) | Transport::Server(_) => {
                Err(PeerError::Script("TLS inside TLS was asked for".to_owned()))
            }
        }
    }

    /// Whether the other side starts with TLS: a handshake record begins with 22 (RFC 8446 §5.1), XML never does.
    pub fn begins_with_tls(&mut self) -> Result<bool> {
        let transport = self.transport();
        transport.begin();
        let seen = transport.fill_buf().map_err(PeerError::io("awaiting the first byte"))?;
        Ok(seen.first() == Some(&22))
    }

    /// Whether the other side presented a certificate that chains to our roots and covers this domain.
    pub fn is_authenticated(&self, domain: &str) -> bool {
        let transport: &Transport = self.reader.get_ref();
        transport.peer_certificate().is_some_and(|leaf| tls::covers(leaf, domain))
    }

    /// The connection itself, for raw bytes in both directions.
    pub fn transport(&mut self) -> &mut Transport {
        self.reader.get_mut()
    }

    /// Sends a stream header between servers, without `from` or `id` if empty.
    pub fn send_header(&mut self, from: &str, to: &str, id: &str) -> Result<()> {
        self.send_header_in(SERVER, from, to, id)
    }

    /// Sends a stream header in that content namespace, without `from` or `id` if empty.
    pub fn send_header_in(&mut self, content: &str, from: &str, to: &str, id: &str) -> Result<()> {
        let mut header = format!("<?xml version='1.0'?><stream:stream xmlns='{content}'");
        if content == SERVER {
            let _ = write!(header, " xmlns:db='{DIALBACK}'");
        }
        let _ = write!(header, " xmlns:stream='{STREAMS}' version='1.0' to='{to}'");
        for (name, value) in [("from", from), ("id", id)] {
            if !value.is_empty() {
                let _ = write!(header, " {name}='{value}'");
            }
        }
        header.push('>');
        self.send(&header)
    }

    /// Sends a header from before version 1.0, after which no features follow (RFC 6120 §4.7.5 rule 4). Empty names are
    /// omitted.
    pub fn send_unversioned_header(&mut self, from: &str, to: &str, id: &str) -> Result<()> {
        let mut header = format!(
            "<stream:stream xmlns='{SERVER}' xmlns:db='{DIALBACK}' xmlns:stream='{STREAMS}'"
        );
        for (name, value) in [("from", from), ("to", to), ("id", id)] {
            if !value.is_empty() {
                let _ = write!(header, " {name}='{value}'");
            }
        }
        header.push('>');
        self.send(&header)
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let transport = self.transport();
        transport
            .write_all(bytes.as_ref())
            .and_then(|()| transport.flush())
            .map_err(PeerError::io("sending"))
    }

    /// Closes our direction of the stream (RFC 6120 §4.4) and of TLS below it.
    pub fn close(mut self) -> Result<()> {
        self.send("</stream:stream>")?;
        self.transport().send_close_notify().map_err(PeerError::io("closing TLS"))
    }

    /// The next item.
    pub fn receive(&mut self, awaited: &'static str) -> Result<Item> {
        let timeout = self.transport().begin();
        read(&mut self.reader, &mut self.buffer, &mut self.inside).map_err(|source| match source {
            quick_xml::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                PeerError::Deadline { awaited, timeout }
            }
            quick_xml::Error::Io(source) => PeerError::Io { doing: "receiving", source },
            source => PeerError::Xml { awaited, source },
        })
    }

    /// The next item, which must be a stream header.
    pub fn header(&mut self) -> Result<Element> {
        let awaited = "a stream header";
        match self.receive(awaited)? {
            Item::Header(header) => Ok(header),
            Item::Element(got) => Err(PeerError::unexpected(awaited, &got)),
            Item::End => Err(PeerError::Closed { awaited }),
        }
    }

    /// The next item, which must be an element and not a stream error.
    pub fn element(&mut self, awaited: &'static str) -> Result<Element> {
        match self.receive(awaited)? {
            Item::Element(got) if got.is(STREAMS, "error") => {
                Err(PeerError::unexpected(awaited, &got))
            }
            Item::Element(got) => Ok(got),
            Item::Header(got) => Err(PeerError::unexpected(awaited, &got)),
            Item::End => Err(PeerError::Closed { awaited }),
        }
    }

    /// The next item, which must be the element with that name.
    pub fn expect(
        &mut self,
        namespace: &str,
        name: &str,
        awaited: &'static str,
    ) -> Result<Element> {
        let got = self.element(awaited)?;
        if got.is(namespace, name) { Ok(got) } else { Err(PeerError::unexpected(awaited, &got)) }
    }

    /// The next item, which must be the end.
    pub fn end(&mut self) -> Result<()> {
        let awaited = "the end of the stream";
        match self.receive(awaited)? {
            Item::End => Ok(()),
            Item::Header(got) | Item::Element(got) => Err(PeerError::unexpected(awaited, &got)),
        }
    }

    /// The next item, which must be stream features.
    pub fn features(&mut self) -> Result<Element> {
        self.expect(STREAMS, "features", "stream features")
    }
}

fn handshake(error: io::Error) -> PeerError {
    PeerError::io("TLS handshake")(error)
}

/// Reads one element from its text, with all its declarations.
pub fn parse(text: &str) -> Result<Element> {
    let awaited = "an element";
    let mut reader = NsReader::from_reader(text.as_bytes());
    match read(&mut reader, &mut Vec::new(), &mut true) {
        Ok(Item::Element(element)) => Ok(element),
        Ok(Item::Header(_) | Item::End) => Err(PeerError::Closed { awaited }),
        Err(source) => Err(PeerError::Xml { awaited, source }),
    }
}

fn read<R: io::BufRead>(
    reader: &mut NsReader<R>,
    buffer: &mut Vec<u8>,
    inside: &mut bool,
) -> Result<Item, quick_xml::Error> {
    let mut open: Vec<Element> = Vec::new();
    loop {
        buffer.clear();
        let (namespace, event) = reader.read_resolved_event_into(buffer)?;
        let whole = match event {
            Event::Start(tag) => {
                let element = Element::of(&namespace, &tag)?;
                if !*inside {
                    *inside = true;
                    return Ok(Item::Header(element));
                }
                open.push(element);
                continue;
            }
            Event::Empty(tag) => Element::of(&namespace, &tag)?,
            Event::End(_) => match open.pop() {
                Some(element) => element,
                None => return Ok(Item::End),
            },
            Event::Eof => return Ok(Item::End),
            other => {
                if let Some(innermost) = open.last_mut() {
                    innermost.text.push_str(&characters(&other)?);
                }
                continue;
            }
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(whole),
            None => return Ok(Item::Element(whole)),
        }
    }
}

fn characters(event: &Event<'_>) -> Result<String, quick_xml::Error> {
    Ok(match event {
        Event::Text(text) => text.xml10_content().into_owned(),
        Event::CData(text) => text.xml10_content().into_owned(),
        Event::GeneralRef(reference) => match reference.resolve_char_ref()? {
            Some(character) => character.to_string(),
            None => resolve_predefined_entity(reference).unwrap_or_default().to_owned(),
        },
        _ => String::new(),
    })
}
