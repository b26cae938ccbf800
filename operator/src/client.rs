//! The client for the API server, with a layer that counts its requests.

use std::task::{Context, Poll};
use std::time::Duration;

use federation_engine::dial::backoff::Backoff;
use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::{Layer, Service};

use crate::args::Args;
use crate::causes::Causes;
use crate::metrics::Metrics;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file given by `--kubeconfig` cannot be used.
    #[error("cannot use the kubeconfig {path}: {source}")]
    Kubeconfig {
        /// Path as given.
        path: String,
        /// The cause.
        source: kube::config::KubeconfigError,
    },
    /// There is neither a kubeconfig nor a service account.
    #[error(
        "found no configuration for the API server (no KUBECONFIG, no ~/.kube/config, no service account): {0}"
    )]
    Infer(#[from] kube::config::InferConfigError),
    /// TLS or authentication of the client.
    #[error("cannot set up the connection to the API server: {0}")]
    Build(#[from] kube::Error),
}

/// Pauses between two attempts to reach the API server.
const RETRY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(15));

/// A client as configured by `args`, and the address of the API server. Sends no request yet.
///
/// # Errors
/// When no usable configuration is found.
pub async fn connect(args: &Args, metrics: Metrics) -> Result<(Client, Uri), ClientError> {
    let config = match &args.kubeconfig {
        None => Config::infer().await?,
        Some(path) => {
            let because =
                |source| ClientError::Kubeconfig { path: path.display().to_string(), source };
            let file = Kubeconfig::read_from(path).map_err(because)?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .map_err(because)?
        }
    };
    let server = config.cluster_url.clone();
    let client = ClientBuilder::try_from(config)?.with_layer(&CountRequests { metrics }).build();
    Ok((client, server))
}

/// Waits until the API server answers. The operator can do nothing without it, and one log line that names it is more
/// useful than the failures of a dozen watches.
pub async fn wait_for_server(client: &Client, server: &Uri) {
    let mut retry = RETRY;
    loop {
        match client.apiserver_version().await {
            Ok(version) => {
                tracing::info!(%server, version = version.git_version, "connected to the API server");
                return;
            }
            // An answer, even if only that this account may not query the version.
            Err(kube::Error::Api(_)) => return,
            Err(error) => {
                let why = Causes(&error);
                tracing::error!(
                    %server, %why,
                    "cannot reach the API server; check the address, and check that network policies allow this pod to connect"
                );
            }
        }
        tokio::time::sleep(retry.bound_after_failure()).await;
    }
}

/// Counts requests by method, resource and status code.
#[derive(Clone, Debug)]
pub struct CountRequests {
    /// The metrics.
    pub metrics: Metrics,
}

impl<S> Layer<S> for CountRequests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Counted { inner, metrics: self.metrics.clone() }
    }
}

/// A service whose requests are counted.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    metrics: Metrics,
}

impl<S, B> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = request.method().clone();
        let resource = resource(request.uri().path()).to_owned();
        let metrics = self.metrics.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let result = answer.await;
            let code = result.as_ref().map_or(0, |response| response.status().as_u16());
            metrics.api_request(method.as_str(), &resource, code);
            result
        })
    }
}

/// The plural resource name in a path of the API server, without object names: the values of a label must be bounded.
fn resource(path: &str) -> &str {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let skip = match parts.next() {
        Some("api") => 1,
        Some("apis") => 2,
        _ => return "other",
    };
    let mut parts = parts.skip(skip);
    let Some(first) = parts.next() else { return "discovery" };
    if first != "namespaces" {
        return first;
    }
    let _namespace = parts.next();
    parts.next().unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_of_a_path_never_holds_a_name() {
        for (path, expected) in [
            ("/api/v1/namespaces/im/services/example", "services"),
            ("/apis/apps/v1/deployments", "deployments"),
            (
                "/apis/xmppfederation.dev/v1alpha1/namespaces/im/xmppfederations/example/status",
                "xmppfederations",
            ),
            ("/api/v1/namespaces/im", "namespaces"),
            ("/apis/externaldns.k8s.io/v1alpha1", "discovery"),
            ("/version", "other"),
        ] {
            assert_eq!(resource(path), expected, "{path}");
        }
    }
}
