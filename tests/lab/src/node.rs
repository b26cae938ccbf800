//! The Kubernetes node: certificates, configuration files and programs.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use crate::command::Run;
use crate::error::{Error, Result};
use crate::family::{API_SERVICE_V6, Family, POD_CIDR_V6};
use crate::network::{API_SERVICE, Host, LOAD_BALANCER_CIDR, POD_CIDR, POD_CIDR_BITS, node_rules};
use crate::parts::{PAUSE_IMAGE, Part};
use crate::paths::{Paths, make_dir, write};
use crate::pki::{Authority, Subject, Usage, key_pair};
use crate::wait::{Seen, Wait, slowness};
use crate::{host, kubernetes};

/// The node's name in Kubernetes.
pub const NODE_NAME: &str = "node";
/// Length of [`POD_CIDR_V6`]: the only node has all of it.
const POD_CIDR_BITS_V6: u8 = 64;
/// Maximum time for one of the node's programs to become ready.
const START: Duration = Duration::from_mins(3);

/// The programs of the node; all of them must run.
pub const PROGRAMS: [&str; 7] = [
    "etcd",
    "containerd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
];

/// A Kubernetes client certificate: file, user, group.
const USERS: [(&str, &str, Option<&str>); 7] = [
    ("admin", "admin", Some("system:masters")),
    ("apiserver-kubelet", "apiserver-kubelet", Some("system:masters")),
    ("front-proxy", "front-proxy", None),
    ("controller-manager", "system:kube-controller-manager", None),
    ("scheduler", "system:kube-scheduler", None),
    ("proxy", "system:kube-proxy", None),
    ("lab", "lab", Some("system:masters")),
];

/// Creates certificates and configuration files.
pub fn prepare(paths: &Paths) -> Result<()> {
    let pki = paths.pki();
    let authority = Authority::create(&pki, "ca")?;
    let node = Host::Node.address().to_string();
    let api_names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "localhost",
        &node,
        &Host::Node.address_v6().to_string(),
        &API_SERVICE.to_string(),
        &API_SERVICE_V6.to_string(),
        "127.0.0.1",
    ]
    .map(str::to_owned)
    .to_vec();
    let server = Subject { name: "kube-apiserver", group: None, alternative_names: api_names };
    authority.issue("apiserver", &server, Usage::Server)?;
    let kubelet = Subject {
        name: "system:node:node",
        group: Some("system:nodes"),
        alternative_names: vec![
            NODE_NAME.to_owned(),
            node.clone(),
            Host::Node.address_v6().to_string(),
        ],
    };
    authority.issue("kubelet", &kubelet, Usage::Both)?;
    for (file, name, group) in USERS {
        let subject = Subject { name, group, alternative_names: Vec::new() };
        authority.issue(file, &subject, Usage::Client)?;
    }
    key_pair(&pki, "service-account")?;
    for user in ["controller-manager", "scheduler", "proxy", "kubelet", "lab"] {
        write(&pki.join(format!("{user}.kubeconfig")), kubeconfig(&pki, user))?;
    }
    write(&paths.kubeconfig(), kubeconfig(&pki, "admin"))?;

    let home = paths.host("node");
    write(&home.join("kubelet.yaml"), kubelet_config(paths))?;
    write(&home.join("containerd.toml"), containerd_config(paths))?;
    write(&home.join("cni/10-pods.conflist"), cni_config(&home, Family::of(paths)))?;
    write(&home.join("kube-proxy.yaml"), proxy_config(&pki, Family::of(paths)))?;
    make_dir(&home.join("etcd"))
}

