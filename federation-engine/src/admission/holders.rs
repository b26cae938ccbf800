//! The connections of streams: the resources that each of them holds, the domains that it has authenticated, when it
//! was last of use, and how it is notified to make room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::admission::authenticated::{Fingerprint, Full, Ledger, Limits, MAX_PER_DOMAIN, Prover};
use s2s_proto::pair::Pair;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Domain;
use crate::budget::account::{Account, Total};
use crate::budget::decide::{Group, Held, Use};
use crate::leg::Leg;
use crate::route::streams::Event;
use crate::sockets::connection::Connection;
use crate::source::Prefix;

/// Memory that a connection holds without buffers: its task and its stream machine. Measured, as the other constants.
pub(crate) const CONNECTION: usize = 7 * 1024;
/// Memory that TLS adds to it, without queued records.
pub(crate) const TLS: usize = 8 * 1024;
/// Memory that an authenticated stream adds: the certificates of its peer, its entries in the tables, the reports about
/// it.
pub(crate) const AUTHENTICATED: usize = 5 * 1024;

/// A stream without a stanza for this long is idle.
const IDLE_AFTER: Duration = Duration::from_secs(10);

/// Memory that a connection holds, with its buffers.
pub(crate) fn held(connection: &Connection) -> usize {
    let tls = if connection.is_tls() { TLS } else { 0 };
    (CONNECTION + tls).saturating_add(connection.held())
}

#[derive(Default)]
struct Open {
    by_number: HashMap<u64, Arc<Holder>>,
    next: u64,
    authenticated: Ledger,
    /// Maximum streams of one source prefix; none: no limit.
    per_source: Option<usize>,
}

/// All connections of streams.
#[derive(Clone, Default)]
pub(crate) struct Holders(Arc<Mutex<Open>>);

struct Holder {
    leg: Leg,
    /// Its source address; none for streams that we opened, and for those of backends.
    source: Option<Prefix>,
    began: Instant,
    bytes: AtomicUsize,
    /// Milliseconds from `began` to the last stanza.
    last_stanza: AtomicU64,
    /// Cancels it before it is authenticated.
    evicted: Option<CancellationToken>,
    /// Notifies it once it is authenticated.
    authenticated: OnceLock<AuthenticatedStream>,
    /// It is already making room.
    reported: AtomicBool,
}

struct AuthenticatedStream {
    group: Group,
    events: mpsc::Sender<Event>,
}

