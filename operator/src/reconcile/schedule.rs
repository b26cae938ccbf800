//! When a federation is reconciled again without an event: quickly while something is changing, slowly once everything is
//! healthy. Pure.

use std::time::Duration;

use crds::condition::{Condition, ConditionStatus, ConditionType, get};
use jiff::{SignedDuration, Timestamp};

/// Interval while a verdict awaits confirmation.
const HELD_INTERVAL: Duration = Duration::from_secs(2);
/// Shortest pause after a pass that could not do everything.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// Interval while something is changing. Watches and evidence trigger a reconcile by themselves; this one notices what depends
/// only on the time.
const CHANGING_INTERVAL: Duration = Duration::from_secs(5);
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
    // A rollout may get stuck while the pods of the earlier revision keep the federation ready.
    let ready = get(conditions, ConditionType::Ready)
        .is_some_and(|condition| condition.status == ConditionStatus::True)
        && get(conditions, ConditionType::Reconciling).is_none();
    let pause = if held {
        HELD_INTERVAL
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

/// The pause, but only until the next of these dates: at the beginning and the end of a certificate's validity, a verdict
/// changes without an event.
pub fn not_beyond(pause: Duration, dates: &[Timestamp], now: Timestamp) -> Duration {
    let left = dates.iter().map(|date| date.duration_since(now));
    let next = left.filter(SignedDuration::is_positive).min();
    next.map_or(pause, |left| pause.min(left.unsigned_abs() + SHORTEST_PAUSE))
}

/// How often DNS is queried and the engine's listeners are probed. A record that someone changes must be noticed within
/// 30 s, with the second query that confirms it.
pub fn evidence(conditions: &[Condition], held: bool, now: Timestamp) -> Duration {
    let ready = get(conditions, ConditionType::Ready)
        .is_some_and(|condition| condition.status == ConditionStatus::True);
    let last = conditions.iter().map(|condition| condition.last_transition_time.0).max();
    let changing = last.is_none_or(|at| now.duration_since(at) < UNCHANGED_AFTER);
    match (ready, changing) {
        _ if held => Duration::from_secs(1),
        (true, _) => Duration::from_secs(15),
        (false, true) => Duration::from_secs(2),
        (false, false) => Duration::from_secs(10),
    }
}

/// The pause after a pass that could not read or apply something, from its upper bound and the time that the pass took. A
/// repaired cause must be noticed within 10 s, so the jitter only shortens it, and a request that hung was a pause already.
pub fn after_problem(bound: Duration, took: Duration, jitter: f64) -> Duration {
    let pause = bound.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0));
    pause.saturating_sub(took).max(SHORTEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::reason::{ReadyReason, ReconcilingReason};

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
        assert_eq!(next(&good, true, None, at(10), 0.0), HELD_INTERVAL);
        assert_eq!(next(&good, false, None, at(10), 1.0), Duration::from_secs(150));
        let mut rolling = good.to_vec();
        rolling.push(Condition::new(ReconcilingReason::RollingOut, "", None, at(3600)));
        assert_eq!(next(&rolling, false, None, at(3610), 0.0), CHANGING_INTERVAL);
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
    fn the_end_of_a_certificate_is_noticed_when_it_comes() {
        let until = |dates: &[Timestamp]| not_beyond(HEALTHY_INTERVAL, dates, at(100));
        assert_eq!(until(&[at(0), at(107)]), Duration::from_secs(8));
        assert_eq!(until(&[at(0), at(100)]), HEALTHY_INTERVAL);
        assert_eq!(until(&[at(3600), at(7200)]), HEALTHY_INTERVAL);
    }

    #[test]
    fn a_repaired_cause_is_noticed_within_ten_seconds() {
        let mut errors = crate::memory::Memory::default().errors;
        let pauses: Vec<Duration> = (0..50).map(|_| errors.bound_after_failure()).collect();
        assert_eq!(pauses[0], Duration::from_secs(2));
        assert!(pauses.is_sorted());
        for jitter in [0.0, 0.5, 1.0] {
            let longest = after_problem(pauses[49], Duration::ZERO, jitter);
            assert!(longest <= Duration::from_secs(8) && longest >= Duration::from_secs(6));
            let hung = after_problem(pauses[49], Duration::from_secs(12), jitter);
            assert_eq!(hung, SHORTEST_PAUSE);
        }
    }

    #[test]
    fn a_changed_record_is_queried_and_confirmed_within_thirty_seconds() {
        let good = [Condition::new(ReadyReason::Federated, "", None, at(0))];
        let open = [Condition::new(ReadyReason::Progressing, "", None, at(0))];
        let confirmed = evidence(&good, false, at(3600)) + evidence(&good, true, at(3600));
        assert!(confirmed + HELD_INTERVAL < Duration::from_secs(30));
        assert!(evidence(&open, false, at(10)) < evidence(&open, false, at(3600)));
    }
}
