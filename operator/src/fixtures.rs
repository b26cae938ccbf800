//! Objects that several tests begin with.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use crds::XmppFederation;
use crds::federation::tls::CertificateSource;
use crds::word::Word;
use federation_engine::observe::evidence::{
    BackendOutcome, BackendRoundTrip, EngineEvidence, InboundKind, InboundObservation,
    InboundRefusal, PeerEvidence, PeerStream,
};
use federation_engine::tls::issue::PemPair;
use jiff::{SignedDuration, Timestamp};
use s2s_proto::certificate::facts::CertificateFacts;
use s2s_proto::reason::Step;
use serde_json::{Value, json};

use crate::args::PullPolicy;
use crate::build::{Address, Given, Settings};
use crate::dns::publish::Publication;
use crate::evidence::answer::{Answer, NameEvidence};
use crate::evidence::background::Background;
use crate::evidence::certificate::{CertificateSeen, Purpose, Readable};
use crate::evidence::cluster::{
    ClusterEvidence, DnsEndpointEvidence, EnginePod, OuterService, ServiceEvents, Workload,
};
use crate::evidence::dns::{DnsEvidence, LookedFor};
use crate::evidence::engine::{EngineReport, Replica, Report};
use crate::evidence::issuance::Issuance;
use crate::evidence::networks::ClusterNetworks;
use crate::evidence::peer_dns::{PeerDnsEvidence, PeerDnsRounds};
use crate::evidence::probe::{Probe, ProbeEvidence, ProbeMode, ProbeOutcome, Served, Wanted};
use crate::evidence::prober::{OutsideEvidence, ProberRounds};
use crate::evidence::references::{self, References};
use crate::evidence::rounds::{DnsRounds, ProbeRounds};
use crate::evidence::{Evidence, WantedConfig};
use crate::federation::backend_ca::BackendCa;
use crate::federation::material::{
    BackendLeaf, BackendMaterial, ControlMaterial, DialbackMaterial, Material,
};
use crate::federation::names;
use crate::federation::serving::{Offer, Source};
use crate::federation::validated::{Validated, validate};
use crate::reconcile::problem::Applied;

/// Address that the load balancer gives.
pub(crate) const ADDRESS: &str = "192.0.2.7";

/// The moment of all evidence.
pub(crate) fn now() -> Timestamp {
    "2026-11-01T12:00:00Z".parse().unwrap()
}

/// A resource as the API server hands it out.
pub(crate) fn federation(spec: &Value) -> XmppFederation {
    serde_json::from_value(json!({
        "apiVersion": "xmppfederation.dev/v1alpha1",
        "kind": "XmppFederation",
        "metadata": {
            "name": "example",
            "namespace": "im",
            "uid": "5f0c1d2e-0000-4000-8000-000000000001",
            "generation": 1,
            "creationTimestamp": "2026-06-01T00:00:00Z"
        },
        "spec": spec
    }))
    .unwrap()
}

/// The smallest useful spec: one domain, one backend.
pub(crate) fn smallest() -> Value {
    json!({
        "domains": [{"name": "example.com"}],
        "backends": [{"name": "im", "server": {"host": "prosody.im.svc"}}]
    })
}

/// A spec that has passed validation.
pub(crate) fn validated(spec: &Value) -> Validated {
    validate(&federation(spec), &[]).unwrap()
}

/// The operator's settings.
pub(crate) fn settings() -> Settings {
    Settings {
        engine_image: "federation-engine:1".to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
        operator_namespace: "xmpp-federation-system".to_owned(),
    }
}

/// The facts about the cluster once the Services exist. Keys and certificates are not real.
pub(crate) fn given() -> Given {
    let pair = |name: &str| PemPair {
        certificate: format!("certificate of {name}"),
        private_key: format!("key of {name}"),
    };
    Given {
        material: Material {
            control: ControlMaterial { pair: pair("control"), token: "token".to_owned() },
            dialback: Some(DialbackMaterial {
                secret: "secret".to_owned(),
                previous: None,
                annotations: BTreeMap::new(),
            }),
            backend: Some(BackendMaterial {
                ca: BackendCa {
                    signing: pair("ca"),
                    next: None,
                    previous: Vec::new(),
                    signs_from: None,
                    annotations: BTreeMap::new(),
                    renewal: now(),
                },
                leaves: vec![BackendLeaf {
                    secret: "example-backend-tls".to_owned(),
                    pair: pair("leaf"),
                }],
            }),
            self_signed: Some(pair("self-signed")),
        },
        serving: Some(Offer {
            pair: pair("self-signed"),
            source: Source::SelfSigned,
            readable: readable(&validated(&smallest())),
        }),
        issuer: None,
        address: Some(Address::Ips(vec![ADDRESS.parse().unwrap()])),
        assigned: Some(Address::Ips(vec![ADDRESS.parse().unwrap()])),
        backend_ip: Some("10.96.0.7".parse().unwrap()),
        publish_srv: true,
        dns_clients: vec!["10.0.0.0/8".parse().unwrap()],
    }
}

