//! The components that are connected (XEP-0114), by the domain that their stream header names, and those that were
//! refused.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::streams::Event;
use crate::Domain;

/// Attempts of components that were refused since the domain had one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Refused {
    /// How many.
    pub(crate) count: u64,
    /// The source of the last one.
    pub(crate) address: SocketAddr,
    /// Why it was refused.
    pub(crate) cause: String,
}

/// What a connected component has sent on its stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Heard {
    /// An answer to a ping of the engine, so that it answers pings.
    pub(crate) answer: bool,
    /// Any other stanza.
    pub(crate) stanza: bool,
}

/// The stream of a connected component.
struct Connected {
    address: SocketAddr,
    /// The way to it.
    events: mpsc::Sender<Event>,
    heard: Heard,
}

/// Time for which a refused component counts as another instance that wants the domain: instances retry within a
/// minute or two.
const CONFLICT_MEMORY: Duration = Duration::from_mins(2);

/// Two components want one domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Conflict {
    /// The source of the one that has it.
    pub(crate) holder: SocketAddr,
    /// The source of the one that was refused last.
    pub(crate) refused: SocketAddr,
}

#[derive(Default)]
struct Known {
    /// Its stream.
    connected: Option<Connected>,
    /// When its last stream ended.
    left: Option<Instant>,
    refused: Option<Refused>,
    /// The last authenticated component that was refused because of the connected one.
    conflict: Option<(Instant, SocketAddr)>,
}

/// The components, by domain. Only local domains have an entry, so that their number is bounded.
#[derive(Clone, Default)]
pub(crate) struct Components {
    known: Arc<Mutex<HashMap<Domain, Known>>>,
    /// Changes with each conflict.
    conflicts: watch::Sender<()>,
}

impl Components {
    fn known(&self) -> MutexGuard<'_, HashMap<Domain, Known>> {
        // No code that can panic runs under this lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the domain to a stream whose component is authenticated, as long as the claim lives.
    ///
    /// # Errors
    /// The address of the stream that has it. That stream verifies now whether its component still responds.
    pub(crate) fn claim(
        &self,
        domain: &Domain,
        address: SocketAddr,
        events: &mpsc::Sender<Event>,
    ) -> Result<Claim, SocketAddr> {
        let mut all = self.known();
        let known = all.entry(domain.clone()).or_default();
        if let Some(holder) = &known.connected {
            // A stream with so many pending events is in use.
            let _ = holder.events.try_send(Event::Contested);
            let holder = holder.address;
            known.conflict = Some((Instant::now(), address));
            self.conflicts.send_replace(());
            return Err(holder);
        }
        known.connected =
            Some(Connected { address, events: events.clone(), heard: Heard::default() });
        known.refused = None;
        known.conflict = None;
        Ok(Claim { components: self.clone(), domain: domain.clone() })
    }

    /// What the component has sent whose stream carries the stanzas of this domain: that of the domain, else those of the other
    /// domains of its backend.
    pub(crate) fn heard(&self, domain: &Domain, is_of: impl Fn(&Domain) -> bool) -> Heard {
        let all = self.known();
        let own = all.get(domain).and_then(|known| known.connected.as_ref());
        if let Some(own) = own {
            return own.heard;
        }
        let others = all.iter().filter(|(domain, _)| is_of(domain));
        others.filter_map(|(_, known)| known.connected.as_ref()).fold(
            Heard::default(),
            |all, one| Heard {
                answer: all.answer || one.heard.answer,
                stanza: all.stanza || one.heard.stanza,
            },
        )
    }

    /// Whether only a stream of its own carries the stanzas of the domain: it has one, or had one within `time` and may
    /// reconnect.
    pub(crate) fn is_reserved(&self, domain: &Domain, now: Instant, time: Duration) -> bool {
        let all = self.known();
        let Some(known) = all.get(domain) else { return false };
        let recent = |left: Instant| now.saturating_duration_since(left) < time;
        known.connected.is_some() || known.left.is_some_and(recent)
    }

    /// A component for this local domain was refused.
    pub(crate) fn refused(&self, domain: &Domain, address: SocketAddr, cause: String) {
        let mut all = self.known();
        let known = all.entry(domain.clone()).or_default();
        let before = known.refused.as_ref().map_or(0, |refused| refused.count);
        known.refused = Some(Refused { count: before.saturating_add(1), address, cause });
    }

    /// The attempts that were refused since the domain had a component.
    pub(crate) fn refusals(&self, domain: &Domain) -> Option<Refused> {
        self.known().get(domain)?.refused.clone()
    }

    /// The components that want the domain, if one has it and another one was refused not long ago.
    pub(crate) fn conflict(&self, domain: &Domain, now: Instant) -> Option<Conflict> {
        let all = self.known();
        let known = all.get(domain)?;
        let holder = known.connected.as_ref()?.address;
        let (at, refused) = known.conflict?;
        (now.saturating_duration_since(at) < CONFLICT_MEMORY)
            .then_some(Conflict { holder, refused })
    }

    /// Notifies of each conflict.
    pub(crate) fn conflicts(&self) -> watch::Receiver<()> {
        self.conflicts.subscribe()
    }

