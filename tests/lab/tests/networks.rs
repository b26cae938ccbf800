//! The federation in networks where the cluster has no public address: behind a firewall with NAT, as in Cisco's
//! document 116339, and behind `HAProxy` with the object and the configuration of docs/proxy.md.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use lab::debian::Debian;
use lab::edge::{self, PRIVATE, PROXY_TO_NODE, PUBLIC};
use lab::federation;
use lab::host;
use lab::kubernetes::get;
use lab::network::{Host, POD_CIDR};
use lab::parts::{self, Part};
use lab::paths::{Paths, read};
use lab::public_dns::{LOCAL_ZONE, dig};
use lab::scenario::conversation;
use lab::scenario::federated::{Federated, TURN};
use lab::wait::{Seen, Wait};
use serde_json::{Value, json};

/// The ports of the records, and the address that they lead to.
fn published() -> [Vec<String>; 3] {
    let host = format!("xmpp.{LOCAL_ZONE}");
    [
        dig(Host::Other, &host, "A").unwrap(),
        dig(Host::Other, &format!("_xmpp-server._tcp.{LOCAL_ZONE}"), "SRV").unwrap(),
        dig(Host::Other, &format!("_xmpps-server._tcp.{LOCAL_ZONE}"), "SRV").unwrap(),
    ]
}

/// Contacts, presence and chat in both directions; then the evidence names the partner's own address.
fn federates_with_the_partner(federated: &mut Federated) {
    assert_eq!(
        published(),
        [
            vec![PUBLIC.to_string()],
            vec![format!("0 5 5269 xmpp.{LOCAL_ZONE}.")],
            vec![format!("0 5 5270 xmpp.{LOCAL_ZONE}.")],
        ]
    );
    federation::wait_for_public_address(&federated.paths, PUBLIC).unwrap();
    let (mut ours, mut theirs) = (federated.cupuser1().unwrap(), federated.jdoe1().unwrap());
    let mut steps = 0;
    conversation::both_directions(&mut ours, &mut theirs, &mut |line| {
        println!("{line}");
        steps += 1;
    })
    .unwrap();
    assert_eq!(steps, 20, "ten steps in each direction");
    federated.until_true("InboundReachable").unwrap();
    federated.until("Ready as Federated", |now| now.has("Ready", "True", "Federated")).unwrap();
    let source = federated.watch.last.object.pointer("/status/inbound/sourceAddress").cloned();
    let source = source.and_then(|address| address.as_str().map(str::to_owned)).unwrap();
    assert!(source.contains(&Host::Partner.address().to_string()), "{source}");
}

#[test]
fn behind_a_firewall_with_nat_as_in_ciscos_document_116339() {
    let paths = Federated::stage().unwrap();
    edge::translate(PRIVATE).unwrap();
    let manifest = federation::federation_behind_nat(&paths).unwrap();
    // Without the public address, the private one stays out of DNS.
    let public = format!("    publicAddresses: ['{PUBLIC}']\n");
    assert!(manifest.contains(&public));
    let mut federated = Federated::apply(paths, &manifest.replace(&public, "")).unwrap();
    let message = federated.until_false("AddressAssigned", "AddressNotUsable").unwrap();
    assert!(message.contains(&PRIVATE.to_string()), "{message}");
    assert!(message.contains("spec.service.publicAddresses"), "{message}");
    assert_eq!(published(), [const { Vec::<String>::new() }; 3]);

    federation::federate(&federated.paths, &manifest).unwrap();
    federated.until_true("Ready").unwrap();
    federates_with_the_partner(&mut federated);
    edge::remove(&federated.paths).unwrap();
}

/// The section of the page on `HAProxy`.
fn page(paths: &Paths) -> String {
    let page = read(&paths.tree().join("docs/proxy.md")).unwrap();
    let (_, section) = page.split_once("## HAProxy in front of node ports").unwrap();
    section.to_owned()
}

/// The text with the addresses of the lab in place of those of the page.
fn with(text: &str, addresses: &[(&str, String)]) -> String {
    addresses.iter().fold(text.to_owned(), |text, (of_page, of_lab)| {
        assert!(text.contains(of_page), "{of_page} is not in {text}");
        text.replace(of_page, of_lab)
    })
}

/// The page's object with that service, and the names of the lab.
fn object(section: &str, service: Option<&Value>) -> Value {
    let manifest = with(
        edge::block(section, "yaml").unwrap(),
        &[("203.0.113.10", PUBLIC.to_string()), ("10.1.0.5", PROXY_TO_NODE.to_string())],
    );
    let mut object: Value = serde_saphyr::from_str(&manifest).unwrap();
    let laid_over = json!({
        "domains": [{"name": LOCAL_ZONE}],
        "backends": [{"name": "im", "server": {"host": "prosody.im.svc"}}],
        "service": service.unwrap_or(&object["spec"]["service"]),
        "egress": {"allowNetworks": ["198.18.0.0/15"]},
    });
    if let (Some(spec), Value::Object(more)) = (object["spec"].as_object_mut(), laid_over) {
        spec.extend(more);
    }
    object["metadata"]["namespace"] = json!(federation::NAMESPACE);
    object
}