/// Starts the node's programs and waits until the node is Ready.
pub fn start(paths: &Paths) -> Result<()> {
    Run::new("nsenter")
        .arg(format!("--net={}", Host::Node.namespace_file().display()))
        .args(["--", "nft", "-f", "-"])
        .input(node_rules(Family::of(paths)))
        .ok()?;
    program(paths, "etcd", "etcd", &etcd_args(paths))?;
    let containerd = paths.host("node").join("containerd.toml");
    let args = ["--config".to_owned(), containerd.display().to_string()];
    program(paths, "containerd", "containerd", &args)?;
    start_api_server(paths)?;

    let daemons = paths.daemons();
    Wait::new("containerd's socket", START).log(daemons.log("containerd")).until(|| {
        daemons.must_run("containerd")?;
        Ok(Seen::done_if(paths.containerd_socket().exists(), "no socket"))
    })?;
    import_image(paths, &Part::Kubernetes.file(paths, "pause.tar")?)?;
    kubernetes_program(paths, "kubelet", &kubelet_args(paths))?;
    kubernetes_program(
        paths,
        "kube-proxy",
        &[format!("--config={}", paths.host("node").join("kube-proxy.yaml").display())],
    )?;
    // The controller manager exits while the API server is still creating the first roles.
    wait_for_api_server(paths)?;
    kubernetes_program(paths, "kube-controller-manager", &controller_manager_args(paths))?;
    kubernetes_program(paths, "kube-scheduler", &scheduler_args(&paths.pki()))
}

/// Starts the API server.
pub fn start_api_server(paths: &Paths) -> Result<()> {
    kubernetes_program(paths, "kube-apiserver", &apiserver_args(paths))
}

/// Stops the API server; everything else goes on.
pub fn stop_api_server(paths: &Paths) -> Result<()> {
    host::stop_daemon(paths, "kube-apiserver")
}

/// Waits until the API server is ready.
pub fn wait_for_api_server(paths: &Paths) -> Result<()> {
    let daemons = paths.daemons();
    Wait::new("the API server to be ready", START)
        .log(daemons.log("kube-apiserver"))
        .log(daemons.log("etcd"))
        .until(|| {
            daemons.must_run("kube-apiserver")?;
            let answer = kubernetes::kubectl(paths)?.args(["get", "--raw", "/readyz"]).stdout();
            Ok(Seen::done_if(answer.is_ok(), "not ready"))
        })
}

/// Waits until the node is Ready.
pub fn wait_ready(paths: &Paths) -> Result<()> {
    let daemons = paths.daemons();
    Wait::new("the node to be Ready", START)
        .log(daemons.log("kubelet"))
        .log(daemons.log("containerd"))
        .until(|| {
            for name in PROGRAMS {
                daemons.must_run(name)?;
            }
            let query = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
            let status = kubernetes::kubectl(paths)?
                .args(["get", "node", NODE_NAME, "-o", query])
                .stdout()
                .unwrap_or_else(|error| error.to_string());
            Ok(Seen::done_if(status == "True", status))
        })
}

/// Imports an image from a tar file into the node.
pub fn import_image(paths: &Paths, file: &Path) -> Result<()> {
    if !file.is_file() {
        return Err(Error::State(format!("there is no image file {}", file.display())));
    }
    Run::new("ctr")
        .arg("--address")
        .arg(paths.containerd_socket())
        .args(["--namespace=k8s.io", "images", "import"])
        .arg(file)
        .ok()
}

fn kubernetes_program(paths: &Paths, name: &str, args: &[String]) -> Result<()> {
    let file = Part::Kubernetes.file(paths, name)?;
    program(paths, name, file, args)
}

fn program(paths: &Paths, name: &str, file: impl AsRef<Path>, args: &[String]) -> Result<()> {
    host::daemon(paths, name, host::on(paths, Host::Node, file)?.args(args)).map(drop)
}

fn etcd_args(paths: &Paths) -> Vec<String> {
    vec![
        format!("--data-dir={}", paths.host("node").join("etcd").display()),
        // The data is needed only while the lab runs; no test covers its durability on disk.
        "--unsafe-no-fsync".into(),
        "--listen-client-urls=http://127.0.0.1:2379".into(),
        "--advertise-client-urls=http://127.0.0.1:2379".into(),
        "--listen-peer-urls=http://127.0.0.1:2380".into(),
    ]
}

