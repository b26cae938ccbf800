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
//! | `xmppfederation.dev` | `xmppprobereports` | list watch delete | probes that users report, until they expire |
//! | core | `services` `configmaps` `secrets` `serviceaccounts` | get list watch create patch delete | children; references to Secrets and ConfigMaps |
//! | `apps` | `deployments` | get list watch create patch delete | children |
//! | `networking.k8s.io` | `networkpolicies` | get list watch create patch delete | children |
//! | `policy` | `poddisruptionbudgets` | get list watch create patch delete | children |
//! | `externaldns.k8s.io` | `dnsendpoints` | get list watch create patch delete | children, where the kind exists |
//! | `cert-manager.io` | `certificates` | get list watch create patch delete | children, where the kind exists |
//! | `cert-manager.io` | `certificaterequests` | get list watch | progress of an issuance, where the kind exists |
//! | `acme.cert-manager.io` | `orders` `challenges` | get list watch | progress of an issuance, where the kind exists |
//! | core | `pods` | get list watch | readiness and addresses of the engine |
//! | core | `events` | list watch | what the load balancer's controller says |
//! | `events.k8s.io` | `events` | create patch | own events |
//! | core | `nodes` | list watch | addresses of the cluster itself (cluster-wide mode only) |
//! | `networking.k8s.io` | `servicecidrs` | list | addresses of the cluster itself (cluster-wide mode only) |
//! | `coordination.k8s.io` | `leases` | get create patch | leader election, in the namespace of the lease only |
//! | `coordination.k8s.io` | `leases` | list watch | leases of operators that serve one namespace, by name (cluster-wide mode only) |

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crds::XmppFederation;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::Store;

use crate::build::Settings;
use crate::children::Children;
use crate::definition::Definition;
use crate::discovery::OptionalKinds;
use crate::domain_policy::DomainPolicy;
use crate::evidence::background::Background;
use crate::evidence::engine::Engines;
use crate::evidence::networks::Networks;
use crate::evidence::peer_dns::PeerDnsRounds;
use crate::evidence::prober::ProberRounds;
use crate::evidence::rounds::{DnsRounds, ProbeRounds};
use crate::federation::validated::held;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::objects::Objects;
use crate::rivals::Rivals;
use crate::shortages::Shortages;
use crate::territory::{Holder, Territory};
use crate::turns::Turns;
use crate::waves::Waves;

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
    /// Objects that the verdicts depend on.
    pub objects: Objects,
    /// The definition of the resource, which may be of another version.
    pub definition: Definition,
    /// Kinds that may not exist in the cluster.
    pub kinds: OptionalKinds,
    /// What the engines report.
    pub engines: Engines,
    /// Addresses of the cluster itself.
    pub networks: Networks,
    /// DNS answers.
    pub dns: Background<DnsRounds>,
    /// Streams to the engine's listeners.
    pub probes: Background<ProbeRounds>,
    /// DNS records of the peers.
    pub peer_dns: Background<PeerDnsRounds>,
    /// What probers outside the cluster see.
    pub outside: Background<ProberRounds>,
    /// Class of the federations that this operator serves.
    pub class: String,
    /// Namespaces that operators of their own serve.
    pub territory: Territory,
    /// Which namespace may claim which domains.
    pub domains: DomainPolicy,
    /// What all federations claim.
    pub rivals: Rivals,
    /// Rollouts of new engine pods.
    pub waves: Waves,
    /// Addresses and ports that the cluster lacks.
    pub shortages: Shortages,
    /// The pods that this operator builds.
    pub revision: String,
    /// Federations whose children are applied now.
    pub applying: Turns,
    /// Services that are created now.
    pub creating: Turns,
    /// State of each federation that is kept between reconciles.
    pub memory: Mutex<HashMap<FederationRef, Memory>>,
}

