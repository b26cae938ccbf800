//! A federation in clusters with other IP families than IPv4 alone. Each test starts the lab anew with its families, and
//! leaves it as it was.

#![allow(clippy::unwrap_used, reason = "a test states its expectations so")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::cluster::{self, KeepLogs};
use lab::error::{Error, Result};
use lab::family::Family;
use lab::federation::{self, NAME, NAMESPACE};
use lab::host;
use lab::kubernetes::get;
use lab::network::Host;
use lab::paths::Paths;
use lab::public_dns::{LOCAL_ZONE, dig};
use lab::scenario::conversation;
use lab::scenario::federated::Federated;
use serde_json::{Value, json};

/// Addresses in an object, each as it is written.
fn addresses(object: &Value, pointer: &str) -> Vec<IpAddr> {
    let list = object.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let text = |value: &Value| value.get("ip").unwrap_or(value).as_str().map(str::to_owned);
    list.filter_map(text).map(|address| address.parse().unwrap()).collect()
}

/// The lab with these families, until the value is dropped.
struct Switched {
    paths: Paths,
}

impl Switched {
    fn to(family: Family) -> Result<Self> {
        let paths = Paths::from_env()?;
        if !cluster::is_well(&paths) {
            return Err(Error::State("the lab is not up: `make lab`".into()));
        }
        let switched = Self { paths: paths.clone() };
        cluster::down(&paths, KeepLogs::No)?;
        cluster::up(&paths, family)?;
        Ok(switched)
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        let back = cluster::down(&self.paths, KeepLogs::No)
            .and_then(|()| cluster::up(&self.paths, Family::Ipv4));
        if let Err(error) = back {
            eprintln!("cannot start the lab with IPv4 again: {error}");
        }
    }
}

#[test]
fn in_a_dual_stack_cluster_pods_services_records_and_streams_have_both_families() {
    federates_with(Family::Dual);
}

#[test]
fn in_a_cluster_with_ipv6_alone_the_federation_works() {
    federates_with(Family::Ipv6);
}

fn federates_with(family: Family) {
    let _switched = Switched::to(family).unwrap();
    let paths = Federated::stage().unwrap();
    let policy = match family {
        Family::Dual => "RequireDualStack",
        Family::Ipv4 | Family::Ipv6 => "SingleStack",
    };
    let federation = json!({
        "apiVersion": "xmppfederation.dev/v1alpha1",
        "kind": "XmppFederation",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "domains": [{"name": LOCAL_ZONE}],
            "backends": [{"name": "im", "server": {"host": "prosody.im.svc"}}],
            "service": {"ipFamilyPolicy": policy},
            "egress": {"allowNetworks": ["198.18.0.0/15", "fd00::/8"]},
        },
    });
    let mut federated = Federated::apply(paths, &federation.to_string()).unwrap();
    federated.until_true("Ready").unwrap();
    let (mut ours, mut theirs) = federated.people().unwrap();
    conversation::say(&mut ours, &mut theirs, "hello over IPv6", &mut |_| ()).unwrap();
    conversation::say(&mut theirs, &mut ours, "hello to you too", &mut |_| ()).unwrap();

    let families = family.each(false, true);
    let are = |found: &[IpAddr]| -> Vec<bool> { found.iter().map(IpAddr::is_ipv6).collect() };
    let service: Value = get(&federated.paths, &["service", NAME, "-n", NAMESPACE]).unwrap();
    assert_eq!(are(&addresses(&service, "/spec/clusterIPs")), families);
    let mut assigned = addresses(&service, "/status/loadBalancer/ingress");
    assigned.sort();
    assert_eq!(are(&assigned), families);
    let selector = format!("app.kubernetes.io/instance={NAME}");
    let pods: Value = get(&federated.paths, &["pods", "-n", NAMESPACE, "-l", &selector]).unwrap();
    assert_eq!(are(&addresses(&pods, "/items/0/status/podIPs")), families);

    let host = format!("xmpp.{LOCAL_ZONE}");
    let mut published: Vec<IpAddr> = Vec::new();
    for kind in ["A", "AAAA"] {
        let answers = dig(Host::Other, &host, kind).unwrap();
        published.extend(answers.iter().map(|answer| answer.parse::<IpAddr>().unwrap()));
    }
    assert_eq!(published, assigned);
    for address in assigned {
        let to = SocketAddr::new(address, 5269);
        host::connect(Host::Partner, to, Duration::from_secs(10)).unwrap();
    }
    federated.until_true("InboundReachable").unwrap();
    let snapshot = federation::snapshot(&federated.paths).unwrap();
    let source = snapshot.object.pointer("/status/inbound/sourceAddress").and_then(Value::as_str);
    let source: IpAddr = source.unwrap().parse().unwrap();
    println!("the partner connected from {source}");
    if family == Family::Ipv6 {
        assert!(source.is_ipv6(), "{source}");
    }
}
