//! RFC 6120 §3.3: reconnection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::Check;
use crate::outcome::{Finding, ensure};
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[Check {
    id: 70,
    section: "RFC 6120 §3.3",
    sentence: "attempts at a failing server back off: stanzas sent meanwhile wait for one attempt",
    run: spaced_out,
}];

/// Number of stanzas that are sent after the first failure.
const BURST: usize = 20;
/// Interval of the checks whether all stanzas have been returned.
const PAUSE: Duration = Duration::from_millis(50);

fn spaced_out(target: &Target) -> Finding {
    let inside = target.inside()?;
    let outside = target.outside()?;
    let (peer, domain) = (&target.peer, &target.domain);
    let mut sending = target.make_send(peer, "s70")?;
    drop(target.accept()?);
    for _ in 0..BURST {
        sending.send(format!(
            "<message from='juliet@{domain}' to='romeo@{peer}' id='s70'><body>x</body></message>"
        ))?;
    }
    let all_returned = AtomicBool::new(false);
    let attempts = thread::scope(|scope| {
        let failing = scope.spawn(|| {
            let mut attempts = 0;
            while !all_returned.load(Ordering::Relaxed) {
                attempts += usize::from(outside.starttls.next(PAUSE).is_some());
            }
            attempts
        });
        let returned = (0..=BURST).try_for_each(|_| inside.received("s70").map(drop));
        all_returned.store(true, Ordering::Relaxed);
        let attempts = failing.join().unwrap_or(usize::MAX);
        returned.map(|()| attempts)
    })?;
    ensure(attempts < BURST / 2, || {
        format!("{BURST} stanzas caused {attempts} attempts at a server that fails")
    })
}
