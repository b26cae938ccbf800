//! The good peer: round trips through the engine to the backend on open streams, and a new stream.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use harness::loopback::{DEADLINE, LOCAL, PEER};
use s2s_peer::error::PeerError;
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::server::{Event, Server};
use s2s_peer::stream::Stream;

use super::aim::connect;
use super::error::Result;
use super::world::{Besieged, GOOD_ADDRESS};

/// A good peer and the backend that answers it.
#[derive(Debug)]
pub(crate) struct GoodPeer<'a> {
    besieged: &'a Besieged,
    to_engine: Stream,
    from_backend: Stream,
    number: u64,
}

/// Times of round trips.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// The 99th percentile.
    pub(crate) fn p99(&self) -> Duration {
        self.rank(99)
    }

    /// Number of round trips.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    fn rank(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(place).copied().unwrap_or_default()
    }
}

impl<'a> GoodPeer<'a> {
    /// Opens its streams.
    pub(crate) fn meet(besieged: &'a Besieged) -> Result<Self> {
        let to_engine = Self::stream(besieged)?;
        let from_backend = besieged.world.stream_from_backend(PEER)?;
        let mut peer = Self { besieged, to_engine, from_backend, number: 0 };
        // The first round trip makes the engine open its own streams.
        peer.round_trip()?;
        Ok(peer)
    }

    fn stream(besieged: &Besieged) -> Result<Stream> {
        let ground = &besieged.world.ground;
        let identity = ground.authority.issue(&[PEER])?;
        let roots = ground.authority.roots()?;
        let initiator = Initiator {
            address: ground.outer,
            from: PEER,
            to: LOCAL,
            identity: Some(&identity),
            roots: &roots,
            security: Security::StartTls,
            timeout: DEADLINE,
        };
        let tcp = connect(ground.outer, Some(IpAddr::V4(GOOD_ADDRESS)))?;
        Ok(initiator.external_on(tcp)?)
    }

    /// Opens another stream and sends a stanza on it. Returns the time until the backend has received it.
    pub(crate) fn newcomer(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        let mut stream = Self::stream(self.besieged)?;
        self.number += 1;
        let id = format!("new{}", self.number);
        stream.send(format!("<message from='romeo@{PEER}/r' to='juliet@{LOCAL}' id='{id}'/>"))?;
        wait(&self.besieged.world.backend, &id)?;
        Ok(begun.elapsed())
    }

    /// Sends a stanza to the backend and awaits an answer. Returns the time of both.
    pub(crate) fn round_trip(&mut self) -> Result<Duration> {
        self.number += 1;
        let id = format!("good{}", self.number);
        let begun = Instant::now();
        self.to_engine
            .send(format!("<message from='romeo@{PEER}/r' to='juliet@{LOCAL}' id='{id}'/>"))?;
        wait(&self.besieged.world.backend, &id)?;
        self.from_backend
            .send(format!("<message from='juliet@{LOCAL}/b' to='romeo@{PEER}/r' id='{id}'/>"))?;
        wait(&self.besieged.world.peer, &id)?;
        Ok(begun.elapsed())
    }

    /// Performs `count` round trips, with a pause between them as between messages of a person.
    pub(crate) fn round_trips(&mut self, count: usize, pause: Duration) -> Result<Times> {
        let mut times = Times::default();
        for _ in 0..count {
            times.0.push(self.round_trip()?);
            std::thread::sleep(pause);
        }
        Ok(times)
    }
}

/// Waits for a stanza, and skips the stanzas of attackers that arrive before it.
fn wait(server: &Server, id: &str) -> Result<(), PeerError> {
    let begun = Instant::now();
    loop {
        let found = server.wait("a stanza of the good peer", |event| match event {
            Event::Stanza { stanza, .. } if stanza.attribute("id") == Some(id) => Some(()),
            _ => None,
        });
        match found {
            Err(PeerError::Deadline { .. }) => return found,
            // A stream of an attacker that failed.
            Err(_) if begun.elapsed() < DEADLINE => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_sorted_times() {
        let times = Times((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!(times.p99(), Duration::from_millis(198));
        assert_eq!(times.rank(50), Duration::from_millis(100));
        assert_eq!(Times::default().p99(), Duration::ZERO);
    }
}
