//! A port to which the target must connect, or must not connect.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::{PeerError, Result};

/// A listening port and the connections that it accepted.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    connections: Mutex<Receiver<TcpStream>>,
    stopped: Arc<AtomicBool>,
}

impl Listener {
    /// Starts to listen.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).map_err(PeerError::listen(address))?;
        let address = listener.local_addr().map_err(PeerError::listen(address))?;
        let (sender, connections) = channel();
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) || sender.send(tcp).is_err() {
                    return;
                }
            }
        });
        Ok(Self { address, connections: Mutex::new(connections), stopped })
    }

    /// The address of the port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn connections(&self) -> MutexGuard<'_, Receiver<TcpStream>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next connection, if one arrives within that time.
    pub fn next(&self, timeout: Duration) -> Option<TcpStream> {
        self.connections().recv_timeout(timeout).ok()
    }

    /// The next connection, which must arrive within that time.
    pub fn accept(&self, timeout: Duration) -> Result<TcpStream> {
        let awaited = "a connection to the scripted server";
        self.next(timeout).ok_or(PeerError::Deadline { awaited, timeout })
    }

    /// Drops the connections that have arrived, and returns their number.
    pub fn clear(&self) -> usize {
        self.connections().try_iter().count()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, so that it reads the flag.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
    }
}
