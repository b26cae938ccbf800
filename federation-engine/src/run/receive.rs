//! A connection that was opened to us: its first bytes distinguish TLS and XML (XEP-0368 §4). The connection then
//! becomes a stream.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt as _;
use jiff::Timestamp;
use s2s_proto::clock;
use s2s_proto::plan::TlsStart;
use s2s_proto::stream::Transport;
use s2s_proto::stream::rejection::Named;
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_rustls::{LazyConfigAcceptor, TlsStream};

use crate::admission::newcomers::Admitted;
use crate::engine::Engine;
use crate::leg::Door;
use crate::observe::recorder::ProxyRefusal;
use crate::session::Session;
use crate::sockets::connection::Connection;
use crate::sockets::socket::Socket;
use crate::tls::config::Presented;
use crate::tls::handshake::Offer;
use crate::tls::sniff::{self, FirstByte};

/// Serves one accepted connection until it is a stream, which gets its own task. The state of a stream is allocated
/// only when its first byte has arrived. A connection that is silent or waits in the queue therefore holds little more
/// than its socket.
pub(crate) async fn run(
    engine: Arc<Engine>,
    tcp: TcpStream,
    source: SocketAddr,
    door: Door,
    admitted: Admitted,
    accepted: Instant,
) {
    let leg = door.leg();
    if let Err(error) = engine.network.tcp().configure(&tcp) {
        tracing::debug!(%source, %error, "cannot set a socket option");
    }
    let negotiation = engine.snapshot().config.timeouts.negotiation;
    let in_line_until = clock::after(accepted, negotiation);
    let has_place = admitted.newcomer.has_place();
    let turn = tokio::select! {
        turn = timeout_at(in_line_until.into(), admitted.newcomer.turn()) => turn,
        () = admitted.newcomer.evicted() => return engine.recorder.saw_eviction(leg, source),
    };
    if turn.is_err() {
        let text = "too many earlier connections from this source are waiting";
        return engine.recorder.saw_refused_connection(leg, source, text.to_owned());
    }
    // The peer's time does not run while the connection waits in the queue.
    let started = if has_place { accepted } else { Instant::now() };
    let deadline = clock::after(started, negotiation);
    let first = tokio::select! {
        first = timeout_at(deadline.into(), first_byte(&tcp)) => first,
        () = admitted.newcomer.evicted() => return engine.recorder.saw_eviction(leg, source),
    };
    match first {
        // The peer connected and closed without a byte: a load balancer's health check. It causes no log line.
        Err(_) | Ok(Err(_) | Ok(None)) => {}
        Ok(Ok(Some(FirstByte::Xml))) => {
            let connection = Connection::plain(tcp);
            let transport = Transport::Tcp;
            let session =
                Session::receiving(&engine, door, connection, transport, source, admitted, started);
            engine.life.spawn(session.serve().map(drop));
        }
        Ok(Ok(Some(FirstByte::Tls))) => {
            let times = (started, deadline);
            Box::pin(secure(&engine, tcp, source, door, admitted, times)).await;
        }
        Ok(Ok(Some(FirstByte::ProxyHeader))) if door == Door::Outer => {
            engine.recorder.saw_proxy_header(leg, source, ProxyRefusal::Untrusted);
        }
        Ok(Ok(Some(FirstByte::ProxyHeader | FirstByte::Other))) => {
            tracing::debug!(%source, ?door, "connection closed: it speaks neither XMPP nor TLS");
        }
    }
}

/// Runs the handshake of Direct TLS, and starts the stream inside.
async fn secure(
    engine: &Arc<Engine>,
    tcp: TcpStream,
    source: SocketAddr,
    door: Door,
    admitted: Admitted,
    (started, deadline): (Instant, Instant),
) {
    let leg = door.leg();
    let handshake = tokio::select! {
        handshake = timeout_at(deadline.into(), accept_direct(engine, door, tcp)) => handshake,
        () = admitted.newcomer.evicted() => return engine.recorder.saw_eviction(leg, source),
    };
    match handshake {
        Ok(Ok((tls, presented))) => {
            let connection = Connection::tls(tls);
            let transport = Transport::DirectTls(connection.peer_chain());
            let mut session =
                Session::receiving(engine, door, connection, transport, source, admitted, started);
            session.presented_until(presented.first_expiry(Timestamp::now()));
            engine.life.spawn(session.serve().map(drop));
        }
        Ok(Err(error)) => {
            engine.recorder.saw_failed_handshake(leg, source, Named::default(), &error);
        }
        Err(_) => {}
    }
}

/// Accepts Direct TLS. The server name selects the certificate (XEP-0368 §3).
async fn accept_direct(
    engine: &Engine,
    door: Door,
    tcp: TcpStream,
) -> io::Result<(TlsStream<Socket>, Presented)> {
    let (acceptor, socket) = (rustls::server::Acceptor::default(), Socket::new(tcp));
    let start = LazyConfigAcceptor::new(acceptor, socket).await?;
    let presented = {
        let hello = start.client_hello();
        match (hello.server_name(), door) {
            // A component that dials an address sends no name.
            (None, Door::Component) => {
                let host = engine.snapshot().config.host.clone();
                engine.present_for_sni(door.leg(), Some(host.as_str()))?
            }
            (name, _) => engine.present_for_sni(door.leg(), name)?,
        }
    };
    let offer = Offer::of(&start.client_hello());
    let accepted = start.into_stream(presented.server(TlsStart::Direct)).await;
    let tls = accepted.map_err(|error| offer.explain(&error))?;
    Ok((tls.into(), presented))
}

async fn first_byte(tcp: &TcpStream) -> io::Result<Option<FirstByte>> {
    let mut first = [0; sniff::LOOK_BYTES];
    match tcp.peek(&mut first).await? {
        0 => Ok(None),
        arrived => Ok(first.get(..arrived).map(sniff::classify)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Run<F> = fn(Arc<Engine>, TcpStream, SocketAddr, Door, Admitted, Instant) -> F;

    fn size_of_future<F>(_: Run<F>) -> usize {
        size_of::<F>()
    }

    /// Every connection that is silent or waits in the queue holds a value of this size.
    #[test]
    fn a_connection_that_waits_holds_no_room_for_what_may_come() {
        let task = size_of_future(run);
        println!("task {task}");
        assert!(task <= 1_536, "task {task}");
    }
}
