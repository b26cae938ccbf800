use std::time::Duration;

use super::*;
use crate::observe::testing::{deadline, exchange};
use tokio::net::TcpStream;

struct Server {
    address: std::net::SocketAddr,
    state: Arc<AdminState>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn start() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let state = Arc::new(AdminState {
        readiness: Arc::new(Readiness::awaiting(["s2s", "dns"])),
        metrics: Arc::new(Metrics::default()),
    });
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(serve(listener, Arc::clone(&state), shutdown.clone()));
    Server { address, state, shutdown, task }
}

async fn get(server: &Server, request: &str) -> String {
    let stream = TcpStream::connect(server.address).await.unwrap();
    deadline(exchange(stream, &format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n"))).await
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let server = start().await;
    assert!(get(&server, "GET /livez HTTP/1.1").await.starts_with("HTTP/1.1 200"));
    let answer = get(&server, "GET /readyz HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with(r#"{"missing":["dns","s2s"],"ready":false}"#), "{answer}");
    server.state.readiness.found("s2s");
    server.state.readiness.found("dns");
    let answer = get(&server, "GET /readyz HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    server.state.readiness.lost("draining");
    assert!(get(&server, "GET /readyz HTTP/1.1").await.contains(r#"["draining"]"#));
}

#[tokio::test]
async fn metrics_are_openmetrics() {
    let server = start().await;
    let answer = get(&server, "GET /metrics HTTP/1.1").await;
    assert!(answer.contains("content-type: application/openmetrics-text"), "{answer}");
    assert!(answer.contains("xmpp_federation_stanzas_received_total"), "{answer}");
    assert!(answer.ends_with("# EOF\n"), "{answer}");
}

#[tokio::test]
async fn other_paths_methods_and_large_heads_are_refused() {
    let server = start().await;
    assert!(get(&server, "GET / HTTP/1.1").await.starts_with("HTTP/1.1 404"));
    let answer = get(&server, "POST /livez HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET"), "{answer}");
    let large = format!("GET /livez HTTP/1.1\r\nX: {}", "x".repeat(20_000));
    assert!(get(&server, &large).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn the_shutdown_ends_the_task_although_a_client_stays_connected() {
    let server = start().await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    assert!(get(&server, "GET /livez HTTP/1.1").await.starts_with("HTTP/1.1 200"));
    server.shutdown.cancel();
    deadline(server.task).await.unwrap();
    drop(idle);
}

#[tokio::test]
async fn probes_are_answered_however_many_connections_say_nothing() {
    let server = start().await;
    let mut silent = Vec::new();
    for _ in 0..3 * crate::observe::http::MAX_CONNECTIONS {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    // Not behind them all, each of which may take its time.
    let probe = get(&server, "GET /livez HTTP/1.1");
    let answer = tokio::time::timeout(Duration::from_secs(20), probe).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_connection_has_one_answer() {
    let server = start().await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let answer = deadline(exchange(stream, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert!(answer.contains("connection: close"), "{answer}");
}
