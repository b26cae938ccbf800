//! The amount of I/O that a stream may do before all others have their turn.
//!
//! A stream whose peer sends at full speed always has data to read. Without this bound, the runtime would let it
//! continue for 128 reads, which is 8 MiB of input.

use tokio::task::yield_now;

/// Maximum bytes of one read, and of the reads or writes before other streams have their turn. At the highest cost of a
/// byte, the scanner needs about two milliseconds for them; with 16 KiB, the engine relayed a fifth less.
pub(crate) const TURN_BYTES: usize = 64 * 1024;

/// The bytes that one stream has transferred since other streams had their turn.
#[derive(Debug, Default)]
pub(crate) struct Turn(usize);

impl Turn {
    /// Counts bytes that were read or are being written.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.0 = self.0.saturating_add(bytes);
    }

    /// Lets other streams have their turn if this stream has used up its own. Cancel-safe.
    pub(crate) async fn pass(&mut self) {
        if self.0 >= TURN_BYTES {
            self.0 = 0;
            // Wakes this task after the runtime has polled for input of other streams.
            yield_now().await;
        }
    }
}
