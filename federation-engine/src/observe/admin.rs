//! The admin listener: `/livez`, `/readyz`, `/metrics`. Plain HTTP, reads only.

use std::sync::Arc;

use http::{Method, StatusCode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::observe::http::{Answer, accept, answer, refuse, speak, wrong_method};
use crate::observe::metrics::Metrics;
use crate::observe::readiness::Readiness;

/// What `prometheus-client` writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the admin listener shows.
#[derive(Debug)]
pub struct AdminState {
    /// For `/readyz`.
    pub readiness: Arc<Readiness>,
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
}

/// Serves until the shutdown.
pub async fn serve(listener: TcpListener, state: Arc<AdminState>, shutdown: CancellationToken) {
    accept(listener, &shutdown, |stream| {
        let (state, shutdown) = (Arc::clone(&state), shutdown.clone());
        async move {
            speak(stream, &shutdown, |request| {
                let answered = route(&state, request.method(), request.uri().path());
                async move { answered }
            })
            .await;
        }
    })
    .await;
}

fn route(state: &AdminState, method: &Method, path: &str) -> Answer {
    if !matches!(path, "/livez" | "/readyz" | "/metrics") {
        return refuse(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics");
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
