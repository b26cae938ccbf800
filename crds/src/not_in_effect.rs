//! Settings that are validated and stored already, and whose effect comes with a later version. Whoever reads a
//! configuration names the ones that are set, so that nothing is silently ignored: the operator in the message of
//! `Accepted`, the engine in its log and in what `check` prints.

#[cfg(feature = "kube")]
mod spec;

use std::collections::BTreeMap;

use crate::backend::BackendAuthentication;
use crate::engine_file::EngineFile;
use crate::peer::Probe;

/// A setting that has no effect yet, of those that the resource and the engine's file share.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Setting {
    /// A backend is a component (XEP-0114).
    Component,
    /// A backend authenticates itself by dialback without TLS.
    PlainDialback,
    /// The JID that a probe of a peer pings, in the defaults.
    DefaultProbeTo,
    /// The same, of one peer.
    ProbeTo,
}

impl Setting {
    /// The settings that are set, in the order of the file, each with the index of its entry. A backend without
    /// authentication is a component.
    fn all<'a>(
        backends: impl Iterator<Item = Option<BackendAuthentication>>,
        default_probe: Option<&'a Probe>,
        probes: impl Iterator<Item = Option<&'a Probe>>,
    ) -> Vec<(Self, usize)> {
        let of_backend = |(index, authentication)| match authentication {
            None => Some((Self::Component, index)),
            Some(BackendAuthentication::PlainDialback) => Some((Self::PlainDialback, index)),
            Some(BackendAuthentication::Minted | BackendAuthentication::Dialback) => None,
        };
        let has_to = |probe: Option<&Probe>| probe.is_some_and(|probe| probe.to.is_some());
        let mut found: Vec<_> = backends.enumerate().filter_map(of_backend).collect();
        found.extend(has_to(default_probe).then_some((Self::DefaultProbeTo, 0)));
        let probes = probes.enumerate().filter(|(_, probe)| has_to(*probe));
        found.extend(probes.map(|(index, _)| (Self::ProbeTo, index)));
        found
    }

    /// Path of the field; `[]` stands for any entry of a list.
    const fn field(self) -> &'static str {
        match self {
            Self::Component => "backends[].component",
            Self::PlainDialback => "backends[].server.authentication",
            Self::DefaultProbeTo => "peerDefaults.probe.to",
            Self::ProbeTo => "peers[].probe.to",
        }
    }
}

impl EngineFile {
    /// What is set and has no effect, as `field: sentence`: first what comes with a later version, then the contact
    /// addresses of domains whose backend answers service discovery.
    pub fn not_in_effect(&self) -> Vec<String> {
        let servers =
            self.backends.iter().map(|backend| Some(backend.server.as_ref()?.authentication));
        let probes = self.peers.iter().map(|peer| peer.probe.as_ref());
        let later = Setting::all(servers, self.peer_defaults.probe.as_ref(), probes);
        let later = later.into_iter().map(|(setting, index)| {
            let field = setting.field().replace("[]", &format!("[{index}]"));
            format!("{field}: {}", self.consequence(setting, index))
        });
        let contacts: BTreeMap<_, _> = self
            .domains
            .iter()
            .filter(|domain| !self.backends.is_empty() && !domain.contact.is_empty())
            .map(|domain| {
                let sentence = format!(
                    "domains[{}].contact: its backend answers service discovery; set the contact addresses there",
                    domain.name
                );
                (&domain.name, sentence)
            })
            .collect();
        later.chain(contacts.into_values()).collect()
    }
    /// What the engine does with a setting that has no effect.
    fn consequence(&self, setting: Setting, index: usize) -> String {
        match setting {
            Setting::Component => {
                let name = self.backends.get(index).map(|backend| backend.name.as_str());
                format!(
                    "components (XEP-0114) are not in effect yet; stanzas to {:?} are bounced",
                    name.unwrap_or_default()
                )
            }
            Setting::PlainDialback => {
                "PlainDialback is not supported yet; set Minted or Dialback".to_owned()
            }
            Setting::DefaultProbeTo | Setting::ProbeTo => {
                "not in effect yet; a probe opens a stream to the peer's domain and pings nobody"
                    .to_owned()
            }
        }
    }
}
