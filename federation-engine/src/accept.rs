//! Accepts TCP connections. A listener survives every failure to accept one.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::sleep;

/// Delay between two attempts while file descriptors or memory are exhausted. The kernel reports the error at once,
/// until some are free.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// The next connection to the listener of this name. All other tasks have their turn first: otherwise, connections that
/// arrive as fast as they can be accepted would be accepted 128 at a time. Cancel-safe.
pub async fn next(listener: &TcpListener, name: &str) -> (TcpStream, SocketAddr) {
    yield_now().await;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => recover(&error, name).await,
        }
    }
}

/// Returns when another attempt is useful.
async fn recover(error: &io::Error, name: &str) {
    if is_of_one_connection(error) {
        tracing::debug!(listener = name, %error, "a connection ended before it was accepted");
    } else {
        tracing::warn!(listener = name, %error, "cannot accept connections");
        sleep(EXHAUSTED_PAUSE).await;
    }
}

/// `accept` also reports errors of a connection in the queue (accept(2)); the next connection may be usable.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use tokio::time::Instant;

    use super::*;

    const ECONNABORTED: i32 = 103;
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;

    async fn recovery_time(code: i32) -> Duration {
        let begun = Instant::now();
        recover(&io::Error::from_raw_os_error(code), "test").await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_one_connection_does_not_delay_the_next() {
        assert_eq!(recovery_time(ECONNABORTED).await, Duration::ZERO);
        for code in [EMFILE, ENFILE] {
            assert!(recovery_time(code).await >= EXHAUSTED_PAUSE, "{code}");
        }
    }

    #[tokio::test]
    async fn others_have_their_turn_between_two_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut clients = Vec::new();
        for _ in 0..100 {
            clients.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        }
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let accepting = tokio::spawn(async move {
            for _ in 0..clients.len() {
                next(&listener, "test").await;
                count.fetch_add(1, Relaxed);
            }
        });
        let (mut before, mut most) = (0, 0);
        while !accepting.is_finished() {
            yield_now().await;
            let now = accepted.load(Relaxed);
            most = most.max(now - before);
            before = now;
        }
        assert_eq!((before, most), (100, 1));
    }

    #[tokio::test]
    async fn it_accepts_from_a_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_, source) = next(&listener, "test").await;
        assert_eq!(source, client.local_addr().unwrap());
    }
}
