use crds::peer::Enforcement;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::*;
use crate::fixtures::{given, settings, smallest, validated};

fn children_of(spec: &Value, given: &Given) -> Vec<Child> {
    children(&validated(spec), given, &settings()).unwrap()
}

fn names(children: &[Child]) -> Vec<String> {
    let name = |child: &Child| {
        format!("{} {}", child.resource.kind, child.object.metadata.name.as_deref().unwrap())
    };
    children.iter().map(name).collect()
}

/// Every word of every child of the smallest resource. `UPDATE_GOLDEN=1` writes the file anew; read the difference.
#[test]
fn the_smallest_resource_makes_these_objects() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/smallest.yaml");
    let made: Vec<String> = children_of(&smallest(), &given())
        .iter()
        .map(|child| serde_saphyr::to_string(&child.object).unwrap())
        .collect();
    let made = made.join("---\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert!(made == golden, "differs from {path}; this was made:\n{made}");
}

#[test]
fn what_pods_need_comes_first_and_the_pods_last() {
    assert_eq!(
        names(&children_of(&smallest(), &given())),
        [
            "ServiceAccount example",
            "Service example",
            "Secret example-control",
            "Service example-backend",
            "Secret example-dialback",
            "Secret example-backend-ca",
            "ConfigMap example-backend-ca",
            "Secret example-backend-tls",
            "Secret example-tls-self-signed",
            "Secret example-tls-serving",
            "NetworkPolicy example",
            "PodDisruptionBudget example",
            "DNSEndpoint example-srv",
            "ConfigMap example-engine",
            "Deployment example",
        ]
    );
}

#[test]
fn what_is_not_needed_is_not_made() {
    let spec = json!({
        "domains": [{"name": "example.com"}],
        "replicas": 1,
        "tls": {"certificate": {"secretRef": {"name": "own"}}},
        "dialback": {"secretRef": {"name": "shared"}},
        "networkPolicy": {"enabled": false}
    });
    let mut given = given();
    given.material.backend = None;
    given.material.dialback = None;
    given.material.self_signed = None;
    given.serving = None;
    given.publish_srv = false;
    assert_eq!(
        names(&children_of(&spec, &given)),
        [
            "ServiceAccount example",
            "Service example",
            "Secret example-control",
            "ConfigMap example-engine",
            "Deployment example",
        ]
    );
}

