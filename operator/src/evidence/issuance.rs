//! Progress of the federation's Certificate, as cert-manager reports it. For each issuance, cert-manager creates a
//! `CertificateRequest`, and for ACME issuers also an Order with Challenges. The cause of a problem is in the deepest object
//! that reports something; the objects above only report that they wait. Pure.

use crds::federation::tls::IssuerRef;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;

/// Maximum length of a quoted message, in characters: ACME servers decide its content.
const MAX_QUOTE: usize = 400;
/// Annotation on a `CertificateRequest` with the number of the issuance.
const REVISION: &str = "cert-manager.io/certificate-revision";

/// What cert-manager reports about the federation's Certificate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Issuance {
    /// The API server has the kind Certificate.
    pub kind_exists: bool,
    /// The deepest report; `None` if nothing is in progress, or nothing is reported yet.
    pub report: Option<IssuanceReport>,
}

/// What one object of an issuance reports.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IssuanceReport {
    /// Kind of the object.
    pub kind: &'static str,
    /// Name of the object.
    pub name: String,
    /// Its message, without a full stop.
    pub message: String,
    /// What is expected next.
    pub progress: Progress,
}

/// What is expected after a report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// cert-manager continues without help.
    Pending,
    /// The issuer must be created.
    IssuerNotFound,
    /// cert-manager retries after a delay of an hour or more.
    Failed,
}

/// The objects of one namespace that cert-manager creates for issuances.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// `CertificateRequests`.
    pub requests: Vec<DynamicObject>,
    /// Orders of ACME issuers.
    pub orders: Vec<DynamicObject>,
    /// Challenges of these Orders.
    pub challenges: Vec<DynamicObject>,
}

/// True while the Certificate is issued for the first time or renewed, and after a failure of either.
pub fn is_in_progress(certificate: &DynamicObject) -> bool {
    let is = |type_: &str, status: &str| {
        condition(certificate, type_).is_some_and(|found| text(found, "/status") == status)
    };
    let was_issued = condition(certificate, "Issuing")
        .is_some_and(|issuing| text(issuing, "/reason") == "Issued");
    !is("Ready", "True") || (condition(certificate, "Issuing").is_some() && !was_issued)
}

/// The report of the deepest object that has one.
pub fn deepest(certificate: &DynamicObject, chain: &Chain) -> Option<IssuanceReport> {
    let request = newest(owned_by(certificate, &chain.requests));
    let order = request.and_then(|request| newest(owned_by(request, &chain.orders)));
    let challenges = order.map(|order| owned_by(order, &chain.challenges)).unwrap_or_default();
    worst(challenges.into_iter().filter_map(of_challenge).collect())
        .or_else(|| of_order(order?))
        .or_else(|| of_request(request?))
        .or_else(|| of_certificate(certificate))
}

fn owned_by<'a>(owner: &DynamicObject, all: &'a [DynamicObject]) -> Vec<&'a DynamicObject> {
    let uid = owner.uid().unwrap_or_default();
    let is_owned =
        |object: &&DynamicObject| object.owner_references().iter().any(|owner| owner.uid == uid);
    all.iter().filter(is_owned).collect()
}

/// The object of the last issuance.
fn newest(all: Vec<&DynamicObject>) -> Option<&DynamicObject> {
    let revision = |object: &DynamicObject| {
        let revision = object.annotations().get(REVISION).and_then(|text| text.parse::<u64>().ok());
        (revision, object.creation_timestamp().map(|time| time.0), object.name_any())
    };
    all.into_iter().max_by_key(|object| revision(object))
}

/// A failure before something that waits; among equals the first by name, so that the choice is stable.
fn worst(mut all: Vec<IssuanceReport>) -> Option<IssuanceReport> {
    all.sort_by_key(|report| (report.progress != Progress::Failed, report.name.clone()));
    all.into_iter().next()
}