/// Evidence of a federation in which everything works: one replica, every domain, every peer.
pub(crate) fn evidence(federation: &Validated) -> Evidence {
    let wanted = i32::from(federation.spec.replicas);
    let address = Address::Ips(vec![ADDRESS.parse().unwrap()]);
    let domains: Vec<_> = federation.domains().cloned().collect();
    Evidence {
        neighbours: BTreeSet::new(),
        backend_answered: HashMap::new(),
        now: now(),
        applied: Applied::default(),
        references: References {
            problems: Vec::new(),
            certificate: federation
                .spec
                .tls
                .certificate
                .as_ref()
                .map(|_| CertificateSeen::Readable(readable(federation))),
            issuance: Issuance { kind_exists: true, report: None },
            ca_renewal: None,
            served: Some(served(federation)),
        },
        cluster: ClusterEvidence {
            workload: Some(Workload {
                observed: true,
                wanted,
                updated: wanted,
                ready: wanted,
                total: wanted,
                replica_failure: None,
                stuck: false,
            }),
            pods: vec![EnginePod {
                uid: "1".to_owned(),
                name: "example-1".to_owned(),
                ip: Some("10.1.0.1".parse().unwrap()),
                ready: true,
                created: Some(now() - SignedDuration::from_hours(1)),
                ..EnginePod::default()
            }],
            service: Some(OuterService {
                address: Some(address.clone()),
                node_ports: Vec::new(),
                created: Some(now() - SignedDuration::from_hours(1)),
                events: ServiceEvents::default(),
            }),
            backend_ip: Some("10.96.0.7".parse().unwrap()),
            dns_endpoint: DnsEndpointEvidence {
                kind_exists: true,
                exists: true,
                created: Some(now() - SignedDuration::from_hours(1)),
                observed: true,
            },
        },
        config: WantedConfig::default(),
        certificate_age: std::time::Duration::from_hours(1),
        publication: Publication::Published,
        engines: vec![EngineReport {
            replica: Replica {
                uid: "1".to_owned(),
                name: "example-1".to_owned(),
                ip: "10.1.0.1".parse().unwrap(),
            },
            report: Report::Seen(Arc::new(engine(federation))),
        }],
        dns: dns(LookedFor::of(federation, federation.published_at(Some(&address)).as_ref(), &[])),
        address_changed: None,
        remembered: None,
        rollout_waits: None,
        definition: crate::schema::Difference::default(),
        outside: OutsideEvidence::default(),
        reported: Vec::new(),
        peer_dns: PeerDnsEvidence::default(),
        networks: ClusterNetworks { inside: vec!["10.0.0.0/8".parse().unwrap()], gap: None },
        probes: ProbeEvidence {
            at: now(),
            wanted: Wanted::default(),
            probes: domains
                .into_iter()
                .map(|domain| Probe {
                    pod: "example-1".to_owned(),
                    domain,
                    mode: ProbeMode::StartTls,
                    outcome: ProbeOutcome::Features {
                        served: Served {
                            sha256: "aa".to_owned(),
                            covers_domain: true,
                            not_after: now() + SignedDuration::from_hours(24 * 90),
                        },
                        mechanisms: Vec::new(),
                        dialback: true,
                    },
                })
                .collect(),
        },
    }
}

/// The certificate that the engine serves.
fn served(federation: &Validated) -> references::ServedCertificate {
    references::ServedCertificate {
        source: match &federation.spec.tls.certificate {
            None => Source::SelfSigned,
            Some(CertificateSource::Secret(own)) => Source::Secret(own.name.clone()),
            Some(CertificateSource::Issuer(_)) => {
                Source::Certificate(names::issued(&federation.name))
            }
        },
        readable: readable(federation),
    }
}

/// A certificate without a defect, for every domain.
pub(crate) fn readable(federation: &Validated) -> Readable {
    let domains: Vec<_> = federation.domains().cloned().collect();
    Readable {
        facts: CertificateFacts {
            names: domains.iter().map(ToString::to_string).collect(),
            not_before: now() - SignedDuration::from_hours(24),
            not_after: now() + SignedDuration::from_hours(24 * 90),
            sha256: "aa".to_owned(),
            self_signed: true,
            is_ca: false,
        },
        covers: domains,
        purpose: Purpose::Both,
        missing_issuer: None,
    }
}

