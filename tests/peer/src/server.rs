//! A scripted server on a port: it accepts every server that authenticates, and reports events to a channel.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::acceptor::{Acceptor, Offering, Session};
use super::element::Element;
use super::error::{PeerError, Result};
use super::namespace::{DIALBACK, SERVER};
use super::receiving::Receiving;
use super::stream::Item;

/// An event of a server.
#[derive(Debug)]
pub enum Event {
    /// A domain has authenticated.
    Authenticated {
        /// The domain.
        from: String,
    },
    /// A stanza arrived from an authenticated domain.
    Stanza {
        /// The authenticated domain.
        from: String,
        /// The stanza.
        stanza: Element,
    },
    /// A stream was closed cleanly.
    Ended {
        /// The authenticated domain, if any.
        from: Option<String>,
    },
    /// A stream was closed with an error.
    Failed(PeerError),
}

/// A running server. Its connections end when the other side closes them, or when they time out.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    events: Receiver<Event>,
    stopped: Arc<AtomicBool>,
    timeout: Duration,
}

impl Server {
    /// Like [`Self::start`], with these features added to every list of features.
    pub fn start_offering(
        address: SocketAddr,
        acceptor: Acceptor,
        features: &'static str,
    ) -> Result<Self> {
        Self::start(address, Offering { acceptor, features })
    }

    /// Serves at that address (port 0: any free port).
    pub fn start(address: SocketAddr, acceptor: impl Receiving) -> Result<Self> {
        let listener = TcpListener::bind(address).map_err(PeerError::listen(address))?;
        let address = listener.local_addr().map_err(PeerError::listen(address))?;
        let (sender, events) = channel();
        let stopped = Arc::new(AtomicBool::new(false));
        let timeout = acceptor.timeout();
        let stop = Arc::clone(&stopped);
        let acceptor = Arc::new(acceptor);
        thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (acceptor, sender) = (Arc::clone(&acceptor), sender.clone());
                thread::spawn(move || {
                    let ending = serve(&*acceptor, tcp, &sender);
                    // The channel has no receiver after the test has ended.
                    let _ = sender.send(ending.unwrap_or_else(Event::Failed));
                });
            }
        });
        Ok(Self { address, events, stopped, timeout })
    }

    /// The address at which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next event that `pick` accepts. Other events are skipped; failures of streams are errors.
    pub fn wait<T>(
        &self,
        awaited: &'static str,
        mut pick: impl FnMut(Event) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => PeerError::Deadline { awaited, timeout: self.timeout },
                RecvTimeoutError::Disconnected => PeerError::Closed { awaited },
            })?;
            match event {
                Event::Failed(error) => return Err(error),
                event => {
                    if let Some(picked) = pick(event) {
                        return Ok(picked);
                    }
                }
            }
        }
    }

    /// The next stanza, from any domain.
    pub fn stanza(&self) -> Result<Element> {
        self.wait("a stanza", |event| match event {
            Event::Stanza { stanza, .. } => Some(stanza),
            _ => None,
        })
    }

    /// The next message. The engine's own pings of a backend, which arrive in between, are skipped.
    pub fn message(&self) -> Result<Element> {
        self.wait("a message", |event| match event {
            Event::Stanza { stanza, .. } if stanza.name == "message" => Some(stanza),
            _ => None,
        })
    }

    /// The events that no caller has waited for.
    pub fn events(&self) -> Vec<Event> {
        self.events.try_iter().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, so that it reads the flag.
        drop(TcpStream::connect_timeout(&self.address, self.timeout));
    }
}

fn serve(acceptor: &impl Receiving, tcp: TcpStream, events: &Sender<Event>) -> Result<Event> {
    let Some(Session { mut stream, from, id, .. }) = acceptor.accept(tcp)? else {
        return Ok(Event::Ended { from: None });
    };
    let tell = |event| events.send(event).map_err(|_| PeerError::Closed { awaited: "a listener" });
    let mut authenticated = vec![from.clone()];
    tell(Event::Authenticated { from: from.clone() })?;
    loop {
        let element = match stream.receive("a stanza") {
            Ok(Item::Element(element)) => element,
            Ok(Item::Header(got)) => return Err(PeerError::unexpected("a stanza", &got)),
            Ok(Item::End) => {
                // The other side may have closed the connection already.
                let _ = stream.send("</stream:stream>");
                return Ok(Event::Ended { from: Some(from) });
            }
            Err(PeerError::Deadline { .. }) => return Ok(Event::Ended { from: Some(from) }),
            Err(error) => return Err(error),
        };
        if element.namespace == DIALBACK {
            if let Some(domain) = acceptor.dialback(&mut stream, &element, &id)? {
                authenticated.push(domain.clone());
                tell(Event::Authenticated { from: domain })?;
            }
            continue;
        }
        let sender = element.attribute("from").map(domain_of).unwrap_or_default();
        if element.namespace != SERVER || !authenticated.iter().any(|domain| domain == sender) {
            return Err(PeerError::unexpected(
                "a stanza from a domain that was authenticated",
                &element,
            ));
        }
        tell(Event::Stanza { from: sender.to_owned(), stanza: element })?;
        if acceptor.closes_idle_streams() {
            stream.send("</stream:stream>")?;
            stream.end()?;
            return Ok(Event::Ended { from: Some(from) });
        }
    }
}

/// The domainpart of a JID (RFC 7622 §3.1): removes the resource first, then the local part.
fn domain_of(jid: &str) -> &str {
    let bare = jid.split_once('/').map_or(jid, |(bare, _)| bare);
    bare.split_once('@').map_or(bare, |(_, domain)| domain)
}
