//! The connections of streams: what each of them holds and has proven, of what use it is, and how it is told to make room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::admission::proven::{Fingerprint, Full, Ledger, Limits, MAX_PER_DOMAIN, Prover};
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

/// What a connection holds without buffers: its task and its stream machine. Measured, as the others.
pub(crate) const CONNECTION: usize = 7 * 1024;
/// What TLS adds to it, without records that wait.
pub(crate) const TLS: usize = 8 * 1024;
/// What a proven stream adds: the certificates of its peer, its place in the tables, what is reported of it.
pub(crate) const PROVEN: usize = 5 * 1024;

/// A stream without a stanza for this long is idle.
const IDLE_AFTER: Duration = Duration::from_secs(10);

/// What a connection holds, with its buffers.
pub(crate) fn held(connection: &Connection) -> usize {
    let tls = if connection.is_tls() { TLS } else { 0 };
    (CONNECTION + tls).saturating_add(connection.held())
}

#[derive(Default)]
struct Open {
    by_number: HashMap<u64, Arc<Holder>>,
    next: u64,
    proven: Ledger,
    /// Streams that one source prefix may have; none: any number.
    per_source: Option<usize>,
}

/// All connections of streams.
#[derive(Clone, Default)]
pub(crate) struct Holders(Arc<Mutex<Open>>);

struct Holder {
    leg: Leg,
    /// Where it comes from; none for streams that we opened, and for those of backends.
    source: Option<Prefix>,
    began: Instant,
    bytes: AtomicUsize,
    /// Milliseconds from `began` to the last stanza.
    last_stanza: AtomicU64,
    /// Ends it before it is authenticated.
    evicted: Option<CancellationToken>,
    /// Once it is authenticated.
    proven: OnceLock<Proven>,
    /// It makes room already.
    told: AtomicBool,
}

struct Proven {
    /// The remote domain that was proven first.
    domain: Domain,
    /// What it was proven with, on a stream that the peer opened.
    certificate: Option<Fingerprint>,
    events: mpsc::Sender<Event>,
}

impl Proven {
    fn group(&self) -> Group {
        match self.certificate {
            Some(certificate) => Group::Certificate(certificate),
            None => Group::Domain(self.domain.clone()),
        }
    }
}

/// One connection; dropping it gives back what it held.
pub(crate) struct Holding {
    holders: Holders,
    number: u64,
    holder: Arc<Holder>,
    account: Account,
    /// The pairs that are counted for it, and what they were proven with.
    pairs: Vec<Pair>,
    certificate: Option<Fingerprint>,
}

/// What all connections hold.
pub(crate) struct Look {
    /// Those that can make room.
    pub(crate) held: Vec<Held<u64>>,
    /// Bytes and connections of those that were told to, and have not yet.
    pub(crate) leaving: (usize, usize),
}

impl Holders {
    fn open(&self) -> MutexGuard<'_, Open> {
        // Nothing that can panic runs under this lock.
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
            proven: OnceLock::new(),
            told: AtomicBool::new(false),
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

    /// Bounds the streams of one source prefix.
    pub(crate) fn bound_per_source(&self, streams: usize) {
        self.open().per_source = Some(streams);
    }

    /// Whether a stream from there may prove one more name.
    ///
    /// # Errors
    /// What there is too much of.
    pub(crate) fn has_room_for(
        &self,
        source: Prefix,
        certificate: Option<Fingerprint>,
        name: &Domain,
    ) -> Result<(), Full> {
        self.open().proven.has_room_for(source, certificate, name)
    }

