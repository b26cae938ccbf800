//! The experiment: hand over one stanza to a domain without an open stream, and wait until its server has received it.
//!
//! The time includes DNS, TCP, STARTTLS, authentication and the stanza itself. It begins when the stanza is written to
//! an open stream: a backend's to the engine, or a client's to Prosody, both over TLS.

use std::time::{Duration, Instant};

use s2s_peer::server::Event;

use super::delay::Delays;
use super::error::{BenchError, Result};
use super::inside::Inside;
use super::load::{RECEIVER, RECIPIENT};
use super::stranger::{Stranger, Strangers, Way};

/// A server under test among unknown servers.
#[derive(Debug)]
pub struct Newcomer<'a> {
    /// Its name in the report.
    pub name: &'static str,
    /// The sender.
    pub inside: Inside,
    /// The receivers.
    pub strangers: &'a Strangers,
}

/// One first stanza.
#[derive(Debug, Clone, Copy)]
pub struct Meeting {
    /// Time until the sender had a stream for the stanza. It is not part of the measured time.
    pub before: Duration,
    /// Time from writing the stanza to its arrival.
    pub taken: Duration,
    /// Number of streams that were authenticated to the unknown server meanwhile.
    pub streams: usize,
}

/// Every server under test sends to this many unknown servers of each kind. They take turns, so that other load on the
/// machine affects all alike.
pub fn measure(newcomers: &mut [Newcomer<'_>], strangers: usize) -> Result<Vec<Delays>> {
    let mut delays = Vec::new();
    for way in Way::ALL {
        let mut found = vec![Vec::new(); newcomers.len()];
        for number in 0..strangers {
            for (newcomer, found) in newcomers.iter_mut().zip(&mut found) {
                found.push(newcomer.meet(way, number)?);
            }
        }
        for (newcomer, found) in newcomers.iter().zip(&found) {
            delays.extend(Delays::of(newcomer.name, way, found));
        }
    }
    Ok(delays)
}

impl Newcomer<'_> {
    /// Sends to the unknown server of that number, which must be without earlier contact.
    pub fn meet(&mut self, way: Way, number: usize) -> Result<Meeting> {
        let stranger = self.strangers.of(way).get(number).ok_or_else(|| {
            BenchError::State(format!("there is no stranger {number} for {}", way.name()))
        })?;
        let begun = Instant::now();
        let stream = self.inside.stream_to(&stranger.domain)?;
        let before = begun.elapsed();
        if let Some(event) = stranger.server.events().first() {
            return Err(self.unexpected(stranger, &format!("was met before: {event:?}")));
        }
        let domain = &stranger.domain;
        let stanza = format!(
            "<message from='{RECIPIENT}@{RECEIVER}/b' to='romeo@{domain}' type='chat' id='first'>\
             <body>She speaks.</body></message>"
        );
        let begun = Instant::now();
        stream.send(stanza).map_err(BenchError::peer("sending a first stanza"))?;
        let mut streams = 0;
        let arrived = stranger.server.wait("a first stanza", |event| match event {
            Event::Authenticated { .. } => {
                streams += 1;
                None
            }
            Event::Stanza { stanza, .. } => (stanza.attribute("id") == Some("first")).then_some(()),
            Event::Ended { .. } | Event::Failed(_) => None,
        });
        let taken = begun.elapsed();
        match arrived {
            Ok(()) => Ok(Meeting { before, taken, streams }),
            Err(error) => Err(self.unexpected(stranger, &error.to_string())),
        }
    }

    fn unexpected(&self, stranger: &Stranger, what: &str) -> BenchError {
        BenchError::State(format!("{} and {}: {what}", self.name, stranger.domain))
    }
}
