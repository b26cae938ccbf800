//! The usual cluster add-ons: CoreDNS, MetalLB and external-dns.

use std::time::Duration;

use crate::error::Result;
pub use crate::external_dns::RECORD_TYPES;
use crate::external_dns::{ExternalDns, Version};
use crate::host;
use crate::kubernetes::{apply, kubectl};
use crate::manifest::render;
use crate::network::Host;
use crate::node::import_image;
use crate::parts::Part;
use crate::paths::Paths;
use crate::public_dns::{LOCAL_ZONE, UPDATE_KEY, update_secret};
use crate::wait::{Seen, Wait, slowness};

/// Name of MetalLB's record and log.
pub const METALLB: &str = "metallb";
/// Name of external-dns' record and log.
pub const EXTERNAL_DNS: &str = "external-dns";
/// The owner in external-dns' ownership records.
const OWNER: &str = "lab";

/// Installs and starts all of them.
pub fn start(paths: &Paths) -> Result<()> {
    import_image(paths, &Part::CoreDns.file(paths, "coredns.tar")?)?;
    apply(paths, &render(paths, "coredns.yaml", &[])?)?;

    let endpoint_crd = Part::ExternalDns.file(paths, "dnsendpoints.yaml")?;
    let metallb_crds = Part::MetalLb.file(paths, "crds")?;
    kubectl(paths)?
        .args(["apply", "--server-side", "-f"])
        .arg(endpoint_crd)
        .arg("-f")
        .arg(metallb_crds)
        .ok()?;
    wait_for_crds(paths, &["dnsendpoints.externaldns.k8s.io", "ipaddresspools.metallb.io"])?;
    apply(paths, "{apiVersion: v1, kind: Namespace, metadata: {name: metallb-system}}")?;
    apply(paths, &render(paths, "address-pool.yaml", &[])?)?;
    start_metallb(paths)?;
    start_external_dns(paths, &RECORD_TYPES)
}

/// Starts MetalLB's controller.
pub fn start_metallb(paths: &Paths) -> Result<()> {
    let controller = host::on(paths, Host::Node, Part::MetalLb.file(paths, "controller")?)?
        .arg(format!("--kubeconfig={}", kubeconfig(paths)))
        .args(["--namespace=metallb-system", "--webhook-mode=disabled", "--disable-cert-rotation"]);
    host::daemon(paths, METALLB, controller).map(drop)
}

/// Waits until the cluster's DNS server responds.
pub fn wait_ready(paths: &Paths) -> Result<()> {
    let daemons = paths.daemons();
    Wait::new("CoreDNS to be available", Duration::from_mins(3))
        .log(daemons.log("kubelet"))
        .log(daemons.log("containerd"))
        .until(|| {
            let query = "jsonpath={.status.availableReplicas}";
            let available = kubectl(paths)?
                .args(["get", "deployment", "coredns", "-n", "kube-system", "-o", query])
                .stdout()?;
            Ok(Seen::done_if(available == "1", format!("{available:?} replicas available")))
        })
}

/// Restarts external-dns with these record types.
pub fn restart_external_dns(paths: &Paths, record_types: &[&str]) -> Result<()> {
    stop_external_dns(paths)?;
    start_external_dns(paths, record_types)
}

/// Stops external-dns; its records stay.
pub fn stop_external_dns(paths: &Paths) -> Result<()> {
    host::stop_daemon(paths, EXTERNAL_DNS)
}

/// Starts external-dns with these record types.
pub fn start_external_dns(paths: &Paths, record_types: &[&str]) -> Result<()> {
    let arguments = ExternalDns {
        version: Version::Current,
        kubeconfig: &paths.pki().join("lab.kubeconfig"),
        record_types,
        owner: OWNER,
        server: (Host::Dns.address(), 53).into(),
        zone: LOCAL_ZONE,
        key: (UPDATE_KEY, &update_secret(paths)?),
    }
    .arguments();
    let run = host::on(paths, Host::Node, Part::ExternalDns.file(paths, "external-dns")?)?
        .args(arguments);
    host::daemon(paths, EXTERNAL_DNS, run).map(drop)
}

/// The administrator's kubeconfig for programs on the node.
pub(crate) fn kubeconfig(paths: &Paths) -> String {
    paths.pki().join("lab.kubeconfig").display().to_string()
}

/// Waits until the API server serves these CRDs.
pub fn wait_for_crds(paths: &Paths, names: &[&str]) -> Result<()> {
    kubectl(paths)?
        .args(["wait", "--for=condition=Established"])
        .arg(format!("--timeout={}s", 30 * slowness()))
        .args(names.iter().map(|name| format!("crd/{name}")))
        .ok()
}
