//! The engine reads every field that the operator writes into its file. A field that is added to the model must be added
//! here: every struct is written out.

#![allow(clippy::unwrap_used, reason = "a test states its expectations so")]

use std::path::PathBuf;

use crds::backend::BackendAuthentication;
use crds::contact::Contact;
use crds::dnssec::DnssecMode;
use crds::egress::Egress;
use crds::engine_file::{
    ControlFiles, DialbackFiles, EngineFile, FileBackend, FileBackendCa, FileClaimCheck,
    FileComponent, FileDnssec, FileDomain, FileListen, FilePeer, FileServer, FileTls, KeyPairFiles,
    SplitHorizon, TrustFiles,
};
use crds::limits::{Limits, Timeouts};
use crds::observability::{LogLevel, Observability, Traces};
use crds::peer::{
    Dialback, Enforcement, External, PeerAuthentication, PeerLimits, PeerSettings, PeerTls, Probe,
    ProbeMode, Profile, Route, TlsMode, Verification,
};
use crds::policy::{Action, Policy, PolicyRule, RuleDirection};
use crds::proxy_protocol::ProxyProtocol;

fn path(name: &str) -> PathBuf {
    PathBuf::from(format!("/etc/xmpp-federation/{name}"))
}

fn pair(name: &str) -> KeyPairFiles {
    KeyPairFiles {
        certificate_file: path(&format!("{name}.crt")),
        private_key_file: path(&format!("{name}.key")),
    }
}

fn trust() -> TrustFiles {
    TrustFiles { system_roots: false, bundles: vec![path("a.pem"), path("b.pem")] }
}

fn contact() -> Contact {
    Contact {
        abuse: vec!["mailto:abuse@example.com".parse().unwrap()],
        admin: vec!["xmpp:admin@example.com".parse().unwrap()],
        feedback: vec!["https://example.com/feedback".parse().unwrap()],
        sales: vec!["mailto:sales@example.com".parse().unwrap()],
        security: vec!["mailto:security@example.com".parse().unwrap()],
        status: vec!["https://example.com/status".parse().unwrap()],
        support: vec!["mailto:support@example.com".parse().unwrap()],
    }
}

fn settings() -> PeerSettings<PathBuf> {
    PeerSettings {
        profile: Some(Profile::CiscoImp),
        tls: Some(PeerTls {
            mode: Some(TlsMode::Optional),
            verification: Some(Verification::Preferred),
            bundles: vec![path("peer.pem")],
            pins: vec![format!("sha256/{}=", "A".repeat(43))],
        }),
        authentication: Some(PeerAuthentication {
            external: Some(External { inbound: Some(false), outbound: Some(true) }),
            dialback: Some(Dialback::Allowed),
            confirm_dialback_by_certificate: Some(true),
        }),
        route: Some(Route {
            targets: vec!["[2001:db8::7]:5269".parse().unwrap()],
            fallback_to_dns: true,
        }),
        limits: Some(PeerLimits {
            stanza_bytes: Some(20_000),
            stanzas_per_second: Some(100),
            streams: Some(4),
            enforcement: Some(Enforcement::DryRun),
        }),
        required: Some(true),
        probe: Some(Probe { mode: Some(ProbeMode::Off), to: Some("echo@partner.example".into()) }),
    }
}

fn limits() -> Limits {
    Limits {
        stanza_bytes: Some(10_001),
        pre_auth_element_bytes: Some(4_097),
        pre_auth_stream_bytes: Some(16_385),
        depth: Some(9),
        attributes: Some(17),
        queue_bytes: Some(65_537),
        queue_stanzas: Some(18),
        unauthenticated_streams: Some(5),
        verifications_per_stream: Some(2),
        verifications_per_source: Some(3),
        memory_bytes: Some(33_554_433),
        connections: Some(65),
    }
}

fn timeouts() -> Timeouts {
    Timeouts {
        negotiation_seconds: Some(6),
        dialback_seconds: Some(7),
        connect_seconds: Some(8),
        idle_seconds: Some(0),
        queue_seconds: Some(9),
        keepalive_seconds: Some(10),
        user_timeout_seconds: Some(11),
    }
}

