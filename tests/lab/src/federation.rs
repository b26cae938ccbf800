//! The product in the lab: images, chart, the federation `example` and its backend in namespace `im`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::addons;
use crate::backend::{Authentication, Backend, Release};
use crate::client::Server;
use crate::conditions::{Snapshot, Watch};
use crate::edge;
use crate::error::{Error, Result};
use crate::host;
use crate::kubernetes::{apply, get, helm, kubectl};
use crate::manifest::render;
use crate::network::Host;
use crate::node::import_image;
use crate::partner;
use crate::parts::Part;
use crate::paths::{Paths, write};
use crate::person::Person;
use crate::public_dns::{self, LOCAL_ZONE};
use crate::wait::{Seen, Wait, slowness};

/// The namespace of federation and backend.
pub const NAMESPACE: &str = "im";
/// The federation's name.
pub const NAME: &str = "example";
/// The namespace of the operator.
pub const OPERATOR_NAMESPACE: &str = "xmpp-federation-system";
/// The operator's release, chart and image.
pub const OPERATOR: &str = "xmpp-federation-operator";
const ENGINE: &str = "federation-engine";

/// Imports the images of `dist/` into the node and installs or upgrades the chart. Returns at once if exactly these are
/// installed.
pub fn install(paths: &Paths) -> Result<()> {
    let installation = installation(paths)?;
    if is_installed(paths, &installation)? {
        return Ok(());
    }
    import_image(paths, &Part::Prosody.file(paths, "prosody.tar")?)?;
    for name in [ENGINE, OPERATOR] {
        import_image(paths, &image_file(paths, name)?)?;
    }
    helm(paths)?
        .args(["upgrade", "--install", OPERATOR])
        .arg(chart(paths))
        .args(["--namespace", OPERATOR_NAMESPACE, "--create-namespace"])
        .arg(format!("--set=image.repository=localhost/{OPERATOR}"))
        .arg(format!("--set=engine.image.repository=localhost/{ENGINE}"))
        .args(["--set=image.tag=dev", "--set=engine.image.tag=dev"])
        .args(["--set=image.pullPolicy=Never", "--set=engine.image.pullPolicy=Never"])
        .arg(format!("--set-string=podAnnotations.{INSTALLATION}={installation}"))
        .arg("--wait")
        .arg(format!("--timeout={}m", 3 * slowness()))
        .ok()
}

/// The pods' annotation that identifies the installed images and chart. The images' tags are the same in every build,
/// so a change of this annotation replaces the operator's pod.
pub const INSTALLATION: &str = "installation";

fn chart(paths: &Paths) -> PathBuf {
    paths.tree().join("charts").join(OPERATOR)
}

/// A digest of everything that [`install`] installs.
fn installation(paths: &Paths) -> Result<String> {
    let mut digest = Sha256::new();
    digest.update(Part::Prosody.dir(paths)?.as_os_str().as_encoded_bytes());
    let mut files = vec![image_file(paths, ENGINE)?, image_file(paths, OPERATOR)?];
    list_files(&chart(paths), &mut files)?;
    for file in files {
        digest.update(file.as_os_str().as_encoded_bytes());
        digest.update(fs::read(&file).map_err(Error::io("reading", &file))?);
    }
    Ok(HEXLOWER.encode(&digest.finalize()))
}

