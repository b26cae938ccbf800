//! Opens one TCP connection with the options of a long-lived stream. It is an argument of the dialler, so that races
//! are tested without a network.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use s2s_proto::reason::ConnectReason;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Opens one connection.
pub trait Connect {
    /// The connection that it opens.
    type Stream;

    /// Connects; the dialler bounds the time.
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
        let connected = TcpStream::connect(address).await;
        let stream = connected.map_err(|error| ConnectReason::from(&error))?;
        self.configure(&stream).map_err(|error| ConnectReason::from(&error))?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpSocket;

    use super::*;

    #[tokio::test]
    async fn a_tcp_connection_has_its_options_and_a_closed_port_its_reason() {
        let tcp = Tcp { keepalive: Duration::from_secs(15), user_timeout: Duration::from_mins(1) };
        let port = TcpSocket::new_v4().unwrap();
        port.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = port.local_addr().unwrap();
        // It is ours, so that no other process listens there.
        assert_eq!(tcp.connect(address).await.map(|_| ()), Err(ConnectReason::Refused));
        let _listener = port.listen(1).unwrap();
        let stream = tcp.connect(address).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(15));
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_mins(1)));
    }
}
