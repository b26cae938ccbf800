//! Which settings apply to a remote domain: its own entry, else that of the longest `*.suffix` above it, else the
//! defaults.

use std::collections::HashMap;
use std::sync::Arc;

use crds::pattern::DomainPattern;

use crate::Domain;
use crate::config::peer::Peer;

/// The settings of every remote domain. A lookup allocates nothing and costs one hash for each label.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peers {
    defaults: Arc<Peer>,
    exact: HashMap<Domain, Arc<Peer>>,
    below: HashMap<Domain, Arc<Peer>>,
    /// Entries in the order of the file.
    entries: Vec<Arc<Peer>>,
}

impl Peers {
    /// A table with nothing but defaults.
    pub fn new(defaults: Peer) -> Self {
        Self {
            defaults: Arc::new(defaults),
            exact: HashMap::new(),
            below: HashMap::new(),
            entries: Vec::new(),
        }
    }

    /// Adds an entry; `false` when its pattern exists already, and nothing changes.
    #[must_use]
    pub fn insert(&mut self, pattern: &DomainPattern, peer: Peer) -> bool {
        let (map, key) = match pattern {
            DomainPattern::Exact(domain) => (&mut self.exact, domain),
            DomainPattern::Below(suffix) => (&mut self.below, suffix),
        };
        if map.contains_key(key) {
            return false;
        }
        let peer = Arc::new(peer);
        map.insert(key.clone(), Arc::clone(&peer));
        self.entries.push(peer);
        true
    }

    /// The settings that apply to this remote domain.
    pub fn resolve(&self, remote: &Domain) -> &Arc<Peer> {
        if let Some(peer) = self.exact.get(remote) {
            return peer;
        }
        // The nearest suffix is the longest one; the domain itself is not its own suffix.
        let mut rest = remote.as_str();
        while let Some((_, suffix)) = rest.split_once('.') {
            if let Some(peer) = self.below.get(suffix) {
                return peer;
            }
            rest = suffix;
        }
        &self.defaults
    }

    /// The settings that apply to a domain that no entry covers.
    pub fn defaults(&self) -> &Arc<Peer> {
        &self.defaults
    }

    /// The largest stanza that any peer may send.
    pub fn largest_stanza_bytes(&self) -> usize {
        let own = self.entries.iter().map(|peer| peer.stanza_bytes);
        own.fold(self.defaults.stanza_bytes, usize::max)
    }

    /// Entries of `peers[]`, in the order of the file.
    pub fn entries(&self) -> &[Arc<Peer>] {
        &self.entries
    }

    /// An entry names the domain exactly.
    pub fn is_named(&self, remote: &Domain) -> bool {
        self.exact.contains_key(remote)
    }

    /// Domains that entries name exactly: evidence keeps them, and probes visit them.
    pub fn named(&self) -> impl Iterator<Item = (&Domain, &Arc<Peer>)> {
        self.entries.iter().filter_map(|peer| match &peer.entry {
            Some(DomainPattern::Exact(domain)) => Some((domain, peer)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::parse_text;

    #[test]
    fn exact_beats_longest_suffix_beats_defaults() {
        let config = parse_text(
            "domains: [{name: local.example}]
peerDefaults: {profile: CiscoIMP}
peers:
  - {domain: '*.example', profile: LegacyDialback}
  - {domain: '*.partner.example', profile: WebexApp}
  - {domain: im.partner.example, profile: Strict}
",
        )
        .unwrap();
        for (domain, profile) in [
            ("im.partner.example", "Strict"),
            ("a.im.partner.example", "WebexApp"),
            ("x.partner.example", "WebexApp"),
            ("partner.example", "LegacyDialback"),
            ("example", "CiscoImp"),
            ("elsewhere.test", "CiscoImp"),
            ("notpartner.test", "CiscoImp"),
        ] {
            let peer = config.peers.resolve(&Domain::parse(domain).unwrap());
            assert_eq!(format!("{:?}", peer.profile), profile, "{domain}");
        }
        let named: Vec<_> = config.peers.named().map(|(domain, _)| domain.as_str()).collect();
        assert_eq!(named, ["im.partner.example"]);
    }
}