/// A replica's report in which everything works.
pub(crate) fn engine(federation: &Validated) -> EngineEvidence {
    let spec = &federation.spec;
    EngineEvidence {
        version: "1".to_owned(),
        config_hash: String::new(),
        problems: Vec::new(),
        memory_shortage: None,
        certificates: Vec::new(),
        inbound: vec![InboundObservation {
            kind: InboundKind::StreamAuthenticated,
            peer: "partner.example".parse().unwrap(),
            local: "example.com".parse().unwrap(),
            source: "203.0.113.9".parse().unwrap(),
            at: now() - SignedDuration::from_mins(5),
        }],
        backends: spec
            .domains
            .iter()
            .filter_map(|domain| {
                Some(BackendRoundTrip {
                    backend: spec.backend_of(domain)?.name.clone(),
                    domain: domain.name.clone(),
                    outcome: BackendOutcome::RoundTripSeen,
                    detail: String::new(),
                    ping: "1".to_owned(),
                    at: now(),
                })
            })
            .collect(),
        answers: Vec::new(),
        contacts: Vec::new(),
        servers: Vec::new(),
        peers: spec
            .peers
            .iter()
            .filter_map(|peer| peer.domain.to_string().parse().ok())
            .map(|domain| PeerEvidence {
                domain,
                configured: true,
                outbound: Some(PeerStream {
                    connected: true,
                    step: Step::Established,
                    reason: Word::Connected,
                    message: String::new(),
                    address: None,
                    tls: None,
                    authentication: None,
                    authenticated_by: None,
                    since: now(),
                }),
                local: None,
                others: Vec::new(),
                inbound: None,
                attempts: Vec::new(),
                refusals: Vec::new(),
            })
            .collect(),
        refusals: Vec::new(),
        claims: Vec::new(),
        flows: Vec::new(),
    }
}

/// A server claiming to be `partner.example` was refused this many seconds ago.
pub(crate) fn refusal(message: &str, seconds_ago: i64) -> InboundRefusal {
    InboundRefusal {
        peer: "partner.example".parse().ok(),
        local: "example.com".parse().ok(),
        source: Ipv4Addr::new(198, 51, 100, 7).into(),
        reason: Word::CertificateUntrusted,
        message: message.to_owned(),
        count: 3,
        at: now() - SignedDuration::from_secs(seconds_ago),
    }
}

/// The zone and one resolver have all records as wanted.
pub(crate) fn dns(looked_for: LookedFor) -> DnsEvidence {
    DnsEvidence {
        at: now(),
        host: reported(looked_for.addresses.iter().copied().collect()),
        host_alias: None,
        load_balancer: None,
        services: looked_for
            .services
            .iter()
            .map(|wanted| (wanted.owner.clone(), reported(wanted.all().cloned().collect())))
            .collect(),
        owners: Vec::new(),
        looked_for,
    }
}

/// The zone and one resolver answer the same.
pub(crate) fn reported<T: Clone>(found: BTreeSet<T>) -> NameEvidence<T> {
    let answer = |server: &str, found| Answer {
        server: server.to_owned(),
        found: Ok(found),
        ttl: Some(300),
    };
    NameEvidence {
        zone: vec![answer("192.0.2.53", found.clone())],
        public: vec![answer("198.51.100.53", found)],
    }
}

/// Everything that passes share, over a client of the test's own, and what feeds the stores of children.
pub(crate) fn context(
    client: kube::Client,
) -> (crate::context::Context, Vec<(kube::core::ApiResource, crate::children::Writer)>) {
    let (context, writers, _) = context_with_feeds(client);
    (context, writers)
}

/// As [`context`], with what feeds the stores of objects.
pub(crate) fn context_with_feeds(
    client: kube::Client,
) -> (
    crate::context::Context,
    Vec<(kube::core::ApiResource, crate::children::Writer)>,
    crate::objects::Feeds,
) {
    let (wake, _) = tokio::sync::mpsc::channel(1);
    let (federations, _) = crate::controller::store();
    let (children, writers) = crate::children::Children::new();
    let (objects, feeds) = crate::objects::Objects::new();
    let context = crate::context::Context {
        client: client.clone(),
        settings: settings(),
        metrics: crate::metrics::Metrics::new(),
        recorder: kube::runtime::events::Recorder::new(client, "test".into()),
        federations,
        children,
        objects,
        definition: crate::definition::Definition::new(),
        kinds: crate::discovery::OptionalKinds::new(),
        engines: crate::evidence::engine::Engines::new(wake.clone()),
        networks: crate::evidence::networks::Networks::new(true),
        dns: Background::new(DnsRounds::default(), 4, wake.clone()),
        probes: Background::new(ProbeRounds, 4, wake.clone()),
        peer_dns: Background::new(PeerDnsRounds, 4, wake.clone()),
        outside: Background::new(ProberRounds::default(), 4, wake.clone()),
        class: crds::DEFAULT_CLASS.to_owned(),
        territory: crate::territory::Territory::default(),
        domains: crate::domain_policy::DomainPolicy::default(),
        rivals: crate::rivals::Rivals::default(),
        waves: crate::waves::Waves::default(),
        shortages: crate::shortages::Shortages::new(wake),
        revision: crate::build::revision::revision(&settings()),
        applying: crate::turns::Turns::new(8),
        creating: crate::turns::Turns::new(crate::reconcile::creation::AT_ONCE),
        memory: std::sync::Mutex::default(),
    };
    (context, writers, feeds)
}
