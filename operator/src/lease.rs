//! Leader election on a `Lease`: only one replica of the operator is active.

use std::future::Future;

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Name of the lease, in the operator's own namespace.
pub const LEASE_NAME: &str = crds::FIELD_MANAGER;
/// Validity of the lease after its last renewal, in seconds: after a leader crashes, no other replica takes over before.
const DURATION: u64 = 15;
/// The lease is renewed this many seconds before it expires; also the tolerated clock skew between nodes.
const GRACE: u64 = 5;

/// The lease cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Reading or creating it failed.
    #[error(
        "cannot use the lease {LEASE_NAME} in namespace {namespace}: {source}; \
         the operator's service account needs get, create and patch on leases there"
    )]
    Unusable {
        /// Namespace of the lease.
        namespace: String,
        /// The error of the API server.
        source: LeaseManagerError,
    },
    /// The renewal task ended.
    #[error("the operator no longer renews lease {LEASE_NAME}")]
    Ended,
}

/// A held lease; [`Leadership::release`] releases it.
#[derive(Debug)]
pub struct Leadership {
    state: watch::Receiver<bool>,
    renewal: JoinHandle<Result<LeaseManager, LeaseManagerError>>,
}

/// Waits until this process is the leader.
///
/// # Errors
/// When the lease cannot be read or created.
pub async fn acquire(
    client: Client,
    namespace: &str,
    identity: &str,
) -> Result<Leadership, LeaseError> {
    let manager = LeaseManagerBuilder::new(client, LEASE_NAME)
        .with_namespace(namespace)
        .with_identity(identity)
        .with_duration(DURATION)
        .with_grace(GRACE)
        .build()
        .await
        .map_err(|source| LeaseError::Unusable { namespace: namespace.to_owned(), source })?;
    let (mut state, renewal) = manager.watch().await;
    state.wait_for(|leads| *leads).await.map_err(|_| LeaseError::Ended)?;
    Ok(Leadership { state, renewal })
}

impl Leadership {
    /// Completes when the lease is lost. The caller must exit the process, because any further action would race with the
    /// next leader.
    pub fn lost(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut state = self.state.clone();
        async move {
            // An error means that the renewal task ended, so the lease is lost as well.
            let _ = state.wait_for(|leads| !*leads).await;
        }
    }

    /// Releases the lease, so that the next leader does not have to wait until it expires.
    pub async fn release(self) {
        let Self { state, renewal } = self;
        drop(state);
        match renewal.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot release the lease"),
            Err(error) => tracing::warn!(%error, "the lease renewal task failed"),
        }
    }
}
