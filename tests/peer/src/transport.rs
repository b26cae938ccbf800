//! The byte transport: TCP, or TLS over TCP, with a deadline for every read.

use std::io::{self, BufRead, BufReader, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, ServerConnection, StreamOwned};

/// Bytes that one read requests from the system. TLS, and not the number of system calls, should limit a stream at full
/// speed.
const READ_AHEAD: usize = 256 * 1024;

/// A TCP connection whose reads have a deadline. It reads ahead, so no byte of a TLS handshake is lost when the
/// connection changes from plain to TLS.
#[derive(Debug)]
pub struct Timed {
    tcp: BufReader<TcpStream>,
    timeout: Duration,
    deadline: Instant,
}

impl Timed {
    /// Limits every write, and every read after [`Transport::begin`], to that time.
    pub fn new(tcp: TcpStream, timeout: Duration) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        tcp.set_write_timeout(Some(timeout))?;
        let deadline = Instant::now() + timeout;
        Ok(Self { tcp: BufReader::with_capacity(READ_AHEAD, tcp), timeout, deadline })
    }

    fn arm(&self) -> io::Result<()> {
        if !self.tcp.buffer().is_empty() {
            return Ok(());
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.tcp.get_ref().set_read_timeout(Some(left))
    }
}

/// Converts the error of a socket time-out: a read that times out reports `WouldBlock` on Linux (socket(7),
/// `SO_RCVTIMEO`).
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.arm()?;
        self.tcp.read(buffer).map_err(timed_out)
    }
}

impl BufRead for Timed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.arm()?;
        self.tcp.fill_buf().map_err(timed_out)
    }

    fn consume(&mut self, amount: usize) {
        self.tcp.consume(amount);
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.tcp.get_mut().write(buffer).map_err(timed_out)
    }

    /// Writes all buffers at once. TLS needs this to close a failed handshake: the alert follows the first buffer.
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.tcp.get_mut().write_vectored(buffers).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.get_mut().flush()
    }
}

/// A connection, encrypted or not.
#[derive(Debug)]
pub enum Transport {
    /// TCP.
    Plain(Timed),
    /// TLS, as its client.
    Client(Box<StreamOwned<ClientConnection, Timed>>),
    /// TLS, as its server.
    Server(Box<StreamOwned<ServerConnection, Timed>>),
}

impl Transport {
    /// Starts the deadline of the next reads and returns the maximum time for them.
    pub fn begin(&mut self) -> Duration {
        let timed = match self {
            Self::Plain(timed) => timed,
            Self::Client(tls) => &mut tls.sock,
            Self::Server(tls) => &mut tls.sock,
        };
        timed.deadline = Instant::now() + timed.timeout;
        timed.timeout
    }

    /// Whether unread bytes are available, or arrive within that time. Restarts the deadline of [`Self::begin`].
    pub fn is_readable_within(&mut self, time: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + time;
        match self {
            Self::Plain(timed) => timed.deadline = deadline,
            Self::Client(tls) => tls.sock.deadline = deadline,
            Self::Server(tls) => tls.sock.deadline = deadline,
        }
        let seen = match self.fill_buf() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(false),
            Err(error) => Err(error),
        };
        self.begin();
        seen
    }

    /// Sets the maximum time for every later write, and for every read after the next [`Self::begin`].
    pub fn set_patience(&mut self, timeout: Duration) -> io::Result<()> {
        let timed = match self {
            Self::Plain(timed) => timed,
            Self::Client(tls) => &mut tls.sock,
            Self::Server(tls) => &mut tls.sock,
        };
        timed.timeout = timeout;
        timed.tcp.get_ref().set_write_timeout(Some(timeout))
    }

    /// The local port.
    pub fn local_port(&self) -> io::Result<u16> {
        let timed = match self {
            Self::Plain(timed) => timed,
            Self::Client(tls) => &tls.sock,
            Self::Server(tls) => &tls.sock,
        };
        Ok(timed.tcp.get_ref().local_addr()?.port())
    }

    /// Notifies the other side that no more data follows (RFC 8446 §6.1).
    pub fn send_close_notify(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => return Ok(()),
            Self::Client(tls) => tls.conn.send_close_notify(),
            Self::Server(tls) => tls.conn.send_close_notify(),
        }
        self.flush()
    }

    /// Drops unsent data, so that a read does not wait for it. Nothing can be sent afterwards.
    pub fn forget_unsent(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => {}
            Self::Client(tls) => {
                while tls.conn.wants_write() {
                    tls.conn.write_tls(&mut io::sink())?;
                }
            }
            Self::Server(tls) => {
                while tls.conn.wants_write() {
                    tls.conn.write_tls(&mut io::sink())?;
                }
            }
        }
        Ok(())
    }

    /// The certificate of the other side, after TLS has verified that it chains to a root.
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        let chain = match self {
            Self::Plain(_) => None,
            Self::Client(tls) => tls.conn.peer_certificates(),
            Self::Server(tls) => tls.conn.peer_certificates(),
        };
        chain?.first()
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.read(buffer),
            Self::Client(tls) => tls.read(buffer),
            Self::Server(tls) => tls.read(buffer),
        }
    }
}

impl BufRead for Transport {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Plain(plain) => plain.fill_buf(),
            Self::Client(tls) => tls.fill_buf(),
            Self::Server(tls) => tls.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        match self {
            Self::Plain(plain) => plain.consume(amount),
            Self::Client(tls) => tls.consume(amount),
            Self::Server(tls) => tls.consume(amount),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.write(buffer),
            Self::Client(tls) => tls.write(buffer),
            Self::Server(tls) => tls.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(plain) => plain.flush(),
            Self::Client(tls) => tls.flush(),
            Self::Server(tls) => tls.flush(),
        }
    }
}
