//! Conditions: the rungs of the ladder in order, and functions for lists of conditions.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reason::ConditionReason;

/// Longest message of a condition, in bytes.
pub const MAX_MESSAGE: usize = 1024;

/// Types of conditions, in the order of the ladder and of the status.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ConditionType {
    /// The resource is valid and accepted.
    Accepted,
    /// Every object that the spec refers to exists and is valid.
    ResolvedRefs,
    /// There is a certificate for every local domain.
    CertificateReady,
    /// Engine pods run with the wanted configuration.
    EngineReady,
    /// A round trip through every backend has been seen.
    BackendReady,
    /// The outer Service has an address.
    AddressAssigned,
    /// Public DNS resolves the host to that address.
    HostResolves,
    /// Public DNS points from every domain to the host.
    SRVResolves,
    /// A server outside the cluster has reached the engine.
    InboundReachable,
    /// The engine serves the correct certificate for every domain.
    TLSVerified,
    /// The engine answers a stream for every domain as configured.
    StreamVerified,
    /// No one else claims a local domain.
    DomainUncontested,
    /// The configured peers can be reached.
    PeersReachable,
    /// The federation works.
    Ready,
    /// Children or conditions are still changing to the wanted state; present only while true.
    Reconciling,
    /// Nothing will change until the user acts; present only while true.
    Stalled,
    /// The resource is paused; present only while true.
    Paused,
}

impl ConditionType {
    /// The rungs, in order. All are present from the first reconcile on, and `Ready` with them.
    pub const LADDER: [Self; 13] = [
        Self::Accepted,
        Self::ResolvedRefs,
        Self::CertificateReady,
        Self::EngineReady,
        Self::BackendReady,
        Self::AddressAssigned,
        Self::HostResolves,
        Self::SRVResolves,
        Self::InboundReachable,
        Self::TLSVerified,
        Self::StreamVerified,
        Self::DomainUncontested,
        Self::PeersReachable,
    ];

    /// Every type, in order.
    pub const ALL: [Self; 17] = [
        Self::Accepted,
        Self::ResolvedRefs,
        Self::CertificateReady,
        Self::EngineReady,
        Self::BackendReady,
        Self::AddressAssigned,
        Self::HostResolves,
        Self::SRVResolves,
        Self::InboundReachable,
        Self::TLSVerified,
        Self::StreamVerified,
        Self::DomainUncontested,
        Self::PeersReachable,
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::Paused,
    ];

    /// The word in the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::CertificateReady => "CertificateReady",
            Self::EngineReady => "EngineReady",
            Self::BackendReady => "BackendReady",
            Self::AddressAssigned => "AddressAssigned",
            Self::HostResolves => "HostResolves",
            Self::SRVResolves => "SRVResolves",
            Self::InboundReachable => "InboundReachable",
            Self::TLSVerified => "TLSVerified",
            Self::StreamVerified => "StreamVerified",
            Self::DomainUncontested => "DomainUncontested",
            Self::PeersReachable => "PeersReachable",
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Paused => "Paused",
        }
    }

    /// The type of that name, if it is one of ours.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Status of a condition.
#[derive(Clone, Copy, Debug, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum ConditionStatus {
    /// The condition is met.
    True,
    /// The condition is not met.
    False,
    /// The condition cannot be judged.
    Unknown,
}

impl ConditionStatus {
    /// The word in the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for ConditionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A condition like `metav1.Condition`, with the same limits. Type and reason are strings, because other managers may add
/// their own conditions to the list; [`Condition::new`] takes typed ones.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Type of the condition, CamelCase.
    #[serde(rename = "type")]
    #[schemars(
        length(min = 1, max = 316),
        regex(
            pattern = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
        )
    )]
    pub type_: String,
    /// Whether the condition is met.
    pub status: ConditionStatus,
    /// Reason in one CamelCase word; stable, so that programs may rely on it.
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    )]
    pub reason: String,
    /// The observation and the action that it calls for.
    #[schemars(length(max = 32_768))]
    pub message: String,
    /// Generation of the spec that the condition is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// When the status last changed.
    pub last_transition_time: Time,
}

