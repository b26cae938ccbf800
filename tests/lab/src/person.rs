//! The people of the scenarios.

use crate::public_dns::{LOCAL_ZONE, PARTNER_ZONE};

/// A person with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The part of the address before the `@`.
    pub user: String,
    /// The domain of their server.
    pub domain: String,
    /// Their password.
    pub password: String,
}

impl Person {
    /// `cupuser1@cupdomain.example`, on the server in the cluster.
    pub fn cupuser1() -> Self {
        Self::new("cupuser1", LOCAL_ZONE)
    }

    /// `jdoe1@partner.example`, on the partner's server.
    pub fn jdoe1() -> Self {
        Self::new("jdoe1", PARTNER_ZONE)
    }

    /// A person at a domain.
    pub fn new(user: &str, domain: &str) -> Self {
        Self { user: user.into(), domain: domain.into(), password: format!("{user} in the lab") }
    }

    /// The bare address.
    pub fn address(&self) -> String {
        format!("{}@{}", self.user, self.domain)
    }
}
