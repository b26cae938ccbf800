//! The federations that faults are injected into.

use serde_json::{Value, json};

use crate::network::Host;

/// The kinds of federations. A fault takes the smallest that can have it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fixture {
    /// Without backend and peers; the test writes its records into the zone.
    Plain,
    /// Like `Plain`, with a certificate of a private CA from a Secret.
    Certified,
    /// Like `Plain`, with Prosody as the backend.
    Backed,
    /// Like `Plain`, with the partner as a peer.
    Peered,
    /// Like `Plain`, with two probers at different places of the internet.
    Probed,
    /// Like `Plain`, but external-dns writes its records.
    Published,
    /// Like `Plain`; nothing happens to it.
    Healthy,
}

/// The Secret with the certificate of a `Certified` federation.
pub const CERTIFICATE: &str = "public";
/// The Secret with the token of the probers of a `Probed` federation.
pub const PROBER: &str = "prober";
/// The token of both probers.
pub const PROBER_TOKEN: &str = "the token of the probers of the catalogue";
/// Where the probers of all `Probed` federations listen.
pub const PROBERS: [(Host, u16); 2] = [(Host::Partner, 9463), (Host::Client, 9464)];

impl Fixture {
    /// How many of each run side by side.
    pub const ALL: [(Self, usize); 7] = [
        (Self::Healthy, 1),
        (Self::Published, 1),
        (Self::Backed, 2),
        (Self::Certified, 2),
        (Self::Probed, 2),
        (Self::Peered, 3),
        (Self::Plain, 4),
    ];

    /// Its name in namespaces and domains.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Certified => "certified",
            Self::Backed => "backed",
            Self::Peered => "peered",
            Self::Probed => "probed",
            Self::Published => "published",
            Self::Healthy => "healthy",
        }
    }

    /// The spec of the healthy federation.
    pub fn spec(self, namespace: &str, domain: &str) -> Value {
        let mut spec = json!({
            "domains": [{"name": domain}],
            "replicas": 1,
            "dns": {"mode": "Manual"},
            "egress": {"allowNetworks": ["198.18.0.0/15"]},
        });
        let more = match self {
            Self::Plain | Self::Healthy => json!({}),
            Self::Certified => {
                json!({"tls": {"certificate": {"secretRef": {"name": CERTIFICATE}}}})
            }
            Self::Backed => json!({
                "backends": [{"name": "im", "server": {"host": format!("prosody.{namespace}.svc")}}],
            }),
            // A dialback key that nobody answers must be noticed in time.
            Self::Peered => json!({
                "peers": [{"domain": "partner.example"}],
                "timeouts": {"dialbackSeconds": 10},
            }),
            Self::Probed => {
                let [one, other] = PROBERS.map(|(on, port)| {
                    json!({
                        "url": format!("https://{}:{port}", on.address()),
                        "secretRef": {"name": PROBER},
                    })
                });
                json!({"verification": {"prober": one, "otherProbers": [other]}})
            }
            Self::Published => json!({"dns": {"mode": "ExternalDNS"}}),
        };
        super::json::lay_over(&mut spec, &more);
        spec
    }
}