fn listen() -> FileListen {
    FileListen {
        s2s: Some("[::]:5269".parse().unwrap()),
        s2s_tls: Some("[::]:5270".parse().unwrap()),
        proxy_protocol: Some(ProxyProtocol {
            trusted_sources: vec!["192.0.2.0/24".parse().unwrap()],
        }),
        backend: Some("198.18.0.1:15269".parse().unwrap()),
        component: Some("198.18.0.1:5347".parse().unwrap()),
        dns: Some("198.18.0.1:5353".parse().unwrap()),
        admin: Some("127.0.0.1:9090".parse().unwrap()),
        control: Some(ControlFiles {
            address: "[::]:9443".parse().unwrap(),
            certificate_file: path("control.crt"),
            private_key_file: path("control.key"),
            token_file: path("token"),
        }),
    }
}

fn backends() -> Vec<FileBackend> {
    vec![
        FileBackend {
            name: "im".into(),
            server: Some(FileServer {
                host: "2001:db8::1".into(),
                port: "5275".parse().ok(),
                authentication: BackendAuthentication::Dialback,
                trust: Some(trust()),
            }),
            component: None,
        },
        FileBackend {
            name: "bot".into(),
            server: None,
            component: Some(FileComponent { secret_file: path("bot") }),
        },
    ]
}

fn file() -> EngineFile {
    EngineFile {
        host: "xmpp.example.com".parse().ok(),
        domains: vec![FileDomain {
            name: "bücher.example".parse().unwrap(),
            backend: Some("im".into()),
            contact: contact(),
            show_version: true,
        }],
        backends: backends(),
        tls: FileTls { certificates: vec![pair("tls"), pair("other")], trust: trust() },
        backend_ca: Some(FileBackendCa {
            certificate_file: path("ca.crt"),
            private_key_file: path("ca.key"),
            signs_from_file: Some(path("signs-from")),
        }),
        dialback: Some(DialbackFiles {
            secret_file: path("secret"),
            previous_secret_file: Some(path("previous")),
        }),
        peer_defaults: settings(),
        peers: vec![FilePeer::new("*.partner.example".parse().unwrap(), settings())],
        policy: Policy {
            default: Action::Deny,
            rules: vec![PolicyRule {
                domains: vec!["*.example".parse().unwrap()],
                direction: RuleDirection::Inbound,
                action: Action::Allow,
            }],
        },
        limits: limits(),
        timeouts: timeouts(),
        egress: Egress { allow_networks: vec!["198.18.0.0/15".parse().unwrap()] },
        listen: listen(),
        resolvers: vec!["198.18.0.53:53".parse().unwrap()],
        dnssec: FileDnssec { mode: DnssecMode::Off, trust_anchors: Some(path("root.key")) },
        claim_check: FileClaimCheck { peers: vec!["hoster.example".parse().unwrap()] },
        observability: Observability {
            log_level: LogLevel::Debug,
            traces: Some(Traces {
                collector: "otel.monitoring.svc:4318".parse().unwrap(),
                sample_percent: 10,
            }),
        },
        split_horizon: Some(SplitHorizon {
            address: "198.18.0.1".parse().unwrap(),
            port: "15269".parse().unwrap(),
            clients: vec!["10.0.0.0/8".parse().unwrap()],
        }),
    }
}

#[test]
fn a_file_with_every_field_reads_back_equal() {
    let text = serde_saphyr::to_string(&file()).unwrap();
    let read: EngineFile = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(read, file(), "{text}");
}

#[test]
fn what_is_absent_stays_absent() {
    let text = "domains: [{name: example.com}]";
    let smallest: EngineFile = serde_saphyr::from_str(text).unwrap();
    let text = serde_saphyr::to_string(&smallest).unwrap();
    let read: EngineFile = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(read, smallest, "{text}");
    assert!(!text.contains("null"), "{text}");
}

#[test]
fn the_settings_of_a_peer_pass_through_its_entry() {
    let domain: crds::pattern::DomainPattern = "*.partner.example".parse().unwrap();
    let entry = FilePeer::new(domain.clone(), settings());
    assert_eq!(entry.split(), (domain, settings()));
}

#[test]
fn bundles_are_replaced_and_nothing_else() {
    let named = settings().map_bundles(|path| path.display().to_string());
    assert_eq!(named.tls.as_ref().unwrap().bundles, ["/etc/xmpp-federation/peer.pem"]);
    assert_eq!(named.map_bundles(|name| PathBuf::from(name.as_str())), settings());
}