impl Condition {
    /// A condition for a reason. Type and status follow from the reason, so a reason never appears with a status that it does
    /// not explain; [`sentence`] formats the message.
    pub fn new(
        reason: impl Into<ConditionReason>,
        message: &str,
        generation: Option<i64>,
        now: Timestamp,
    ) -> Self {
        let reason = reason.into();
        Self {
            type_: reason.condition().as_str().to_owned(),
            status: reason.status(),
            reason: reason.to_string(),
            message: sentence(message),
            observed_generation: generation,
            last_transition_time: Time(now),
        }
    }
}

/// The condition of a type.
pub fn get(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == type_.as_str())
}

/// Inserts or updates a condition in the order of the ladder; conditions of other managers come last. Keeps
/// `lastTransitionTime` if the status did not change. Returns whether the list changed.
pub fn set(conditions: &mut Vec<Condition>, mut new: Condition) -> bool {
    if let Some(old) = conditions.iter_mut().find(|known| known.type_ == new.type_) {
        if old.status == new.status {
            new.last_transition_time = old.last_transition_time.clone();
        }
        let changed = *old != new;
        *old = new;
        return changed;
    }
    conditions.push(new);
    conditions.sort_by_key(|condition| {
        let known = ConditionType::from_name(&condition.type_);
        (known.is_none(), known)
    });
    true
}

/// Removes a condition, for the types that are present only while true. Returns whether it was present.
pub fn remove(conditions: &mut Vec<Condition>, type_: ConditionType) -> bool {
    let before = conditions.len();
    conditions.retain(|condition| condition.type_ != type_.as_str());
    conditions.len() != before
}

/// The first rung that is not True, or `Ready` if all are True.
pub fn stage(conditions: &[Condition]) -> ConditionType {
    ConditionType::LADDER
        .into_iter()
        .find(|rung| {
            get(conditions, *rung).is_none_or(|found| found.status != ConditionStatus::True)
        })
        .unwrap_or(ConditionType::Ready)
}

/// Formats one paragraph of at most [`MAX_MESSAGE`] bytes that begins with a capital letter and ends with a full stop.
/// A message may quote text from a peer or server, so control characters become spaces.
pub fn sentence(text: &str) -> String {
    bounded_sentence(text, MAX_MESSAGE)
}

/// Like [`sentence`], with another limit. A name at the beginning, such as that of a field or of a program, stays as it is.
pub(crate) fn bounded_sentence(text: &str, limit: usize) -> String {
    let mut message = String::with_capacity(text.len() + 1);
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty())
    {
        if !message.is_empty() {
            message.push(' ');
        }
        message.push_str(word);
    }
    let mut characters = message.chars();
    if let Some(first) = characters.next().filter(|_| !begins_with_name(&message)) {
        message = first.to_uppercase().chain(characters).collect();
    }
    if message.len() > limit - 1 {
        message = cut_at_word(&message, limit);
    } else if !message.is_empty() && !message.ends_with(['.', '!', '?']) {
        message.push('.');
    }
    message
}

/// The text in at most so many bytes. A longer one ends after a whole word, with an ellipsis.
pub fn cut_at_word(text: &str, limit: usize) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(limit.saturating_sub(ELLIPSIS.len()));
    let (cut, rest) = text.split_at(end);
    // A word of this length is no word.
    let last = cut.rfind(' ').filter(|at| !rest.starts_with(' ') && end - at < 100);
    let whole = last.and_then(|at| cut.get(..at)).unwrap_or(cut);
    format!("{}{ELLIPSIS}", whole.trim_end())
}

