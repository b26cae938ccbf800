//! A TCP connection that may become TLS, with its two buffers.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use rustls::pki_types::ServerName;
use rustls::server::Acceptor;
use rustls::{ClientConfig, ServerConfig};
use s2s_proto::certificate::chain::PeerChain;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, TlsStream};

use crate::route::pinned::READ_BUFFER;
use crate::sockets::in_flight::Span;
use crate::sockets::socket::{Acknowledged, Socket};
use crate::sockets::turn::{self, Work};
use crate::tls::handshake::Offer;

/// Smallest and largest read; a connection that fills its reads gets larger ones.
const READ_MIN: usize = 4 * 1024;
const READ_MAX: usize = READ_BUFFER;

/// Bytes of its output buffer that an idle connection keeps.
const MAX_IDLE_OUTPUT_BYTES: usize = 512;

/// How long, and for how many bytes, a closed connection is still read.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 4 * 1024 * 1024;

/// The transport under a stream.
enum Io {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
    /// Only while a handshake owns the socket; a connection whose handshake failed stays here.
    Gone,
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

/// State of the stanzas that were put into `output` last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Batch {
    /// TCP has not taken all of them.
    Sending {
        /// Bytes of the connection before them.
        start: Option<u64>,
    },
    /// TCP has them, as this part of the connection; `None` if the system does not report how many bytes the peer
    /// acknowledges.
    Sent(Option<Span>),
}

/// A connection: transport, bytes received and not yet parsed, bytes to send.
pub(crate) struct Connection {
    io: Io,
    /// The certificates that the peer presented, once there is TLS; the results of their verification are kept with
    /// them.
    chain: OnceLock<PeerChain>,
    /// Received, not yet parsed.
    pub(crate) input: BytesMut,
    /// To be sent by [`Self::flush`] or [`Self::exchange`].
    pub(crate) output: BytesMut,
    /// Bytes of `output` that the transport has taken.
    written: usize,
    batch: Batch,
    read_size: usize,
}

/// The result of [`Connection::exchange`].
#[derive(Debug)]
pub(crate) enum Progress {
    /// Received this many bytes; 0 is the end of the connection.
    Received(usize),
    /// All of `output` is sent.
    Sent,
}

impl Connection {
    pub(crate) fn plain(tcp: TcpStream) -> Self {
        Self {
            io: Io::Plain(Socket::new(tcp)),
            chain: OnceLock::new(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            written: 0,
            batch: Batch::Sent(None),
            read_size: READ_MIN,
        }
    }

    pub(crate) fn tls(tls: TlsStream<Socket>) -> Self {
        Self {
            io: Io::Tls(Box::new(tls)),
            chain: OnceLock::new(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            written: 0,
            batch: Batch::Sent(None),
            read_size: READ_MIN,
        }
    }

    /// Sends `output` and, with `reading`, receives, both at once. Neither waits for the other, so two ends that write
    /// much do not deadlock. Lets others have their turn before. Cancel-safe.
    pub(crate) async fn exchange(&mut self, reading: bool) -> io::Result<Progress> {
        pass_if_over().await;
        poll_fn(|cx| self.poll_exchange(cx, reading)).await
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<io::Result<Progress>> {
        let sending = !self.output.is_empty();
        if sending && let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        if reading && let Poll::Ready(received) = self.poll_fill(cx) {
            return Poll::Ready(received.map(Progress::Received));
        }
        if sending && self.output.is_empty() {
            return Poll::Ready(Ok(Progress::Sent));
        }
        Poll::Pending
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.output.get(self.written..).filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.output.clear();
        if self.output.capacity() <= READ_MIN {
            // For a stream that sends little.
            self.output = BytesMut::new();
        }
        self.written = 0;
        if let Batch::Sending { start } = self.batch {
            let span = start.zip(self.taken()).map(|(start, end)| Span { start, end });
            self.batch = Batch::Sent(span);
        }
        Poll::Ready(Ok(()))
    }

    /// Receives what is there, at least one byte. `Ok(0)` is the end of the connection. Lets others have their turn before.
    /// Cancel-safe.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        pass_if_over().await;
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let spare = self.input.capacity() - self.input.len();
        let received = if self.read_size == READ_MIN && spare < READ_MIN / 4 {
            // A waiting stream holds no buffer.
            let mut first = [0; READ_MIN];
            let mut first = ReadBuf::new(&mut first);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut first))?;
            self.input.extend_from_slice(first.filled());
            first.filled().len()
        } else {
            self.make_room();
            let mut room = (&mut self.input).limit(READ_MAX);
            ready!(pin!(self.io.read_buf(&mut room)).poll(cx))?
        };
        self.read_size = if received >= self.read_size {
            (self.read_size * 2).min(READ_MAX)
        } else {
            self.read_size
        };
        Poll::Ready(Ok(received))
    }