/// A Challenge reports a reason while it is not valid.
fn of_challenge(challenge: &DynamicObject) -> Option<IssuanceReport> {
    let state = text(&challenge.data, "/status/state");
    let reason = text(&challenge.data, "/status/reason");
    if state == "valid" || (reason.is_empty() && !has_failed(state)) {
        return None;
    }
    let domain = text(&challenge.data, "/spec/dnsName");
    let what = if reason.is_empty() { format!("its state is {state}") } else { reason.to_owned() };
    report("Challenge", challenge, &format!("{domain}: {what}"), state_of(state))
}

/// An Order reports a reason when it has failed.
fn of_order(order: &DynamicObject) -> Option<IssuanceReport> {
    let state = text(&order.data, "/status/state");
    let reason = text(&order.data, "/status/reason");
    match (reason, has_failed(state)) {
        ("", false) => None,
        ("", true) => report("Order", order, &format!("its state is {state}"), Progress::Failed),
        (reason, _) => report("Order", order, reason, state_of(state)),
    }
}

/// The final states of Orders and Challenges without a certificate (RFC 8555 §7.1.6).
fn has_failed(state: &str) -> bool {
    matches!(state, "invalid" | "expired" | "errored")
}

fn state_of(state: &str) -> Progress {
    if has_failed(state) { Progress::Failed } else { Progress::Pending }
}

fn of_request(request: &DynamicObject) -> Option<IssuanceReport> {
    const KIND: &str = "CertificateRequest";
    for refused in ["InvalidRequest", "Denied"] {
        if let Some(found) =
            condition(request, refused).filter(|found| text(found, "/status") == "True")
        {
            return report(KIND, request, text(found, "/message"), Progress::Failed);
        }
    }
    let Some(ready) = condition(request, "Ready") else {
        let approved = condition(request, "Approved");
        if approved.is_none_or(|approved| text(approved, "/status") != "True") {
            return report(KIND, request, "it is not approved yet", Progress::Pending);
        }
        let group = text(&request.data, "/spec/issuerRef/group");
        let message = format!("no controller for issuers of API group {group} has processed it");
        return report(KIND, request, &message, Progress::Pending);
    };
    let message = text(ready, "/message");
    match (text(ready, "/status"), text(ready, "/reason")) {
        ("True", _) => None,
        (_, "Failed" | "Denied") => report(KIND, request, message, Progress::Failed),
        // The reason is Pending for everything else. The words are those of cert-manager 0.11 to 1.21.
        _ if message.starts_with("Referenced \"") && message.contains(" not found") => {
            report(KIND, request, message, Progress::IssuerNotFound)
        }
        _ => report(KIND, request, message, Progress::Pending),
    }
}

fn of_certificate(certificate: &DynamicObject) -> Option<IssuanceReport> {
    const KIND: &str = "Certificate";
    let of = |found: &Value, progress: Progress| {
        report(KIND, certificate, text(found, "/message"), progress)
    };
    match (condition(certificate, "Issuing"), condition(certificate, "Ready")) {
        (Some(issuing), _) if text(issuing, "/status") == "True" => of(issuing, Progress::Pending),
        (Some(issuing), _) if text(issuing, "/reason") != "Issued" => of(issuing, Progress::Failed),
        (_, Some(ready)) if text(ready, "/status") != "True" => of(ready, Progress::Pending),
        (_, Some(_)) => None,
        (_, None) => {
            let message = "cert-manager has not processed it yet";
            report(KIND, certificate, message, Progress::Pending)
        }
    }
}

fn report(
    kind: &'static str,
    object: &DynamicObject,
    message: &str,
    progress: Progress,
) -> Option<IssuanceReport> {
    let message: String = message.trim().trim_end_matches('.').chars().take(MAX_QUOTE).collect();
    Some(IssuanceReport { kind, name: object.name_any(), message, progress })
        .filter(|report| !report.message.is_empty())
}

/// The issuer of an existing Certificate.
pub fn issuer_of(certificate: &DynamicObject) -> Option<IssuerRef> {
    let issuer = certificate.data.pointer("/spec/issuerRef")?;
    serde_json::from_value(issuer.clone()).ok()
}

fn condition<'a>(object: &'a DynamicObject, type_: &str) -> Option<&'a Value> {
    let all = object.data.pointer("/status/conditions")?.as_array()?;
    all.iter().find(|condition| text(condition, "/type") == type_)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
