//! A connection that somebody opened to us: TLS or XML by its first byte (XEP-0368 §4), then a stream.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use super::admission::Newcomer;
use super::engine::Engine;
use super::io::Connection;
use super::session::Session;
use crate::clock;
use crate::leg::Leg;
use crate::stream::Transport;
use crate::stream::rejection::Named;
use crate::tls::sniff::{self, FirstByte};

/// Serves one accepted connection to its end.
pub(crate) async fn run(
    engine: Arc<Engine>,
    tcp: TcpStream,
    source: SocketAddr,
    leg: Leg,
    newcomer: Newcomer,
) {
    let started = Instant::now();
    let deadline = clock::after(started, engine.snapshot().config.timeouts.negotiation);
    if let Err(error) = engine.tcp().configure(&tcp) {
        tracing::debug!(%source, %error, "a socket option could not be set");
    }
    let first = tokio::select! {
        first = timeout_at(deadline.into(), first_byte(&tcp)) => first,
        () = newcomer.evicted() => return,
    };
    let (connection, transport, own_expiry) = match first {
        // Connect and close, without a byte: a load balancer's health check. Not worth a line in the log.
        Err(_) | Ok(Err(_) | Ok(None)) => return,
        Ok(Ok(Some(FirstByte::Xml))) => (Connection::plain(tcp), Transport::Tcp, None),
        Ok(Ok(Some(FirstByte::Tls))) => {
            let handshake = timeout_at(deadline.into(), engine.accept_direct(leg, tcp));
            let handshake = tokio::select! {
                handshake = handshake => handshake,
                () = newcomer.evicted() => return,
            };
            match handshake {
                Ok(Ok((tls, presented))) => {
                    let connection = Connection::tls(tls);
                    let chain = connection.peer_chain();
                    let own_expiry = presented.first_expiry(Timestamp::now());
                    (connection, Transport::DirectTls(chain), own_expiry)
                }
                Ok(Err(error)) => {
                    engine.saw_failed_handshake(leg, source, Named::default(), &error);
                    return;
                }
                Err(_) => return,
            }
        }
        Ok(Ok(Some(FirstByte::Other))) => {
            tracing::debug!(%source, ?leg, "a connection that speaks neither XMPP nor TLS was closed");
            return;
        }
    };
    let mut session =
        Session::receiving(&engine, leg, connection, transport, source, newcomer, started);
    session.presented_until(own_expiry);
    session.serve().await;
}

async fn first_byte(tcp: &TcpStream) -> io::Result<Option<FirstByte>> {
    let mut byte = [0];
    match tcp.peek(&mut byte).await? {
        0 => Ok(None),
        _ => Ok(byte.first().map(|byte| sniff::classify(*byte))),
    }
}
