//! How much a stream may do before all others have had their turn.
//!
//! A stream whose peer sends at full speed always has something to read. Without a bound of its own, the runtime would let it
//! go on for 128 reads, which is 8 MiB of input.

use tokio::task::yield_now;

/// Bytes that a stream reads at once, and reads or writes before others have their turn: at the highest cost of a byte, the
/// scanner needs well under a millisecond for them.
pub(crate) const TURN_BYTES: usize = 16 * 1024;

/// The bytes of one stream since others had their turn.
#[derive(Debug, Default)]
pub(crate) struct Turn(usize);

impl Turn {
    /// So many bytes were read or are being written.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.0 = self.0.saturating_add(bytes);
    }

    /// Lets others have their turn if the one of this stream is over. Cancel-safe.
    pub(crate) async fn pass(&mut self) {
        if self.0 >= TURN_BYTES {
            self.0 = 0;
            // Wakes this task after the runtime has looked for input of others.
            yield_now().await;
        }
    }
}