/// Another operator that serves a federation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Server {
    /// One of another class, if there is one.
    Class,
    /// One for the namespace alone.
    Namespace(Holder),
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

    /// Drops the kept state of another federation of the same name.
    pub fn adopt(&self, federation: &FederationRef, uid: Option<String>) {
        let other = self.remember(federation, |memory| memory.uid.is_some() && memory.uid != uid);
        if other {
            self.forget(federation);
        }
        self.remember(federation, |memory| memory.uid = uid);
    }

    /// Drops the kept state of every federation that no longer exists. No event names one that was deleted while the watch
    /// was broken or while a reconcile of it was running.
    pub fn forget_deleted(&self) {
        let known: Vec<FederationRef> =
            self.memory.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        for federation in known.iter().filter(|known| self.federations.get(known).is_none()) {
            self.forget(federation);
        }
    }

    /// Who serves a federation with this metadata, if not this operator.
    pub fn served_by(&self, metadata: &ObjectMeta) -> Option<Server> {
        let class = metadata.annotations.as_ref().and_then(|all| all.get(crds::CLASS));
        if class.map_or(crds::DEFAULT_CLASS, String::as_str) != self.class {
            return Some(Server::Class);
        }
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        self.territory.holder(namespace, Timestamp::now()).map(Server::Namespace)
    }

    /// Whether a federation may claim names. One of another class may have no operator at all, so it claims only what it was
    /// accepted with.
    pub fn claims(&self, object: &XmppFederation) -> bool {
        let is_served = self.served_by(&object.metadata) != Some(Server::Class);
        (is_served || !held(object).is_empty()) && self.domains.check(object).is_ok()
    }

    /// Drops the kept state of a deleted federation. Kubernetes deletes its children by their owner references.
    pub fn forget(&self, federation: &FederationRef) {
        self.rivals.release(federation);
        self.leave(federation);
    }

    /// Drops the kept state of a federation that another operator serves.
    pub fn leave(&self, federation: &FederationRef) {
        self.engines.forget(federation);
        self.dns.forget(federation);
        self.probes.forget(federation);
        self.outside.forget(federation);
        self.peer_dns.forget(federation);
        self.shortages.forget(federation);
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(federation);
        let namespace = federation.namespace.as_deref().unwrap_or_default();
        let types = crds::condition::ConditionType::ALL.map(crds::condition::ConditionType::as_str);
        self.metrics.forget(namespace, &federation.name, &types);
    }
}

#[cfg(test)]
mod tests {
    use kube::client::Body;

    use super::*;

    /// An API server without objects.
    fn empty_server() -> Client {
        let answer = |_: http::Request<Body>| async {
            http::Response::builder().status(404).body(Body::empty())
        };
        Client::new(tower::service_fn(answer), "im")
    }

    #[tokio::test]
    async fn nothing_stays_of_a_federation_that_was_deleted_unnoticed() {
        let (context, _writers) = crate::fixtures::context(empty_server());
        let federation = FederationRef::new("example").within("im");
        context.adopt(&federation, Some("1".to_owned()));
        context.metrics.condition("im", "example", "Ready", "False");
        // The listing after a broken watch does not have it any more.
        context.forget_deleted();
        assert!(context.memory.lock().unwrap().is_empty());
        assert!(!context.metrics.encode().unwrap().contains("name=\"example\""));
    }

    #[tokio::test]
    async fn another_federation_of_the_same_name_starts_from_nothing() {
        let (context, _writers) = crate::fixtures::context(empty_server());
        let federation = FederationRef::new("example").within("im");
        context.adopt(&federation, Some("1".to_owned()));
        context.remember(&federation, |memory| memory.reported = Some(HashMap::new()));
        context.adopt(&federation, Some("1".to_owned()));
        assert!(context.remember(&federation, |memory| memory.reported.is_some()));
        context.adopt(&federation, Some("2".to_owned()));
        assert!(context.remember(&federation, |memory| memory.reported.is_none()));
    }
}
