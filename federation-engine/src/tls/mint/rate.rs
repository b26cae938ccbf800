//! How often certificates are minted. The names come from stanzas of local users and from clients of the inner leg, and
//! each certificate costs a key and a signature. Pure; time is an argument.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::Domain;
use crate::bucket::{Bucket, Rate};

/// For one domain. A leaf is cached for half its life, so a domain needs more than one only if it was dropped from the
/// cache, or if several streams start at once.
const PER_DOMAIN: Rate = Rate { burst: 16, interval: Duration::from_mins(1) };
/// For all domains together: the burst of a backend that reconnects to all of its peers, then the time of a tenth of a
/// processor.
const IN_ALL: Rate = Rate { burst: 2048, interval: Duration::from_millis(2) };
/// Domains remembered; the least recently used is dropped first.
const MAX_DOMAINS: NonZeroUsize = match NonZeroUsize::new(8192) {
    Some(n) => n,
    None => NonZeroUsize::MIN,
};

/// Why no certificate may be minted now.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TooFast {
    /// Too many for one domain.
    #[error(
        "too many certificates were minted for {0}; the next one is possible within {wait} s",
        wait = PER_DOMAIN.interval.as_secs()
    )]
    Domain(Domain),
    /// Too many for all domains together.
    #[error(
        "too many certificates were minted for remote domains; the next one is possible within 1 s"
    )]
    InAll,
}

/// The buckets.
#[derive(Debug)]
pub(super) struct MintRate {
    domains: LruCache<Domain, Bucket>,
    all: Option<Bucket>,
}

impl Default for MintRate {
    fn default() -> Self {
        Self { domains: LruCache::new(MAX_DOMAINS), all: None }
    }
}

impl MintRate {
    /// Takes a token for a certificate of this domain. A refused request takes none, so that a domain which asks too
    /// often costs the others nothing.
    pub(super) fn take(&mut self, domain: &Domain, now: Instant) -> Result<(), TooFast> {
        let full = Bucket::full(now);
        let of_domain = self.domains.get(domain).copied().unwrap_or(full);
        let of_domain = one(of_domain, PER_DOMAIN, now);
        let of_domain = of_domain.ok_or_else(|| TooFast::Domain(domain.clone()))?;
        let of_all = one(self.all.unwrap_or(full), IN_ALL, now).ok_or(TooFast::InAll)?;
        self.domains.put(domain.clone(), of_domain);
        self.all = Some(of_all);
        Ok(())
    }
}

fn one(bucket: Bucket, rate: Rate, now: Instant) -> Option<Bucket> {
    let (after, wait) = bucket.after_one(rate, now)?;
    wait.is_zero().then_some(after)
}

#[cfg(test)]
mod tests {
    use s2s_proto::certificate::testing::domain;

    use super::*;

    fn taken(rate: &mut MintRate, name: &str, now: Instant) -> usize {
        let name = domain(name);
        (0..10_000).take_while(|_| rate.take(&name, now).is_ok()).count()
    }

    #[test]
    fn one_domain_gets_its_burst_and_then_one_certificate_a_minute() {
        let (mut rate, now) = (MintRate::default(), Instant::now());
        assert_eq!(taken(&mut rate, "a.example", now), 16);
        let refused = rate.take(&domain("a.example"), now).unwrap_err();
        assert_eq!(refused, TooFast::Domain(domain("a.example")));
        assert_eq!(
            refused.to_string(),
            "too many certificates were minted for a.example; the next one is possible within 60 s"
        );
        assert_eq!(taken(&mut rate, "b.example", now), 16, "another domain has its own");
        assert_eq!(taken(&mut rate, "a.example", now + Duration::from_mins(3)), 3);
    }

    #[test]
    fn all_domains_together_have_a_limit_and_the_memory_has_one() {
        let (mut rate, now) = (MintRate::default(), Instant::now());
        let burst = |rate: &mut MintRate, from: usize, now| {
            let one = |n: &usize| rate.take(&domain(&format!("d{n}.example")), now).is_ok();
            (from..from + 20_000).take_while(one).count()
        };
        assert_eq!(burst(&mut rate, 0, now), 2048);
        assert_eq!(rate.take(&domain("new.example"), now), Err(TooFast::InAll));
        assert_eq!(burst(&mut rate, 30_000, now + Duration::from_secs(1)), 500);
        for hour in 1..10_u32 {
            burst(&mut rate, 100_000 * hour as usize, now + Duration::from_hours(1) * hour);
        }
        assert!(rate.domains.len() <= MAX_DOMAINS.get());
    }

    #[test]
    fn a_refused_domain_takes_nothing_from_the_others() {
        let (mut rate, now) = (MintRate::default(), Instant::now());
        taken(&mut rate, "a.example", now);
        for _ in 0..100_000 {
            assert!(rate.take(&domain("a.example"), now).is_err());
        }
        assert_eq!(taken(&mut rate, "b.example", now), 16);
    }
}
