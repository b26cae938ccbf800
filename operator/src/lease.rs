//! Leader election on a `Lease`: of all pods and all installations that would serve the same federations, only one is active.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::territory::Holder;

/// Name of the lease of earlier versions, in the operator's own namespace.
const EARLIER_NAME: &str = crds::FIELD_MANAGER;
/// Name of the lease of the operator for all namespaces, for the default class.
const CLUSTER_NAME: &str = crds::FIELD_MANAGER;
/// Validity of the lease after its last renewal, in seconds: after a leader crashes, no other replica takes over before.
const DURATION: u64 = 15;
/// The lease is renewed this many seconds before it expires; also the tolerated clock skew between nodes.
const GRACE: u64 = 5;

/// Pause between two looks at who holds the lease.
const LOOK: Duration = Duration::from_secs(10);
/// The same for the first look, and while an operator of an earlier version leads.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// A lease, and who wants it.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Namespace of the lease.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Namespace of the operator's pod.
    pub own_namespace: String,
    /// Name of the operator's pod.
    pub pod: String,
}

/// Name of the lease of the operator for all namespaces, or for its own namespace alone. Operators of different classes have
/// different leases.
pub fn name(class: &str, cluster_wide: bool) -> String {
    match (cluster_wide, class) {
        (true, crds::DEFAULT_CLASS) => CLUSTER_NAME.to_owned(),
        (true, class) => format!("{CLUSTER_NAME}.class.{class}"),
        (false, class) => format!("{CLUSTER_NAME}.namespaced.{class}"),
    }
}

/// The lease cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Reading or creating it failed.
    #[error(
        "cannot use the lease {name} in namespace {namespace}: {source}; the operator's service account needs get, create and patch on leases there; the chart's value leaderElection.namespace selects another namespace"
    )]
    Unusable {
        /// Namespace of the lease.
        namespace: String,
        /// Name of the lease.
        name: String,
        /// The error of the API server.
        source: LeaseManagerError,
    },
    /// The renewal task ended.
    #[error("the operator no longer renews its lease")]
    Ended,
}

/// A held lease; [`Leadership::release`] releases it.
#[derive(Debug)]
pub struct Leadership {
    state: watch::Receiver<bool>,
    renewal: JoinHandle<Result<LeaseManager, LeaseManagerError>>,
}

/// Waits until this process is the leader, and logs who leads until then.
///
/// # Errors
/// When the lease cannot be read or created.
pub async fn acquire(client: Client, wanted: &Wanted) -> Result<Leadership, LeaseError> {
    let Wanted { namespace, name, .. } = wanted;
    wait_for_earlier_version(&client, wanted).await;
    let manager = LeaseManagerBuilder::new(client.clone(), name)
        .with_namespace(namespace)
        .with_identity(wanted.identity())
        .with_duration(DURATION)
        .with_grace(GRACE)
        .build()
        .await
        .map_err(|source| LeaseError::Unusable {
            namespace: namespace.clone(),
            name: name.clone(),
            source,
        })?;
    let (mut state, renewal) = manager.watch().await;
    let leases = Api::<Lease>::namespaced(client, namespace);
    let (mut pause, mut said) = (FIRST_LOOK, None);
    loop {
        let leads = tokio::time::timeout(pause, state.wait_for(|leads| *leads)).await;
        if let Ok(leads) = leads {
            leads.map_err(|_| LeaseError::Ended)?;
            break;
        }
        pause = LOOK;
        let Ok(Some(lease)) = leases.get_opt(name).await else { continue };
        let holder = Holder::of(&lease).map(|holder| holder.identity);
        if let Some(holder) = holder.filter(|holder| said.as_ref() != Some(holder)) {
            wanted.tell(&holder);
            said = Some(holder);
        }
    }
    Ok(Leadership { state, renewal })
}

impl Wanted {
    /// Pods of different namespaces may have the same name.
    fn identity(&self) -> String {
        format!("{}/{}", self.own_namespace, self.pod)
    }

    fn tell(&self, holder: &str) {
        let Self { namespace, name, own_namespace, .. } = self;
        let own = holder.strip_prefix(own_namespace).is_some_and(|pod| pod.starts_with('/'));
        if own {
            tracing::info!(%namespace, lease = %name, %holder, "standing by: another pod of this operator leads");
        } else {
            tracing::warn!(
                %namespace, lease = %name, %holder,
                "standing by: another installation of this operator leads; uninstall one of the two, or give them different classes (chart value class)"
            );
        }
    }
}

/// Operators of earlier versions hold another lease. During an upgrade, the old one must end first. A lease that cannot be
/// read delays nothing.
async fn wait_for_earlier_version(client: &Client, wanted: &Wanted) {
    let Wanted { own_namespace, name, .. } = wanted;
    if (own_namespace, name.as_str()) == (&wanted.namespace, EARLIER_NAME) {
        return;
    }
    let leases = Api::<Lease>::namespaced(client.clone(), own_namespace);
    let mut said = false;
    while let Ok(Some(lease)) = leases.get_opt(EARLIER_NAME).await {
        let holder = Holder::of(&lease).filter(|holder| Timestamp::now() < holder.until);
        let Some(holder) = holder else { return };
        if !said {
            let holder = &holder.identity;
            tracing::info!(%holder, "standing by until the operator of an earlier version ends");
            said = true;
        }
        tokio::time::sleep(FIRST_LOOK).await;
    }
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