    /// Forgets refusals for domains that are no longer in the configuration.
    pub(crate) fn keep(&self, is_local: impl Fn(&Domain) -> bool) {
        self.known().retain(|domain, known| known.connected.is_some() || is_local(domain));
    }
}

/// A stream has a domain.
pub(crate) struct Claim {
    components: Components,
    domain: Domain,
}

impl Claim {
    /// The component has sent an answer to a ping, or another stanza.
    pub(crate) fn heard(&self, is_answer: bool) {
        let mut all = self.components.known();
        let connected = all.get_mut(&self.domain).and_then(|known| known.connected.as_mut());
        if let Some(Connected { heard, .. }) = connected {
            let known = if is_answer { &mut heard.answer } else { &mut heard.stanza };
            *known = true;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut all = self.components.known();
        if let Some(known) = all.get_mut(&self.domain) {
            known.connected = None;
            known.left = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> Domain {
        Domain::parse(name).unwrap()
    }

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([198, 18, 0, last], 40_000))
    }

    #[test]
    fn a_domain_has_one_stream_and_is_free_when_it_ends() {
        let components = Components::default();
        let (events, mut received) = mpsc::channel(1);
        let bot = domain("bot.example");
        let claim = components.claim(&bot, address(1), &events).unwrap();
        assert_eq!(components.claim(&bot, address(2), &events).err(), Some(address(1)));
        assert!(matches!(received.try_recv(), Ok(Event::Contested)));
        assert!(components.claim(&domain("other.example"), address(2), &events).is_ok());
        drop(claim);
        assert!(components.claim(&bot, address(2), &events).is_ok());
    }

    #[tokio::test]
    async fn a_conflict_is_known_until_the_other_component_has_stopped_trying() {
        let components = Components::default();
        let (events, _received) = mpsc::channel(1);
        let bot = domain("bot.example");
        let mut conflicts = components.conflicts();
        let claim = components.claim(&bot, address(1), &events).unwrap();
        assert_eq!(components.conflict(&bot, Instant::now()), None);
        assert!(components.claim(&bot, address(2), &events).is_err());
        conflicts.changed().await.unwrap();
        let conflict = |later| components.conflict(&bot, Instant::now() + later);
        let both = Conflict { holder: address(1), refused: address(2) };
        assert_eq!(conflict(Duration::ZERO), Some(both));
        assert_eq!(conflict(CONFLICT_MEMORY), None);
        drop(claim);
        assert_eq!(conflict(Duration::ZERO), None, "nobody has the domain");
        let _claim = components.claim(&bot, address(2), &events).unwrap();
        assert_eq!(conflict(Duration::ZERO), None, "the other one has it now");
    }

    #[test]
    fn what_a_component_sent_counts_for_the_domains_that_its_stream_carries() {
        let components = Components::default();
        let (events, _received) = mpsc::channel(1);
        let (bot, news) = (domain("bot.example"), domain("news.example"));
        let heard = |of: &Domain| components.heard(of, |_| true);
        let claim = components.claim(&bot, address(1), &events).unwrap();
        assert_eq!(heard(&bot), Heard::default());
        claim.heard(false);
        let stanza = Heard { answer: false, stanza: true };
        assert_eq!((heard(&bot), heard(&news)), (stanza, stanza));
        claim.heard(true);
        assert_eq!(heard(&bot), Heard { answer: true, stanza: true });
        // A stream of its own has said nothing yet.
        let own = components.claim(&news, address(2), &events).unwrap();
        assert_eq!(heard(&news), Heard::default());
        drop((claim, own));
        assert_eq!(heard(&bot), Heard::default(), "the next stream");
    }

    #[test]
    fn a_domain_is_reserved_for_a_component_that_may_reconnect() {
        let components = Components::default();
        let (events, _received) = mpsc::channel(1);
        let (bot, minute) = (domain("bot.example"), Duration::from_mins(1));
        let reserved = |later| components.is_reserved(&bot, Instant::now() + later, minute);
        assert!(!reserved(Duration::ZERO));
        let claim = components.claim(&bot, address(1), &events).unwrap();
        assert!(reserved(minute * 10));
        drop(claim);
        assert!(reserved(Duration::ZERO) && !reserved(minute));
    }

    #[test]
    fn refusals_are_counted_until_a_component_is_connected() {
        let components = Components::default();
        let (events, _received) = mpsc::channel(1);
        let bot = domain("bot.example");
        assert_eq!(components.refusals(&bot), None);
        for last in 1..=3 {
            components.refused(&bot, address(last), format!("cause {last}"));
        }
        let expected = Refused { count: 3, address: address(3), cause: "cause 3".to_owned() };
        assert_eq!(components.refusals(&bot), Some(expected));
        let claim = components.claim(&bot, address(1), &events).unwrap();
        assert_eq!(components.refusals(&bot), None);
        components.keep(|_| false);
        assert!(components.claim(&bot, address(2), &events).is_err(), "a connected one is kept");
        drop(claim);
        components.refused(&bot, address(1), String::new());
        components.keep(|_| false);
        assert_eq!(components.refusals(&bot), None);
    }
}
