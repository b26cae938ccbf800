//! The admin listener: `/livez`, `/readyz`, `/metrics`. Plain HTTP, reads only.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::observe::http::{
    Answer, ClientLimits, answer, refuse, serve_connections, speak, wrong_method,
};
use crate::observe::metrics::Metrics;
use crate::observe::readiness::Readiness;

/// Content type of `prometheus-client`.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Limits for clients, which do not authenticate here: one answer, soon. No connection is ever admitted; the oldest
/// makes room for the next, so probes are always answered.
const CLIENT_LIMITS: ClientLimits =
    ClientLimits { head_timeout: Duration::from_secs(2), keep_alive: false };

/// Maximum time of a connection. A client that does not read its answer is disconnected.
const MAX_CONNECTION_TIME: Duration = Duration::from_secs(10);

/// State that the admin listener shows.
#[derive(Debug)]
pub struct AdminState {
    /// For `/readyz`.
    pub readiness: Arc<Readiness>,
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
}

/// Serves until the shutdown.
pub async fn serve(listener: TcpListener, state: Arc<AdminState>, shutdown: CancellationToken) {
    serve_connections(listener, "admin", &shutdown, |stream, _place| {
        let (state, shutdown) = (Arc::clone(&state), shutdown.clone());
        async move {
            let spoken = speak(stream, &shutdown, CLIENT_LIMITS, |request| {
                let answered = route(&state, request.method(), request.uri().path());
                async move { answered }
            });
            if tokio::time::timeout(MAX_CONNECTION_TIME, spoken).await.is_err() {
                tracing::debug!("a client of the admin port did not read the response in time");
            }
        }
    })
    .await;
}

fn route(state: &AdminState, method: &Method, path: &str) -> Answer {
    if !matches!(path, "/livez" | "/readyz" | "/metrics") {
        return refuse(
            StatusCode::NOT_FOUND,
            "not found; the paths are /livez, /readyz and /metrics",
        );
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return wrong_method(&Method::GET);
    }
    match path {
        "/livez" => answer(StatusCode::OK, "text/plain; charset=utf-8", "ok\n"),
        "/readyz" => {
            let report = state.readiness.report();
            let status =
                if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let body = serde_json::json!(report).to_string();
            answer(status, "application/json", body)
        }
        _ => answer(StatusCode::OK, OPEN_METRICS, state.metrics.encode()),
    }
}

#[cfg(test)]
mod tests;
