//! A TCP connection that reports how many of the bytes written to it the peer's TCP has acknowledged.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};

use nix::sys::socket::getsockopt;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that the system accepts beyond those that TCP can send at once. They are acknowledged late or never, and count
/// towards the memory limit of the process.
const UNSENT_BYTES: u32 = 256 * 1024;

/// The kernel's `TCP_CLOSE`: reset, timed out or closed in both directions.
const CLOSED: u8 = 7;

mod option {
    use nix::{getsockopt_impl, libc, sockopt_impl};

    sockopt_impl!(
        /// The first 128 bytes of the kernel's `struct tcp_info` (`linux/tcp.h`), which every kernel since 4.2 has.
        TcpInfo,
        GetOnly,
        libc::IPPROTO_TCP,
        libc::TCP_INFO,
        [u64; 16]
    );
}

/// The peer's acknowledgements on a connection, also known after a reset or a time-out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Acknowledged {
    /// Bytes written to the socket that the peer's TCP has acknowledged.
    pub(crate) bytes: u64,
    /// No more bytes will be acknowledged.
    pub(crate) is_final: bool,
}

/// The connection.
pub(crate) struct Socket {
    tcp: TcpStream,
    /// Bytes that the system has accepted.
    written: u64,
    /// The system's count of acknowledged bytes before the first one: the SYN of a connection that we opened counts.
    /// `None`: the system does not report it.
    before: Option<u64>,
}

impl Socket {
    /// Wraps a connection to which nothing was written yet.
    pub(crate) fn new(tcp: TcpStream) -> Self {
        if let Err(error) = SockRef::from(&tcp).set_tcp_notsent_lowat(UNSENT_BYTES) {
            tracing::debug!(%error, "cannot set a socket option");
        }
        let before = info(&tcp).map(|info| info.bytes);
        if before.is_none() {
            warn_unsupported();
        }
        Self { tcp, written: 0, before }
    }

    /// Bytes written so far; `None` if the system does not report acknowledged bytes.
    pub(crate) fn written(&self) -> Option<u64> {
        self.before.map(|_| self.written)
    }

    /// Queries how many bytes the peer's TCP has acknowledged. One system call.
    pub(crate) fn acknowledged(&self) -> Option<Acknowledged> {
        let before = self.before?;
        let info = info(&self.tcp)?;
        Some(Acknowledged { bytes: info.bytes.saturating_sub(before), ..info })
    }

    /// The connection is reset when it is dropped: bytes that the peer has not acknowledged must no longer arrive.
    pub(crate) fn abort(&self) {
        if let Err(error) = self.tcp.set_zero_linger() {
            tracing::debug!(%error, "cannot set a socket option");
        }
    }
}

/// `tcpi_state` is the first byte, `tcpi_bytes_acked` the last eight (RFC 4898 `tcpEStatsAppHCThruOctetsAcked`).
fn info(tcp: &TcpStream) -> Option<Acknowledged> {
    let [first, .., bytes] = getsockopt(tcp, option::TcpInfo).ok()?;
    let [state, ..] = first.to_ne_bytes();
    Some(Acknowledged { bytes, is_final: state == CLOSED })
}

/// Warns once that stanzas count as relayed when they are written.
pub(crate) fn warn_unsupported() {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        tracing::warn!(
            "the operating system does not report what a peer's TCP has acknowledged. Without XEP-0198, stanzas count as \
             relayed when they are written, and those on a broken connection are lost"
        );
    });
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_read(cx, buf)
    }
}

impl Socket {
    fn count(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.written = self.written.saturating_add(bytes as u64);
        }
        written
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let written = Pin::new(&mut socket.tcp).poll_write(cx, buf);
        socket.count(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let written = Pin::new(&mut socket.tcp).poll_write_vectored(cx, bufs);
        socket.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn both_ends() -> (Socket, Socket) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        (Socket::new(dialled), Socket::new(accepted))
    }

    async fn all_acknowledged(socket: &Socket) {
        while socket.acknowledged().unwrap().bytes < socket.written().unwrap() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn bytes_count_from_zero_in_both_roles_and_are_acknowledged_when_the_peer_has_them() {
        let (mut dialled, mut accepted) = both_ends().await;
        for socket in [&dialled, &accepted] {
            let none = Acknowledged { bytes: 0, is_final: false };
            assert_eq!((socket.written(), socket.acknowledged()), (Some(0), Some(none)));
        }
        dialled.write_all(b"0123456789").await.unwrap();
        accepted.write_all(b"01234").await.unwrap();
        assert_eq!((dialled.written(), accepted.written()), (Some(10), Some(5)));
        all_acknowledged(&dialled).await;
        all_acknowledged(&accepted).await;
        assert_eq!(dialled.acknowledged().unwrap().bytes, 10);
    }

    #[tokio::test]
    async fn what_a_peer_that_stopped_reading_has_not_acknowledged_is_known_after_its_reset() {
        let (mut one, other) = both_ends().await;
        let much = vec![b'x'; 64 * 1024 * 1024];
        // As many bytes as the system accepts, and nobody reads.
        let full = std::future::poll_fn(|cx| {
            while let Poll::Ready(taken) = Pin::new(&mut one).poll_write(cx, &much) {
                taken.unwrap();
            }
            Poll::Ready(())
        });
        full.await;
        // With unread data, its close is a reset.
        drop(other);
        let mut buffer = [0; 16];
        assert!(one.read(&mut buffer).await.is_err());
        let seen = one.acknowledged().unwrap();
        assert!(seen.is_final && seen.bytes > 0, "{seen:?}");
        assert!(seen.bytes < one.written().unwrap(), "{seen:?} of {:?}", one.written());
    }

    #[tokio::test]
    async fn an_aborted_connection_is_reset() {
        let (mut one, mut other) = both_ends().await;
        one.write_all(b"lost").await.unwrap();
        one.abort();
        drop(one);
        let mut buffer = [0; 16];
        while let Ok(received) = other.read(&mut buffer).await {
            assert_ne!(received, 0, "the end in order");
        }
    }
}
