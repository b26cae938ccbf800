//! A distance between a server and the engine: what is relayed to the engine goes at once, its first answer takes a time.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use harness::loopback::DEADLINE;
use s2s_peer::error::{PeerError, Result};

/// A relay of TCP, which takes no more connections when dropped.
#[derive(Debug)]
pub(crate) struct Distance {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Distance {
    /// Relays what comes to `address` to `engine`. The first bytes that come back on each connection are held for `time`.
    pub(crate) fn start(address: SocketAddr, engine: SocketAddr, time: Duration) -> Result<Self> {
        let listener = TcpListener::bind(address).map_err(PeerError::listen(address))?;
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                // A connection that cannot be relayed is closed, and the server sees that.
                let _ = relay(near, engine, time);
            }
        });
        Ok(Self { address, stopped })
    }
}

impl Drop for Distance {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts, so that it sees the flag.
        drop(TcpStream::connect_timeout(&self.address, DEADLINE));
    }
}

/// Relays in threads that end with the connections.
fn relay(near: TcpStream, engine: SocketAddr, time: Duration) -> io::Result<()> {
    let far = TcpStream::connect_timeout(&engine, DEADLINE)?;
    for tcp in [&near, &far] {
        tcp.set_nodelay(true)?;
    }
    let (from_near, to_far) = (near.try_clone()?, far.try_clone()?);
    thread::spawn(move || copy(from_near, to_far));
    thread::spawn(move || {
        // Until something is there; what it is, is read below.
        let _ = far.peek(&mut [0]);
        thread::sleep(time);
        copy(far, near);
    });
    Ok(())
}

/// Until `from` ends; then `to` ends in that direction.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    // An error ends a connection as its end does.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
