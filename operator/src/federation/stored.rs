//! Reads keys and certificates back from the Secrets of a federation, and why new ones could not be issued.

use crds::domain::DomainError;
use federation_engine::tls::issue::{IssueError, PemPair};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use rustls_pki_types::UnixTime;

use crate::build::paths;

/// Why keys or certificates could not be issued.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// Signing.
    #[error("cannot issue the {what}: {source}")]
    Issue {
        /// The certificate to issue.
        what: &'static str,
        /// The cause.
        source: IssueError,
    },
    /// The operating system's random number generator.
    #[error("the system random number generator failed: {0}")]
    Random(String),
    /// The name of the resource or its namespace is not a valid domain name.
    #[error("{name} is not a domain name: {source}")]
    Name {
        /// The name.
        name: String,
        /// The cause.
        source: DomainError,
    },
}

/// Chain and key of a Secret of type `kubernetes.io/tls`.
pub(super) fn pair(secret: &Secret) -> Option<PemPair> {
    pair_of(secret, paths::TLS_CRT, paths::TLS_KEY)
}

/// Chain and key under these keys of a Secret.
pub(super) fn pair_of(secret: &Secret, certificate: &str, private_key: &str) -> Option<PemPair> {
    Some(PemPair {
        certificate: text(secret, certificate)?,
        private_key: text(secret, private_key)?,
    })
}

pub(super) fn text(secret: &Secret, key: &str) -> Option<String> {
    let ByteString(octets) = secret.data.as_ref()?.get(key)?;
    String::from_utf8(octets.clone()).ok()
}

/// The time as the engine's library takes it.
pub(super) fn unix(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(
        u64::try_from(now.as_second()).unwrap_or_default(),
    ))
}
