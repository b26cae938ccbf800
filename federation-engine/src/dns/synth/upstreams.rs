//! Selects the resolver that the responder queries next, and the questions that it no longer forwards. Pure: time is an
//! argument.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::dns::exchange;

/// Time for which a resolver that did not answer is queried after the others.
const FAILED_UPSTREAM_PAUSE: Duration = Duration::from_secs(30);
/// Maximum forwards of one question at once. A question that arrives more often is a loop: a resolver forwards to this
/// responder.
const MAX_SAME_QUESTION: usize = 4;

/// The resolvers that did not answer recently.
#[derive(Debug, Default)]
pub(super) struct Silent {
    since: HashMap<SocketAddr, Instant>,
}

impl Silent {
    /// The order of the queries: as configured, the unresponsive ones last.
    pub(super) fn order(&self, configured: &[SocketAddr], now: Instant) -> Vec<SocketAddr> {
        let rests = |upstream: &SocketAddr| {
            self.since
                .get(upstream)
                .is_some_and(|since| now.saturating_duration_since(*since) < FAILED_UPSTREAM_PAUSE)
        };
        let (silent, others): (Vec<_>, Vec<_>) = configured.iter().partition(|one| rests(one));
        others.into_iter().chain(silent).copied().collect()
    }

    /// It did not answer.
    pub(super) fn failed(&mut self, upstream: SocketAddr, now: Instant) {
        self.since.insert(upstream, now);
    }

    /// It answered.
    pub(super) fn answered(&mut self, upstream: &SocketAddr) {
        self.since.remove(upstream);
    }
}

/// Minimum interval of the warnings about a loop.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);

/// The questions that are being forwarded to a resolver.
#[derive(Debug, Default)]
pub(super) struct OnTheWay {
    questions: HashMap<Box<[u8]>, usize>,
    warned: Option<Instant>,
}

impl OnTheWay {
    /// Accepts a query; `false` if its question is already being forwarded too often.
    pub(super) fn begin(&mut self, query: &[u8]) -> bool {
        let count = self.questions.entry(question(query)).or_default();
        if *count >= MAX_SAME_QUESTION {
            return false;
        }
        *count += 1;
        true
    }

    /// Whether to warn of a loop now.
    pub(super) fn warns(&mut self, now: Instant) -> bool {
        let recent = |warned| now.saturating_duration_since(warned) < WARNING_INTERVAL;
        let due = !self.warned.is_some_and(recent);
        if due {
            self.warned = Some(now);
        }
        due
    }

    /// The query that [`Self::begin`] accepted has its answer or none.
    pub(super) fn end(&mut self, query: &[u8]) {
        let question = question(query);
        if let Some(count) = self.questions.get_mut(&question) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.questions.remove(&question);
            }
        }
    }
}

/// Letters of a name count as equal in either case, which a resolver may change (the 0x20 bits).
fn question(query: &[u8]) -> Box<[u8]> {
    exchange::question(query).unwrap_or_default().to_ascii_lowercase().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(last: u8) -> SocketAddr {
        SocketAddr::from(([198, 18, 0, last], 53))
    }

    #[test]
    fn a_silent_resolver_is_asked_last_until_it_has_rested_or_answered() {
        let (one, other) = (resolver(1), resolver(2));
        let start = Instant::now();
        let mut silent = Silent::default();
        assert_eq!(silent.order(&[one, other], start), [one, other]);
        silent.failed(one, start);
        assert_eq!(silent.order(&[one, other], start), [other, one]);
        assert_eq!(silent.order(&[one, other], start + FAILED_UPSTREAM_PAUSE), [one, other]);
        silent.answered(&one);
        assert_eq!(silent.order(&[one, other], start), [one, other]);
    }

    #[test]
    fn all_silent_resolvers_are_still_asked() {
        let mut silent = Silent::default();
        let now = Instant::now();
        silent.failed(resolver(1), now);
        assert_eq!(silent.order(&[resolver(1)], now), [resolver(1)]);
    }

    #[test]
    fn a_question_that_comes_back_is_not_forwarded_for_ever() {
        let mut on_the_way = OnTheWay::default();
        let query = |id: u8, name: &str| {
            let length = u8::try_from(name.len()).unwrap();
            [&[id; exchange::HEADER][..], &[length], name.as_bytes(), &[0, 0, 33, 0, 1]].concat()
        };
        for id in 0..MAX_SAME_QUESTION {
            assert!(on_the_way.begin(&query(u8::try_from(id).unwrap(), "www")));
        }
        assert!(!on_the_way.begin(&query(9, "wWw")), "another id and case, the same question");
        assert!(on_the_way.begin(&query(9, "other")));
        on_the_way.end(&query(0, "www"));
        assert!(on_the_way.begin(&query(9, "www")));
    }

    #[test]
    fn the_warning_is_given_once_a_minute() {
        let mut on_the_way = OnTheWay::default();
        let now = Instant::now();
        assert!(on_the_way.warns(now) && !on_the_way.warns(now));
        assert!(on_the_way.warns(now + WARNING_INTERVAL));
    }
}
