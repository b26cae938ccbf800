//! The list of settings without effect, for the engine's file.

use std::collections::BTreeMap;

use super::Setting;
use crate::engine_file::EngineFile;

impl EngineFile {
    /// Settings that are set but have no effect, as `field: sentence`: first those that a later version implements, then the
    /// contact addresses of domains whose backend answers service discovery.
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
        let versions =
            self.domains.iter().filter(|domain| !self.backends.is_empty() && domain.show_version);
        let versions = versions.map(|domain| {
            format!("domains[{}].showVersion: its backend reports its own version", domain.name)
        });
        later.chain(contacts.into_values()).chain(versions).collect()
    }

    /// How the engine handles a setting that has no effect.
    fn consequence(&self, setting: Setting, index: usize) -> String {
        match setting {
            Setting::Component => {
                let name = self.backends.get(index).map(|backend| backend.name.as_str());
                format!(
                    "components (XEP-0114) are not in effect yet; stanzas to {:?} are bounced",
                    name.unwrap_or_default()
                )
            }
            Setting::DefaultProbeTo | Setting::ProbeTo => {
                "not in effect yet; a probe opens a stream to the peer's domain and sends no ping"
                    .to_owned()
            }
        }
    }
}
