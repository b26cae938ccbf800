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
    /// How its system behaves.
    pub wire: Wire,
    /// The certificate of its domain.
    pub identity: Identity,
    /// What it believes certificates by, if it looks at them.
    pub roots: Arc<RootCertStore>,
    /// Where it finds the server of every other domain.
    pub others: SocketAddr,
    /// What it says to a domain that another customer of it has.
    pub claim: Option<Claim>,
    /// How long each answer may take.
    pub patience: Duration,
}

/// How a hoster answers the dialback key of a domain that it believes to host itself. It never asks the domain's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// By `undefined-condition` and a text, as Google Talk did; `{}` in the text is the domain.
    StreamError(&'static str),
    /// By `type='invalid'`: its own secret made another key.
    Invalid,
    /// By `type='error'` with that condition and a text (XEP-0220 §2.5).
    Error {
        /// The condition of the stanza error.
        condition: &'static str,
        /// The text; `{}` is the domain.
        text: &'static str,
    },
}

impl Partner {
    /// What its keys are made with.
    pub fn secret(&self) -> Secret {
        Secret::new(format!("the secret of {}", self.domain)).of_digits(self.wire.key_digits)
    }
}
