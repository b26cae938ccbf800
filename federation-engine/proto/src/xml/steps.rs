//! Counts the scanner's work, for the tests that bound it by the bytes of the input: a step is a byte that is examined,
//! hashed, decoded or compared. Outside of tests it does nothing.

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Work on this many bytes; at least one step.
#[inline]
pub(super) fn count(bytes: usize) {
    #[cfg(test)]
    STEPS.with(|steps| steps.set(steps.get() + bytes.max(1) as u64));
    #[cfg(not(test))]
    let _ = bytes;
}

/// Steps of this thread since the last call.
#[cfg(test)]
pub(super) fn take() -> u64 {
    STEPS.with(std::cell::Cell::take)
}
