//! Reasons of conditions: one closed set for each condition. Reasons are stable API, and each explains exactly one status.

use std::fmt;

use crate::condition::{ConditionStatus, ConditionType};

/// A word of one condition.
pub trait Reason: Copy {
    /// The condition that it explains.
    const TYPE: ConditionType;

    /// The status that it explains.
    fn status(self) -> ConditionStatus;

    /// The word in the status.
    fn as_str(self) -> &'static str;

    /// What it means, in one sentence.
    fn meaning(self) -> &'static str;
}

/// The sets of some conditions.
macro_rules! reasons {
    ($($(#[$about:meta])* $name:ident explains $type:ident {
        $($status:ident: $($(#[doc = $doc:literal])+ $reason:ident),+;)+
    })+) => {
        $(
            $(#[$about])*
            #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
            pub enum $name {
                $($($(#[doc = $doc])+ $reason,)+)+
            }

            impl $name {
                /// Every reason.
                pub const ALL: &'static [Self] = &[$($(Self::$reason,)+)+];
            }

            impl $crate::reason::Reason for $name {
                const TYPE: $crate::condition::ConditionType =
                    $crate::condition::ConditionType::$type;

                fn status(self) -> $crate::condition::ConditionStatus {
                    match self {
                        $($(Self::$reason)|+ => $crate::condition::ConditionStatus::$status,)+
                    }
                }

                fn as_str(self) -> &'static str {
                    match self {
                        $($(Self::$reason => stringify!($reason),)+)+
                    }
                }

                fn meaning(self) -> &'static str {
                    match self {
                        $($(Self::$reason => concat!($($doc),+).trim_ascii(),)+)+
                    }
                }
            }

            impl ::std::fmt::Display for $name {
                fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                    f.write_str($crate::reason::Reason::as_str(*self))
                }
            }

            impl From<$name> for $crate::reason::ConditionReason {
                fn from(reason: $name) -> Self {
                    Self::$type(reason)
                }
            }
        )+
    };
}

mod dns;
mod objects;
mod progress;
mod streams;
#[cfg(test)]
mod tests;
mod workload;

pub use dns::{DomainUncontestedReason, HostResolvesReason, SRVResolvesReason};
pub use objects::{AcceptedReason, CertificateReadyReason, ResolvedRefsReason};
pub use progress::{PausedReason, ReconcilingReason, StalledReason};
pub use streams::{
    InboundReachableReason, PeersReachableReason, StreamVerifiedReason, TLSVerifiedReason,
};
pub use workload::{AddressAssignedReason, BackendReadyReason, EngineReadyReason};

/// Prefix of the reason of a condition that waits for another one.
const WAITING_FOR: &str = "WaitingFor";

/// A reason of any condition, from the sets of all conditions but `Ready`.
macro_rules! condition_reason {
    ($($type:ident($name:ident),)+) => {
        /// A reason of any condition. It is typed until it is written into the status.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum ConditionReason {
            $(
                #[doc = concat!("A reason of `", stringify!($type), "`.")]
                $type($name),
            )+
            /// A reason of `Ready`.
            Ready(ReadyReason),
            /// The condition cannot be judged before another one is True.
            WaitingFor {
                /// The condition that waits.
                rung: ConditionType,
                /// The condition that must be True first.
                on: ConditionType,
            },
        }

        impl ConditionReason {
            /// The condition that it explains.
            pub const fn condition(self) -> ConditionType {
                match self {
                    $(Self::$type(_) => ConditionType::$type,)+
                    Self::Ready(_) => ConditionType::Ready,
                    Self::WaitingFor { rung, .. } => rung,
                }
            }

            /// The status that it explains.
            pub fn status(self) -> ConditionStatus {
                match self {
                    $(Self::$type(reason) => reason.status(),)+
                    Self::Ready(reason) => reason.status(),
                    Self::WaitingFor { .. } => ConditionStatus::Unknown,
                }
            }

            /// The reason of that name, if `condition` has one.
            pub fn from_name(condition: ConditionType, name: &str) -> Option<Self> {
                if let Some(on) = name.strip_prefix(WAITING_FOR) {
                    let on = ConditionType::from_name(on)?;
                    return Some(Self::WaitingFor { rung: condition, on });
                }
                match condition {
                    $(ConditionType::$type => $name::ALL
                        .iter()
                        .find(|known| known.as_str() == name)
                        .map(|known| Self::$type(*known)),)+
                    ConditionType::Ready => ReadyReason::from_name(name).map(Self::Ready),
                }
            }
        }

        impl fmt::Display for ConditionReason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$type(reason) => f.write_str(reason.as_str()),)+
                    Self::Ready(reason) => f.write_str(reason.as_str()),
                    Self::WaitingFor { on, .. } => write!(f, "{WAITING_FOR}{on}"),
                }
            }
        }
    };
}

condition_reason! {
    Accepted(AcceptedReason),
    ResolvedRefs(ResolvedRefsReason),
    CertificateReady(CertificateReadyReason),
    EngineReady(EngineReadyReason),
    BackendReady(BackendReadyReason),
    AddressAssigned(AddressAssignedReason),
    HostResolves(HostResolvesReason),
    SRVResolves(SRVResolvesReason),
    InboundReachable(InboundReachableReason),
    TLSVerified(TLSVerifiedReason),
    StreamVerified(StreamVerifiedReason),
    DomainUncontested(DomainUncontestedReason),
    PeersReachable(PeersReachableReason),
    Reconciling(ReconcilingReason),
    Stalled(StalledReason),
    Paused(PausedReason),
}

/// Reasons of `Ready`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ReadyReason {
    /// All checks pass, and a server outside has connected.
    Federated,
    /// All checks from inside the cluster pass; no server outside has connected yet.
    FederatedUnverified,
    /// As before, but `verification.requireOutsideEvidence` requires evidence from outside.
    Unverified,
    /// A rung cannot be judged yet, and none is False.
    Progressing,
    /// The first rung that is False.
    Failing(ConditionType),
}

impl ReadyReason {
    /// The reason of that name, if there is one.
    fn from_name(name: &str) -> Option<Self> {
        [Self::Federated, Self::FederatedUnverified, Self::Unverified, Self::Progressing]
            .into_iter()
            .chain(ConditionType::LADDER.map(Self::Failing))
            .find(|known| known.as_str() == name)
    }
}

impl From<ReadyReason> for ConditionReason {
    fn from(reason: ReadyReason) -> Self {
        Self::Ready(reason)
    }
}

impl Reason for ReadyReason {
    const TYPE: ConditionType = ConditionType::Ready;

    fn status(self) -> ConditionStatus {
        match self {
            Self::Federated | Self::FederatedUnverified => ConditionStatus::True,
            Self::Unverified | Self::Progressing => ConditionStatus::Unknown,
            Self::Failing(_) => ConditionStatus::False,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Federated => "Federated",
            Self::FederatedUnverified => "FederatedUnverified",
            Self::Unverified => "Unverified",
            Self::Progressing => "Progressing",
            Self::Failing(rung) => rung.as_str(),
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Federated => "All checks pass, and a server outside has connected.",
            Self::FederatedUnverified => {
                "All checks from inside the cluster pass; no server outside has connected yet."
            }
            Self::Unverified => {
                "All checks from inside the cluster pass, but evidence from outside is required and missing."
            }
            Self::Progressing => "A condition cannot be judged yet, and none is False.",
            Self::Failing(_) => "The first condition that is False.",
        }
    }
}
