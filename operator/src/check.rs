//! `xmpp-federation-operator check`: whether the resource is installed and an operator answers. `helm test` runs it.

use std::time::Duration;

use clap::Args;
use crds::XmppFederation;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Time limit of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Flags of the check.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// `host:port` of the operator's HTTP port; without it, only the resource is checked.
    #[arg(long)]
    pub operator: Option<String>,
    /// Namespace whose federations may be listed; empty means all namespaces.
    #[arg(long, default_value = "")]
    pub namespace: String,
}

/// The first prerequisite that is missing.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// There is no configuration for the API server.
    #[error("cannot use the API server: {0}")]
    Client(Box<dyn std::error::Error + Send + Sync>),
    /// The resource is not installed.
    #[error(
        "the API server has no XmppFederation: apply the CustomResourceDefinition, or set the chart's value crds.enabled"
    )]
    NoResource,
    /// Federations cannot be listed.
    #[error("cannot list XmppFederations: {0}")]
    List(kube::Error),
    /// The operator does not answer.
    #[error("the operator at {address} does not answer: {problem}")]
    Silent {
        /// Its address.
        address: String,
        /// The cause.
        problem: String,
    },
    /// The operator is not ready.
    #[error("the operator at {address} is not ready: /readyz answered {status}")]
    NotReady {
        /// Its address.
        address: String,
        /// Its answer.
        status: StatusCode,
    },
}

/// One line for each thing that is as it must be.
///
/// # Errors
/// The first thing that is not; see [`CheckError`].
pub async fn check(args: &CheckArgs) -> Result<Vec<String>, CheckError> {
    let client = Client::try_default().await.map_err(|error| CheckError::Client(error.into()))?;
    let api: Api<XmppFederation> = if args.namespace.is_empty() {
        Api::all(client)
    } else {
        Api::namespaced(client, &args.namespace)
    };
    match api.list_metadata(&ListParams::default().limit(1)).await {
        Ok(_) => {}
        Err(kube::Error::Api(answer)) if answer.is_not_found() => {
            return Err(CheckError::NoResource);
        }
        Err(error) => return Err(CheckError::List(error)),
    }
    let mut lines = vec!["The API server has the resource XmppFederation.".to_owned()];
    if let Some(address) = &args.operator {
        ready(address).await?;
        lines.push(format!("The operator at {address} is ready."));
    }
    Ok(lines)
}

async fn ready(address: &str) -> Result<(), CheckError> {
    let silent = |problem: String| CheckError::Silent { address: address.to_owned(), problem };
    let status = match timeout(REQUEST_TIMEOUT, get(address)).await {
        Ok(status) => status.map_err(silent)?,
        Err(_) => return Err(silent(format!("no answer within {REQUEST_TIMEOUT:?}"))),
    };
    if status == StatusCode::OK {
        return Ok(());
    }
    Err(CheckError::NotReady { address: address.to_owned(), status })
}

async fn get(address: &str) -> Result<StatusCode, String> {
    let tcp = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut requests, connection) =
        handshake(TokioIo::new(tcp)).await.map_err(|error| error.to_string())?;
    // The process ends soon, and the connection with it.
    tokio::spawn(connection);
    let request = Request::get("/readyz")
        .header(header::HOST, address)
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|error| error.to_string())?;
    let answer = requests.send_request(request).await.map_err(|error| error.to_string())?;
    Ok(answer.status())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{self, Health};
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn an_operator_is_ready_when_it_says_so() {
        let listener = admin::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let health = Health::default();
        let server = tokio::spawn(admin::serve(listener, health.clone(), Metrics::new()));
        let error = ready(&address).await.unwrap_err().to_string();
        assert!(
            error.ends_with("is not ready: /readyz answered 503 Service Unavailable"),
            "{error}"
        );
        health.set_ready();
        ready(&address).await.unwrap();
        server.abort();
        let _ = server.await;
        let error = ready(&address).await.unwrap_err().to_string();
        assert!(error.contains("does not answer"), "{error}");
    }
}
