//! Certificates that expire during a test.

use std::time::Duration;

/// Validity of such a certificate in each successive attempt. The first is short because the test waits for the expiry.
/// The next ones are longer, for a certificate that expired before use: the machine was busy or its clock was set
/// forward.
const LIVES: [Duration; 3] =
    [Duration::from_secs(5), Duration::from_secs(20), Duration::from_mins(1)];

/// Uses a certificate that is valid for the duration that `attempt` receives. Fails if the last attempt fails.
pub fn expiring<T, E>(mut attempt: impl FnMut(Duration) -> Result<T, E>) -> Result<T, E> {
    let [short, longer, longest] = LIVES;
    attempt(short).or_else(|_| attempt(longer)).or_else(|_| attempt(longest))
}
