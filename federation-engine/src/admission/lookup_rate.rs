//! How often unknown servers may cause a DNS lookup: token buckets for each source prefix and for the process. Pure;
//! time is an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::bucket::{Bucket, Rate};
use crate::leg::Leg;
use crate::source::Prefix;

/// For one source prefix. It suffices for a hoster that reconnects all of its domains at once.
const PER_SOURCE: Rate = Rate { burst: 512, interval: Duration::from_millis(125) };
/// For all sources together: each lookup causes about ten queries to other people's servers.
const IN_ALL: Rate = Rate { burst: 4096, interval: Duration::from_millis(10) };
/// Sources remembered before those with a full bucket are removed.
const MAX_SOURCES: usize = 8192;

/// The buckets.
#[derive(Debug, Default)]
pub(crate) struct LookupRate {
    sources: HashMap<Prefix, Bucket>,
    all: Option<Bucket>,
}

impl LookupRate {
    /// Takes a token for a lookup that this source causes, and returns from when it is valid. None: that would be more
    /// than `max_wait` from now, and no token is taken.
    pub(crate) fn take(
        &mut self,
        source: IpAddr,
        now: Instant,
        max_wait: Duration,
    ) -> Option<Instant> {
        let prefix = Prefix::from(source);
        let full = Bucket::full(now);
        let of_source = self.sources.get(&prefix).copied().unwrap_or(full);
        let of_all = self.all.unwrap_or(full);
        let (of_source, own_wait) = of_source.after_one(PER_SOURCE, now)?;
        let (of_all, wait) = of_all.after_one(IN_ALL, now)?;
        let wait = wait.max(own_wait);
        if wait > max_wait {
            return None;
        }
        if self.sources.len() >= MAX_SOURCES {
            self.sources.retain(|_, bucket| !bucket.is_full(now));
        }
        self.sources.insert(prefix, of_source);
        self.all = Some(of_all);
        now.checked_add(wait)
    }
}

/// The buckets of both legs. Clients of one leg take no lookup from those of the other.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    outer: Mutex<LookupRate>,
    inner: Mutex<LookupRate>,
}

impl Lookups {
    /// Takes a token as [`LookupRate::take`] does, for a lookup that a stream of this leg causes. An authenticated stream
    /// of a backend needs none.
    pub(crate) fn take(
        &self,
        leg: Leg,
        source: IpAddr,
        authenticated: bool,
        now: Instant,
        max_wait: Duration,
    ) -> Option<Instant> {
        let rate = match leg {
            Leg::Inner if authenticated => return Some(now),
            Leg::Inner => &self.inner,
            Leg::Outer => &self.outer,
        };
        rate.lock().unwrap_or_else(PoisonError::into_inner).take(source, now, max_wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(rate: &mut LookupRate, source: &str, now: Instant) -> usize {
        let source = source.parse().unwrap();
        let take = |_: &u32| rate.take(source, now, Duration::ZERO) == Some(now);
        (0..10_000).take_while(take).count()
    }

    #[test]
    fn a_burst_of_a_hoster_passes_and_what_follows_is_slowed_down_by_prefix() {
        let (mut rate, now) = (LookupRate::default(), Instant::now());
        assert_eq!(taken(&mut rate, "198.18.1.1", now), 512);
        assert_eq!(taken(&mut rate, "198.18.1.200", now), 0, "the same /24");
        assert_eq!(taken(&mut rate, "2a00:1::1", now), 512);
        assert_eq!(taken(&mut rate, "198.18.1.1", now + Duration::from_secs(1)), 8);
        assert_eq!(taken(&mut rate, "198.18.1.1", now + Duration::from_hours(1)), 512);
    }

    #[test]
    fn only_an_authenticated_backend_needs_no_token() {
        let (lookups, now) = (Lookups::default(), Instant::now());
        let source = "10.0.0.1".parse().unwrap();
        let take = |leg, authenticated| {
            let once = |_: &u32| {
                lookups.take(leg, source, authenticated, now, Duration::ZERO) == Some(now)
            };
            (0..2_000).take_while(once).count()
        };
        assert_eq!(take(Leg::Inner, true), 2_000);
        assert_eq!(take(Leg::Inner, false), 512, "any client in the network of the backends");
        assert_eq!(take(Leg::Inner, false), 0);
        assert_eq!(take(Leg::Outer, true), 512, "a peer chooses the names itself");
    }

    #[test]
    fn what_comes_after_the_burst_waits_for_its_turn_if_that_comes_soon() {
        let (mut rate, now) = (LookupRate::default(), Instant::now());
        assert_eq!(taken(&mut rate, "198.18.1.1", now), 512);
        let source = "198.18.1.1".parse().unwrap();
        let mut waits = || Some(rate.take(source, now, Duration::from_secs(20))? - now);
        assert_eq!((waits(), waits()), (Some(PER_SOURCE.interval), Some(PER_SOURCE.interval * 2)));
        let rest: Vec<_> = (0..1_000).map_while(|_| waits()).collect();
        assert_eq!((rest.len(), rest.last()), (158, Some(&Duration::from_secs(20))));
    }

    #[test]
    fn many_sources_together_have_a_bound_and_memory_has_one() {
        let (mut rate, mut now) = (LookupRate::default(), Instant::now());
        let of = |rate: &mut LookupRate, now| {
            let source = |n: u128| IpAddr::from(((0x2a00 << 112) | (n << 72)).to_be_bytes());
            let taken = |n: &u128| rate.take(source(*n), now, Duration::ZERO).is_some();
            (0..20_000).filter(taken).count()
        };
        assert_eq!(of(&mut rate, now), 4096);
        now += Duration::from_secs(1);
        assert_eq!(of(&mut rate, now), 100);
        for _ in 0..10 {
            now += Duration::from_hours(1);
            of(&mut rate, now);
            assert!(rate.sources.len() <= MAX_SOURCES);
        }
    }
}
