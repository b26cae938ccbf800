//! Fields that are already validated and stored, but take effect only in a later version. The message of `Accepted` names
//! those that are set, so that none is silently ignored.

use crate::backend::BackendAuthentication;
use crate::federation::XmppFederationSpec;
use crate::federation::backend::Attachment;
use crate::federation::reference::BundleRef;
use crate::federation::tls::CertificateSource;
use crate::peer::PeerSettings;

impl XmppFederationSpec {
    /// Paths of the set fields that have no effect yet, in the order of the spec.
    pub fn not_in_effect(&self) -> Vec<&'static str> {
        let servers = || {
            self.backends.iter().filter_map(|backend| match &backend.attachment {
                Attachment::Server(server) => Some(server),
                Attachment::Component(_) => None,
            })
        };
        let any_peer = |test: fn(&PeerSettings<BundleRef>) -> bool| {
            self.peers.iter().any(|peer| test(&peer.settings))
        };
        let probes_elsewhere = |settings: &PeerSettings<BundleRef>| {
            settings.probe.as_ref().is_some_and(|probe| probe.to.is_some())
        };
        [
            (
                "backends[].component",
                self.backends.iter().any(|b| matches!(b.attachment, Attachment::Component(_))),
            ),
            (
                "backends[].server.authentication",
                servers()
                    .any(|server| server.authentication == BackendAuthentication::PlainDialback),
            ),
            ("service.proxyProtocol", self.service.proxy_protocol),
            ("dns.takeover", self.dns.takeover),
            (
                "tls.certificate.issuerRef",
                matches!(self.tls.certificate, Some(CertificateSource::Issuer(_))),
            ),
            ("peerDefaults.probe.to", probes_elsewhere(&self.peer_defaults)),
            ("peers[].probe.to", any_peer(probes_elsewhere)),
            ("verification.prober", self.verification.prober.is_some()),
            ("verification.claimCheck", self.verification.claim_check.is_some()),
        ]
        .into_iter()
        .filter_map(|(path, set)| set.then_some(path))
        .collect()
    }
}

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
            "backends": [{"name": "im", "server": {"host": "prosody.im.svc"}}],
            "peers": [{"domain": "partner.example", "limits": {"streams": 4}, "probe": {"mode": "Off"}}]
        });
        assert_eq!(paths(spec), [] as [&str; 0]);
    }

    #[test]
    fn what_comes_later_is_named_when_it_is_set() {
        let spec = serde_json::json!({
            "domains": [{"name": "example.com"}],
            "backends": [
                {"name": "im", "server": {"host": "im.svc", "authentication": "PlainDialback"}},
                {"name": "bot", "component": {"secretRef": {"name": "bot"}}}
            ],
            "service": {"proxyProtocol": true},
            "dns": {"takeover": true},
            "tls": {"certificate": {"issuerRef": {"name": "ca"}}},
            "peerDefaults": {"probe": {"to": "echo@example.net"}},
            "peers": [{"domain": "partner.example", "probe": {"to": "echo@partner.example"}}],
            "verification": {"prober": {"url": "https://probe.example"}, "claimCheck": {}}
        });
        let found = paths(spec);
        assert_eq!(
            found,
            [
                "backends[].component",
                "backends[].server.authentication",
                "service.proxyProtocol",
                "dns.takeover",
                "tls.certificate.issuerRef",
                "peerDefaults.probe.to",
                "peers[].probe.to",
                "verification.prober",
                "verification.claimCheck",
            ]
        );
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