#[test]
fn the_engine_queries_the_resolvers_of_the_spec() {
    let resolvers = |dns: Value| {
        let mut spec = smallest();
        spec["dns"] = dns;
        let file = engine_file::file(&validated(&spec), &given());
        file.resolvers.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let named = json!({"resolvers": ["198.18.0.53", "[2001:db8::53]:5353"]});
    assert_eq!(resolvers(named), ["198.18.0.53:53", "[2001:db8::53]:5353"]);
    assert_eq!(resolvers(json!({})), [] as [&str; 0]);
}

#[test]
fn the_records_of_other_targets_are_published_beside_our_own() {
    let mut spec = smallest();
    spec["dns"] = json!({"srv": {"priority": 1, "otherTargets": [
        {"host": "west.example.com", "directTlsPort": 5270},
        {"host": "old.example.net", "port": 15_269, "priority": 20, "weight": 0}
    ]}});
    let endpoint = dns_endpoint::build(&validated(&spec), &given()).unwrap();
    let targets: Vec<_> = endpoint.spec.endpoints.into_iter().map(|one| one.targets).collect();
    assert_eq!(
        targets,
        [
            vec![
                "1 5 5269 xmpp.example.com.",
                "0 5 5269 west.example.com.",
                "20 0 15269 old.example.net.",
            ],
            vec!["1 5 5270 xmpp.example.com.", "0 5 5270 west.example.com."],
        ]
    );
}

#[test]
fn every_child_is_controlled_by_the_federation() {
    for child in children_of(&smallest(), &given()) {
        let owners = child.object.metadata.owner_references.unwrap();
        assert_eq!(owners.len(), 1);
        assert_eq!(owners[0].controller, Some(true), "{}", child.resource.kind);
        assert_eq!(owners[0].kind, "XmppFederation");
        let labels = child.object.metadata.labels.unwrap();
        assert_eq!(labels["app.kubernetes.io/managed-by"], crds::FIELD_MANAGER);
    }
}

#[test]
fn the_pods_meet_the_restricted_standard() {
    let deployment = deployment::build(&validated(&smallest()), &settings());
    let pod = deployment.spec.unwrap().template.spec.unwrap();
    assert_eq!(pod.automount_service_account_token, Some(false));
    let security = pod.security_context.unwrap();
    assert_eq!(security.run_as_non_root, Some(true));
    // Platforms assign them, and OpenShift refuses others.
    assert_eq!((security.run_as_user, security.fs_group), (None, None));
    assert_eq!(security.seccomp_profile.unwrap().type_, "RuntimeDefault");
    assert!(pod.host_network.is_none() && pod.host_pid.is_none() && pod.host_ipc.is_none());
    for container in pod.containers {
        let security = container.security_context.unwrap();
        assert_eq!(security.allow_privilege_escalation, Some(false));
        assert_eq!(security.read_only_root_filesystem, Some(true));
        let capabilities = security.capabilities.unwrap();
        assert_eq!((capabilities.drop, capabilities.add), (Some(vec!["ALL".to_owned()]), None));
        assert!(security.privileged.is_none());
        for port in container.ports.unwrap() {
            assert!(port.host_port.is_none() && port.container_port >= 1024);
        }
    }
    let allowed = |volume: &k8s_openapi::api::core::v1::Volume| {
        volume.config_map.is_some() || volume.secret.is_some()
    };
    assert!(pod.volumes.unwrap().iter().all(allowed));
}

fn template(spec: &Value) -> k8s_openapi::api::core::v1::PodTemplateSpec {
    let deployment: Deployment = deployment::build(&validated(spec), &settings());
    deployment.spec.unwrap().template
}

#[test]
fn a_change_that_the_engine_reads_by_itself_restarts_no_pod() {
    let mut changed = smallest();
    changed["peers"] = json!([{"domain": "partner.example", "profile": "Strict"}]);
    changed["policy"] = json!({"default": "Deny"});
    changed["domains"] = json!([{"name": "example.com"}, {"name": "chat.example.com"}]);
    assert_eq!(template(&smallest()), template(&changed));
}

#[test]
fn a_change_of_the_certificate_s_reference_restarts_no_pod() {
    for certificate in [json!({"secretRef": {"name": "own"}}), json!({"issuerRef": {"name": "ca"}})]
    {
        let mut changed = smallest();
        changed["tls"] = json!({"certificate": certificate});
        assert_eq!(template(&smallest()), template(&changed));
    }
}

fn service_with(spec: &Value, address: Option<Address>) -> Service {
    let federation = validated(spec);
    let mut given = given();
    given.address = federation.published_at(address.as_ref());
    given.assigned = address;
    service::build(&federation, &given)
}

#[test]
fn external_dns_is_notified_the_public_addresses_instead_of_those_of_the_service() {
    let address = |ip: &str| Some(Address::Ips(vec![ip.parse().unwrap()]));
    let target = |spec: &Value, address: Option<Address>| {
        let annotations = service_with(spec, address).metadata.annotations.unwrap_or_default();
        let of = |prefix: &str| annotations.get(&format!("{prefix}/target")).cloned();
        let [old, new] = ["external-dns.alpha.kubernetes.io", "external-dns.kubernetes.io"].map(of);
        assert_eq!(old, new);
        let named = annotations.contains_key("external-dns.kubernetes.io/hostname");
        (named, new)
    };
    let mut nat = smallest();
    nat["service"] = json!({"publicAddresses": ["203.0.113.10", "2001:db8::10"]});
    let both = Some("203.0.113.10,2001:db8::10".to_owned());
    assert_eq!(target(&nat, address("10.1.2.3")), (true, both.clone()));
    for type_ in ["NodePort", "ClusterIP"] {
        nat["service"]["type"] = json!(type_);
        assert_eq!(target(&nat, None), (true, both.clone()), "{type_}");
    }
    // Its own address is public: external-dns follows it by itself.
    assert_eq!(target(&smallest(), address("192.0.2.7")), (true, None));
    // A private one is published only if the spec says who reaches it.
    assert_eq!(target(&smallest(), address("10.1.2.3")), (false, None));
    let mixed = Address::Ips(vec!["10.1.2.3".parse().unwrap(), "192.0.2.7".parse().unwrap()]);
    assert_eq!(target(&smallest(), Some(mixed)), (true, Some("192.0.2.7".to_owned())));
}

#[test]
fn node_ports_are_those_of_the_spec() {
    let mut spec = smallest();
    spec["service"] = json!({"type": "NodePort", "nodePorts": {"s2s": 30_269, "s2sTls": 30_270}});
    let ports = |spec: &Value| -> Vec<Option<i32>> {
        let service = service_with(spec, None).spec.unwrap();
        service.ports.unwrap().iter().map(|port| port.node_port).collect()
    };
    assert_eq!(ports(&spec), [Some(30_269), Some(30_270)]);
    assert_eq!(ports(&smallest()), [None, None]);
}

#[test]
fn both_prefixes_of_external_dns_stand_on_the_service_once_it_has_an_address() {
    let address = Some(Address::Ips(vec!["192.0.2.7".parse().unwrap()]));
    let annotations = service_with(&smallest(), address.clone()).metadata.annotations.unwrap();
    for prefix in ["external-dns.alpha.kubernetes.io", "external-dns.kubernetes.io"] {
        assert_eq!(annotations[&format!("{prefix}/hostname")], "xmpp.example.com");
        assert_eq!(annotations[&format!("{prefix}/ttl")], "300");
    }
    assert_eq!(service_with(&smallest(), None).metadata.annotations, None);
    let hostname = Some(Address::Hostname("lb.cloud.example".to_owned()));
    assert_eq!(service_with(&smallest(), hostname).metadata.annotations, None);

    let mut manual = smallest();
    manual["dns"] = json!({"mode": "Manual"});
    assert_eq!(service_with(&manual, address.clone()).metadata.annotations, None);

    let mut own = smallest();
    own["service"] =
        json!({"annotations": {"external-dns.kubernetes.io/hostname": "other.example.com"}});
    let annotations = service_with(&own, address).metadata.annotations.unwrap();
    assert_eq!(annotations["external-dns.kubernetes.io/hostname"], "other.example.com");
}

#[test]
fn srv_records_lead_to_the_host_or_to_the_load_balancers_name() {
    let targets = |address, spec: &Value| -> Vec<String> {
        let mut given = given();
        given.address = address;
        let endpoint = dns_endpoint::build(&validated(spec), &given);
        endpoint.iter().flat_map(|e| &e.spec.endpoints).flat_map(|e| e.targets.clone()).collect()
    };
    let ips = Some(Address::Ips(vec!["192.0.2.7".parse().unwrap()]));
    assert_eq!(
        targets(ips.clone(), &smallest()),
        ["0 5 5269 xmpp.example.com.", "0 5 5270 xmpp.example.com."]
    );
    let hostname = Some(Address::Hostname("LB.cloud.example.".to_owned()));
    assert_eq!(
        targets(hostname, &smallest()),
        ["0 5 5269 lb.cloud.example.", "0 5 5270 lb.cloud.example."]
    );
    // Records that are published stay while a Service that is created anew has no address.
    assert_eq!(targets(None, &smallest()), targets(ips.clone(), &smallest()));
    let mut nat = smallest();
    nat["service"] = json!({
        "publicAddresses": ["203.0.113.10"], "publicPorts": {"s2s": 15_269, "s2sTls": 443}
    });
    assert_eq!(
        targets(ips.clone(), &nat),
        ["0 5 15269 xmpp.example.com.", "0 5 443 xmpp.example.com."]
    );
    let mut old = smallest();
    old["dns"] = json!({"trailingDot": false});
    old["service"] = json!({"directTls": false});
    assert_eq!(targets(ips, &old), ["0 5 5269 xmpp.example.com"]);
}

#[test]
fn named_dns_clients_get_through_the_network_policy_to_dns_alone() {
    let mut spec = smallest();
    spec["dns"] = json!({"clients": ["10.0.0.7/24"]});
    let policy = network_policy::build(&validated(&spec), &settings()).unwrap();
    let rules = policy.spec.unwrap().ingress.unwrap();
    let of_networks: Vec<Value> = rules
        .iter()
        .filter(|rule| rule.from.iter().flatten().any(|peer| peer.ip_block.is_some()))
        .map(|rule| serde_json::to_value(rule).unwrap())
        .collect();
    let expected = json!([{
        "from": [{"ipBlock": {"cidr": "10.0.0.0/24"}}],
        "ports": [{"protocol": "TCP", "port": 5353}, {"protocol": "UDP", "port": 5353}]
    }]);
    assert_eq!(json!(of_networks), expected);
}

fn engine_yaml(spec: &Value) -> String {
    let config_map = engine_file::build(&validated(spec), &given()).unwrap();
    config_map.data.unwrap()[paths::CONFIG_KEY].clone()
}

#[test]
fn the_engine_accepts_the_file_of_the_smallest_resource() {
    let config = federation_engine::config::load::parse_text(&engine_yaml(&smallest())).unwrap();
    assert_eq!(config.host.as_str(), "xmpp.example.com");
    assert_eq!(config.backends.len(), 1);
}

#[test]
fn the_engine_reads_what_the_operator_wrote() {
    for spec in [smallest(), everything()] {
        let text = engine_yaml(&spec);
        let read: crds::engine_file::EngineFile = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, engine_file::file(&validated(&spec), &given()), "{text}");
    }
}