/// The first word is a name such as `spec.tls` or `external-dns`, and no word of the language.
fn begins_with_name(text: &str) -> bool {
    let word = text.split_whitespace().next().unwrap_or_default();
    let inner = word.trim_end_matches(|c: char| !c.is_alphanumeric());
    inner.contains(['.', '-', '_', '/'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::{AcceptedReason, EngineReadyReason};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_order_of_the_types_is_the_order_of_the_ladder() {
        assert!(ConditionType::ALL.is_sorted());
        assert!(ConditionType::LADDER.iter().eq(ConditionType::ALL.iter().take(13)));
        for type_ in ConditionType::ALL {
            assert_eq!(ConditionType::from_name(type_.as_str()), Some(type_));
        }
        assert_eq!(ConditionType::from_name("Foreign"), None);
    }

    #[test]
    fn the_transition_time_changes_with_the_status_only() {
        let mut conditions = Vec::new();
        let rolling = |message, second| {
            Condition::new(EngineReadyReason::RollingOut, message, Some(1), at(second))
        };
        assert!(set(&mut conditions, rolling("0 of 2 pods are ready", 10)));
        assert!(!set(&mut conditions, rolling("0 of 2 pods are ready", 20)));
        assert!(set(&mut conditions, rolling("1 of 2 pods is ready", 30)));
        assert_eq!(conditions[0].last_transition_time, Time(at(10)));
        let available = Condition::new(
            EngineReadyReason::EngineAvailable,
            "2 of 2 pods are ready",
            Some(1),
            at(40),
        );
        assert!(set(&mut conditions, available));
        assert_eq!(conditions[0].last_transition_time, Time(at(40)));
        assert_eq!(conditions[0].status, ConditionStatus::True);
    }

    #[test]
    fn conditions_stand_in_ladder_order_and_foreign_ones_last() {
        let mut conditions = vec![Condition {
            type_: "Audited".into(),
            ..Condition::new(AcceptedReason::Accepted, "", None, at(0))
        }];
        set(&mut conditions, Condition::new(EngineReadyReason::EngineAvailable, "", None, at(0)));
        set(&mut conditions, Condition::new(AcceptedReason::Accepted, "", None, at(0)));
        let types: Vec<_> = conditions.iter().map(|c| c.type_.as_str()).collect();
        assert_eq!(types, ["Accepted", "EngineReady", "Audited"]);
        assert_eq!(stage(&conditions), ConditionType::ResolvedRefs);
        assert!(remove(&mut conditions, ConditionType::Accepted));
        assert!(!remove(&mut conditions, ConditionType::Accepted));
        assert_eq!(stage(&conditions), ConditionType::Accepted);
    }

    #[test]
    fn a_rung_that_waits_says_for_what() {
        let condition = Condition::new(
            ConditionReason::WaitingFor {
                rung: ConditionType::HostResolves,
                on: ConditionType::AddressAssigned,
            },
            "the address is not known yet",
            Some(3),
            at(0),
        );
        assert_eq!(condition.reason, "WaitingForAddressAssigned");
        assert_eq!(condition.status, ConditionStatus::Unknown);
        assert_eq!(condition.message, "The address is not known yet.");
    }

    #[test]
    fn a_message_is_one_bounded_paragraph() {
        assert_eq!(sentence("said:\n\u{7}  <host-unknown/>\r\n"), "Said: <host-unknown/>.");
        assert_eq!(sentence("Set spec.host!"), "Set spec.host!");
        assert_eq!(sentence("spec.tls: it is so"), "spec.tls: it is so.");
        assert_eq!(sentence("external-dns is away"), "external-dns is away.");
        assert_eq!(sentence(""), "");
        let long = sentence(&"ü".repeat(2000));
        assert!(long.len() <= MAX_MESSAGE && long.ends_with('…'), "{}", long.len());
        let words = sentence(&"word ".repeat(1000));
        assert!(words.len() <= MAX_MESSAGE && words.ends_with(" word…"), "{words}");
        assert_eq!(cut_at_word("one two three", 10), "one two…");
        assert_eq!(cut_at_word("one two three", 13), "one two three");
        assert_eq!(sentence(&"x".repeat(MAX_MESSAGE - 1)).len(), MAX_MESSAGE);
        assert_eq!(sentence(&"x".repeat(MAX_MESSAGE)).len(), MAX_MESSAGE);
    }
}
