//! Writes the status when it changes, and reports transitions by events and metrics.

use std::time::Duration;

use crds::condition::{self, Condition, ConditionStatus, ConditionType};
use crds::{XmppFederation, XmppFederationStatus};
use jiff::{SignedDuration, Timestamp};
use kube::api::Patch;
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use super::apply::patch_params;
use super::error::Error;
use crate::context::{Context, FederationRef};
use crate::memory::Reports;
use crate::metrics::PeerCount;

/// Time that a condition may be False before it is reported, if it was never True: what is merely not there yet is no fault.
const GRACE: SignedDuration = SignedDuration::from_mins(1);
/// The same for what the API server or a missing object refuses: an API server that is slow for a moment is no fault either.
const SHORT_GRACE: SignedDuration = SignedDuration::from_secs(5);
/// Time limit for publishing one event.
const EVENT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time limit for writing the status.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes the status if it changed, and reports transitions.
///
/// # Errors
/// When the API server does not accept it.
pub async fn status(
    context: &Context,
    object: &XmppFederation,
    old: &XmppFederationStatus,
    new: &XmppFederationStatus,
) -> Result<(), Error> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let reference = FederationRef::new(&name).within(&namespace);
    if *old != *new {
        let written = tokio::time::timeout(WRITE_TIMEOUT, write(context, &namespace, &name, new));
        written.await.unwrap_or(Err(Error::TimedOut(WRITE_TIMEOUT)))?;
        context.remember(&reference, |memory| {
            memory.written = Some((old.clone(), new.clone()));
        });
    }
    count(context, &namespace, &name, new);
    let events = context.remember(&reference, |memory| {
        let reported = memory.reported.get_or_insert_with(|| statuses(&old.conditions));
        events(reported, &new.conditions, Timestamp::now())
    });
    for event in &events {
        publish(context, object, event).await;
    }
    Ok(())
}

/// Reports the objects that another client had changed or deleted.
pub async fn restored(context: &Context, object: &XmppFederation, restored: &[String]) {
    for what in restored {
        let event = Event {
            type_: EventType::Normal,
            reason: "DriftCorrected".to_owned(),
            note: Some(format!("{what}. The operator restored it.")),
            action: "Apply".to_owned(),
            secondary: None,
        };
        publish(context, object, &event).await;
    }
}

/// A lost event does no harm; the condition is in the status.
async fn publish(context: &Context, object: &XmppFederation, event: &Event) {
    let about = object.object_ref(&());
    let published = context.recorder.publish(event, &about);
    match tokio::time::timeout(EVENT_TIMEOUT, published).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "cannot publish an event"),
        Err(_) => tracing::debug!("publishing an event timed out"),
    }
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

/// The status of each condition of a federation that this process sees for the first time: an earlier process reported it.
fn statuses(conditions: &[Condition]) -> Reports {
    let known = conditions.iter().filter_map(|condition| {
        Some((ConditionType::from_name(&condition.type_)?, condition.status))
    });
    known.collect()
}

/// One event for each transition that someone should know: a condition that is lost, one that is False from the beginning and
/// stays so, the recovery from either, and the first time that the federation is ready.
fn events(reports: &mut Reports, new: &[Condition], now: Timestamp) -> Vec<Event> {
    use ConditionStatus::{False, True, Unknown};
    use ConditionType::{Accepted, Paused, Ready, Reconciling, ResolvedRefs, Stalled};
    reports.retain(|type_, _| condition::get(new, *type_).is_some());
    let mut events = Vec::new();
    for condition in new {
        let Some(type_) = ConditionType::from_name(&condition.type_) else { continue };
        if matches!(type_, Reconciling | Stalled) {
            continue;
        }
        let age = now.duration_since(condition.last_transition_time.0);
        let grace = if matches!(type_, Accepted | ResolvedRefs) { SHORT_GRACE } else { GRACE };
        let reported = match (reports.get(&type_), condition.status) {
            (Some(before), status) if *before == status => continue,
            // An Unknown at first, or after a False, is no event.
            (None | Some(False), Unknown) => continue,
            (None, False) if age < grace => continue,
            (None, True) => matches!(type_, Ready | Paused),
            _ => true,
        };
        reports.insert(type_, condition.status);
        if !reported {
            continue;
        }
        events.push(Event {
            type_: if condition.status == True { EventType::Normal } else { EventType::Warning },
            reason: condition.reason.clone(),
            note: Some(format!("{}: {}", condition.type_, condition.message)),
            // Some conditions share reasons. The recorder merges events of the same reason and action into one series, and
            // keeps only the note of the first.
            action: format!("Verify{type_}"),
            secondary: None,
        });
    }
    events
}

