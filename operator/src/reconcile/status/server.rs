//! The server that was found behind a backend.

use crds::backend::ServerSoftware;
use crds::domain::Domain;
use crds::status::BackendServerStatus;
use federation_engine::observe::evidence::BackendServer;

use crate::ladder::View;

/// The server behind a backend that hosts these domains: the first one that is known, or else the first one with a name.
/// One server may answer for some domains under other names, for example for its rooms.
pub(super) fn found(
    view: View<'_>,
    backend: &str,
    hosted: &[&Domain],
) -> Option<BackendServerStatus> {
    let of = |domain: &&Domain| {
        let known =
            |server: &&BackendServer| server.backend == backend && server.domain == **domain;
        view.reports().find_map(|evidence| evidence.servers.iter().find(known))
    };
    let status = |server: &BackendServer| BackendServerStatus {
        type_: ServerSoftware::of(&server.name),
        name: server.name.clone(),
        version: server.version.clone(),
    };
    let found: Vec<_> = hosted.iter().filter_map(of).map(status).collect();
    let known = found.iter().find(|server| server.type_ != ServerSoftware::Other);
    known.or(found.first()).cloned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::evidence::Evidence;
    use crate::evidence::engine::Report;
    use crate::fixtures::{engine, evidence, smallest, validated};
    use crate::memory::Failing;
    use crate::reconcile::status::judged;

    /// The status of the first backend whose domains report these names.
    fn backend(servers: &[(&str, &str)]) -> crds::status::BackendStatus {
        let mut spec = smallest();
        spec["domains"] = json!([{"name": "conference.example.com"}, {"name": "example.com"}]);
        let federation = validated(&spec);
        let mut seen: Evidence = evidence(&federation);
        let mut report = engine(&federation);
        report.servers = servers
            .iter()
            .map(|(domain, name)| BackendServer {
                backend: spec["backends"][0]["name"].as_str().unwrap().to_owned(),
                domain: domain.parse().unwrap(),
                name: (*name).to_owned(),
                version: Some("0.12.3".to_owned()),
            })
            .collect();
        seen.engines[0].report = Report::Seen(Arc::new(report));
        let view = View { federation: &federation, seen: &seen };
        judged(&crds::XmppFederationStatus::default(), view, &Failing::new())
            .status
            .backends
            .remove(0)
    }

    #[test]
    fn the_status_has_the_server_that_was_found_and_its_settings_only() {
        let unknown = backend(&[]);
        assert_eq!(unknown.server, None);
        let configure = unknown.configure.unwrap();
        assert!(configure.contains("prosody.cfg.lua") && configure.contains("ejabberd.yml"));

        let rooms = ("conference.example.com", "Rooms of example.com");
        for (servers, type_, name) in [
            (&[rooms, ("example.com", "Prosody")][..], ServerSoftware::Prosody, "Prosody"),
            (&[rooms], ServerSoftware::Other, "Rooms of example.com"),
        ] {
            let found = backend(servers).server.unwrap();
            let version = Some("0.12.3".to_owned());
            let expected = BackendServerStatus { type_, name: name.to_owned(), version };
            assert_eq!(found, expected);
        }
        let configure = backend(&[("example.com", "Prosody")]).configure.unwrap();
        assert!(configure.contains("prosody.cfg.lua") && !configure.contains("ejabberd.yml"));
    }
}
