//! Happy Eyeballs (RFC 8305 §5): addresses of one target are tried one after the other, each start a little later, and the
//! first connection wins. Who connects is an argument, so that the race is tested without a network.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::reason::ConnectReason;

/// Connection Attempt Delay (RFC 8305 §8).
pub const STAGGER: Duration = Duration::from_millis(250);

/// Opens one connection.
pub trait Connect {
    /// What it yields.
    type Stream;

    /// Connects; the race bounds the time.
    fn connect(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = Result<Self::Stream, ConnectReason>> + Send;
}

/// TCP with the options of a long-lived stream.
#[derive(Clone, Copy, Debug)]
pub struct Tcp {
    /// Silence after which TCP probes the peer.
    pub keepalive: Duration,
    /// How long sent data may stay unacknowledged (RFC 5482).
    pub user_timeout: Duration,
}

impl Tcp {
    /// Sets the options on a connection, dialled or accepted: stanzas are sent at once, and a dead peer is noticed.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn configure(&self, stream: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(stream);
        socket.set_tcp_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(self.keepalive).with_interval(self.keepalive);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(Some(self.user_timeout))
    }
}

impl Connect for Tcp {
    type Stream = TcpStream;

    async fn connect(&self, address: SocketAddr) -> Result<TcpStream, ConnectReason> {
        let stream = TcpStream::connect(address).await.map_err(|error| reason(&error))?;
        self.configure(&stream).map_err(|error| reason(&error))?;
        Ok(stream)
    }
}

/// The operating system's error in our words.
fn reason(error: &io::Error) -> ConnectReason {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectReason::Refused,
        io::ErrorKind::TimedOut => ConnectReason::TimedOut,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            ConnectReason::NoRoute
        }
        _ => ConnectReason::Other { detail: error.to_string() },
    }
}

/// Races the addresses in their order; each has `per_address` to connect.
///
/// # Errors
/// Every address with its reason, in the order in which they were started.
pub async fn race<C: Connect>(
    connector: &C,
    addresses: &[SocketAddr],
    per_address: Duration,
) -> Result<(C::Stream, SocketAddr), Vec<(SocketAddr, ConnectReason)>> {
    let attempt = |index: usize, address: SocketAddr| async move {
        let result = timeout(per_address, connector.connect(address)).await;
        (index, address, result.unwrap_or(Err(ConnectReason::TimedOut)))
    };
    let mut waiting = addresses.iter().copied().enumerate();
    let mut running = FuturesUnordered::new();
    let mut failed = Vec::with_capacity(addresses.len());
    loop {
        // Nothing runs, at the start or after a failure: the next one starts at once.
        if running.is_empty() {
            let Some((index, address)) = waiting.next() else { break };
            running.push(attempt(index, address));
        }
        let more = waiting.len() > 0;
        tokio::select! {
            Some((index, address, result)) = running.next() => match result {
                Ok(stream) => return Ok((stream, address)),
                Err(reason) => {
                    failed.push((index, address, reason));
                    running.extend(waiting.next().map(|(index, address)| attempt(index, address)));
                }
            },
            () = sleep(STAGGER), if more => {
                running.extend(waiting.next().map(|(index, address)| attempt(index, address)));
            }
        }
    }
    failed.sort_by_key(|(index, ..)| *index);
    Err(failed.into_iter().map(|(_, address, reason)| (address, reason)).collect())
}

#[cfg(test)]
mod tests;
