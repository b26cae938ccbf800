//! A relay for tests without sockets.

use std::sync::{Arc, Mutex};

use s2s_proto::pair::Pair;
use tokio_util::sync::CancellationToken;

use super::{Relay, Starter};
use crate::Domain;
use crate::config::load::parse_text;
use crate::in_force::InForce;
use crate::in_force::snapshot::Snapshot;
use crate::observe::journal::Journal;
use crate::observe::recorder::Recorder;
use crate::route::link::Link;

/// Two local domains, one of them with a backend, and a peer that the policy denies.
const FILE: &str = "host: xmpp.local.example
domains:
  - {name: local.example, backend: im}
  - {name: alone.example}
backends:
  - {name: im, server: {host: 127.0.0.1, port: 5269}}
policy:
  default: Allow
  rules: [{action: Deny, domains: [denied.example]}]
";

/// The pairs whose links were started.
#[derive(Clone, Default)]
pub(crate) struct Started(Arc<Mutex<Vec<Pair>>>);

impl Started {
    /// The pairs whose links were started since the last call.
    pub(crate) fn take(&self) -> Vec<Pair> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Starter for Started {
    fn start(&self, link: &Arc<Link>) {
        self.0.lock().unwrap().push(link.pair.clone());
    }
}

/// A relay whose links open no streams and accept two stanzas each, and a record of the links that it starts.
pub(crate) fn relay() -> (Arc<Relay>, Started) {
    let mut config = parse_text(FILE).unwrap();
    config.limits.queue_stanzas = 2;
    let alone = config.domains.iter_mut().filter(|local| local.name.as_str() == "alone.example");
    alone.for_each(|local| local.backend = None);
    let in_force = Arc::new(InForce::new(Snapshot::load(config, None)));
    let recorder = Arc::new(Recorder::new(Arc::new(Journal::new("test"))));
    let started = Started::default();
    let links = Box::new(started.clone());
    let relay = Relay::new(&in_force, &recorder, CancellationToken::new(), links);
    (Arc::new(relay), started)
}

/// The pair of two domains.
pub(crate) fn pair(from: &str, to: &str) -> Pair {
    Pair { from: Domain::parse(from).unwrap(), to: Domain::parse(to).unwrap() }
}
