//! Verdicts about the path of one presented chain, cached as long as the chain. The presenting server determines how
//! many milliseconds path building costs, and every header and every dialback request needs the verdict.

use std::sync::{Mutex, PoisonError};

use rustls_pki_types::{CertificateDer, UnixTime};

use super::facts::parse;
use super::identity::Forms;
use super::pin::Pin;
use super::trust::Trust;
use crate::reason::CertificateReason;

/// Maximum verdicts of one chain: one stream may claim several peers with roots or pins of their own.
const MAX_VERDICTS: usize = 8;

/// The end of a path, or why there is none.
pub(super) type PathVerdict = Result<Forms, CertificateReason>;

/// The verdicts about one chain.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Mutex<Vec<Verdict>>);

#[derive(Debug)]
struct Verdict {
    /// Held, so that another set of roots can never be mistaken for this one.
    trust: Trust,
    pins: Vec<Pin>,
    /// No certificate of the chain becomes valid or expires within this time.
    within: (i64, i64),
    path: PathVerdict,
}

impl Verdicts {
    /// The verdict by these roots and pins at this time: the cached one, or the result of `judge`.
    pub(super) fn get(
        &self,
        chain: &[CertificateDer<'_>],
        trust: &Trust,
        pins: &[Pin],
        now: UnixTime,
        judge: impl FnOnce() -> PathVerdict,
    ) -> PathVerdict {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let holds = |known: &Verdict| {
            let (from, until) = known.within;
            known.trust.is_same(trust) && known.pins == pins && (from..until).contains(&now)
        };
        let known = |known: &[Verdict]| known.iter().find(|v| holds(v)).map(|v| v.path.clone());
        if let Some(verdict) = known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return verdict;
        }
        let verdict = judge();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_VERDICTS {
            kept.remove(0);
        }
        kept.push(Verdict {
            trust: trust.clone(),
            pins: pins.to_vec(),
            within: unchanged(chain, now),
            path: verdict.clone(),
        });
        verdict
    }
}

/// The time around `now` within which the dates of the chain give the same result, the end excluded.
fn unchanged(chain: &[CertificateDer<'_>], now: i64) -> (i64, i64) {
    let dates = chain.iter().filter_map(|der| {
        let validity = parse(der).ok()?.validity().clone();
        // The last second is part of the validity (RFC 5280 §4.1.2.5).
        let end = validity.not_after.timestamp().saturating_add(1);
        Some([validity.not_before.timestamp(), end])
    });
    let (mut from, mut until) = (i64::MIN, i64::MAX);
    for at in dates.flatten() {
        if at <= now {
            from = from.max(at);
        } else {
            until = until.min(at);
        }
    }
    (from, until)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;
    use crate::certificate::testing::{Ca, now};

    #[test]
    fn a_chain_is_judged_once_by_the_same_roots_and_pins_and_again_when_a_date_has_passed() {
        let root = Ca::root("Root");
        let (leaf, _) = root.leaf(&["a.example"], |p| {
            p.not_before = rcgen::date_time_ymd(2026, 5, 1);
            p.not_after = rcgen::date_time_ymd(2026, 7, 1);
        });
        let chain = [leaf.der().clone()];
        let (verdicts, judged) = (Verdicts::default(), Cell::new(0));
        let get = |trust: &Trust, pins: &[Pin], at| {
            let judge = || {
                judged.set(judged.get() + 1);
                Ok(Forms::All)
            };
            verdicts.get(&chain, trust, pins, at, judge).unwrap();
            judged.get()
        };
        let later = |days: u64| {
            let time = Duration::from_secs(now().as_secs()) + Duration::from_hours(24 * days);
            UnixTime::since_unix_epoch(time)
        };
        let (ours, pin) = (root.trust(), Pin::of_spki(b"key"));
        for _ in 0..100 {
            assert_eq!(get(&ours, &[], now()), 1);
        }
        assert_eq!(get(&ours.clone(), &[], later(29)), 1);
        assert_eq!(get(&ours, &[], later(31)), 2, "expired meanwhile");
        assert_eq!(get(&ours, &[pin], now()), 3);
        assert_eq!(get(&root.trust(), &[], now()), 4, "read again");
        for n in 0..100 {
            get(&ours, &[Pin::of_spki(&[n])], now());
        }
        assert!(verdicts.0.lock().unwrap().len() <= MAX_VERDICTS);
    }
}