fn apiserver_args(paths: &Paths) -> Vec<String> {
    let pki = paths.pki();
    let pki = pki.display();
    let family = Family::of(paths);
    let node = family.address(Host::Node);
    // The administrator's programs use the IPv4 address in each lab.
    let bind: IpAddr = if family == Family::Ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { node };
    vec![
        "--etcd-servers=http://127.0.0.1:2379".into(),
        format!("--advertise-address={node}"),
        format!("--bind-address={bind}"),
        "--secure-port=6443".into(),
        format!("--service-cluster-ip-range={}", family.service_cidrs()),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged=true".into(),
        format!("--client-ca-file={pki}/ca.crt"),
        format!("--tls-cert-file={pki}/apiserver.crt"),
        format!("--tls-private-key-file={pki}/apiserver.key"),
        format!("--kubelet-client-certificate={pki}/apiserver-kubelet.crt"),
        format!("--kubelet-client-key={pki}/apiserver-kubelet.key"),
        format!("--kubelet-certificate-authority={pki}/ca.crt"),
        "--kubelet-preferred-address-types=InternalIP".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={pki}/service-account.pub"),
        format!("--service-account-signing-key-file={pki}/service-account.key"),
        format!("--requestheader-client-ca-file={pki}/ca.crt"),
        "--requestheader-allowed-names=front-proxy".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        format!("--proxy-client-cert-file={pki}/front-proxy.crt"),
        format!("--proxy-client-key-file={pki}/front-proxy.key"),
    ]
}

fn controller_manager_args(paths: &Paths) -> Vec<String> {
    let (pki, family) = (paths.pki(), Family::of(paths));
    let pki = pki.display();
    let mut args = vec![
        format!("--kubeconfig={pki}/controller-manager.kubeconfig"),
        format!("--authentication-kubeconfig={pki}/controller-manager.kubeconfig"),
        format!("--authorization-kubeconfig={pki}/controller-manager.kubeconfig"),
        "--use-service-account-credentials".into(),
        // The node reports the network of its pods, as on most clusters. The network plugin assigns addresses of it by itself.
        "--allocate-node-cidrs".into(),
        format!("--cluster-cidr={}", family.pod_cidrs()),
        format!("--root-ca-file={pki}/ca.crt"),
        format!("--service-account-private-key-file={pki}/service-account.key"),
        format!("--cluster-signing-cert-file={pki}/ca.crt"),
        format!("--cluster-signing-key-file={pki}/ca.key"),
        "--leader-elect=false".into(),
    ];
    args.extend(match family {
        Family::Ipv4 => vec![format!("--node-cidr-mask-size={POD_CIDR_BITS}")],
        Family::Dual => vec![
            format!("--node-cidr-mask-size-ipv4={POD_CIDR_BITS}"),
            format!("--node-cidr-mask-size-ipv6={POD_CIDR_BITS_V6}"),
        ],
        Family::Ipv6 => vec![format!("--node-cidr-mask-size={POD_CIDR_BITS_V6}")],
    });
    args
}

fn scheduler_args(pki: &Path) -> Vec<String> {
    let config = pki.join("scheduler.kubeconfig");
    let config = config.display();
    vec![
        format!("--kubeconfig={config}"),
        format!("--authentication-kubeconfig={config}"),
        format!("--authorization-kubeconfig={config}"),
        "--leader-elect=false".into(),
    ]
}

fn kubelet_args(paths: &Paths) -> Vec<String> {
    let home = paths.host("node");
    let (v4, v6) = (Host::Node.address().to_string(), Host::Node.address_v6().to_string());
    let node_ips = Family::of(paths).each(v4, v6);
    vec![
        format!("--config={}", home.join("kubelet.yaml").display()),
        format!("--kubeconfig={}", paths.pki().join("kubelet.kubeconfig").display()),
        format!("--root-dir={}", home.join("kubelet").display()),
        format!("--cert-dir={}", home.join("kubelet/pki").display()),
        format!("--hostname-override={NODE_NAME}"),
        format!("--node-ip={}", node_ips.join(",")),
    ]
}

