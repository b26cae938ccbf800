//! The receivers of the presences of a room: they count what arrives, and the room sends its copies.

use std::io::{self, BufRead as _};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::thread;

use harness::loopback::{BACKEND_ADDRESS, PEER_ADDRESS};
use s2s_peer::authority::Authority;
use s2s_peer::stream::Stream;

use super::error::{BenchError, Result};
use super::null::listen;
use super::presences::{Account, Presence, Splitter, from_room};

/// The number of the room among the receivers; that of an occupant follows.
pub(crate) const ROOM: usize = 0;

/// Reads the streams of one receiver.
#[derive(Clone)]
pub(crate) struct Reader {
    receiver: usize,
    account: Account,
}

/// Serves a domain. `each` gets the presences that have arrived, and returns what went wrong.
pub(crate) fn serve(
    domain: &str,
    authority: &Authority,
    reader: Reader,
    each: impl Fn(&[Presence]) -> Option<String> + Clone + Send + 'static,
) -> Result<SocketAddr> {
    let failed = || BenchError::peer("certificates");
    let address = if reader.receiver == ROOM { BACKEND_ADDRESS } else { PEER_ADDRESS };
    let identity = authority.issue(&[domain]).map_err(failed())?;
    let roots = authority.roots().map_err(failed())?;
    listen(domain, address, identity, roots, move |stream| {
        let (reader, each) = (reader.clone(), each.clone());
        reader.account.opened();
        thread::spawn(move || {
            if let Err(error) = reader.read(stream, each) {
                eprintln!("a stream of receiver {} has ended: {error}", reader.receiver);
            }
            reader.account.ended();
        });
    })
}

impl Reader {
    /// Of that receiver.
    pub(crate) fn new(receiver: usize, account: &Account) -> Self {
        Self { receiver, account: account.clone() }
    }

    /// Counts the presences of a stream until it ends.
    fn read(
        &self,
        mut stream: Stream,
        each: impl Fn(&[Presence]) -> Option<String>,
    ) -> io::Result<()> {
        let mut splitter = Splitter::default();
        loop {
            let transport = stream.transport();
            transport.begin();
            let (size, found) = match transport.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(bytes) => (bytes.len(), splitter.feed(bytes)),
                // The thread that waits for the account detects silence.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => continue,
                Err(error) => return Err(error),
            };
            transport.consume(size);
            let some = found.as_deref().filter(|found| !found.is_empty());
            if let Some(wrong) = some.and_then(&each) {
                self.account.failed(wrong);
            }
            self.account.arrived(self.receiver, found.as_deref());
        }
    }
}

/// Sends a copy of each of these presences to every occupant.
pub(crate) fn reflect(copies: &[Mutex<Stream>], presences: &[Presence]) -> Result<()> {
    for (receiver, stream) in copies.iter().enumerate() {
        let mut text = String::new();
        for presence in presences {
            from_room(&mut text, *presence, receiver);
        }
        let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.send(text).map_err(BenchError::peer("sending copies of a presence"))?;
    }
    Ok(())
}
