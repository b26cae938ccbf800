//! Answers kept for as long as their TTL allows. The resolver library's own cache keeps whole messages of up to 64 KiB,
//! which unknown zones could fill. Here an answer is a few records, already cut to what is used. Time is an argument.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::rr::{Name, RecordType};
use lru::LruCache;
use s2s_proto::plan::{Answer, ValidatedAnswer};

/// Answers kept; the least recently used goes first.
const MAX_ANSWERS: NonZeroUsize = match NonZeroUsize::new(1024) {
    Some(n) => n,
    None => NonZeroUsize::MIN,
};
/// Maximum delay until a newly published record is seen.
const MAX_NEGATIVE_TTL: Duration = Duration::from_mins(1);
/// Maximum delay until a changed record is seen, whatever its TTL.
const MAX_POSITIVE_TTL: Duration = Duration::from_hours(1);

/// Key of an answer.
pub(super) type Question = (Name, RecordType);

pub(super) struct Cache<T> {
    answers: Mutex<LruCache<Question, Kept<T>>>,
}

struct Kept<T> {
    answer: ValidatedAnswer<T>,
    until: Instant,
}

impl<T: Clone> Cache<T> {
    pub(super) fn new() -> Self {
        Self::of(MAX_ANSWERS)
    }

    /// For answers that are large.
    pub(super) fn of(size: NonZeroUsize) -> Self {
        Self { answers: Mutex::new(LruCache::new(size)) }
    }

    pub(super) fn get(&self, key: &Question, now: Instant) -> Option<ValidatedAnswer<T>> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = answers.get(key)?;
        if now < kept.until {
            return Some(kept.answer.clone());
        }
        answers.pop(key);
        None
    }

    /// Caches positive and negative answers (RFC 2308 §5). Failures are not cached, so the next caller queries again.
    pub(super) fn put(
        &self,
        key: Question,
        answer: &ValidatedAnswer<T>,
        ttl: Duration,
        now: Instant,
    ) {
        let longest = match answer.answer {
            Answer::Records(_) => MAX_POSITIVE_TTL,
            Answer::Absent => MAX_NEGATIVE_TTL,
            Answer::Failed(_) | Answer::Bogus => return,
        };
        let Some(until) = now.checked_add(ttl.min(longest)) else { return };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.put(key, Kept { answer: answer.clone(), until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::name;

    const HOUR: Duration = Duration::from_hours(1);

    fn key(text: &str) -> (Name, RecordType) {
        (name(text), RecordType::SRV)
    }

    #[test]
    fn answers_live_as_long_as_their_ttl_within_bounds() {
        let (cache, start) = (Cache::new(), Instant::now());
        let found = ValidatedAnswer { answer: Answer::Records(vec![1]), secure: true };
        let absent = Answer::Absent.into();
        for (name, answer, ttl, life) in [
            ("short.example", &found, Duration::from_secs(5), Duration::from_secs(5)),
            ("week.example", &found, HOUR * 24 * 7, HOUR),
            ("zero.example", &found, Duration::ZERO, Duration::ZERO),
            ("absent.example", &absent, HOUR, Duration::from_mins(1)),
        ] {
            cache.put(key(name), answer, ttl, start);
            if let Some(last) = life.checked_sub(Duration::from_millis(1)) {
                assert_eq!(cache.get(&key(name), start + last).as_ref(), Some(answer), "{name}");
            }
            assert_eq!(cache.get(&key(name), start + life), None, "{name}");
        }
    }

    #[test]
    fn ignorance_is_never_kept_and_types_are_apart() {
        let (cache, now) = (Cache::<u8>::new(), Instant::now());
        for ignorance in [Answer::Failed("SERVFAIL".to_owned()), Answer::Bogus] {
            cache.put(key("a.example"), &ignorance.into(), HOUR, now);
            assert_eq!(cache.get(&key("a.example"), now), None);
        }
        cache.put(key("a.example"), &Answer::Absent.into(), HOUR, now);
        assert_eq!(cache.get(&(name("a.example"), RecordType::A), now), None);
        assert_eq!(
            cache.get(&key("A.Example"), now),
            Some(Answer::Absent.into()),
            "case is no matter"
        );
    }

    #[test]
    fn the_number_of_answers_is_bounded() {
        let (cache, now) = (Cache::<u8>::new(), Instant::now());
        for n in 0..=MAX_ANSWERS.get() {
            cache.put(key(&format!("d{n}.example")), &Answer::Absent.into(), HOUR, now);
        }
        assert_eq!(cache.get(&key("d0.example"), now), None);
        assert!(cache.get(&key("d1.example"), now).is_some());
    }
}
