//! The NetworkPolicy of a federation, enforced by a real controller: what it refuses, and that the federation works under it.

#![allow(clippy::unwrap_used, reason = "a test states its expectations so")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use lab::error::{Error, Result};
use lab::federation::{self, NAME, NAMESPACE};
use lab::host;
use lab::kubernetes::{apply, kubectl};
use lab::manifest::render;
use lab::network::{API_SERVICE, Host};
use lab::paths::Paths;
use lab::policy::{Enforcement, pod_address, reaches};
use lab::scenario::conversation;
use lab::scenario::federated::Federated;
use lab::wait::{Seen, Wait};

/// Ports of an engine pod that no pod of another namespace may reach: metrics, control, inner leg, DNS for the backend.
const INNER_PORTS: [u16; 4] = [9090, 9443, 15269, 5353];
/// The port for servers of other domains.
const S2S_PORT: u16 = 5269;
/// The metadata service of most clouds.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// A metadata service on the node, as clouds have it.
struct Metadata {
    listener: TcpListener,
}

impl Metadata {
    fn start() -> Result<Self> {
        ip(&["address", "replace", &format!("{METADATA}/32"), "dev", "lo"])?;
        let listener = host::listen(Host::Node, SocketAddr::new(METADATA.into(), 80));
        Ok(Self { listener: listener.map_err(Error::io("listening on", METADATA.to_string()))? })
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        ip(&["address", "del", &format!("{METADATA}/32"), "dev", "lo"]).unwrap();
    }
}

fn ip(args: &[&str]) -> Result<()> {
    host::in_network_of(Host::Node, "ip").args(args).ok()
}

/// A pod of another namespace, until the value is dropped.
struct Stranger {
    paths: Paths,
}

impl Stranger {
    fn start(paths: &Paths) -> Result<Self> {
        apply(paths, &render(paths, "stranger.yaml", &[])?)?;
        let ready = ["wait", "--for=condition=Ready", "pod/stranger", "-n", "stranger"];
        kubectl(paths)?.args(ready).arg("--timeout=2m").ok()?;
        Ok(Self { paths: paths.clone() })
    }

    fn address(&self) -> IpAddr {
        pod_address(&self.paths, "stranger", "app=stranger").unwrap()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let delete = ["delete", "namespace", "stranger", "--wait=false"];
        kubectl(&self.paths).unwrap().args(delete).ok().unwrap();
    }
}

#[test]
fn the_enforced_policy_refuses_strangers_and_inner_addresses_and_the_federation_works() {
    let paths = Federated::stage().unwrap();
    let (metadata, stranger) = (Metadata::start().unwrap(), Stranger::start(&paths).unwrap());
    let enforcement = Enforcement::start(&paths).unwrap();
    let manifest = render(&paths, "federation-policy.yaml", &[]).unwrap();
    let mut federated = Federated::apply(paths, &manifest).unwrap();
    federated.until_true("Ready").unwrap();
    let (mut ours, mut theirs) = federated.people().unwrap();
    conversation::say(&mut ours, &mut theirs, "hello through the policy", &mut |_| ()).unwrap();
    conversation::say(&mut theirs, &mut ours, "hello to you too", &mut |_| ()).unwrap();

    let paths = &federated.paths;
    let selector = format!("app.kubernetes.io/instance={NAME}");
    let engine = pod_address(paths, NAMESPACE, &selector).unwrap();
    let mut attempts: Vec<(IpAddr, SocketAddr)> =
        INNER_PORTS.map(|port| (stranger.address(), SocketAddr::new(engine, port))).into();
    let node = IpAddr::from(Host::Node.address());
    for to in
        [SocketAddr::new(node, 6443), SocketAddr::new(API_SERVICE.into(), 443), metadata.address()]
    {
        attempts.push((engine, to));
    }
    let reached = || -> Vec<(IpAddr, SocketAddr)> {
        let reached = |(from, to): &(IpAddr, SocketAddr)| reaches(paths, *from, *to).unwrap();
        attempts.iter().filter(|attempt| reached(attempt)).copied().collect()
    };
    enforcement.must_run().unwrap();
    Wait::new("the policy to be in force", Duration::from_mins(1))
        .log(enforcement.log())
        .until(|| {
            let open = reached();
            Ok(Seen::done_if(open.is_empty(), format!("open: {open:?}")))
        })
        .unwrap();
    let public = SocketAddr::new(engine, S2S_PORT);
    assert!(reaches(paths, stranger.address(), public).unwrap(), "everybody may federate");
    let snapshot = federation::snapshot(paths).unwrap();
    assert!(snapshot.is_true("Ready"), "{snapshot:?}");

    // Without the controller, all of it is open: nothing else refuses it.
    drop(enforcement);
    assert_eq!(reached(), attempts);
}
