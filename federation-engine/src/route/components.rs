//! The components that are connected (XEP-0114), by the domain that their stream header names, and those that were
//! refused.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

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

#[derive(Default)]
struct Known {
    /// Its stream, and the way to it.
    connected: Option<(SocketAddr, mpsc::Sender<Event>)>,
    /// When its last stream ended.
    left: Option<Instant>,
    refused: Option<Refused>,
}

/// The components, by domain. Only local domains have an entry, so that their number is bounded.
#[derive(Clone, Default)]
pub(crate) struct Components(Arc<Mutex<HashMap<Domain, Known>>>);

impl Components {
    fn known(&self) -> MutexGuard<'_, HashMap<Domain, Known>> {
        // No code that can panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        if let Some((holder, events)) = &known.connected {
            // A stream with so many pending events is in use.
            let _ = events.try_send(Event::Contested);
            return Err(*holder);
        }
        known.connected = Some((address, events.clone()));
        known.refused = None;
        Ok(Claim { components: self.clone(), domain: domain.clone() })
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
