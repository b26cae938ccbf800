//! Counts of an attack, and its end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counts of one attack.
#[derive(Debug, Default)]
pub struct Tally {
    opened: AtomicU64,
    ended: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    over: AtomicBool,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that the target accepted.
    pub opened: u64,
    /// Connections and attempts that the target closed or refused.
    pub ended: u64,
    /// Bytes sent, before encryption.
    pub sent: u64,
    /// Bytes of answers, before encryption.
    pub received: u64,
}

impl Tally {
    /// Counts an accepted connection.
    pub fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection or an attempt that the target closed.
    pub fn ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts bytes that were sent.
    pub fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes that were received.
    pub fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Ends the attack.
    pub fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether the attack is over.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The current counts.
    pub fn counts(&self) -> Counts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            opened: of(&self.opened),
            ended: of(&self.ended),
            sent: of(&self.sent),
            received: of(&self.received),
        }
    }
}
