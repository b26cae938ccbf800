//! `/livez`, `/readyz` and `/metrics`, plain HTTP on one port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use federation_engine::observe::http::{
    self as server, HttpResponse, OPEN_METRICS, PLAIN_TEXT, serve_reads,
};
use http::StatusCode;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// State for the probes of the kubelet.
#[derive(Clone, Debug, Default)]
pub struct Health {
    ready: Arc<AtomicBool>,
}

impl Health {
    /// From now on, `/readyz` answers 200: the stores are filled, or another replica is the leader.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

/// The port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} for health and metrics: {source}; choose another port with --listen"
)]
pub struct ListenError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Opens the port; the answers come from [`serve`].
///
/// # Errors
/// When the port is in use or not permitted.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError { address, source })
}

/// Answers until the task is dropped.
pub async fn serve(listener: TcpListener, health: Health, metrics: Metrics) {
    let never = CancellationToken::new();
    let respond = move |path: &str| answer(path, &health, &metrics);
    serve_reads(listener, "health and metrics", &never, respond).await;
}

fn answer(path: &str, health: &Health, metrics: &Metrics) -> HttpResponse {
    match path {
        // An answer means that the process is alive: a stuck runtime does not get here.
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" if health.is_ready() => text(StatusCode::OK, "ok\n"),
        "/readyz" => text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the first listing of the watched objects is not complete\n",
        ),
        "/metrics" => match metrics.encode() {
            Ok(body) => server::answer(StatusCode::OK, OPEN_METRICS, body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, "not found; use /livez, /readyz or /metrics\n"),
    }
}

fn text(status: StatusCode, body: impl Into<String>) -> HttpResponse {
    server::answer(status, PLAIN_TEXT, body.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[test]
    fn readiness_waits_for_the_stores_and_liveness_does_not() {
        let (health, metrics) = (Health::default(), Metrics::new());
        let status = |path: &str| answer(path, &health, &metrics).status();
        assert_eq!(status("/livez"), StatusCode::OK);
        assert_eq!(status("/readyz"), StatusCode::SERVICE_UNAVAILABLE);
        health.set_ready();
        assert_eq!(status("/readyz"), StatusCode::OK);
        assert_eq!(status("/metrics"), StatusCode::OK);
        assert_eq!(status("/"), StatusCode::NOT_FOUND);
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    }

    #[tokio::test]
    async fn probes_are_answered_however_many_connections_send_nothing() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, Health::default(), Metrics::new()));
        let mut silent = Vec::new();
        for _ in 0..3 * 64 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        for (path, status) in [("/livez", "200"), ("/readyz", "503"), ("/metrics", "200")] {
            // Not behind the silent connections, each of which may take its time.
            let response = tokio::time::timeout(Duration::from_secs(20), get(address, path)).await;
            let response = response.unwrap();
            assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {response}");
        }
        drop(silent);
        server.abort();
    }
}
