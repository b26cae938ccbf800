//! Writes the status when it changes, and reports transitions by events and metrics.

use std::time::Duration;

use crds::condition::{self, Condition, ConditionStatus, ConditionType, cut_at_word};
use crds::help;
use crds::{XmppFederation, XmppFederationStatus};
use jiff::{SignedDuration, Timestamp};
use kube::api::Patch;
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use super::error::Error;
use super::patch::patch_params;
use crate::context::{Context, FederationRef};
use crate::memory::Reports;
use crate::metrics::PeerCount;

/// Time that a condition may be False before it is reported, if it was never True: what is merely not there yet is no fault.
const GRACE: SignedDuration = SignedDuration::from_mins(1);
/// The same for what the API server or a missing object refuses: an API server that is slow for a moment is no fault either.
const SHORT_GRACE: SignedDuration = SignedDuration::from_secs(5);
/// Most bytes of an event's note (the API server rejects a longer one).
const MAX_NOTE: usize = 1024;
/// Time limit for publishing one event.
const EVENT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time limit for writing the status.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes the status if it changed, and reports transitions.
///
/// # Errors
/// When the API server does not accept it.
#[tracing::instrument(name = "status", level = "debug", skip_all)]
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
        log(event);
        publish(context, object, event).await;
    }
    Ok(())
}

/// Reports the objects that another client had changed or deleted.
pub async fn restored(context: &Context, object: &XmppFederation, restored: &[String]) {
    for what in restored {
        // It ends with the kind and the name. Each kind has a series of its own, because a series keeps only its first note.
        let kind = what.rsplit(' ').nth(1).unwrap_or_default();
        let event = Event {
            type_: EventType::Normal,
            reason: "DriftCorrected".to_owned(),
            note: Some(cut_at_word(&format!("{what}. The operator restored it."), MAX_NOTE)),
            action: format!("Restore{kind}"),
            secondary: None,
        };
        publish(context, object, &event).await;
    }
}

/// The span of the pass names the federation.
fn log(event: &Event) {
    let (reason, note) = (&event.reason, event.note.as_deref().unwrap_or_default());
    match event.type_ {
        EventType::Normal => tracing::info!(reason, "{note}"),
        EventType::Warning => tracing::warn!(reason, "{note}"),
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
    let mut patched = patch(context, &api, name, status).await;
    // The definition is older than the operator, and was replaced since it was read last.
    if patched.as_ref().is_err_and(is_about_a_field) {
        context.definition.look(&context.client).await;
        patched = patch(context, &api, name, status).await;
    }
    match patched {
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

/// Sends the status, without what the definition of the API server does not have.
async fn patch(
    context: &Context,
    api: &Api<XmppFederation>,
    name: &str,
    status: &XmppFederationStatus,
) -> Result<XmppFederation, kube::Error> {
    let mut status = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
    context.definition.fit(&mut status);
    let patch = json!({
        "apiVersion": XmppFederation::api_version(&()),
        "kind": XmppFederation::kind(&()),
        "metadata": {"name": name},
        "status": status,
    });
    api.patch_status(name, &patch_params(), &Patch::Apply(patch)).await
}

/// The API server does not know a field or a value. It has no reason of its own for an unknown field.
fn is_about_a_field(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(answer) => {
            answer.is_invalid()
                || answer.message.contains("field not declared in schema")
                || answer.message.contains("unknown field")
        }
        _ => false,
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
            note: Some(note(condition)),
            // Some conditions share reasons. The recorder merges events of the same reason and action into one series, and
            // keeps only the note of the first.
            action: format!("Verify{type_}"),
            secondary: None,
        });
    }
    events
}

/// The message of a condition, after its type. The link at its end is never cut.
fn note(condition: &Condition) -> String {
    let text = format!("{}: {}", condition.type_, help::without_link(&condition.message));
    let link = condition.message.get(help::without_link(&condition.message).len()..);
    let link = link.unwrap_or_default();
    cut_at_word(&text, MAX_NOTE.saturating_sub(link.len())) + link
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

    #[test]
    fn the_note_of_the_longest_message_is_accepted_by_the_api_server_and_keeps_the_link() {
        let reason = SRVResolvesReason::SRVNotFound;
        let short = &condition(reason)[0];
        assert_eq!(note(short), format!("SRVResolves: {}", short.message));
        let message = help::with_link(&"word ".repeat(1000), reason.into());
        assert!(message.len() > MAX_NOTE - 10, "{}", message.len());
        let long = Condition { message, ..short.clone() };
        let note = note(&long);
        assert!(note.len() <= MAX_NOTE, "{}", note.len());
        assert!(note.ends_with(&format!("word… See {}", help::link(reason.into()))), "{note}");
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
