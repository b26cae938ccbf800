//! The list of settings without effect, for the engine's file.

use std::collections::BTreeMap;

use super::{DEFAULT_PROBE_TO, sets_default_probe_to};
use crate::engine_file::EngineFile;

/// What the setting of [`DEFAULT_PROBE_TO`] has as its consequence.
const CONSEQUENCE: &str =
    "no effect, because the address belongs to one peer; set peers[].probe.to";

impl EngineFile {
    /// Settings that are set but have no effect, as `field: sentence`: first those that a later version implements, then
    /// components without a listener, then the contact addresses of domains whose backend answers service discovery.
    pub fn not_in_effect(&self) -> Vec<String> {
        let later = sets_default_probe_to(self.peer_defaults.probe.as_ref())
            .then(|| format!("{DEFAULT_PROBE_TO}: {CONSEQUENCE}"));
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
        let of_domains = contacts.into_values().chain(versions);
        later.into_iter().chain(self.unreachable_component()).chain(of_domains).collect()
    }

    /// The first component, if there is no listener for it.
    fn unreachable_component(&self) -> Option<String> {
        let index = self.backends.iter().position(|backend| backend.component.is_some())?;
        let sentence = "no component can connect; set listen.component";
        self.listen.component.is_none().then(|| format!("backends[{index}].component: {sentence}"))
    }
}