/// Whose stream it is, once it is authenticated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner<'a> {
    /// The remote domain that was authenticated first.
    Peer(&'a Domain),
    /// The backend of this name, which opened it.
    Backend(&'a str),
}

/// One connection; dropping it releases what it held.
pub(crate) struct Holding {
    holders: Holders,
    number: u64,
    holder: Arc<Holder>,
    account: Account,
    /// The pairs that are counted for it, and how they were authenticated.
    pairs: Vec<Pair>,
    certificate: Option<Fingerprint>,
}

/// Resources that all connections hold.
pub(crate) struct Look {
    /// Connections that can make room.
    pub(crate) held: Vec<Held<u64>>,
    /// Bytes and connections of those that were notified to make room and have not done so yet.
    pub(crate) leaving: (usize, usize),
}

impl Holders {
    fn open(&self) -> MutexGuard<'_, Open> {
        // No code that can panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection begins.
    pub(crate) fn enter(
        &self,
        total: &Total,
        leg: Leg,
        source: Option<Prefix>,
        evicted: Option<CancellationToken>,
    ) -> Holding {
        let holder = Arc::new(Holder {
            leg,
            source: source.filter(|_| leg == Leg::Outer),
            began: Instant::now(),
            bytes: AtomicUsize::new(CONNECTION),
            last_stanza: AtomicU64::new(0),
            evicted,
            authenticated: OnceLock::new(),
            reported: AtomicBool::new(false),
        });
        let mut account = total.account();
        account.set(CONNECTION);
        let mut open = self.open();
        let number = open.next;
        open.next = open.next.wrapping_add(1);
        open.by_number.insert(number, Arc::clone(&holder));
        drop(open);
        Holding {
            holders: self.clone(),
            number,
            holder,
            account,
            pairs: Vec::new(),
            certificate: None,
        }
    }

    /// Limits the streams of one source prefix.
    pub(crate) fn bound_per_source(&self, streams: usize) {
        self.open().per_source = Some(streams);
    }

    /// Whether a stream from that source may authenticate one more name.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(crate) fn has_room_for(
        &self,
        source: Prefix,
        certificate: Option<Fingerprint>,
        name: &Domain,
    ) -> Result<(), Full> {
        self.open().authenticated.has_room_for(source, certificate, name)
    }

    /// Notifies the stream of a domain that has been idle for the longest time to close. A stream in use stays.
    pub(crate) fn close_an_idle_one(&self, domain: &Domain, now: Instant) {
        let open = self.open();
        let streams =
            open.authenticated.streams(domain).filter_map(|number| open.by_number.get(&number));
        let idle = streams.filter_map(|holder| match holder.usage(now)? {
            (Use::Idle, silent) => Some((silent, holder)),
            _ => None,
        });
        if let Some((_, holder)) = idle.max_by_key(|(silent, _)| *silent)
            && let Some(authenticated) = holder.authenticated.get()
        {
            // A stream with so many pending events that it accepts no more is not idle.
            let _ = authenticated.events.try_send(Event::CloseIfIdle);
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.open().by_number.len()
    }

    /// Resources that they hold now.
    pub(crate) fn look(&self, now: Instant) -> Look {
        let mut look = Look { held: Vec::new(), leaving: (0, 0) };
        for (number, holder) in &self.open().by_number {
            let bytes = holder.bytes.load(Ordering::Relaxed);
            if holder.reported.load(Ordering::Relaxed) {
                look.leaving = (look.leaving.0.saturating_add(bytes), look.leaving.1 + 1);
            } else if let Some((usage, silent)) = holder.usage(now) {
                look.held.push(Held {
                    key: *number,
                    usage,
                    connections: 1,
                    bytes,
                    silent,
                    group: holder.authenticated.get().map(|stream| stream.group.clone()),
                    source: holder.source,
                });
            }
        }
        look
    }

    /// Notifies a connection to make room. False: it cannot be notified now.
    pub(crate) fn shed(&self, number: u64) -> bool {
        let holder = self.open().by_number.get(&number).cloned();
        let Some(holder) = holder else { return false };
        let reported = match (holder.authenticated.get(), &holder.evicted) {
            (Some(authenticated), _) => authenticated.events.try_send(Event::Shed).is_ok(),
            (None, Some(evicted)) => {
                evicted.cancel();
                true
            }
            (None, None) => false,
        };
        holder.reported.fetch_or(reported, Ordering::Relaxed);
        reported
    }
}

impl Holder {
    /// Its use, and the milliseconds since it was last of use. None: it must not be closed.
    fn usage(&self, now: Instant) -> Option<(Use, u64)> {
        let age = millis(now.saturating_duration_since(self.began));
        let Some(authenticated) = self.authenticated.get() else {
            return self.evicted.as_ref().map(|_| (Use::Unauthenticated, age));
        };
        let silent = age.saturating_sub(self.last_stanza.load(Ordering::Relaxed));
        match (silent >= millis(IDLE_AFTER), self.leg, &authenticated.group) {
            (true, ..) => Some((Use::Idle, silent)),
            (false, Leg::Outer, _) | (false, _, Group::Backend(_)) => Some((Use::Active, silent)),
            // One stream to a backend may carry the stanzas of all remote domains.
            (false, Leg::Inner, _) => None,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Holding {
    /// The resources that it holds now, and when it was last of use.
    pub(crate) fn report(&mut self, bytes: usize, last_stanza: Instant) {
        if bytes != self.account.bytes() {
            self.account.set(bytes);
            self.holder.bytes.store(bytes, Ordering::Relaxed);
        }
        let last_stanza = millis(last_stanza.saturating_duration_since(self.holder.began));
        self.holder.last_stanza.store(last_stanza, Ordering::Relaxed);
    }

    /// It has authenticated a pair whose `from` is a remote domain. `streams`: how many the configuration allows that
    /// domain.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(crate) fn proves(
        &mut self,
        pair: &Pair,
        certificate: Option<Fingerprint>,
        streams: Option<usize>,
    ) -> Result<(), Full> {
        let Some(source) = self.holder.source else { return Ok(()) };
        let first = self.pairs.is_empty();
        if first {
            self.certificate = certificate;
        }
        let prover = Prover { stream: self.number, source, certificate: self.certificate };
        let mut open = self.holders.open();
        let limits = Limits {
            per_domain: streams.unwrap_or_default().saturating_mul(2).max(MAX_PER_DOMAIN),
            per_source: open.per_source.unwrap_or(usize::MAX),
        };
        open.authenticated.add(&prover, pair, first, &limits)?;
        drop(open);
        self.pairs.push(pair.clone());
        Ok(())
    }

    /// How many older streams the domain has besides this one.
    pub(crate) fn older(&self, domain: &Domain) -> usize {
        self.holders.open().authenticated.older(domain, self.number)
    }

    /// It is authenticated as a stream of that owner; `events` reaches it from now on.
    pub(crate) fn authenticated(&self, owner: Owner<'_>, events: &mpsc::Sender<Event>) {
        let group = || match (owner, self.certificate) {
            (Owner::Backend(name), _) => Group::Backend(name.to_owned()),
            (Owner::Peer(_), Some(certificate)) => Group::Certificate(certificate),
            (Owner::Peer(domain), None) => Group::Domain(domain.clone()),
        };
        let authenticated = || AuthenticatedStream { group: group(), events: events.clone() };
        self.holder.authenticated.get_or_init(authenticated);
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let mut open = self.holders.open();
        open.by_number.remove(&self.number);
        if let Some(source) = self.holder.source {
            let prover = Prover { stream: self.number, source, certificate: self.certificate };
            open.authenticated.remove(&prover, &self.pairs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> Domain {
        Domain::parse(name).unwrap()
    }

    fn seen(holders: &Holders, now: Instant) -> Vec<(Use, usize)> {
        let mut seen: Vec<_> =
            holders.look(now).held.into_iter().map(|held| (held.usage, held.bytes)).collect();
        seen.sort_unstable();
        seen
    }

    #[tokio::test]
    async fn a_connection_is_counted_until_it_is_gone_and_told_once() {
        let (holders, total) = (Holders::default(), Total::default());
        let source = Some(Prefix::from(std::net::IpAddr::from([198, 18, 0, 1])));
        let evicted = CancellationToken::new();
        let stranger = holders.enter(&total, Leg::Outer, source, Some(evicted.clone()));
        let mut stream = holders.enter(&total, Leg::Outer, source, None);
        let (sender, mut events) = mpsc::channel(1);
        stream.authenticated(Owner::Peer(&domain("peer.example")), &sender);
        let now = Instant::now();
        stream.report(100_000, now);
        assert_eq!((total.bytes(), holders.count()), (CONNECTION + 100_000, 2));
        assert_eq!(
            seen(&holders, now),
            [(Use::Unauthenticated, CONNECTION), (Use::Active, 100_000)]
        );
        assert_eq!(
            seen(&holders, now + IDLE_AFTER),
            [(Use::Unauthenticated, CONNECTION), (Use::Idle, 100_000)]
        );
        assert!(holders.shed(stranger.number) && evicted.is_cancelled());
        assert!(holders.shed(stream.number) && matches!(events.recv().await, Some(Event::Shed)));
        let look = holders.look(now);
        assert!(look.held.is_empty(), "nobody is notified twice");
        assert_eq!(look.leaving, (CONNECTION + 100_000, 2));
        drop((stranger, stream));
        assert_eq!((total.bytes(), holders.count()), (0, 0));
    }

    #[test]
    fn a_busy_stream_to_a_backend_and_one_that_it_opens_are_never_ended() {
        let (holders, total) = (Holders::default(), Total::default());
        let opening = holders.enter(&total, Leg::Inner, None, None);
        let mut busy = holders.enter(&total, Leg::Inner, None, None);
        busy.authenticated(Owner::Peer(&domain("peer.example")), &mpsc::channel(1).0);
        let now = Instant::now();
        busy.report(1, now);
        assert!(seen(&holders, now).is_empty());
        assert_eq!(seen(&holders, now + IDLE_AFTER), [(Use::Idle, 1)]);
        assert!(!holders.shed(opening.number));
    }

    #[test]
    fn the_streams_that_a_backend_has_opened_are_one_group_whatever_their_domains() {
        let (holders, total) = (Holders::default(), Total::default());
        let mut stream = holders.enter(&total, Leg::Inner, None, None);
        stream.authenticated(Owner::Backend("im"), &mpsc::channel(1).0);
        let now = Instant::now();
        stream.report(1, now);
        for (at, usage) in [(now, Use::Active), (now + IDLE_AFTER, Use::Idle)] {
            let held = holders.look(at).held.remove(0);
            assert_eq!((held.usage, held.group), (usage, Some(Group::Backend("im".to_owned()))));
        }
    }
}