    /// Room for the next read. A buffer is used up before the next one is made, so that small reads do not each keep a
    /// buffer alive through the stanzas that they brought. A buffer that grew for a large stanza is not used for small
    /// ones.
    fn make_room(&mut self) {
        let capacity = self.input.capacity();
        if capacity > 2 * READ_MAX && self.input.len() < READ_MIN {
            self.input = BytesMut::from(self.input.as_ref());
        }
        let spare = self.input.capacity() - self.input.len();
        if spare < self.read_size / 4 {
            self.input.reserve(self.read_size);
        }
    }

    /// Bytes of the buffers.
    pub(crate) fn held(&self) -> usize {
        self.input.capacity().saturating_add(self.output.capacity())
    }

    /// The buffers are larger than an idle stream needs.
    pub(crate) fn is_swollen(&self) -> bool {
        let needed = self.input.len().max(READ_MIN) * 2;
        self.read_size > READ_MIN
            || self.input.capacity() > needed
            || (self.output.is_empty() && self.output.capacity() > MAX_IDLE_OUTPUT_BYTES)
    }

    /// Releases memory that only a busy stream needs. TLS shrinks its own buffers when they are empty.
    pub(crate) fn shrink(&mut self) {
        self.read_size = READ_MIN;
        self.input = BytesMut::from(self.input.as_ref());
        if self.output.is_empty() {
            self.output = BytesMut::new();
        }
    }

    /// Sends all of `output`. Fails if the peer does not accept it within `limit`.
    pub(crate) async fn flush(&mut self, limit: Duration) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let sending = poll_fn(|cx| self.poll_send(cx));
        timeout(limit, sending).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Sends `output`, then closes the transport (TLS `close_notify`, then TCP; RFC 6120 §4.4).
    pub(crate) async fn close(&mut self, limit: Duration) {
        // The peer may have disconnected already; then there is nobody to notify.
        if self.flush(limit).await.is_ok() {
            let _ = timeout(limit, self.io.shutdown()).await;
        }
    }

