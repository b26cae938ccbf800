//! A domain on a simulated system.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;

use super::wire::Wire;
use crate::authority::Identity;
use crate::dialback::Secret;

/// The partner.
#[derive(Debug)]
pub struct Partner {
    /// Its domain.
    pub domain: String,
    /// The behaviour of its system.
    pub wire: Wire,
    /// The certificate of its domain.
    pub identity: Identity,
    /// The roots by which it verifies certificates, if it checks them.
    pub roots: Arc<RootCertStore>,
    /// The address at which it finds the server of every other domain.
    pub others: SocketAddr,
    /// Its answer to a domain that another of its customers owns.
    pub claim: Option<Claim>,
    /// Domains of its other customers, which it hosts as well.
    pub customers: Vec<String>,
    /// Its answer to a stream for a domain that it does not host.
    pub unknown: Unknown,
    /// Maximum time for each answer.
    pub timeout: Duration,
}

/// The answer of a hosting provider to the dialback key of a domain that it believes to host itself. It never queries
/// the domain's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// `undefined-condition` and a text, as Google Talk answered; `{}` in the text is the domain.
    StreamError(&'static str),
    /// `type='invalid'`: its own secret generates a different key.
    Invalid,
    /// `type='error'` with that condition and a text (XEP-0220 §2.5).
    Error {
        /// The condition of the stanza error.
        condition: &'static str,
        /// The text; `{}` is the domain.
        text: &'static str,
    },
}

/// The answer to a stream for a domain that a system does not host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// A header with its own domain, as for any other one.
    Greeted,
    /// `host-unknown` (RFC 6120 §4.9.3.6).
    HostUnknown,
}

impl Partner {
    /// Whether it hosts a domain.
    pub fn hosts(&self, domain: &str) -> bool {
        domain == self.domain || self.customers.iter().any(|customer| customer == domain)
    }

    /// The secret from which it generates its keys.
    pub fn secret(&self) -> Secret {
        Secret::new(format!("the secret of {}", self.domain)).of_digits(self.wire.key_digits)
    }
}