    /// Asks the stream of a domain that has been idle for the longest time to close. One that is in use stays.
    pub(crate) fn close_an_idle_one(&self, domain: &Domain, now: Instant) {
        let open = self.open();
        let streams = open.proven.streams(domain).filter_map(|number| open.by_number.get(&number));
        let idle = streams.filter_map(|holder| match holder.usage(now)? {
            (Use::Idle, silent) => Some((silent, holder)),
            _ => None,
        });
        if let Some((_, holder)) = idle.max_by_key(|(silent, _)| *silent)
            && let Some(proven) = holder.proven.get()
        {
            // One that has so many events at hand that it takes no more is not idle.
            let _ = proven.events.try_send(Event::CloseIfIdle);
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.open().by_number.len()
    }

    /// What they hold now.
    pub(crate) fn look(&self, now: Instant) -> Look {
        let mut look = Look { held: Vec::new(), leaving: (0, 0) };
        for (number, holder) in &self.open().by_number {
            let bytes = holder.bytes.load(Ordering::Relaxed);
            if holder.told.load(Ordering::Relaxed) {
                look.leaving = (look.leaving.0.saturating_add(bytes), look.leaving.1 + 1);
            } else if let Some((usage, silent)) = holder.usage(now) {
                look.held.push(Held {
                    key: *number,
                    usage,
                    connections: 1,
                    bytes,
                    silent,
                    group: holder.proven.get().map(Proven::group),
                    source: holder.source,
                });
            }
        }
        look
    }

    /// Tells a connection to make room. False: it cannot be told now.
    pub(crate) fn shed(&self, number: u64) -> bool {
        let holder = self.open().by_number.get(&number).cloned();
        let Some(holder) = holder else { return false };
        let told = match (holder.proven.get(), &holder.evicted) {
            (Some(proven), _) => proven.events.try_send(Event::Shed).is_ok(),
            (None, Some(evicted)) => {
                evicted.cancel();
                true
            }
            (None, None) => false,
        };
        holder.told.fetch_or(told, Ordering::Relaxed);
        told
    }
}

impl Holder {
    /// Its use, and for how many milliseconds it has been of none. None: it must not be ended.
    fn usage(&self, now: Instant) -> Option<(Use, u64)> {
        let age = millis(now.saturating_duration_since(self.began));
        if self.proven.get().is_none() {
            return self.evicted.as_ref().map(|_| (Use::Unauthenticated, age));
        }
        let silent = age.saturating_sub(self.last_stanza.load(Ordering::Relaxed));
        match (silent >= millis(IDLE_AFTER), self.leg) {
            (true, _) => Some((Use::Idle, silent)),
            (false, Leg::Outer) => Some((Use::Active, silent)),
            // One stream may carry what comes from all remote domains.
            (false, Leg::Inner) => None,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Holding {
    /// What it holds now, and when it was of use last.
    pub(crate) fn report(&mut self, bytes: usize, last_stanza: Instant) {
        if bytes != self.account.bytes() {
            self.account.set(bytes);
            self.holder.bytes.store(bytes, Ordering::Relaxed);
        }
        let last_stanza = millis(last_stanza.saturating_duration_since(self.holder.began));
        self.holder.last_stanza.store(last_stanza, Ordering::Relaxed);
    }

    /// It has proven a pair whose `from` is a remote domain. `streams`: how many the configuration allows that domain.
    ///
    /// # Errors
    /// What there is too much of.
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
        open.proven.add(&prover, pair, first, &limits)?;
        drop(open);
        self.pairs.push(pair.clone());
        Ok(())
    }

    /// How many older streams the domain has beside this one.
    pub(crate) fn older(&self, domain: &Domain) -> usize {
        self.holders.open().proven.older(domain, self.number)
    }

    /// It is authenticated as a stream with that remote domain; `events` reach it from now on.
    pub(crate) fn proven(&self, domain: &Domain, events: &mpsc::Sender<Event>) {
        let certificate = self.certificate;
        let proven = || Proven { domain: domain.clone(), certificate, events: events.clone() };
        self.holder.proven.get_or_init(proven);
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let mut open = self.holders.open();
        open.by_number.remove(&self.number);
        if let Some(source) = self.holder.source {
            let prover = Prover { stream: self.number, source, certificate: self.certificate };
            open.proven.remove(&prover, &self.pairs);
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
        stream.proven(&domain("peer.example"), &sender);
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
        assert!(look.held.is_empty(), "nobody is told twice");
        assert_eq!(look.leaving, (CONNECTION + 100_000, 2));
        drop((stranger, stream));
        assert_eq!((total.bytes(), holders.count()), (0, 0));
    }

    #[test]
    fn a_busy_stream_of_a_backend_and_one_that_it_opens_are_never_ended() {
        let (holders, total) = (Holders::default(), Total::default());
        let opening = holders.enter(&total, Leg::Inner, None, None);
        let mut busy = holders.enter(&total, Leg::Inner, None, None);
        busy.proven(&domain("peer.example"), &mpsc::channel(1).0);
        let now = Instant::now();
        busy.report(1, now);
        assert!(seen(&holders, now).is_empty());
        assert_eq!(seen(&holders, now + IDLE_AFTER), [(Use::Idle, 1)]);
        assert!(!holders.shed(opening.number));
    }
}