    /// After [`Self::close`]: discards data that the peer still sends, until it closes as well. TCP answers unread data
    /// with a reset, which may overtake the stream error that states the reason (RFC 9293 §3.10.7.4).
    pub(crate) async fn linger(&mut self) {
        let mut discarded = 0;
        let reading = async {
            while discarded < LINGER_BYTES {
                self.input.clear();
                match self.fill().await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => discarded += count,
                }
            }
        };
        // A peer that neither sends nor closes is disconnected.
        let _ = timeout(LINGER, reading).await;
    }

    /// Runs the server side of STARTTLS. Bytes that the peer sent unencrypted after `<starttls/>` are an error, never
    /// data inside TLS (RFC 6120 §5.4.3.3).
    pub(crate) async fn accept_tls(&mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        let tcp = self.take_plain()?;
        let start = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
        let offer = Offer::of(&start.client_hello());
        let tls = start.into_stream(config).await.map_err(|error| offer.explain(&error))?;
        self.io = Io::Tls(Box::new(tls.into()));
        Ok(())
    }

    /// Runs the client side of STARTTLS, after the `>` of `<proceed/>` (RFC 6120 §5.4.2.3).
    pub(crate) async fn connect_tls(
        &mut self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<()> {
        let tcp = self.take_plain()?;
        let tls = TlsConnector::from(config).connect(name, tcp).await?;
        self.io = Io::Tls(Box::new(tls.into()));
        Ok(())
    }

    fn take_plain(&mut self) -> io::Result<Socket> {
        if !self.input.iter().all(u8::is_ascii_whitespace) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "unencrypted data arrived after the start of TLS",
            ));
        }
        self.input.clear();
        match std::mem::replace(&mut self.io, Io::Gone) {
            Io::Plain(tcp) => Ok(tcp),
            other => {
                self.io = other;
                Err(io::Error::new(io::ErrorKind::InvalidInput, "TLS inside TLS"))
            }
        }
    }

    fn socket(&self) -> Option<&Socket> {
        match &self.io {
            Io::Plain(socket) => Some(socket),
            Io::Tls(tls) => Some(tls.get_ref().0),
            Io::Gone => None,
        }
    }

    /// Bytes of the connection that TCP has taken, including those of TLS; `None` if the system does not count.
    pub(crate) fn taken(&self) -> Option<u64> {
        self.socket().and_then(Socket::written)
    }

    /// Stanzas were put into `output`, which was empty.
    pub(crate) fn begin_batch(&mut self) {
        self.batch = Batch::Sending { start: self.taken() };
    }

    /// The state of the last stanzas.
    pub(crate) fn batch(&self) -> Batch {
        self.batch
    }

    /// How many bytes of the connection the peer's TCP has acknowledged, including those of TLS. On a negotiated stream
    /// there are always some: none means that the system does not count.
    pub(crate) fn acknowledged(&self) -> Option<Acknowledged> {
        self.socket()?.acknowledged().filter(|seen| seen.bytes > 0)
    }

    /// Dropping the connection resets it: bytes that are written but not acknowledged must no longer arrive.
    pub(crate) fn abort(&self) {
        if let Some(socket) = self.socket() {
            socket.abort();
        }
    }

    /// The certificates that the peer presented; empty without TLS.
    pub(crate) fn peer_chain(&self) -> PeerChain {
        match &self.io {
            Io::Tls(tls) => {
                let presented = || PeerChain::presented(tls.get_ref().1.peer_certificates());
                self.chain.get_or_init(presented).clone()
            }
            _ => PeerChain::default(),
        }
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.io, Io::Tls(_))
    }

    /// Such as `TLSv1.3`; `None` on plain TCP.
    pub(crate) fn tls_version(&self) -> Option<&'static str> {
        match &self.io {
            Io::Tls(tls) => match tls.get_ref().1.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_2) => Some("TLSv1.2"),
                Some(rustls::ProtocolVersion::TLSv1_3) => Some("TLSv1.3"),
                _ => Some("TLS"),
            },
            _ => None,
        }
    }
}

