//! How the engine reaches others: its resolvers, and the options of its connections.

use std::sync::Arc;

use arc_swap::ArcSwap;
use s2s_proto::guard::Guard;

use crate::dial::tcp::Tcp;
use crate::dns::inside::Inside;
use crate::dns::resolve::Resolver;
use crate::in_force::{InForce, limits};

/// The means to find a target and to connect to it.
pub(crate) struct Network {
    pub(crate) in_force: Arc<InForce>,
    /// Resolver of the outer leg.
    resolver: ArcSwap<Resolver>,
    /// Resolver for the names of backends: the system's resolver, including its search domains.
    pub(crate) inside: Inside,
}

impl Network {
    pub(crate) fn new(in_force: &Arc<InForce>, resolver: Resolver, inside: Inside) -> Self {
        let resolver = ArcSwap::from_pointee(resolver);
        Self { in_force: Arc::clone(in_force), resolver, inside }
    }

    /// The resolver of the outer leg.
    pub(crate) fn resolver(&self) -> Resolver {
        Resolver::clone(&self.resolver.load())
    }

    /// Replaces the resolver of the outer leg.
    pub(crate) fn replace_resolver(&self, resolver: Resolver) {
        self.resolver.store(Arc::new(resolver));
    }

    /// Options of every S2S connection.
    pub(crate) fn tcp(&self) -> Tcp {
        limits::tcp(&self.in_force.load().config)
    }

    /// Addresses to which connections are forbidden.
    pub(crate) fn guard(&self) -> Guard {
        limits::guard(&self.in_force.load().config)
    }
}