/// Each goes to any pod.
const CONNECTIONS: usize = 6;

/// Opens a stream from the partner's host through the proxy, and waits for the first byte of the answer.
fn greeting() -> io::Result<()> {
    let timeout = Duration::from_secs(5);
    let mut tcp = host::connect(Host::Partner, (PUBLIC, 5269).into(), timeout)?;
    tcp.set_read_timeout(Some(timeout))?;
    let header =
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'";
    tcp.write_all(format!("{header} to='{LOCAL_ZONE}' version='1.0'>").as_bytes())?;
    tcp.read_exact(&mut [0])
}

fn wait_for_every_pod() {
    Wait::new("every engine pod to accept the proxy's header", TURN)
        .until(|| {
            let silent = (0..CONNECTIONS).find_map(|_| greeting().err());
            Ok(silent.map_or(Seen::Done(()), |error| Seen::NotYet(error.to_string())))
        })
        .unwrap();
}

#[test]
fn behind_haproxy_in_front_of_node_ports_as_the_page_on_proxies_shows_it() {
    let paths = Paths::from_env().unwrap();
    parts::build_only(&paths, &[Part::Server(Debian::Haproxy12)]).unwrap();
    let section = page(&paths);
    let config = with(
        edge::block(&section, "haproxy").unwrap(),
        &[("203.0.113.10", PUBLIC.to_string()), ("10.1.0.11", Host::Node.address().to_string())],
    );
    let paths = Federated::stage().unwrap();
    edge::proxy(&paths, Host::Router, &config).unwrap();
    let right = object(&section, None);
    // The proxy is not trusted at first, which its health checks show.
    let mut wrong = right.clone();
    wrong["spec"]["service"]["proxyProtocol"] = json!({"trustedSources": ["192.0.2.1/32"]});
    let mut federated = Federated::apply(paths, &wrong.to_string()).unwrap();
    federated.until_true("Ready").unwrap();
    federated
        .until("InboundReachable to name the proxy and the setting", |now| {
            now.condition("InboundReachable").is_some_and(|rung| {
                rung.message.contains(&PROXY_TO_NODE.to_string())
                    && rung.message.contains("spec.service.proxyProtocol.trustedSources")
            })
        })
        .unwrap();

    federation::federate(&federated.paths, &right.to_string()).unwrap();
    wait_for_every_pod();
    federated.until_true("Ready").unwrap();
    federates_with_the_partner(&mut federated);
    edge::remove(&federated.paths).unwrap();
}

/// The proxy runs in the node's network, behind NAT. All pods are trusted sources, the operator's as well: its probes
/// must begin with a header.
#[test]
fn behind_haproxy_on_the_node_in_front_of_a_cluster_ip() {
    let paths = Paths::from_env().unwrap();
    parts::build_only(&paths, &[Part::Server(Debian::Haproxy12)]).unwrap();
    let section = page(&paths);
    let paths = Federated::stage().unwrap();
    let node = Host::Node.address();
    let service = json!({
        "type": "ClusterIP",
        "publicAddresses": [PUBLIC],
        "proxyProtocol": {"trustedSources": [format!("{node}/32"), POD_CIDR]},
    });
    let manifest = object(&section, Some(&service)).to_string();
    let mut federated = Federated::apply(paths, &manifest).unwrap();
    let outer: Value =
        get(&federated.paths, &["service", federation::NAME, "-n", federation::NAMESPACE]).unwrap();
    let cluster_ip = outer["spec"]["clusterIP"].as_str().unwrap();
    let config = with(
        edge::block(&section, "haproxy").unwrap(),
        &[
            ("203.0.113.10", node.to_string()),
            ("10.1.0.11:30269", format!("{cluster_ip}:5269")),
            ("10.1.0.11:30270", format!("{cluster_ip}:5270")),
        ],
    );
    edge::translate(node).unwrap();
    edge::proxy(&federated.paths, Host::Node, &config).unwrap();
    federated.until_true("StreamVerified").unwrap();
    federated.until_true("Ready").unwrap();
    wait_for_every_pod();
    federates_with_the_partner(&mut federated);
    edge::remove(&federated.paths).unwrap();
}

/// The API server cannot refuse it with a sentence of ours, because the schema of the field has no type.
#[test]
fn the_boolean_of_older_versions_is_refused_with_the_remedy() {
    let paths = Federated::stage().unwrap();
    let manifest = federation::short_federation(&paths).unwrap();
    let manifest = manifest.replace("  egress:", "  service: {proxyProtocol: true}\n  egress:");
    federation::federate(&paths, &manifest).unwrap();
    let watch = federation::watch(&paths).unwrap();
    let mut federated = Federated { paths, watch };
    let message = federated.until_false("Accepted", "InvalidSpec").unwrap();
    assert!(message.contains("set service.proxyProtocol.trustedSources"), "{message}");
    let manifest = manifest.replace("proxyProtocol: true", "proxyProtocol: {trustedSources: []}");
    federation::federate(&federated.paths, &manifest).unwrap();
    federated.until_true("Accepted").unwrap();
}
