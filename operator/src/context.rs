//! State that all reconciles share.
//!
//! # Permissions
//! Exactly these verbs are used; the chart's role lists the same:
//!
//! | group | resource | verbs | for |
//! | --- | --- | --- | --- |
//! | `xmppfederation.dev` | `xmppfederations` | get list watch | the resource |
//! | `xmppfederation.dev` | `xmppfederations/status` | patch | its status |
//! | `xmppfederation.dev` | `xmppfederations/finalizers` | update | owner references that block deletion |
//! | core | `services` `configmaps` `secrets` `serviceaccounts` | get list watch create patch delete | children; references to Secrets and ConfigMaps |
//! | `apps` | `deployments` | get list watch create patch delete | children |
//! | `networking.k8s.io` | `networkpolicies` | get list watch create patch delete | children |
//! | `policy` | `poddisruptionbudgets` | get list watch create patch delete | children |
//! | `externaldns.k8s.io` | `dnsendpoints` | get list watch create patch delete | children, where the kind exists |
//! | `cert-manager.io` | `certificates` | get list watch create patch delete | children, where the kind exists |
//! | `cert-manager.io` | `certificaterequests` | get list watch | progress of an issuance, where the kind exists |
//! | `acme.cert-manager.io` | `orders` `challenges` | get list watch | progress of an issuance, where the kind exists |
//! | core | `pods` | get list watch patch | readiness and addresses of the engine; an annotation makes the kubelet look at changed volumes at once |
//! | core | `events` | list | what the load balancer's controller says |
//! | `events.k8s.io` | `events` | create patch | own events |
//! | core | `nodes` | list | addresses of the cluster itself (cluster-wide mode only) |
//! | `networking.k8s.io` | `servicecidrs` | list | addresses of the cluster itself (cluster-wide mode only) |
//! | `coordination.k8s.io` | `leases` | get create patch | leader election, own namespace only |

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::Client;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::Store;

use crate::build::Settings;
use crate::children::Children;
use crate::discovery::OptionalKinds;
use crate::evidence::engine::Engines;
use crate::evidence::networks::Networks;
use crate::evidence::zone::Zones;
use crate::memory::Memory;
use crate::metrics::Metrics;

pub use crate::federation::watched::{Federation, FederationRef};

/// State that all reconciles share.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The operator's settings.
    pub settings: Settings,
    /// The metrics.
    pub metrics: Metrics,
    /// Publishes events. It is shared, because it aggregates events.
    pub recorder: Recorder,
    /// All watched federations.
    pub federations: Store<Federation>,
    /// Metadata of all objects that the operator created.
    pub children: Children,
    /// Kinds that may not exist in the cluster.
    pub kinds: OptionalKinds,
    /// What the engines report.
    pub engines: Engines,
    /// Addresses of the cluster itself.
    pub networks: Networks,
    /// Authoritative servers by zone.
    pub zones: Zones,
    /// State of each federation that is kept between reconciles.
    pub memory: Mutex<HashMap<FederationRef, Memory>>,
}

impl Context {
    /// Runs `f` on the kept state of a federation. The lock is never held across an await.
    pub fn remember<T>(
        &self,
        federation: &FederationRef,
        work: impl FnOnce(&mut Memory) -> T,
    ) -> T {
        let mut all = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        work(all.entry(federation.clone()).or_default())
    }

    /// Drops the kept state of a deleted federation. Kubernetes deletes its children by their owner references.
    pub fn forget(&self, federation: &FederationRef) {
        self.engines.forget(federation);
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(federation);
        let namespace = federation.namespace.as_deref().unwrap_or_default();
        let types = crds::condition::ConditionType::ALL.map(crds::condition::ConditionType::as_str);
        self.metrics.forget(namespace, &federation.name, &types);
    }
}
