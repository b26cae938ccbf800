//! The life of the engine as its tasks see it: changes of state, stages of the shutdown, and the tasks that the
//! shutdown waits for.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Maximum time until peers have closed the streams that only bring stanzas (RFC 6120 §4.4). Without XEP-0198, a stanza
/// that a peer writes before it reads the end of its stream would be lost without an error.
pub(crate) const PARTING_TIMEOUT: Duration = Duration::from_secs(2);

/// Stage of the shutdown.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stage {
    /// The shutdown has not begun.
    #[default]
    Serving,
    /// No connection is accepted. Streams that carry stanzas only to us close, and are read to their end. What arrives is
    /// relayed as usual, so that its senders turn to another engine without an error.
    Yielding,
    /// No stanza is read; queued stanzas are sent.
    Draining,
    /// Stanzas that could not be sent, and those that still arrive, are bounced.
    Bouncing,
    /// The other streams that carry stanzas only to us close, and are read to their end. What arrives on them is bounced.
    Parting,
    /// No stanza is read any more; the last errors are sent.
    Flushing,
    /// Streams close.
    Leaving,
}

/// The state of the engine that sessions follow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct News {
    /// Changes with every change of the configuration.
    pub(crate) revision: u64,
    /// Stage of the shutdown.
    pub(crate) stage: Stage,
}

/// Publishes the state and the shutdown to tasks, and tracks those tasks.
#[derive(Default)]
pub(crate) struct Life {
    news: watch::Sender<News>,
    /// The stages for which other tasks than sessions wait.
    pub(crate) yielding: CancellationToken,
    pub(crate) draining: CancellationToken,
    pub(crate) bouncing: CancellationToken,
    pub(crate) shutdown: CancellationToken,
    tasks: TaskTracker,
    /// The streams that may close in the stages [`Stage::Yielding`] and [`Stage::Parting`].
    parting: TaskTracker,
}

impl Life {
    /// The state that sessions follow: the current value and every change.
    pub(crate) fn news(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }

    /// Another configuration is in force.
    pub(crate) fn revise(&self, revision: u64) {
        self.news.send_modify(|news| news.revision = revision);
    }

    /// The shutdown has reached this stage.
    pub(crate) fn reach(&self, stage: Stage) {
        self.news.send_modify(|news| news.stage = stage);
        let begun = [
            (Stage::Yielding, &self.yielding),
            (Stage::Draining, &self.draining),
            (Stage::Bouncing, &self.bouncing),
            (Stage::Leaving, &self.shutdown),
        ];
        for (_, token) in begun.iter().filter(|(begins, _)| stage >= *begins) {
            token.cancel();
        }
    }

    /// A stream that others opened holds this until it has ended, or does not close in the present stage.
    pub(crate) fn may_part(&self) -> TaskTrackerToken {
        self.parting.token()
    }

    /// Waits until every stream that closes in the present stage has ended; before the first stage, until there is none.
    pub(crate) async fn parted(&self) {
        self.parting.close();
        self.parting.wait().await;
    }

    /// Runs a task for which the shutdown waits.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Waits until every task has ended.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_of_the_end_keeps_what_the_stages_before_began() {
        let life = Life::default();
        let tokens = || {
            let all = [&life.yielding, &life.draining, &life.bouncing, &life.shutdown];
            all.map(CancellationToken::is_cancelled)
        };
        let mut news = life.news();
        for (stage, cancelled) in [
            (Stage::Serving, [false, false, false, false]),
            (Stage::Yielding, [true, false, false, false]),
            (Stage::Draining, [true, true, false, false]),
            (Stage::Bouncing, [true, true, true, false]),
            (Stage::Parting, [true, true, true, false]),
            (Stage::Flushing, [true, true, true, false]),
            (Stage::Leaving, [true, true, true, true]),
        ] {
            life.reach(stage);
            assert_eq!(tokens(), cancelled, "{stage:?}");
            assert_eq!(news.borrow_and_update().stage, stage);
        }
    }
}