fn count(context: &Context, namespace: &str, name: &str, status: &XmppFederationStatus) {
    for type_ in ConditionType::ALL {
        match condition::get(&status.conditions, type_) {
            Some(condition) => {
                let word = condition.status.as_str();
                context.metrics.condition(namespace, name, type_.as_str(), word);
            }
            None => context.metrics.no_condition(namespace, name, type_.as_str()),
        }
    }
    context.metrics.peer_up(namespace, name, &status.peers);
    context.metrics.dns_records(namespace, name, &status.dns_records);
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
    use crds::reason::{
        AcceptedReason, ConditionReason, EngineReadyReason, ReadyReason, SRVResolvesReason,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn condition(reason: impl Into<ConditionReason>) -> Vec<Condition> {
        vec![Condition::new(reason, "it is so", Some(1), at(0))]
    }

    fn words(events: &[Event]) -> Vec<(&str, bool)> {
        events.iter().map(|e| (e.reason.as_str(), e.type_ == EventType::Warning)).collect()
    }

    #[test]
    fn a_transition_is_notified_once_and_a_first_unknown_is_none() {
        let mut reported = Reports::new();
        let mut tell = |conditions: &[Condition], second| {
            let events = events(&mut reported, conditions, at(second));
            words(&events).into_iter().map(|(word, bad)| (word.to_owned(), bad)).collect::<Vec<_>>()
        };
        let good = condition(ReadyReason::Federated);
        let open = condition(ReadyReason::Progressing);
        let none: [(String, bool); 0] = [];
        assert_eq!(tell(&open, 0), none);
        assert_eq!(tell(&good, 1), [("Federated".to_owned(), false)]);
        assert_eq!(tell(&good, 2), none);
        assert_eq!(tell(&open, 3), [("Progressing".to_owned(), true)]);
        assert_eq!(tell(&good, 4), [("Federated".to_owned(), false)]);
        let lost = condition(ReadyReason::Failing(ConditionType::SRVResolves));
        assert_eq!(tell(&lost, 5), [("SRVResolves".to_owned(), true)]);
    }

    #[test]
    fn what_is_merely_not_there_yet_is_no_event() {
        let mut reported = Reports::new();
        let rolling = condition(EngineReadyReason::RollingOut);
        assert_eq!(words(&events(&mut reported, &rolling, at(30))), []);
        let available = condition(EngineReadyReason::EngineAvailable);
        assert_eq!(words(&events(&mut reported, &available, at(31))), []);
        assert_eq!(words(&events(&mut reported, &rolling, at(32))), [("RollingOut", true)]);

        let mut reported = Reports::new();
        let missing = condition(SRVResolvesReason::SRVNotFound);
        assert_eq!(words(&events(&mut reported, &missing, at(59))), []);
        assert_eq!(words(&events(&mut reported, &missing, at(60))), [("SRVNotFound", true)]);
        assert_eq!(words(&events(&mut reported, &missing, at(61))), []);
        let found = condition(SRVResolvesReason::RecordsMatch);
        assert_eq!(words(&events(&mut reported, &found, at(62))), [("RecordsMatch", false)]);
    }

    #[test]
    fn a_refusal_is_notified_soon_and_a_restart_tells_nothing() {
        let refused = condition(AcceptedReason::ApplyFailed);
        assert_eq!(words(&events(&mut Reports::new(), &refused, at(1))), []);
        assert_eq!(words(&events(&mut Reports::new(), &refused, at(5))), [("ApplyFailed", true)]);
        let mut reported = statuses(&refused);
        assert_eq!(words(&events(&mut reported, &refused, at(0))), []);
    }
}