fn everything() -> Value {
    json!({
        "domains": [
            {"name": "bücher.example", "backend": "im"},
            {"name": "example.com", "contact": {"abuse": ["mailto:abuse@example.com"]}}
        ],
        "backends": [
            {"name": "im", "server": {
                "host": "10.0.0.7", "port": 5275, "authentication": "Dialback",
                "trust": {"configMapRef": {"name": "backend-roots"}}
            }}
        ],
        "host": "edge.example.com",
        "tls": {"trust": {"systemRoots": false, "bundles": [{"secretRef": {"name": "roots", "key": "all.pem"}}]}},
        "peerDefaults": {"profile": "Standards", "tls": {"bundles": [{"configMapRef": {"name": "roots"}}]}},
        "peers": [
            {"domain": "partner.example", "profile": "Strict", "required": true,
             "tls": {"bundles": [{"secretRef": {"name": "roots"}}]},
             "route": {"targets": ["gw.partner.example:5269"]}, "probe": {"mode": "Off"}},
            {"domain": "*.legacy.example", "profile": "LegacyDialback"}
        ],
        "policy": {"default": "Deny", "rules": [{"domains": ["*.example"], "action": "Allow"}]},
        "limits": {"stanzaBytes": 100_000},
        "timeouts": {"connectSeconds": 5},
        "egress": {"allowNetworks": ["10.0.0.0/8"]},
        "service": {"directTls": false},
        "dns": {"dnssec": "Off"}
    })
}

