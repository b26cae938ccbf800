//! The far side of a server under test: it reads as fast as it can, counts, and reports its progress.

use std::io::{self, BufRead as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use s2s_peer::stream::Stream;

use super::error::{BenchError, Result};
use super::tally::{Disorder, Tally};

#[derive(Debug, Default)]
struct Progress {
    next: u64,
    /// When the last stanza arrived.
    at: Option<Instant>,
    disorder: Option<Disorder>,
    /// The reason why the last ended stream ended. This alone is no failure: each run may have its own stream.
    ended: Option<String>,
}

/// Progress of the count. Clones share the same count.
#[derive(Debug, Clone, Default)]
pub struct Sink {
    shared: Arc<(Mutex<Progress>, Condvar)>,
}

impl Sink {
    /// Counts the stanzas of this stream, on its own thread, until the stream ends.
    pub fn drain(&self, stream: Stream) {
        let sink = self.clone();
        let first = self.lock().next;
        thread::spawn(move || {
            let ended = sink.read(stream, Tally::new(first));
            sink.change(|progress| progress.ended = Some(ended));
        });
    }

    fn read(&self, mut stream: Stream, mut tally: Tally) -> String {
        loop {
            let transport = stream.transport();
            transport.begin();
            let bytes = match transport.fill_buf() {
                Ok([]) => return format!("the connection was closed after: {}", tally.remainder()),
                Ok(bytes) => bytes,
                // The caller that waits for the count detects silence.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => continue,
                Err(error) => return error.to_string(),
            };
            let size = bytes.len();
            match tally.feed(bytes) {
                Ok(next) => {
                    let at = Some(Instant::now());
                    self.change(|progress| (progress.next, progress.at) = (next, at));
                }
                Err(disorder) => {
                    self.change(|progress| progress.disorder = Some(disorder));
                    return "it was not what was sent".to_owned();
                }
            }
            stream.transport().consume(size);
        }
    }

    /// Waits until all numbers below `until` have arrived. `timeout` limits the silence, not the whole wait.
    pub fn wait(&self, subject: &'static str, until: u64, timeout: Duration) -> Result<()> {
        let mut progress = self.lock();
        let start = progress.next;
        let mut seen = (start, Instant::now());
        while progress.next < until {
            if let Some(disorder) = progress.disorder.take() {
                return Err(BenchError::Disorder { subject, disorder });
            }
            if progress.next != seen.0 {
                seen = (progress.next, Instant::now());
            }
            let left = timeout.saturating_sub(seen.1.elapsed());
            if left.is_zero() {
                let (arrived, sent) = (progress.next - start, until - start);
                let ended = progress.ended.take().unwrap_or_else(|| "no stream ended".to_owned());
                return Err(BenchError::Lost { subject, arrived, sent, timeout, ended });
            }
            let waited = self.shared.1.wait_timeout(progress, left);
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// When the last stanza that was counted had arrived, as the reading thread saw it.
    pub fn last_arrival(&self) -> Option<Instant> {
        self.lock().at
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.lock());
        self.shared.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