/// All files below a directory, in order.
fn list_files(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let listing = Error::io("listing", directory);
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut paths: Vec<PathBuf> =
        entries.map_err(listing)?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            list_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// True if this installation exists and its operator is available.
fn is_installed(paths: &Paths, installation: &str) -> Result<bool> {
    let deployment: Value = get(
        paths,
        &[
            "deployment",
            "-n",
            OPERATOR_NAMESPACE,
            "-l",
            "app.kubernetes.io/name=xmpp-federation-operator",
        ],
    )?;
    let at = |pointer: &str| deployment.pointer(&format!("/items/0{pointer}"));
    let annotation = at(&format!("/spec/template/metadata/annotations/{INSTALLATION}"));
    let number = |pointer| at(pointer).and_then(Value::as_u64);
    Ok(annotation.and_then(Value::as_str) == Some(installation)
        && number("/status/observedGeneration") == number("/metadata/generation")
        && number("/status/updatedReplicas") == number("/spec/replicas")
        && number("/status/availableReplicas") == number("/spec/replicas"))
}

/// Removes all data of an earlier run: the namespace, its DNS records, the partner's accounts.
pub fn clear(paths: &Paths) -> Result<()> {
    kubectl(paths)?
        .args(["delete", "namespace", NAMESPACE, "--ignore-not-found"])
        .arg(format!("--timeout={}m", 3 * slowness()))
        .ok()?;
    // A failed test may have left these stopped, started or with another configuration.
    edge::remove(paths)?;
    if paths.daemons().running(addons::METALLB)?.is_none() {
        addons::start_metallb(paths)?;
    }
    // external-dns is stopped in the meantime. A pass that began before the namespace was deleted would write its
    // records again. A later pass would delete them while a test already relies on them.
    addons::stop_external_dns(paths)?;
    public_dns::empty_local_zone(paths)?;
    addons::start_external_dns(paths, &addons::RECORD_TYPES)?;
    partner::reset(paths)
}

/// Deletes the SRV records, as an administrator must: because of RFC 2136, external-dns never does.
pub fn remove_srv_records(paths: &Paths) -> Result<()> {
    let lines = ["_xmpp-server", "_xmpps-server"]
        .map(|service| format!("update delete {service}._tcp.{LOCAL_ZONE} SRV"));
    public_dns::update(paths, &lines.join("\n"))
}

/// Creates the namespace of federation and backend.
pub fn make_namespace(paths: &Paths) -> Result<()> {
    apply(paths, &render(paths, "namespace.yaml", &[])?)
}

/// Applies a federation that is given as text, in its namespace.
pub fn federate(paths: &Paths, federation: &str) -> Result<()> {
    make_namespace(paths)?;
    apply(paths, federation)
}

/// The demo's short federation.
pub fn short_federation(paths: &Paths) -> Result<String> {
    render(paths, "federation.yaml", &[])
}

/// The demo's federation behind a firewall with NAT.
pub fn federation_behind_nat(paths: &Paths) -> Result<String> {
    render(paths, "federation-nat.yaml", &[])
}

/// Starts to watch the federation.
pub fn watch(paths: &Paths) -> Result<Watch> {
    Watch::start(paths, NAMESPACE, NAME)
}

/// The DNS server that the status names for the backend.
pub fn backend_dns(snapshot: &Snapshot) -> Option<&str> {
    snapshot.object.pointer("/status/backends/0/dnsServer").and_then(Value::as_str)
}

/// A backend of the federation, with the user cupuser1 and with the default authentication if it supports that.
pub fn backend(release: Release) -> Backend {
    let authentication = match release.authentications() {
        [first, ..] => *first,
        [] => Authentication::Minted,
    };
    Backend {
        release,
        authentication,
        namespace: NAMESPACE.into(),
        name: release.server().into(),
        federation: NAME.into(),
        certificate: format!("{NAME}-backend-tls"),
        person: Person::cupuser1(),
    }
}

/// The lab's usual backend.
fn prosody() -> Backend {
    backend(Release::Prosody0_12)
}

/// A federation's manifest with this backend instead of the usual one.
pub fn with_backend(manifest: &str, backend: &Backend) -> String {
    manifest.replace("{host: prosody.im.svc}", &backend.reference())
}

/// Applies the backend, with the DNS server from the federation's status.
pub fn attach_backend(paths: &Paths, dns_server: &str) -> Result<()> {
    prosody().attach(paths, dns_server)
}

/// The backend's manifest with its DNS server and its user.
pub fn backend_manifest(paths: &Paths, dns_server: &str) -> Result<String> {
    prosody().manifest(paths, dns_server)
}

/// The address that clients of the backend connect to: its Service, with the authority that issued its certificate.
pub fn backend_server(paths: &Paths) -> Result<Server> {
    prosody().server(paths)
}

/// The address that clients of the partner connect to.
pub fn partner_server(paths: &Paths) -> Server {
    Server { address: Host::Partner.address().into(), authority: partner::authority(paths) }
}

/// Waits until the backend serves clients.
pub fn wait_for_backend(paths: &Paths) -> Result<()> {
    prosody().wait(paths)
}

/// Waits until the partner can reach a LoadBalancer Service for servers. The address is in the Service's status and in
/// DNS before kube-proxy has created its rules; until then, connections are dropped. Prosody tries an address once. A
/// `db:verify` in that gap is lost, together with every stanza that waits for the response. Therefore, no client may
/// send before this.
pub fn wait_for_public_port(paths: &Paths, service: &str) -> Result<()> {
    wait_for_public_port_in(paths, NAMESPACE, service)
}

/// The same for a Service of another namespace.
pub fn wait_for_public_port_in(paths: &Paths, namespace: &str, service: &str) -> Result<()> {
    let waiting = format!("the partner to reach Service {service} on port {S2S_PORT}");
    Wait::new(waiting, Duration::from_mins(2)).log(paths.daemons().log("kube-proxy")).until(|| {
        let object: Value = get(paths, &["service", service, "-n", namespace])?;
        let address = object.pointer("/status/loadBalancer/ingress/0/ip").and_then(Value::as_str);
        let Some(address) = address.and_then(|address| address.parse::<IpAddr>().ok()) else {
            return Ok(Seen::NotYet("it has no address".into()));
        };
        Ok(reached_by_partner(address))
    })
}

/// The same for the address of a firewall or proxy.
pub fn wait_for_public_address(paths: &Paths, address: Ipv4Addr) -> Result<()> {
    let waiting = format!("the partner to reach {address} on port {S2S_PORT}");
    Wait::new(waiting, Duration::from_mins(2))
        .log(paths.daemons().log("kube-proxy"))
        .until(|| Ok(reached_by_partner(address.into())))
}

fn reached_by_partner(address: IpAddr) -> Seen<()> {
    let to = SocketAddr::new(address, S2S_PORT);
    let refused = (0..CONNECTIONS)
        .find_map(|_| host::connect(Host::Partner, to, Duration::from_secs(2)).err());
    refused.map_or(Seen::Done(()), |error| Seen::NotYet(format!("{to}: {error}")))
}

/// The port of server-to-server connections (RFC 6120 section 14.7).
const S2S_PORT: u16 = 5269;
/// Each connection goes to a random pod of the Service, possibly to a deleted pod that is still in the rules.
const CONNECTIONS: usize = 6;

/// The logs of the product's pods, objects and events, for the report of a failure; also saved as `pods.log`.
pub fn pod_logs(paths: &Paths) -> Result<String> {
    let mut text = String::new();
    for (namespace, selector) in [
        (NAMESPACE, "backend"),
        (NAMESPACE, "app.kubernetes.io/managed-by=xmpp-federation-operator"),
        (OPERATOR_NAMESPACE, "app.kubernetes.io/name=xmpp-federation-operator"),
    ] {
        let args = ["logs", "-n", namespace, "-l", selector];
        let more = ["--prefix", "--all-containers", "--ignore-errors", "--tail=40"];
        let output = kubectl(paths)?.args(args).args(more).output()?;
        text.push_str(&String::from_utf8_lossy(&output.stdout));
        text.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    for args in [["get", "pods,services,xmppfederations", "-A"], ["get", "events", "-A"]] {
        text.push_str(&String::from_utf8_lossy(&kubectl(paths)?.args(args).output()?.stdout));
    }
    write(&paths.daemons().log("pods"), &text)?;
    Ok(text)
}

/// The current state of the federation.
pub fn snapshot(paths: &Paths) -> Result<Snapshot> {
    get(paths, &["xmppfederation", NAME, "-n", NAMESPACE]).map(Snapshot::of)
}

fn image_file(paths: &Paths, name: &str) -> Result<PathBuf> {
    let file = paths.tree().join("dist").join(format!("{name}.tar"));
    if file.is_file() {
        return Ok(file);
    }
    Err(Error::MissingTool {
        tool: file.display().to_string(),
        remedy: "build the images with `make images`".into(),
    })
}
