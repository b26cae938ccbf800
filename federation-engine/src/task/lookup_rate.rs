//! How often strangers may make us look something up: token buckets for each source prefix and for the process. Pure; time is
//! an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::source::Prefix;

/// For one source prefix: a hoster that reconnects all of its domains at once passes.
const PER_SOURCE: Rate = Rate { burst: 512, interval: Duration::from_millis(125) };
/// For all sources together: each lookup is some ten queries to servers of others.
const IN_ALL: Rate = Rate { burst: 4096, interval: Duration::from_millis(10) };
/// Sources remembered before those whose bucket is full are forgotten.
const MAX_SOURCES: usize = 8192;

/// A token bucket: so many tokens, and a new one at every interval.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    interval: Duration,
}

/// A bucket, kept as the time at which it is full again.
#[derive(Clone, Copy, Debug)]
struct Bucket(Instant);

impl Bucket {
    /// When it is full again, if a token is taken now; none when there is none to take.
    fn after_one(self, rate: Rate, now: Instant) -> Option<Self> {
        let full = self.0.max(now).checked_add(rate.interval)?;
        let missing = full.saturating_duration_since(now);
        (missing <= rate.interval.saturating_mul(rate.burst)).then_some(Self(full))
    }
}

/// The buckets.
#[derive(Debug, Default)]
pub(crate) struct LookupRate {
    sources: HashMap<Prefix, Bucket>,
    all: Option<Bucket>,
}

impl LookupRate {
    /// Takes a token for a lookup that this source causes. False: it is not to be done.
    pub(crate) fn take(&mut self, source: IpAddr, now: Instant) -> bool {
        let prefix = Prefix::from(source);
        let full = Bucket(now);
        let of_source = self.sources.get(&prefix).copied().unwrap_or(full);
        let of_all = self.all.unwrap_or(full);
        let (Some(of_source), Some(of_all)) =
            (of_source.after_one(PER_SOURCE, now), of_all.after_one(IN_ALL, now))
        else {
            return false;
        };
        if self.sources.len() >= MAX_SOURCES {
            self.sources.retain(|_, bucket| bucket.0 > now);
        }
        self.sources.insert(prefix, of_source);
        self.all = Some(of_all);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(rate: &mut LookupRate, source: &str, now: Instant) -> usize {
        let source = source.parse().unwrap();
        (0..10_000).take_while(|_| rate.take(source, now)).count()
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
    fn many_sources_together_have_a_bound_and_memory_has_one() {
        let (mut rate, mut now) = (LookupRate::default(), Instant::now());
        let of = |rate: &mut LookupRate, now| {
            let source = |n: u128| IpAddr::from(((0x2a00 << 112) | (n << 72)).to_be_bytes());
            (0..20_000).filter(|n| rate.take(source(*n), now)).count()
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
