//! State that all tasks share.

mod delegated;
mod inner;
mod keys;
pub(crate) mod life;
pub(crate) mod network;
mod outer;
pub(crate) mod surroundings;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustls_pki_types::UnixTime;
use s2s_proto::dialback::Inquiries;

use self::life::Life;
use self::network::Network;
use crate::Domain;
use crate::admission::holders::Holders;
use crate::admission::judging::Judging;
use crate::admission::line::Line;
use crate::admission::lookup_rate::Lookups;
use crate::admission::newcomers::Newcomers;
use crate::admission::reserve::Reserve;
use crate::budget::ledger::Ledger;
use crate::dns::inside::Inside;
use crate::dns::resolve::Resolver;
use crate::in_force::InForce;
use crate::in_force::snapshot::{NotPresented, Owned, Snapshot};
use crate::leg::Leg;
use crate::observe::journal::Journal;
use crate::observe::label::MintResult;
use crate::observe::recorder::Recorder;
use crate::relay::{Relay, Starter};
use crate::route::components::Components;
use crate::route::link::Link;
use crate::route::streams::Streams;
use crate::tls::config::Presented;

/// Maximum time for which a lookup caused by an unknown server waits for its turn. The server that requested dialback
/// does not wait longer for the answer.
const LOOKUP_TURN_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs the task of a link. This code belongs to a layer above the engine.
pub(crate) type RunLink = fn(&Arc<Engine>, &Arc<Link>);

/// The running engine.
pub(crate) struct Engine {
    /// The configuration in force.
    pub(crate) in_force: Arc<InForce>,
    /// Records events of streams.
    pub(crate) recorder: Arc<Recorder>,
    /// The links, and the means to relay stanzas.
    pub(crate) relay: Arc<Relay>,
    /// Resolvers and connection options.
    pub(crate) network: Network,
    /// State and shutdown of the tasks.
    pub(crate) life: Life,
    /// The used part of the process budget.
    pub(crate) ledger: Arc<Ledger>,
    /// The connections of streams.
    pub(crate) holders: Holders,
    /// The unauthenticated connections of the outer leg.
    pub(crate) unauthenticated: Newcomers,
    /// The unauthenticated connections of the inner leg. Their limit prevents a client that can reach this leg from
    /// keeping the backends out.
    pub(crate) unauthenticated_inner: Newcomers,
    /// The connections of trusted proxies that have not sent the header of the PROXY protocol yet.
    pub(crate) without_header: Newcomers,
    /// Those that are admitted while memory is exhausted.
    pub(crate) reserve: Reserve,
    pub(crate) verifications: Line,
    lookups: Lookups,
    pub(crate) judging: Judging,
    /// Open streams that may carry more pairs than the one they were opened for.
    pub(crate) streams: Streams,
    /// Connected components.
    pub(crate) components: Components,
    inquiries: Mutex<Inquiries>,
}

/// Runs the links of an engine for as long as it exists.
struct Links {
    engine: Weak<Engine>,
    run: RunLink,
}

impl Starter for Links {
    fn start(&self, link: &Arc<Link>) {
        if let Some(engine) = self.engine.upgrade() {
            (self.run)(&engine, link);
        }
    }
}

impl Engine {
    /// An engine without listeners.
    pub(crate) fn new(
        snapshot: Snapshot,
        resolver: Resolver,
        inside: Inside,
        journal: Arc<Journal>,
        run: RunLink,
    ) -> Arc<Self> {
        Arc::new_cyclic(|engine| {
            let in_force = Arc::new(InForce::new(snapshot));
            let recorder = Arc::new(Recorder::new(journal));
            let life = Life::default();
            let links = Box::new(Links { engine: Weak::clone(engine), run });
            let relay = Relay::new(&in_force, &recorder, life.bouncing.clone(), links);
            Self {
                network: Network::new(&in_force, resolver, inside),
                in_force,
                recorder,
                ledger: Arc::clone(&relay.ledger),
                relay: Arc::new(relay),
                life,
                holders: Holders::default(),
                unauthenticated: Newcomers::default(),
                unauthenticated_inner: Newcomers::default(),
                without_header: Newcomers::default(),
                reserve: Reserve::default(),
                verifications: Line::default(),
                lookups: Lookups::default(),
                judging: Judging::default(),
                streams: Streams::default(),
                components: Components::default(),
                inquiries: Mutex::default(),
            }
        })
    }

    /// The configuration and materials in effect.
    pub(crate) fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.in_force.load()
    }

    /// The configuration and materials in effect, to hold across await points.
    pub(crate) fn snapshot_owned(&self) -> Arc<Snapshot> {
        self.in_force.load_owned()
    }

    /// The certificate to present as `domain` on a leg; a minted one is counted.
    ///
    /// # Errors
    /// See [`Snapshot::present`].
    pub(crate) fn present(&self, leg: Leg, domain: &Domain) -> Result<Presented, NotPresented> {
        self.counted(self.snapshot().present(leg, domain, UnixTime::now()))
    }

    /// The same for a Direct TLS connection, by its server name (XEP-0368 §3).
    ///
    /// # Errors
    /// See [`Snapshot::present`].
    pub(crate) fn present_for_sni(
        &self,
        leg: Leg,
        name: Option<&str>,
    ) -> Result<Presented, NotPresented> {
        self.counted(self.snapshot().present_for_sni(leg, name, UnixTime::now()))
    }

    fn counted(&self, result: Result<Owned, NotPresented>) -> Result<Presented, NotPresented> {
        let label = match &result {
            Ok(Owned { minted: Some(fresh), .. }) => {
                Some(if *fresh { MintResult::Minted } else { MintResult::Cached })
            }
            Ok(Owned { minted: None, .. }) | Err(NotPresented::NotLoaded) => None,
            Err(NotPresented::NotMinted(error)) => Some(error.into()),
        };
        if let Some(label) = label {
            self.recorder.metrics.minted.inc(label);
        }
        result.map(|owned| owned.presented)
    }

    /// Puts another configuration into effect. Verified streams stay; caches that depend on the old configuration are
    /// rebuilt.
    pub(crate) fn replace(&self, snapshot: Snapshot) {
        let revision = self.in_force.replace(snapshot);
        let snapshot = self.snapshot_owned();
        self.components.keep(|domain| snapshot.component_of(domain).is_some());
        self.relay.table.forgive();
        self.relay.outages.forget();
        self.life.revise(revision);
    }

    /// The db:verify requests that other servers sent about our dialback keys; never held across await points.
    pub(crate) fn inquiries(&self) -> MutexGuard<'_, Inquiries> {
        self.inquiries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Earliest start of one more lookup that a stream of `leg` causes; `None`: no lookup is possible soon.
    pub(crate) fn may_look_up(
        &self,
        leg: Leg,
        source: IpAddr,
        authenticated: bool,
    ) -> Option<Instant> {
        self.lookups.take(leg, source, authenticated, Instant::now(), LOOKUP_TURN_TIMEOUT)
    }
}
