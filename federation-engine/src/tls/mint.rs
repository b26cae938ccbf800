//! Certificates of remote domains, presented to the backend. The backend trusts one private CA, and the engine, acting
//! as `partner.example`, presents a leaf of that CA for `partner.example`.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};

use super::config::{Presented, provider};
use super::issue::{Authority, IssueError, PemPair};
use crate::Domain;

/// Maximum leaves cached. The names come from stanzas of local users, so they are bounded.
const MAX_LEAVES: NonZeroUsize = match NonZeroUsize::new(1024) {
    Some(n) => n,
    None => NonZeroUsize::MIN,
};
/// Validity of a leaf.
const LEAF_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// The backend CA in use.
#[derive(Debug)]
pub struct Mint {
    authority: Authority,
    local: HashSet<Domain>,
    leaves: Mutex<LruCache<Domain, Leaf>>,
}

#[derive(Clone, Debug)]
struct Leaf {
    presented: Arc<Presented>,
    /// Unix seconds from which a new leaf is minted.
    renew_at: u64,
}

/// Why no leaf was minted.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// Every backend reaches the domain without the engine; minting a certificate would let the engine impersonate the
    /// backend to itself.
    #[error(
        "{0} is a local domain of the only backend; certificates are minted for remote domains only"
    )]
    LocalDomain(Domain),
    /// The CA cannot sign.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// rustls does not accept the fresh key.
    #[error("cannot use the minted certificate: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Mint {
    /// From the backend CA and the domains for which it never signs.
    ///
    /// # Errors
    /// When certificate or key are unusable or do not belong together.
    pub fn new(ca: &PemPair, local: impl IntoIterator<Item = Domain>) -> Result<Self, IssueError> {
        Ok(Self {
            authority: Authority::from_pem(ca)?,
            local: local.into_iter().collect(),
            leaves: Mutex::new(LruCache::new(MAX_LEAVES)),
        })
    }

    /// The certificate to present as `domain`: a cached one in the first half of its life, else a new one. Minting is a
    /// key generation and a signature on P-256, well below a millisecond, so this may run on the runtime's threads.
    ///
    /// # Errors
    /// For a local domain, or when the CA cannot sign (it may have expired).
    pub fn present_as(&self, domain: &Domain, now: UnixTime) -> Result<Arc<Presented>, MintError> {
        if self.local.contains(domain) {
            return Err(MintError::LocalDomain(domain.clone()));
        }
        if let Some(leaf) = self.leaves().get(domain)
            && now.as_secs() < leaf.renew_at
        {
            return Ok(Arc::clone(&leaf.presented));
        }
        // The lock is not held while signing: two callers may mint the same name, which is harmless.
        let presented = Arc::new(self.mint(domain, now)?);
        let renew_at = now.as_secs().saturating_add(LEAF_LIFETIME.as_secs() / 2);
        self.leaves().put(domain.clone(), Leaf { presented: Arc::clone(&presented), renew_at });
        Ok(presented)
    }

    fn mint(&self, domain: &Domain, now: UnixTime) -> Result<Presented, MintError> {
        let (leaf, key) = self.authority.leaf(std::slice::from_ref(domain), LEAF_LIFETIME, now)?;
        let chain = vec![leaf.der().clone(), self.authority.certificate().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Presented::new(Arc::new(CertifiedKey::from_der(chain, key, provider())?))?)
    }

    fn leaves(&self) -> std::sync::MutexGuard<'_, LruCache<Domain, Leaf>> {
        // A panic elsewhere cannot leave the map partly changed.
        self.leaves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
