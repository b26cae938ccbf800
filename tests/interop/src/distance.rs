//! A distance between a server and the engine: data to the engine is relayed at once, the engine's first answer is
//! delayed.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use harness::loopback::DEADLINE;
use s2s_peer::error::{PeerError, Result};

/// A TCP relay that accepts no more connections after it is dropped.
#[derive(Debug)]
pub(crate) struct Distance {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Distance {
    /// Relays connections to `address` to `engine`. It holds the first bytes that come back on each connection for
    /// `time`.
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
        // Waits until data is available; the data is read below.
        let _ = far.peek(&mut [0]);
        thread::sleep(time);
        copy(far, near);
    });
    Ok(())
}

/// Copies until `from` ends; then closes that direction of `to`.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    // An error ends a connection like the end of its data does.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
