//! Certificates of remote domains, presented to the backend. The backend trusts one private CA, and the engine, acting
//! as `partner.example`, presents a leaf of that CA for `partner.example`.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};

use super::config::{Presented, provider};
use super::issue::{Authority, IssueError, PemPair};
use crate::Domain;

mod rate;

use rate::MintRate;
pub use rate::TooFast;

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
    authority: Arc<Authority>,
    /// The CA that replaces `authority` at that time.
    successor: Option<(Arc<Authority>, UnixTime)>,
    local: HashSet<Domain>,
    leaves: Mutex<LruCache<Domain, Leaf>>,
    /// Survives a reload, which must not grant another burst.
    rate: Arc<Mutex<MintRate>>,
}

/// A certificate to present.
#[derive(Debug)]
pub struct Minted {
    /// Chain and key.
    pub presented: Arc<Presented>,
    /// It was not in the cache.
    pub fresh: bool,
}

#[derive(Clone, Debug)]
struct Leaf {
    presented: Arc<Presented>,
    /// The CA that issued it.
    authority: Arc<Authority>,
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
    /// The rate limit is reached.
    #[error(transparent)]
    TooFast(#[from] TooFast),
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
            authority: Arc::new(Authority::from_pem(ca)?),
            successor: None,
            local: local.into_iter().collect(),
            leaves: Mutex::new(LruCache::new(MAX_LEAVES)),
            rate: Arc::default(),
        })
    }

    /// Continues the work of `last`. Until `signs_from`, the CA of `last` signs if it is another one, because backends
    /// may not trust the new one yet.
    #[must_use]
    pub fn after(mut self, last: &Self, signs_from: Option<UnixTime>) -> Self {
        self.rate = Arc::clone(&last.rate);
        let successor = last.successor.iter().map(|(successor, _)| successor);
        let known = successor.chain([&last.authority]);
        if let Some(same) =
            known.into_iter().find(|ca| ca.certificate() == self.authority.certificate())
        {
            self.authority = Arc::clone(same);
        }
        if let Some(from) = signs_from
            && !Arc::ptr_eq(&self.authority, &last.authority)
        {
            let new = std::mem::replace(&mut self.authority, Arc::clone(&last.authority));
            self.successor = Some((new, from));
        }
        // Leaves of a CA that no longer signs are not looked up again, and leave the cache in time.
        self.leaves = Mutex::new(last.leaves().clone());
        self
    }

    /// The CA that signs at that time. An expired one is replaced at once: backends refuse its leaves in any case.
    fn signing(&self, now: UnixTime) -> &Arc<Authority> {
        match &self.successor {
            Some((successor, from))
                if from.as_secs() <= now.as_secs() || !self.authority.is_valid_at(now) =>
            {
                successor
            }
            _ => &self.authority,
        }
    }

    /// The certificate to present as `domain`: a cached one in the first half of its life, else a new one. Minting is a
    /// key generation and a signature on P-256, well below a millisecond, so this may run on the runtime's threads.
    ///
    /// # Errors
    /// For a local domain, above the rate limit, or when the CA cannot sign (it may have expired).
    pub fn present_as(
        &self,
        domain: &Domain,
        now: UnixTime,
        at: Instant,
    ) -> Result<Minted, MintError> {
        if self.local.contains(domain) {
            return Err(MintError::LocalDomain(domain.clone()));
        }
        let authority = self.signing(now);
        if let Some(leaf) = self.leaves().get(domain)
            && now.as_secs() < leaf.renew_at
            && Arc::ptr_eq(&leaf.authority, authority)
        {
            return Ok(Minted { presented: Arc::clone(&leaf.presented), fresh: false });
        }
        self.rate.lock().unwrap_or_else(PoisonError::into_inner).take(domain, at)?;
        // The lock is not held while signing: two callers may mint the same name, which is harmless.
        let presented = Arc::new(Self::mint(authority, domain, now)?);
        let leaf = Leaf {
            presented: Arc::clone(&presented),
            authority: Arc::clone(authority),
            renew_at: now.as_secs().saturating_add(LEAF_LIFETIME.as_secs() / 2),
        };
        self.leaves().put(domain.clone(), leaf);
        Ok(Minted { presented, fresh: true })
    }

    fn mint(authority: &Authority, domain: &Domain, now: UnixTime) -> Result<Presented, MintError> {
        let (leaf, key) = authority.leaf(std::slice::from_ref(domain), LEAF_LIFETIME, now)?;
        let chain = vec![leaf.der().clone(), authority.certificate().clone()];
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
