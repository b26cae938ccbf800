//! Limit of open files: many systems allow a user 1,024 until a process raises the limit up to its maximum.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for every suite, even if each of thousands of connections has both ends in one process. Not more: some real
/// servers inherit the limit and iterate over all descriptors that it allows.
const WANTED: u64 = 16_384;

/// Raises the limit of this process to the value that the suites need, up to the maximum that the system permits.
///
/// # Errors
/// Returns an error if the system refuses a limit that it permits.
pub fn raise() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, raised(limit))?)
}

/// An absent value means no limit.
fn raised(Rlimit { current, maximum }: Rlimit) -> Rlimit {
    let permitted = maximum.map_or(WANTED, |maximum| WANTED.min(maximum));
    Rlimit { current: current.map(|current| current.max(permitted)), maximum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_as_far_as_permitted_and_never_lowered() {
        for (current, maximum, expected) in [
            (Some(1_024), Some(524_288), Some(WANTED)),
            (Some(1_024), None, Some(WANTED)),
            (Some(1_024), Some(4_096), Some(4_096)),
            (Some(20_000), Some(20_000), Some(20_000)),
            (None, None, None),
        ] {
            let raised = raised(Rlimit { current, maximum });
            assert_eq!((raised.current, raised.maximum), (expected, maximum));
        }
    }
}
