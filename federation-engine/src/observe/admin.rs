//! The admin listener: `/livez`, `/readyz`, `/metrics`. It serves plain HTTP and only reads.

use std::sync::Arc;

use http::StatusCode;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::observe::http::{HttpResponse, OPEN_METRICS, PLAIN_TEXT, answer, refuse, serve_reads};
use crate::observe::metrics::Metrics;
use crate::observe::readiness::Readiness;

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
    serve_reads(listener, "admin", &shutdown, move |path| route(&state, path)).await;
}

fn route(state: &AdminState, path: &str) -> HttpResponse {
    match path {
        "/livez" => answer(StatusCode::OK, PLAIN_TEXT, "ok\n"),
        "/readyz" => {
            let report = state.readiness.report();
            let status =
                if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let body = serde_json::json!(report).to_string();
            answer(status, "application/json", body)
        }
        "/metrics" => answer(StatusCode::OK, OPEN_METRICS, state.metrics.encode()),
        _ => refuse(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics"),
    }
}

#[cfg(test)]
mod tests;
