//! Orders of the experiment to the ends of the flows, and their progress.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A disturbance of the stream that brings a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiverOrder {
    /// The stream is reset, and its unread data is lost.
    Reset,
    /// TCP is closed in one direction. Input is read to the end.
    HalfClose,
    /// The stream is closed in order. Input is read to the end.
    Close,
    /// The stream is ended with a stream error. Input is read to the end.
    Fail,
    /// Nothing is read for this time.
    Pause(Duration),
}

/// A disturbance of the stream on which a flow is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SenderOrder {
    /// The stream is reset. Permitted only for flows with acknowledgements.
    Reset,
    /// The stream is closed in order.
    Close,
}

/// The state that all threads share.
#[derive(Debug)]
pub(crate) struct State {
    /// For each flow: the number before which its sender stops.
    pub quota: Vec<u64>,
    /// For each flow: the number that its sender has reached.
    pub sent: Vec<u64>,
    /// For each flow: its sender has written everything, and everything that needs an acknowledgement has it.
    pub rested: Vec<bool>,
    /// For each flow: the next order for its receiver.
    pub receive: Vec<Option<ReceiverOrder>>,
    /// For each flow: the next order for its sender.
    pub send: Vec<Option<SenderOrder>>,
    /// For each receiving server: whether it is down.
    pub down: Vec<bool>,
    /// Number of streams that their receiver has closed in its direction and that the engine has not ended yet.
    pub closing: usize,
    /// Incremented with each requested shutdown of the engine.
    pub epoch: u64,
    /// The epoch of the engine that is running, or ran last.
    pub running: u64,
    /// The experiment is over.
    pub stop: bool,
}

/// The state, and the notification of its changes.
#[derive(Debug)]
pub(crate) struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

impl Control {
    /// Creates the state with all flows at rest.
    pub(crate) fn new(flows: usize, servers: usize) -> Self {
        let state = State {
            quota: vec![0; flows],
            sent: vec![0; flows],
            rested: vec![true; flows],
            receive: vec![None; flows],
            send: vec![None; flows],
            down: vec![false; servers],
            closing: 0,
            epoch: 0,
            running: 0,
            stop: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the state.
    pub(crate) fn see<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the state and notifies all waiting threads.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    /// Waits until `look` returns a value, or until the time has passed.
    pub(crate) fn wait<T>(
        &self,
        timeout: Duration,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        loop {
            if let Some(seen) = look(&mut state) {
                return Some(seen);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Removes and returns the order for the receiver of a flow.
    pub(crate) fn receive_order(&self, flow: usize) -> Option<ReceiverOrder> {
        self.lock().receive.get_mut(flow)?.take()
    }

    /// Whether a receiving server is down.
    pub(crate) fn is_down(&self, server: usize) -> bool {
        self.lock().down.get(server).copied().unwrap_or_default()
    }
}

/// Sets an element of a shared list.
pub(crate) fn set<T>(list: &mut [T], place: usize, value: T) {
    if let Some(element) = list.get_mut(place) {
        *element = value;
    }
}