/// Lets other streams have their turn if that of this one is over.
async fn pass_if_over() {
    if turn::is_over_after(Work::Input) {
        turn::pass().await;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use tokio::net::TcpListener;
    use tokio::task::yield_now;

    use super::*;

    /// More than all buffers between two sockets hold.
    const MUCH: usize = 64 * 1024 * 1024;

    async fn both_ends() -> (Connection, Connection) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        (Connection::plain(dialled), Connection::plain(accepted))
    }

    /// Sends all of `output` and receives as much.
    async fn exchange(mut end: Connection) -> usize {
        let mut received = 0;
        while received < MUCH || !end.output.is_empty() {
            if let Progress::Received(number) = end.exchange(true).await.unwrap() {
                received += number;
                end.input.clear();
            }
        }
        received
    }

    #[tokio::test]
    async fn two_ends_that_send_much_do_not_wait_for_each_other() {
        let (mut one, mut other) = both_ends().await;
        one.output.resize(MUCH, b'1');
        other.output.resize(MUCH, b'2');
        assert_eq!(tokio::join!(exchange(one), exchange(other)), (MUCH, MUCH));
    }

    #[tokio::test]
    async fn buffers_shrink_when_the_stream_is_idle_and_nothing_is_lost() {
        let (mut one, mut other) = both_ends().await;
        one.output.resize(MUCH, b'1');
        let mut received = 0;
        while received < MUCH {
            tokio::select! {
                sent = one.exchange(false), if !one.output.is_empty() => drop(sent.unwrap()),
                filled = other.fill() => received += filled.unwrap(),
            }
            other.input.clear();
        }
        assert!(one.is_swollen() && other.is_swollen());
        other.input.extend_from_slice(b"<mess");
        one.shrink();
        other.shrink();
        assert!(!one.is_swollen() && !other.is_swollen());
        assert!(one.output.capacity() + other.input.capacity() < READ_MIN);
        one.output.extend_from_slice(b"age/>");
        assert!(matches!(one.exchange(false).await.unwrap(), Progress::Sent));
        other.fill().await.unwrap();
        assert_eq!(&other.input[..], b"<message/>");
        assert!(!one.is_swollen() && !other.is_swollen());
    }

    #[tokio::test]
    async fn a_peer_that_sends_at_full_speed_gets_its_turn_and_no_more() {
        const READS: usize = 4;
        turn::testing::slow_clock(turn::TURN_TIME / u32::try_from(READS).unwrap());
        let (mut one, mut other) = both_ends().await;
        one.output.resize(MUCH, b' ');
        let sending = tokio::spawn(async move { one.exchange(false).await.map(drop) });
        let received = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&received);
        let receiving = tokio::spawn(async move {
            while count.load(Relaxed) < MUCH {
                if let Progress::Received(number) = other.exchange(true).await.unwrap() {
                    count.fetch_add(number, Relaxed);
                    other.input.clear();
                }
            }
        });
        let (mut before, mut most) = (0, 0);
        while before < MUCH {
            yield_now().await;
            let now = received.load(Relaxed);
            most = most.max(now - before);
            before = now;
        }
        assert!(most <= READS * READ_MAX, "{most} bytes in one turn");
        receiving.await.unwrap();
        sending.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn small_reads_share_a_buffer() {
        let (mut one, mut other) = both_ends().await;
        other.read_size = READ_MAX;
        let mut stanzas = Vec::new();
        for _ in 0..100 {
            one.output.extend_from_slice(b"<message/>");
            one.exchange(false).await.unwrap();
            other.fill().await.unwrap();
            stanzas.push(other.input.split().freeze());
        }
        let addresses = stanzas.iter().map(|stanza| stanza.as_ptr().addr());
        let (first, last) = (addresses.clone().min().unwrap(), addresses.max().unwrap());
        assert_eq!(last - first, 99 * 10);
    }

    #[tokio::test]
    async fn what_is_not_to_be_read_waits_and_what_is_sent_is_sent_once() {
        let (mut one, mut other) = both_ends().await;
        one.output.extend_from_slice(b"question");
        assert!(matches!(one.exchange(false).await.unwrap(), Progress::Sent));
        other.output.extend_from_slice(b"answer");
        assert!(matches!(other.exchange(false).await.unwrap(), Progress::Sent));
        assert!(other.input.is_empty());
        assert!(matches!(other.exchange(true).await.unwrap(), Progress::Received(8)));
        assert!(matches!(one.exchange(true).await.unwrap(), Progress::Received(6)));
        assert_eq!((&one.input[..], &other.input[..]), (&b"answer"[..], &b"question"[..]));
    }
}