#[test]
fn the_engine_accepts_the_file_of_a_resource_with_everything() {
    let spec = everything();
    let text = engine_yaml(&spec);
    let config = federation_engine::config::load::parse_text(&text);
    let config = config.unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(config.host.as_str(), "edge.example.com");
    let local = config.local(&"example.com".parse().unwrap()).unwrap();
    assert_eq!(local.contact.abuse.first().unwrap().as_str(), "mailto:abuse@example.com");
    assert_eq!(config.dnssec.mode, crds::dnssec::DnssecMode::Off);
    let bundles: Vec<String> =
        config.trust.bundles.iter().map(|path| path.display().to_string()).collect();
    // Objects in the order of kind and name: ConfigMaps before Secrets.
    assert_eq!(bundles, ["/etc/xmpp-federation/bundles/2/all.pem"]);
    let volumes = template(&spec).spec.unwrap().volumes.unwrap();
    let named: Vec<&str> = volumes.iter().map(|volume| volume.name.as_str()).collect();
    assert!(named.ends_with(&["bundle-0", "bundle-1", "bundle-2"]), "{named:?}");
}

#[test]
fn the_engine_reads_every_limit_of_a_peer_as_the_resource_sets_it() {
    let mut spec = smallest();
    spec["peerDefaults"] = json!({"limits": {"streams": 9, "enforcement": "DryRun"}});
    spec["peers"] = json!([
        {"domain": "enforced.example", "limits": {
            "stanzaBytes": 20_000, "stanzasPerSecond": 50, "streams": 3, "enforcement": "Enforce"
        }},
        {"domain": "dry.example", "limits": {"stanzasPerSecond": 7, "enforcement": "DryRun"}},
        {"domain": "silent.example", "limits": {"stanzasPerSecond": 8}}
    ]);
    let config = federation_engine::config::load::parse_text(&engine_yaml(&spec)).unwrap();
    let limits = |domain: &str| {
        let peer = config.peers.resolve(&domain.parse().unwrap());
        (
            peer.stanza_bytes,
            peer.stanzas_per_second.map(u32::from),
            peer.streams.map(u32::from),
            peer.enforcement,
        )
    };
    let stanza_bytes = config.limits.stanza_bytes;
    for (domain, expected) in [
        ("enforced.example", (20_000, Some(50), Some(3), Enforcement::Enforce)),
        ("dry.example", (stanza_bytes, Some(7), Some(9), Enforcement::DryRun)),
        ("silent.example", (stanza_bytes, Some(8), Some(9), Enforcement::DryRun)),
        ("other.example", (stanza_bytes, None, Some(9), Enforcement::DryRun)),
    ] {
        assert_eq!(limits(domain), expected, "{domain}");
    }
    // Without a word, limits are enforced.
    let mut spec = smallest();
    spec["peers"] = json!([{"domain": "partner.example", "limits": {"streams": 3}}]);
    let config = federation_engine::config::load::parse_text(&engine_yaml(&spec)).unwrap();
    let peer = config.peers.resolve(&"partner.example".parse().unwrap());
    assert_eq!(peer.enforcement, Enforcement::Enforce);
}

