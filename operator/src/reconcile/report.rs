//! Writes the status when it changes, and reports transitions by events and metrics.

use crds::condition::{self, Condition, ConditionStatus, ConditionType};
use crds::{XmppFederation, XmppFederationStatus};
use kube::api::Patch;
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use super::apply::patch_params;
use super::error::Error;
use crate::context::Context;
use crate::metrics::PeerCount;

/// Writes the status if it changed.
///
/// # Errors
/// When the API server does not accept it.
pub async fn status(
    context: &Context,
    object: &XmppFederation,
    new: &XmppFederationStatus,
) -> Result<(), Error> {
    let nothing = XmppFederationStatus::default();
    let old = object.status.as_ref().unwrap_or(&nothing);
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    count(context, &namespace, &name, new);
    if *old == *new {
        return Ok(());
    }
    write(context, &namespace, &name, new).await?;
    for event in events(&old.conditions, &new.conditions) {
        // A lost event does no harm; the condition is in the status.
        if let Err(error) = context.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::debug!(%error, "cannot publish an event");
        }
    }
    Ok(())
}

/// Writes the status.
///
/// # Errors
/// When the API server does not accept it.
pub async fn write(
    context: &Context,
    namespace: &str,
    name: &str,
    status: &XmppFederationStatus,
) -> Result<(), Error> {
    let api = Api::<XmppFederation>::namespaced(context.client.clone(), namespace);
    let patch = json!({
        "apiVersion": XmppFederation::api_version(&()),
        "kind": XmppFederation::kind(&()),
        "metadata": {"name": name},
        "status": status,
    });
    match api.patch_status(name, &patch_params(), &Patch::Apply(patch)).await {
        Ok(_) => Ok(()),
        // It was deleted in the meantime.
        Err(kube::Error::Api(answer)) if answer.is_not_found() => Ok(()),
        Err(kube::Error::Api(answer)) if answer.is_conflict() => {
            Err(Error::Conflict { object: format!("status of XmppFederation {name}") })
        }
        Err(error) => {
            Err(Error::api(format!("write the status of XmppFederation {namespace}/{name}"))(error))
        }
    }
}

/// One event for each transition of a condition to True, to False, or away from True.
fn events(old: &[Condition], new: &[Condition]) -> Vec<Event> {
    let transitions = new.iter().filter_map(|condition| {
        let type_ = ConditionType::from_name(&condition.type_)?;
        let before = condition::get(old, type_).map(|before| before.status);
        let reported = match (before, condition.status) {
            (before, now) if before == Some(now) => false,
            // An Unknown at first, or after a False, is no event.
            (None | Some(ConditionStatus::False), ConditionStatus::Unknown) => false,
            _ => !matches!(type_, ConditionType::Reconciling | ConditionType::Stalled),
        };
        reported.then(|| Event {
            type_: if condition.status == ConditionStatus::True {
                EventType::Normal
            } else {
                EventType::Warning
            },
            reason: condition.reason.clone(),
            note: Some(format!("{}: {}", condition.type_, condition.message)),
            // Some conditions share reasons. The recorder merges events of the same reason and action into one series, and
            // keeps only the note of the first.
            action: format!("Verify{type_}"),
            secondary: None,
        })
    });
    transitions.collect()
}

fn count(context: &Context, namespace: &str, name: &str, status: &XmppFederationStatus) {
    for condition in &status.conditions {
        if let Some(type_) = ConditionType::from_name(&condition.type_) {
            let word = condition.status.as_str();
            context.metrics.condition(namespace, name, type_.as_str(), word);
        }
    }
    if let Some(summary) = &status.peer_summary {
        for (state, number) in [
            (PeerCount::Reachable, summary.reachable),
            (PeerCount::Failing, summary.failing),
            (PeerCount::Unknown, summary.unknown),
        ] {
            context.metrics.peers(namespace, name, state, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::reason::{ConditionReason, ReadyReason, SRVResolvesReason};
    use jiff::Timestamp;

    fn condition(reason: impl Into<ConditionReason>) -> Vec<Condition> {
        vec![Condition::new(reason, "it is so", Some(1), Timestamp::UNIX_EPOCH)]
    }

    #[test]
    fn a_transition_is_notified_once_and_a_first_unknown_is_none() {
        let good = condition(ReadyReason::Federated);
        let open = condition(ReadyReason::Progressing);
        assert!(events(&[], &open).is_empty());
        assert!(events(&good, &good).is_empty());
        let reported = events(&open, &good);
        assert_eq!(reported[0].reason, "Federated");
        assert_eq!(reported[0].note.as_deref(), Some("Ready: It is so."));
        assert_eq!(reported[0].type_, EventType::Normal);
        let lost = events(
            &condition(SRVResolvesReason::RecordsMatch),
            &condition(SRVResolvesReason::SRVNotFound),
        );
        assert_eq!(lost[0].type_, EventType::Warning);
    }
}
