//! Our settings that prevent an authentication method, as reported to the local administrators. Remote servers do not
//! get these texts.

use std::fmt;

use crds::backend::BackendAuthentication;
use crds::peer::{Dialback, Profile};
use serde::Serialize;

use crate::direction::Direction;
use crate::stream::PeerRules;

/// The configuration that decides how a server is authenticated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SetBy {
    /// `peers` or `peerDefaults`, and this profile for the fields that they do not set.
    Peer(Profile),
    /// `backends[].server.authentication`, for all methods at once.
    Backend(BackendAuthentication),
}

/// The setting of a peer, with its value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Field {
    /// `dialback` is `Disabled` or `Required`.
    Dialback(Dialback),
    /// `external.inbound` or `external.outbound` is false.
    External(Direction),
}

/// A setting that prevents a method.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Setting {
    field: Field,
    by: SetBy,
}

impl Setting {
    /// The setting that forbids dialback for a peer with these rules, if there is one.
    pub(crate) fn against_dialback(rules: PeerRules, by: SetBy) -> Option<Self> {
        let field = Field::Dialback(Dialback::Disabled);
        (!rules.allows_dialback()).then_some(Self { field, by })
    }

    /// Whether the profile, and not the entry of the peer or the defaults, has this value.
    fn is_of(self, profile: Profile) -> bool {
        let preset = profile.preset();
        match self.field {
            Field::Dialback(value) => preset.dialback == value,
            Field::External(_) => !preset.external,
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let profile = match self.by {
            SetBy::Peer(profile) => profile,
            SetBy::Backend(authentication) => {
                return write!(f, "`backends[].server.authentication` is {authentication:?}");
            }
        };
        match self.field {
            Field::Dialback(value) => {
                write!(f, "`peers[].authentication.dialback` is {value:?}")?;
            }
            Field::External(direction) => {
                let direction = direction.label();
                write!(f, "`peers[].authentication.external.{direction}` is false")?;
            }
        }
        if self.is_of(profile) {
            f.write_str(" (from profile ")?;
            // The name as it is written in the configuration.
            profile.serialize(&mut *f)?;
            f.write_str(")")
        } else {
            f.write_str(" (from its entry of `peers` or from `peerDefaults`)")
        }
    }
}

/// The settings that prevent EXTERNAL; all of them must change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AgainstExternal(Vec<Setting>);

impl AgainstExternal {
    /// Those of a peer with these rules, in the direction of a stream; empty if no setting prevents it.
    pub fn of(rules: PeerRules, by: SetBy, direction: Direction) -> Self {
        let is_on = match direction {
            Direction::Inbound => rules.external_inbound,
            Direction::Outbound => rules.external_outbound,
        };
        let off = (!is_on).then_some(Field::External(direction));
        let always = rules.dialback == Dialback::Required;
        let dialback = always.then_some(Field::Dialback(Dialback::Required));
        let mut all: Vec<_> =
            off.into_iter().chain(dialback).map(|field| Setting { field, by }).collect();
        if let SetBy::Backend(_) = by {
            all.truncate(1);
        }
        Self(all)
    }
}

impl fmt::Display for AgainstExternal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, setting) in self.0.iter().enumerate() {
            write!(f, "{}{setting}", if index == 0 { "" } else { " and " })?;
        }
        Ok(())
    }
}

/// Why no authentication method is available for a stream that we open.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoMethod {
    /// The peer requires TLS first.
    #[error("the peer requires TLS, and tls.mode is Disabled for it")]
    TlsDisabled,
    /// The stream was opened for other domains.
    #[error("the open stream cannot carry another pair of domains")]
    SharedStream,
    /// Each method is prevented.
    #[error("{0}, and {1}")]
    Neither(NoExternal, NoDialback),
}

/// Why SASL EXTERNAL is not used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoExternal {
    /// The stream is not encrypted.
    #[error("SASL EXTERNAL needs TLS")]
    NotEncrypted,
    /// Not among the mechanisms of the peer.
    #[error("the peer does not offer SASL EXTERNAL (it may not accept our certificate)")]
    NotOffered,
    /// Our settings forbid it.
    #[error("SASL EXTERNAL is not used because {0}")]
    Forbidden(AgainstExternal),
}

/// Why dialback is not used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoDialback {
    /// Our settings forbid it.
    #[error("dialback is not used because {0}")]
    Forbidden(Setting),
    /// The peer neither announces it nor declares its namespace.
    #[error("the peer does not support dialback")]
    NotKnown,
}
