//! Settings that are already validated and stored, but take effect only in a later version. The operator names those that
//! are set in the message of `Accepted`, and the engine names them in its log and in the output of `check`, so that none is
//! silently ignored.

mod file;

#[cfg(feature = "kube")]
use crate::federation::XmppFederationSpec;
use crate::peer::Probe;

/// The only setting without effect yet: `peerDefaults` sets the JID to which a probe of a peer sends its ping, although it
/// belongs to one peer only.
const DEFAULT_PROBE_TO: &str = "peerDefaults.probe.to";

/// Whether [`DEFAULT_PROBE_TO`] is set.
fn sets_default_probe_to(default_probe: Option<&Probe>) -> bool {
    default_probe.is_some_and(|probe| probe.to.is_some())
}

#[cfg(feature = "kube")]
impl XmppFederationSpec {
    /// Paths of the set fields that have no effect yet, in the order of the spec.
    pub fn not_in_effect(&self) -> Vec<&'static str> {
        let is_set = sets_default_probe_to(self.peer_defaults.probe.as_ref());
        is_set.then_some(DEFAULT_PROBE_TO).into_iter().collect()
    }
}

#[cfg(feature = "kube")]
#[cfg(test)]
mod tests {
    use super::*;

    const ROADMAP: &str = include_str!("../../ROADMAP.md");

    fn paths(spec: serde_json::Value) -> Vec<&'static str> {
        serde_json::from_value::<XmppFederationSpec>(spec).unwrap().not_in_effect()
    }

    #[test]
    fn the_defaults_are_all_in_effect() {
        let spec = serde_json::json!({
            "domains": [{"name": "example.com"}],
            "backends": [
                {"name": "im", "server": {"host": "prosody.im.svc"}},
                {"name": "bot", "component": {"secretRef": {"name": "bot"}}}
            ],
            "peers": [{"domain": "partner.example", "limits": {"streams": 4}, "probe": {"mode": "Off"}}]
        });
        assert_eq!(paths(spec), [] as [&str; 0]);
    }

    /// A file says of each of its entries what the resource says of all of them.
    #[test]
    fn the_resource_and_the_file_of_the_engine_name_the_same_fields() {
        let shared = serde_json::json!({
            "domains": [{"name": "example.com"}],
            "peerDefaults": {"probe": {"to": "echo@example.net"}},
        });
        let file: crate::engine_file::EngineFile = serde_json::from_value(shared.clone()).unwrap();
        let named = file.not_in_effect();
        let mut fields: Vec<String> =
            named.iter().map(|sentence| sentence.split(": ").next().unwrap().to_owned()).collect();
        fields.sort();
        let mut spec = paths(shared);
        spec.sort_unstable();
        assert_eq!(fields, spec);
    }

    #[test]
    fn what_comes_later_is_named_when_it_is_set() {
        let spec = serde_json::json!({
            "domains": [{"name": "example.com"}],
            "backends": [
                {"name": "im", "server": {"host": "im.svc", "authentication": "PlainDialback"}},
                {"name": "bot", "component": {"secretRef": {"name": "bot"}}}
            ],
            "peerDefaults": {"probe": {"to": "echo@example.net"}}
        });
        let found = paths(spec);
        assert_eq!(found, ["peerDefaults.probe.to"]);
        let heading = "## Accepted by the API, not in effect yet\n";
        let section = ROADMAP.split(heading).nth(1).and_then(|rest| rest.split("\n## ").next());
        let listed: Vec<_> = section
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.strip_prefix("- `")?.split('`').next())
            .collect();
        assert_eq!(listed, found, "ROADMAP.md lists the same fields");
    }
}
