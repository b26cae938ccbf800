//! Certificates that expire while a test looks on.

use std::time::Duration;

/// How long such a certificate is valid, in one attempt after the other: short, because its end is waited for; longer when
/// it ended before it was used, be it that the machine is busy or that the clock was set forward.
const LIVES: [Duration; 3] =
    [Duration::from_secs(5), Duration::from_secs(20), Duration::from_mins(1)];

/// Uses a certificate that is valid for the time that `attempt` is given. Fails when the last attempt fails.
pub fn expiring<T, E>(mut attempt: impl FnMut(Duration) -> Result<T, E>) -> Result<T, E> {
    let [short, longer, longest] = LIVES;
    attempt(short).or_else(|_| attempt(longer)).or_else(|_| attempt(longest))
}
