//! When a federation is reconciled again without an event: quickly while something is changing, slowly once everything is
//! healthy. Pure.

use std::time::Duration;

use crds::condition::{Condition, ConditionStatus, ConditionType, get};
use jiff::{SignedDuration, Timestamp};

/// Interval while something is changing.
const CHANGING_INTERVAL: Duration = Duration::from_secs(2);
/// Interval when nothing has changed for [`UNCHANGED_AFTER`].
const UNCHANGED_INTERVAL: Duration = Duration::from_secs(10);
/// Interval when nothing has changed for [`WAITING_AFTER`].
const WAITING_INTERVAL: Duration = Duration::from_secs(30);
/// Interval when everything is healthy.
const HEALTHY_INTERVAL: Duration = Duration::from_mins(2);
/// Shortest interval for cached DNS answers while something is wrong, and while everything is healthy: TTLs may be 0.
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);
/// See [`RECHECK_INTERVAL`].
pub const HEALTHY_RECHECK_INTERVAL: Duration = Duration::from_secs(30);

const UNCHANGED_AFTER: SignedDuration = SignedDuration::from_mins(3);
const WAITING_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// `held`: a failure awaits confirmation. `expiry`: when the first cached DNS answer expires, after which a resolver may
/// answer differently. `jitter` from 0 to 1 spreads federations that started together.
pub fn next(
    conditions: &[Condition],
    held: bool,
    expiry: Option<Duration>,
    now: Timestamp,
    jitter: f64,
) -> Duration {
    let ready = get(conditions, ConditionType::Ready)
        .is_some_and(|condition| condition.status == ConditionStatus::True);
    let pause = if held {
        CHANGING_INTERVAL
    } else if ready {
        HEALTHY_INTERVAL
    } else {
        let last = conditions.iter().map(|condition| condition.last_transition_time.0).max();
        match last.map(|at| now.duration_since(at)) {
            Some(age) if age < UNCHANGED_AFTER => CHANGING_INTERVAL,
            Some(age) if age < WAITING_AFTER => UNCHANGED_INTERVAL,
            Some(_) => WAITING_INTERVAL,
            None => CHANGING_INTERVAL,
        }
    };
    let shortest = if ready && !held { HEALTHY_RECHECK_INTERVAL } else { RECHECK_INTERVAL };
    let pause = expiry.map_or(pause, |expiry| pause.min(expiry.max(shortest)));
    pause.mul_f64(1.0 + 0.25 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::reason::ReadyReason;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn it_looks_often_while_things_move_and_seldom_when_all_is_well() {
        let open = [Condition::new(ReadyReason::Progressing, "", None, at(0))];
        let good = [Condition::new(ReadyReason::Federated, "", None, at(0))];
        assert_eq!(next(&open, false, None, at(10), 0.0), CHANGING_INTERVAL);
        assert_eq!(next(&open, false, None, at(300), 0.0), UNCHANGED_INTERVAL);
        assert_eq!(next(&open, false, None, at(3600), 0.0), WAITING_INTERVAL);
        assert_eq!(next(&good, false, None, at(10), 0.0), HEALTHY_INTERVAL);
        assert_eq!(next(&good, true, None, at(10), 0.0), CHANGING_INTERVAL);
        assert_eq!(next(&good, false, None, at(10), 1.0), Duration::from_secs(150));
    }

    #[test]
    fn rfc2308_5_a_cached_answer_is_queried_again_when_it_expires() {
        let open = [Condition::new(ReadyReason::Progressing, "", None, at(0))];
        let good = [Condition::new(ReadyReason::Federated, "", None, at(0))];
        let after = |conditions, seconds| {
            next(conditions, false, Some(Duration::from_secs(seconds)), at(3600), 0.0)
        };
        assert_eq!(after(&open, 7), Duration::from_secs(7));
        assert_eq!(after(&open, 0), RECHECK_INTERVAL);
        assert_eq!(after(&open, 86_400), WAITING_INTERVAL);
        assert_eq!(after(&good, 7), HEALTHY_RECHECK_INTERVAL);
        assert_eq!(after(&good, 60), Duration::from_mins(1));
        assert_eq!(after(&good, 86_400), HEALTHY_INTERVAL);
    }

    #[test]
    fn failures_are_retried_ever_more_slowly() {
        let after_error = |failures| {
            let mut errors = crate::memory::Memory::default().errors;
            (0..=failures).map(|_| errors.bound_after_failure()).last().unwrap()
        };
        assert_eq!(after_error(0), Duration::from_secs(2));
        assert_eq!(after_error(3), Duration::from_secs(16));
        assert_eq!(after_error(50), Duration::from_mins(5));
    }
}
