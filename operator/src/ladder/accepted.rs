//! `Accepted`: the resource is valid, and the API server accepts what the operator makes of it.

use crds::reason::AcceptedReason;

use super::View;
use super::verdict::Verdict;
use crate::federation::validated::InvalidFederation;
use crate::reconcile::problem::{Cause, Problem};
use crate::schema::{Difference, named};

/// Version of the operator, and of the definition that belongs to it.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Judges a federation that passed validation: whether the operator could read and apply what it needs.
pub fn check(view: View<'_>) -> Verdict {
    let applied = &view.seen.applied;
    if let Some(worst) = applied.problems.iter().min_by_key(|problem| problem.cause) {
        return refused(view, worst, &applied.problems);
    }
    if applied.pending {
        return Verdict::new(
            AcceptedReason::Pending,
            "The API server has not answered yet to all requests of the operator.",
        );
    }
    let later = view.federation.spec.not_in_effect();
    let later = if later.is_empty() {
        String::new()
    } else {
        format!(" Not in effect yet: {}.", later.join(", "))
    };
    let (reason, other_version) = version(&view.seen.definition);
    Verdict::new(
        reason,
        format!("The resource is valid.{other_version}{later}{}", unknown_keys(view)),
    )
}

/// The reason for a valid resource, and how its definition differs from the operator's own; sentences after a space.
fn version(definition: &Difference) -> (AcceptedReason, String) {
    let Difference { missing, unknown } = definition;
    if !missing.is_empty() {
        let text = format!(
            " The installed CustomResourceDefinition is older than this operator: it lacks {}, which the API server drops. Apply the definition of version {VERSION} with kubectl apply --server-side --force-conflicts.",
            named(missing)
        );
        return (AcceptedReason::DefinitionOutdated, text);
    }
    if !unknown.is_empty() {
        return (AcceptedReason::OperatorOutdated, newer(unknown));
    }
    (AcceptedReason::Accepted, String::new())
}

/// The definition has these fields, and the operator does not; sentences after a space.
fn newer(unknown: &[String]) -> String {
    format!(
        " The installed CustomResourceDefinition is newer than this operator, which ignores {}. Upgrade the operator from version {VERSION} to that of the definition.",
        named(unknown)
    )
}

/// The most specific problem in the API server's words, what to do, and the other objects.
fn refused(view: View<'_>, worst: &Problem, all: &[Problem]) -> Verdict {
    let (action, object) = (worst.action(), worst.object());
    let message = worst.message.trim_end_matches('.');
    let (reason, text) = match worst.cause {
        Cause::Foreign => (
            AcceptedReason::AdoptionConflict,
            format!(
                "{object} already exists and does not belong to this federation, so the operator does not change it. Delete or rename it, or give the federation another name."
            ),
        ),
        Cause::Contested => (
            AcceptedReason::ObjectContested,
            format!(
                "{object} is changed again and again by {message}, so the operator restores it only every few minutes. Let only one of the two manage it; two installations of this operator need different classes."
            ),
        ),
        Cause::NotPermitted => (
            AcceptedReason::NotPermitted,
            format!(
                "The operator is not permitted to {action}: {message}. Bind the chart's role to the operator's service account."
            ),
        ),
        Cause::Invalid => (
            AcceptedReason::InvalidSpec,
            format!(
                "The API server rejects {object}, which the operator builds from the spec: {message}. Correct that field of the spec."
            ),
        ),
        cause => (
            AcceptedReason::ApplyFailed,
            format!("Cannot {action}: {message}. {}", advice(cause, &view.federation.namespace)),
        ),
    };
    let mut others: Vec<String> = all.iter().map(Problem::object).collect();
    others.retain(|other| *other != object);
    others.dedup();
    let others = match others.as_slice() {
        [] => String::new(),
        others => format!(" Also affected: {}.", others.join(", ")),
    };
    Verdict::new(reason, format!("{text}{others}"))
}

/// What to do about a cause outside of the spec; whole sentences.
fn advice(cause: Cause, namespace: &str) -> String {
    match cause {
        Cause::Quota => format!(
            "Raise the resource quota of namespace {namespace}, or delete objects that count towards it."
        ),
        Cause::Exhausted => {
            "Delete Services that are no longer needed, or enlarge the cluster's range of addresses or ports for Services. The operator retries within 10s."
                .to_owned()
        }
        Cause::Denied => {
            format!("Correct what the policy objects to, or exempt namespace {namespace} from it.")
        }
        Cause::WebhookFailed => format!(
            "Repair the webhook, or exempt namespace {namespace} from it. The operator retries within 10s."
        ),
        Cause::Terminating => "No action is needed: the namespace is being deleted.".to_owned(),
        Cause::KindMissing => {
            "Install the CustomResourceDefinition of that kind. The operator retries within 10s."
                .to_owned()
        }
        Cause::Foreign
        | Cause::Contested
        | Cause::NotPermitted
        | Cause::Invalid
        | Cause::Failed => {
            "The operator retries within 10s; if this persists, check the API server.".to_owned()
        }
    }
}

/// A peer verifies a dialback key at whichever target it selects (XEP-0220 §2.3). A target that does not know the secret
/// denies the key.
fn unknown_keys(view: View<'_>) -> String {
    let spec = &view.federation.spec;
    let srv = &spec.dns.srv;
    let mut others = srv.other_targets.iter();
    match others.find(|other| other.priority <= srv.priority) {
        Some(other) if spec.dialback.is_none() => format!(
            " Peers may verify dialback keys at {}, which does not know the generated secret. Set spec.dialback.secretRef to a secret that both use, or give that target a higher priority value.",
            other.host
        ),
        _ => String::new(),
    }
}

/// The verdict about an object that cannot be read as a federation. A newer definition may be the cause.
pub fn unreadable(error: String, definition: &Difference) -> Verdict {
    let mut verdict = rejected(&InvalidFederation::Unreadable(error));
    if !definition.unknown.is_empty() {
        verdict.message.push_str(&newer(&definition.unknown));
    }
    verdict
}

/// The verdict about a federation that did not pass validation.
pub fn rejected(rejection: &InvalidFederation) -> Verdict {
    let reason = match rejection {
        InvalidFederation::Unreadable(_) | InvalidFederation::Invalid(_) => {
            AcceptedReason::InvalidSpec
        }
        InvalidFederation::DomainConflict { .. } => AcceptedReason::DomainConflict,
        InvalidFederation::HostConflict { .. } => AcceptedReason::HostConflict,
        InvalidFederation::NotAllowed { .. } => AcceptedReason::DomainNotAllowed,
    };
    Verdict::new(reason, rejection.to_string())
}
