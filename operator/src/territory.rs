//! Namespaces that operators of their own serve. An operator for one namespace holds a lease there; the operator for all
//! namespaces leaves the federations of that namespace to it for as long as the lease is valid.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};

use crate::causes::Causes;

/// Tolerated difference between the clocks of nodes.
const SKEW: SignedDuration = SignedDuration::from_secs(5);

/// Who serves which namespace.
#[derive(Debug, Default)]
pub struct Territory {
    holders: RwLock<HashMap<String, Holder>>,
}

/// The operator of a namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Holder {
    /// Its namespace and pod.
    pub identity: String,
    /// When its lease expires unless it is renewed.
    pub until: Timestamp,
}

impl Holder {
    /// The holder of a lease, whether the lease is still valid or not.
    pub fn of(lease: &Lease) -> Option<Self> {
        let spec = lease.spec.as_ref()?;
        let identity = spec.holder_identity.clone().filter(|holder| !holder.is_empty())?;
        let renewed = spec.renew_time.as_ref()?.0;
        let length = SignedDuration::from_secs(spec.lease_duration_seconds?.into());
        Some(Self { identity, until: renewed.checked_add(length + SKEW).ok()? })
    }
}

impl Territory {
    /// The operator that serves a namespace of its own, if there is one now.
    pub fn holder(&self, namespace: &str, now: Timestamp) -> Option<Holder> {
        let holders = self.holders.read().unwrap_or_else(PoisonError::into_inner);
        holders.get(namespace).filter(|holder| now < holder.until).cloned()
    }

    /// Takes an event. Returns the namespaces that another operator serves now, or no operator of their own any more.
    fn take(&self, event: Event<Lease>, listing: &mut HashMap<String, Holder>) -> Vec<String> {
        let mut holders = self.holders.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => {
                listing.clear();
                Vec::new()
            }
            Event::InitApply(lease) => {
                let namespace = lease.namespace().unwrap_or_default();
                listing.extend(Holder::of(&lease).map(|holder| (namespace, holder)));
                Vec::new()
            }
            Event::InitDone => {
                let before = std::mem::replace(&mut *holders, std::mem::take(listing));
                let mut changed: Vec<String> = before.keys().cloned().collect();
                changed.extend(holders.keys().cloned());
                changed.retain(|namespace| {
                    before.contains_key(namespace) != holders.contains_key(namespace)
                });
                changed.sort_unstable();
                changed.dedup();
                changed
            }
            Event::Apply(lease) => {
                let namespace = lease.namespace().unwrap_or_default();
                let before = match Holder::of(&lease) {
                    Some(holder) => holders.insert(namespace.clone(), holder),
                    None => holders.remove(&namespace),
                };
                let same = before.is_some() == holders.contains_key(&namespace);
                if same { Vec::new() } else { vec![namespace] }
            }
            Event::Delete(lease) => {
                let namespace = lease.namespace().unwrap_or_default();
                holders.remove(&namespace).map(|_| namespace).into_iter().collect()
            }
        }
    }
}

/// Follows the leases of this name in all namespaces. Calls `changed` with each namespace that is served by another operator
/// from now on, or no longer.
pub async fn follow<F>(
    client: Client,
    lease: &str,
    territory: &Territory,
    changed: impl Fn(String) -> F,
) where
    F: Future<Output = ()>,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={lease}"));
    let events = watcher(Api::<Lease>::all(client), config).default_backoff();
    let mut events = std::pin::pin!(events);
    let (mut listing, mut failing) = (HashMap::new(), false);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                failing = false;
                for namespace in territory.take(event, &mut listing) {
                    changed(namespace).await;
                }
            }
            // What is known expires by itself. One warning for failures in a row.
            Err(_) if failing => {}
            Err(error) => {
                failing = true;
                let why = Causes(&error);
                tracing::warn!(%why, %lease, "cannot watch the leases of operators that serve one namespace");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lease(namespace: &str, holder: Option<&str>) -> Lease {
        let mut lease = json!({"metadata": {"name": "l", "namespace": namespace}});
        if let Some(holder) = holder {
            lease["spec"] = json!({
                "holderIdentity": holder, "leaseDurationSeconds": 15,
                "renewTime": "2026-11-01T12:00:00.000000Z"
            });
        }
        serde_json::from_value(lease).unwrap()
    }

    #[test]
    fn a_namespace_is_served_by_its_own_operator_while_its_lease_is_valid() {
        let territory = Territory::default();
        let mut listing = HashMap::new();
        let mut take = |event| territory.take(event, &mut listing);
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        let holder = |namespace| territory.holder(namespace, at("2026-11-01T12:00:19Z"));
        for event in [Event::Init, Event::InitApply(lease("a", Some("a/pod")))] {
            assert_eq!(take(event), [] as [&str; 0]);
        }
        assert_eq!(take(Event::InitDone), ["a"]);
        assert_eq!(holder("a").unwrap().identity, "a/pod");
        assert_eq!(holder("b"), None);
        assert_eq!(territory.holder("a", at("2026-11-01T12:00:20Z")), None, "it is expired");
        assert_eq!(take(Event::Apply(lease("a", Some("a/pod")))), [] as [&str; 0], "a renewal");
        assert_eq!(take(Event::Apply(lease("b", Some("b/pod")))), ["b"]);
        assert_eq!(take(Event::Apply(lease("a", None))), ["a"], "it is released");
        assert_eq!(take(Event::Delete(lease("b", Some("b/pod")))), ["b"]);
        assert_eq!(holder("b"), None);
    }
}
