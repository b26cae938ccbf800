//! When a stream must close because a certificate that it depends on expires (RFC 6120 §13.7.2.3): converts calendar
//! time to the monotonic clock of the machines. Pure.

use std::time::Instant;

use jiff::Timestamp;

/// The earliest of these expiry times, on the clock that shows `at` when the calendar shows `now`.
pub(crate) fn deadline(
    ends: impl IntoIterator<Item = Option<Timestamp>>,
    now: Timestamp,
    at: Instant,
) -> Option<Instant> {
    let first = ends.into_iter().flatten().min()?;
    let left = first.duration_since(now).try_into().unwrap_or_default();
    at.checked_add(left)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rfc6120_13_7_2_3_the_first_end_counts() {
        let (now, at) = (Timestamp::from_second(1_000).unwrap(), Instant::now());
        let end = |second| Some(Timestamp::from_second(second).unwrap());
        let seconds = |n| Some(at + Duration::from_secs(n));
        for (ends, expected) in [
            ([end(1_030), end(1_060)], seconds(30)),
            ([None, end(1_060)], seconds(60)),
            ([end(990), None], Some(at)),
            ([None, None], None),
        ] {
            assert_eq!(deadline(ends, now, at), expected, "{ends:?}");
        }
    }
}