fn kubeconfig(pki: &Path, user: &str) -> String {
    let (server, pki) = (Host::Node.address(), pki.display());
    format!(
        "apiVersion: v1
kind: Config
clusters:
  - name: lab
    cluster: {{server: 'https://{server}:6443', certificate-authority: '{pki}/ca.crt'}}
users:
  - name: {user}
    user: {{client-certificate: '{pki}/{user}.crt', client-key: '{pki}/{user}.key'}}
contexts:
  - name: lab
    context: {{cluster: lab, user: {user}}}
current-context: lab
"
    )
}

fn kubelet_config(paths: &Paths) -> String {
    let (pki, socket) = (paths.pki(), paths.containerd_socket());
    let (pki, socket) = (pki.display(), socket.display());
    let group = paths.cgroup();
    // The kubelet also waits this long for a response about its node.
    let heartbeat = 2 * slowness();
    let family = Family::of(paths);
    let (dns, listen) = (family.cluster_dns(), if family.has_v6() { "::" } else { "0.0.0.0" });
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /{group}
cgroupsPerQOS: true
enforceNodeAllocatable: [pods]
failSwapOn: false
resolvConf: ''
clusterDNS: ['{dns}']
address: '{listen}'
clusterDomain: cluster.local
containerRuntimeEndpoint: 'unix://{socket}'
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: '{pki}/ca.crt'}}
authorization: {{mode: Webhook}}
tlsCertFile: '{pki}/kubelet.crt'
tlsPrivateKeyFile: '{pki}/kubelet.key'
evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}}
imageGCHighThresholdPercent: 100
syncFrequency: 10s
nodeStatusUpdateFrequency: {heartbeat}s
"
    )
}

fn containerd_config(paths: &Paths) -> String {
    let home = paths.host("node");
    let (home, socket) = (home.display(), paths.containerd_socket());
    let socket = socket.display();
    // restrict_oom_score_adj: without it, every sandbox fails if root lacks CAP_SYS_RESOURCE.
    // enable_unprivileged_ports: without it, a non-root pod cannot bind port 53, whatever its capabilities.
    // disabled_plugins: one creates directories in /opt, the other (containerd 1.7) listens there for its own plugins.
    // Debian 12 has containerd 1.6, Debian 13 has 1.7; both read this version of the file.
    format!(
        r#"version = 2
root = "{home}/containerd"
state = "{home}/containerd-state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
disable_apparmor = true
enable_unprivileged_ports = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{home}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"#
    )
}

/// Each pod has its own link, so that traffic between pods passes the node's packet filter, as Services require.
fn cni_config(home: &Path, family: Family) -> String {
    let subnets = family.each(POD_CIDR, POD_CIDR_V6);
    let ranges: Vec<_> =
        subnets.iter().map(|subnet| serde_json::json!([{"subnet": subnet}])).collect();
    let everything = family.each("0.0.0.0/0", "::/0");
    let routes: Vec<_> = everything.iter().map(|to| serde_json::json!({"dst": to})).collect();
    serde_json::json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "ranges": ranges,
                    "routes": routes,
                    "dataDir": home.join("addresses"),
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}

fn proxy_config(pki: &Path, family: Family) -> String {
    let pods = family.pod_cidrs();
    // The connection tracking limits belong to the machine, not to the namespace, so they are left unchanged.
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: '{pods}'
hostnameOverride: {NODE_NAME}
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
clientConnection: {{kubeconfig: '{}'}}
# LoadBalancer addresses of {LOAD_BALANCER_CIDR} are routed here by the internet's router.
",
        pki.join("proxy.kubeconfig").display()
    )
}
