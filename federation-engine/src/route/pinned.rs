//! Memory that stanzas keep alive. Each stanza is a view into the buffer that it was read into, and the buffer lives as
//! long as its last view: a stanza of 100 bytes can hold 64 KiB. The owner of stanzas asks here when to copy them.

use std::ops::Range;

use bytes::Bytes;

/// Size of a full read buffer: the bytes that a stanza from a new buffer is assumed to keep alive.
pub(crate) const READ_BUFFER: usize = 64 * 1024;

/// Bytes kept alive for each useful byte, beyond one read buffer.
const MAX_FACTOR: usize = 2;

/// Estimates the memory that the newest stanzas of a collection keep alive. Stanzas that are close together in memory
/// are assumed to share a buffer, so that a buffer full of stanzas is not copied.
#[derive(Debug, Default)]
pub(crate) struct Pinned {
    /// Addresses that are already counted.
    buffer: Range<usize>,
    /// Bytes kept alive, and how many of them are stanzas.
    bytes: usize,
    useful: usize,
    /// Stanzas counted.
    stanzas: usize,
}

impl Pinned {
    /// Counts a stanza that is appended. Returns how many of the last stanzas, this one included, must be copied now, after
    /// which nothing is counted; usually none.
    pub(crate) fn add(&mut self, stanza: &Bytes) -> usize {
        let start = stanza.as_ptr().addr();
        let end = start.saturating_add(stanza.len());
        if !self.buffer.contains(&start) || end > self.buffer.end {
            let counted = READ_BUFFER.max(stanza.len());
            self.bytes = self.bytes.saturating_add(counted);
            self.buffer = start..start.saturating_add(counted);
        }
        self.useful = self.useful.saturating_add(stanza.len());
        self.stanzas += 1;
        let tolerated = READ_BUFFER.saturating_add(self.useful.saturating_mul(MAX_FACTOR));
        if self.bytes > tolerated { self.clear() } else { 0 }
    }

    /// Bytes that are kept alive and belong to no stanza.
    pub(crate) fn excess(&self) -> usize {
        self.bytes.saturating_sub(self.useful)
    }

    /// Resets everything; returns how many stanzas were counted.
    pub(crate) fn clear(&mut self) -> usize {
        std::mem::take(self).stanzas
    }

    /// At most `stanzas` are left of the collection; the oldest went first.
    pub(crate) fn left(&mut self, stanzas: usize) {
        if stanzas == 0 {
            self.clear();
        } else {
            self.stanzas = self.stanzas.min(stanzas);
        }
    }
}

/// Copies the stanza to memory of its own.
pub(crate) fn copied(stanza: &Bytes) -> Bytes {
    Bytes::copy_from_slice(stanza)
}

#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Sum of the read buffers that are alive.
    #[derive(Clone, Default)]
    pub(crate) struct Alive(Arc<AtomicUsize>);

    struct Buffer(Vec<u8>, Alive);

    impl AsRef<[u8]> for Buffer {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Buffer {
        fn drop(&mut self) {
            self.1.0.fetch_sub(self.0.len(), Ordering::Relaxed);
        }
    }

    impl Alive {
        /// A full read buffer.
        pub(crate) fn buffer(&self) -> Bytes {
            self.0.fetch_add(READ_BUFFER, Ordering::Relaxed);
            Bytes::from_owner(Buffer(vec![b' '; READ_BUFFER], self.clone()))
        }

        pub(crate) fn bytes(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_full_of_stanzas_is_not_copied() {
        let alive = testing::Alive::default();
        let mut pinned = Pinned::default();
        for _ in 0..100 {
            let buffer = alive.buffer();
            for stanza in 0..READ_BUFFER / 256 {
                let at = stanza * 256;
                assert_eq!(pinned.add(&buffer.slice(at..at + 256)), 0);
            }
        }
    }

    #[test]
    fn small_stanzas_of_many_buffers_are_copied() {
        let alive = testing::Alive::default();
        let mut pinned = Pinned::default();
        let buffers: Vec<_> = (0..3).map(|_| alive.buffer()).collect();
        let due = buffers.iter().map(|buffer| pinned.add(&buffer.slice(..100)));
        assert_eq!(due.collect::<Vec<_>>(), [0, 2, 0]);
    }
}
