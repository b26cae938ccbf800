//! The disturbances, drawn from a seed.

use std::fmt;
use std::time::Duration;

use super::random::Random;

/// A disturbance while stanzas flow. Flows and peers are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disturbance {
    /// The receiver resets the stream that carries a flow.
    ResetReceiving(usize),
    /// The receiver closes its direction of TCP.
    HalfClose(usize),
    /// The receiver closes the stream.
    CloseReceiving(usize),
    /// The receiver ends the stream with an error.
    FailReceiving(usize),
    /// The receiver does not read for a while.
    Pause(usize, Duration),
    /// The sender resets its stream, or closes it if there are no acknowledgements.
    ResetSending(usize),
    /// The sender closes its stream.
    CloseSending(usize),
    /// A peer is down for a while.
    PeerDown(usize, Duration),
    /// The backend is down for a while, and its streams are reset.
    BackendDown(Duration),
    /// The engine gets another certificate.
    RenewCertificate,
    /// A peer is denied, or allowed again.
    ChangePolicy,
    /// The engine is requested to shut down, and is started again.
    Restart,
}

impl Disturbance {
    /// Draws a disturbance for `peers` peers. It is never a restart, which is planned.
    pub(crate) fn draw(random: &mut Random, peers: usize) -> Self {
        let mut place = |count: usize| usize::try_from(random.below(count as u64)).unwrap_or(0);
        let (flow, peer) = (place(peers * 2), place(peers));
        let time =
            |random: &mut Random, from, to| Duration::from_millis(from + random.below(to - from));
        match random.below(100) {
            0..=16 => Self::ResetReceiving(flow),
            17..=28 => Self::HalfClose(flow),
            29..=40 => Self::CloseReceiving(flow),
            41..=48 => Self::FailReceiving(flow),
            49..=60 => Self::Pause(flow, time(random, 50, 500)),
            61..=72 => Self::ResetSending(flow),
            73..=80 => Self::CloseSending(flow),
            81..=87 => Self::PeerDown(peer, time(random, 100, 1_000)),
            88..=91 => Self::BackendDown(time(random, 100, 500)),
            92..=95 => Self::RenewCertificate,
            _ => Self::ChangePolicy,
        }
    }

    /// The name of its line in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ResetReceiving(_) => "streams reset by the receiver",
            Self::HalfClose(_) => "streams half-closed by the receiver",
            Self::CloseReceiving(_) => "streams closed by the receiver",
            Self::FailReceiving(_) => "streams ended with an error by the receiver",
            Self::Pause(..) => "pauses of a receiver",
            Self::ResetSending(_) => "streams reset by the sender",
            Self::CloseSending(_) => "streams closed by the sender",
            Self::PeerDown(..) => "restarts of a peer",
            Self::BackendDown(_) => "restarts of the backend",
            Self::RenewCertificate => "certificates renewed",
            Self::ChangePolicy => "changes of the policy",
            Self::Restart => "restarts of the engine",
        }
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The disturbances of one round in order, each with the number of stanzas at which it happens.
pub(crate) fn round(
    random: &mut Random,
    peers: usize,
    stanzas: u64,
    disturbances: u64,
    restart: bool,
) -> Vec<(u64, Disturbance)> {
    let mut plan: Vec<_> = (0..disturbances)
        .map(|_| (random.below(stanzas), Disturbance::draw(random, peers)))
        .chain(restart.then_some((stanzas / 2, Disturbance::Restart)))
        .collect();
    plan.sort_by_key(|(at, _)| *at);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_disturbance_is_drawn_within_its_bounds() {
        let mut random = Random::new(1);
        let drawn = round(&mut random, 3, 1_000, 2_000, true);
        let mut names: Vec<_> = drawn.iter().map(|(_, drawn)| drawn.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 12, "{names:?}");
        assert!(drawn.iter().all(|(at, _)| *at < 1_000));
        assert!(drawn.is_sorted_by_key(|(at, _)| *at));
        let flows = drawn.iter().filter_map(|(_, drawn)| match drawn {
            Disturbance::ResetReceiving(flow) => Some(*flow),
            _ => None,
        });
        let mut flows: Vec<_> = flows.collect();
        flows.sort_unstable();
        flows.dedup();
        assert_eq!(flows, [0, 1, 2, 3, 4, 5]);
    }
}