#[test]
fn the_network_policy_lets_in_the_world_the_backend_and_the_operator_each_where_it_belongs() {
    let policy = network_policy::build(&validated(&smallest()), &settings()).unwrap();
    let rules = policy.spec.unwrap().ingress.unwrap();
    let ports = |index: usize| -> Vec<Value> {
        let rule: &k8s_openapi::api::networking::v1::NetworkPolicyIngressRule = &rules[index];
        rule.ports.iter().flatten().map(|p| serde_json::to_value(&p.port).unwrap()).collect()
    };
    assert_eq!((rules[0].from.clone(), ports(0)), (None, vec![json!(5269), json!(5270)]));
    assert_eq!(ports(1), [json!(15_269), json!(5353), json!(5353)]);
    assert_eq!(ports(2), [json!(9090)]);
    // The control port, and the operator's probes of the outer leg, which the first rule admits.
    assert_eq!(ports(3), [json!(9443)]);
    let operator = rules[3].from.as_ref().unwrap()[0].namespace_selector.as_ref().unwrap();
    assert_eq!(
        operator.match_labels.as_ref().unwrap()["kubernetes.io/metadata.name"],
        "xmpp-federation-system"
    );
}

#[test]
fn a_certificate_is_for_all_domains_in_a_label_form_and_the_host() {
    let spec = json!({
        "domains": [{"name": "example.com"}, {"name": "bücher.example"}],
        "host": "xmpp.example.com",
        "tls": {"certificate": {"issuerRef": {"name": "ca", "kind": "ClusterIssuer"}}},
    });
    let federation = validated(&spec);
    let mut given = given();
    assert!(certificate::build(&federation, &given).is_none(), "cert-manager is not installed");
    given.issuer = federation.issuer().cloned();
    let child = children_of(&spec, &given);
    let child = child.iter().find(|child| child.resource.kind == "Certificate").unwrap();
    assert_eq!(
        child.object.data["spec"],
        json!({
            "secretName": "example-tls-issued",
            "dnsNames": ["example.com", "xn--bcher-kva.example", "xmpp.example.com"],
            "issuerRef": {"name": "ca", "kind": "ClusterIssuer", "group": "cert-manager.io"},
            "usages": ["digital signature", "server auth", "client auth"],
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        })
    );
}
