//! The parts of the lab: the list, the versions, and the build of each part into the cache.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use mkimage::{Image, layer_of_files};
use sha2::{Digest as _, Sha256};

use crate::command::Run;
use crate::debian::Debian;
use crate::error::{Error, Result};
use crate::paths::{Paths, make_dir};
use crate::progress::step;
use crate::rootfs::pack;
use crate::{go, packages, rootfs};

const KUBERNETES: &str = "1.36.3";
const EXTERNAL_DNS: &str = "0.22.0";
/// Writes SRV targets without trailing dot only, and reads annotations with the prefix `external-dns.alpha.kubernetes.io`.
const EXTERNAL_DNS_0_20: &str = "0.20.0";
/// Cannot write SRV records at all.
const EXTERNAL_DNS_0_21: &str = "0.21.0";
const COREDNS: &str = "1.13.1";
const METALLB: &str = "0.13.12";
const HELM: &str = "4.2.4";
const CERT_MANAGER: &str = "1.21.2";
const PEBBLE: &str = "2.10.3";
/// The Go library of the component.
const MELLIUM: &str = "0.22.0";
const KUBE_ROUTER: &str = "2.1.0";
/// The library of the Kubernetes project for APIs of custom metrics; its minor version is that of Kubernetes.
const CUSTOM_METRICS: &str = "1.36.0";
/// The OpenTelemetry Collector.
const COLLECTOR: &str = "0.161.0";
/// Debian 12's Prosody; also the tag of its image.
pub const PROSODY: &str = "0.12.3";
/// The name of Prosody's image on the node.
pub const PROSODY_IMAGE: &str = "localhost/prosody:0.12.3";
/// The name of CoreDNS' image on the node.
pub const COREDNS_IMAGE: &str = "localhost/coredns:1.13.1";
/// The name of the image that holds a pod's namespaces.
pub const PAUSE_IMAGE: &str = "localhost/pause:1.36.3";

/// Increment this when the build method of the parts changes, so that old parts are not mistaken for new ones.
const RECIPE: &str = "2";

/// Name prefix of a directory in which a part is being built.
pub(crate) const UNFINISHED: &str = ".building-";

/// The six commands of Kubernetes, in the order in which the lab needs them.
const KUBERNETES_COMMANDS: [&str; 6] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
];

/// One part: a directory in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `kube-apiserver`, `kube-controller-manager`, `kube-scheduler`, `kubelet`, `kube-proxy`, `kubectl`; `pause.tar`.
    Kubernetes,
    /// `external-dns` and the DNSEndpoint CRD.
    ExternalDns,
    /// `external-dns` of an older version.
    OldExternalDns(OldExternalDns),
    /// `coredns` and `coredns.tar`.
    CoreDns,
    /// MetalLB's `controller` and its CRDs.
    MetalLb,
    /// `helm`.
    Helm,
    /// `cert-manager`, the controllers for certificates of CA, self-signed and ACME issuers, and its CRDs.
    CertManager,
    /// `pebble`, the ACME server that Let's Encrypt offers for tests.
    Pebble,
    /// `kube-router`, which enforces network policies.
    KubeRouter,
    /// `custom-metrics`, which serves the metrics in a Prometheus to autoscalers.
    CustomMetrics,
    /// `collector`, the OpenTelemetry Collector with a receiver of traces.
    Collector,
    /// Prosody's root file system, `rootfs`, and `prosody.tar`.
    Prosody,
    /// `components`, a component (XEP-0114) by an unmodified Go library.
    Components,
    /// Another server's root file system, `rootfs`.
    Server(Debian),
    /// The image of another server for pods, `image.tar`.
    Image(Debian),
}

/// Older versions of external-dns, with which the operator must work or say why it cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldExternalDns {
    /// The last version that writes SRV targets without trailing dot.
    V0_20,
    /// The version that writes no SRV records.
    V0_21,
}

impl Part {
    /// All parts of the lab; parts that are needed first come first.
    pub const ALL: [Self; 7] = [
        Self::Prosody,
        Self::Kubernetes,
        Self::CoreDns,
        Self::MetalLb,
        Self::Helm,
        Self::ExternalDns,
        Self::KubeRouter,
    ];
    /// The additional parts of the tests of older versions; the lab does not need them.
    pub const OLD_VERSIONS: [Self; 2] =
        [Self::OldExternalDns(OldExternalDns::V0_20), Self::OldExternalDns(OldExternalDns::V0_21)];
    /// The additional parts of the tests of certificates; the lab does not need them.
    pub const ISSUERS: [Self; 2] = [Self::CertManager, Self::Pebble];
    /// The additional parts of the tests of autoscaling and traces; the lab does not need them.
    pub const MONITORS: [Self; 2] = [Self::CustomMetrics, Self::Collector];
    /// The additional parts of the interoperability tests and of the tests of backends; the lab does not need them.
    pub const SERVERS: [Self; 15] = [
        Self::Components,
        Self::Server(Debian::Haproxy12),
        Self::Server(Debian::Nginx12),
        Self::Server(Debian::Resolved12),
        Self::Server(Debian::Biboumi12),
        Self::Server(Debian::Ejabberd12),
        Self::Server(Debian::Jabberd12),
        Self::Server(Debian::Prosody13),
        Self::Server(Debian::Ejabberd13),
        Self::Server(Debian::Slixmpp12),
        Self::Image(Debian::Slixmpp12),
        Self::Image(Debian::Ejabberd12),
        Self::Image(Debian::Jabberd12),
        Self::Image(Debian::Prosody13),
        Self::Image(Debian::Ejabberd13),
    ];

    /// Human-readable name and version.
    pub const fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::Kubernetes => ("kubernetes", KUBERNETES),
            Self::ExternalDns => ("external-dns", EXTERNAL_DNS),
            Self::OldExternalDns(OldExternalDns::V0_20) => ("external-dns", EXTERNAL_DNS_0_20),
            Self::OldExternalDns(OldExternalDns::V0_21) => ("external-dns", EXTERNAL_DNS_0_21),
            Self::CoreDns => ("coredns", COREDNS),
            Self::MetalLb => ("metallb", METALLB),
            Self::Helm => ("helm", HELM),
            Self::CertManager => ("cert-manager", CERT_MANAGER),
            Self::Pebble => ("pebble", PEBBLE),
            Self::KubeRouter => ("kube-router", KUBE_ROUTER),
            Self::CustomMetrics => ("custom-metrics", CUSTOM_METRICS),
            Self::Collector => ("collector", COLLECTOR),
            Self::Prosody => ("prosody", PROSODY),
            Self::Components => ("components", MELLIUM),
            Self::Server(server) | Self::Image(server) => server.title(),
        }
    }

    /// True if the part consists of Debian packages and needs no Go.
    const fn is_unpacked(self) -> bool {
        matches!(self, Self::Prosody | Self::Server(_) | Self::Image(_))
    }

    /// Its directory in the cache: name, version, and a key of everything else that determines the content.
    pub fn dir(self, paths: &Paths) -> Result<PathBuf> {
        let (name, version) = self.title();
        let tools = match self {
            Self::Kubernetes
            | Self::ExternalDns
            | Self::CertManager
            | Self::CustomMetrics
            | Self::Collector
            | Self::Components => go::tools_text(&self.tools(paths))?,
            Self::Prosody => rootfs::RECIPE.to_owned(),
            Self::Server(server) => server.key(),
            Self::Image(server) => server.image_key(),
            Self::OldExternalDns(_)
            | Self::CoreDns
            | Self::MetalLb
            | Self::Helm
            | Self::KubeRouter
            | Self::Pebble => String::new(),
        };
        let digest = Sha256::digest(format!("{RECIPE}\n{tools}"));
        let key: String = HEXLOWER.encode(&digest).chars().take(8).collect();
        Ok(paths.cache.join(format!("{name}-{version}-{key}")))
    }

    /// A file of the part. If it is missing, the error states the remedy.
    pub fn file(self, paths: &Paths, file: &str) -> Result<PathBuf> {
        let path = self.dir(paths)?.join(file);
        if path.exists() {
            return Ok(path);
        }
        let (name, version) = self.title();
        Err(Error::MissingTool {
            tool: format!("{name} {version}: {file}"),
            remedy: match self {
                Self::CertManager | Self::Pebble => "build them with `lab build --issuers`".into(),
                Self::CustomMetrics | Self::Collector => {
                    "build them with `lab build --monitors`".into()
                }
                Self::Components => "build it with `lab build --servers`".into(),
                _ => "build the lab's parts with `lab build`".into(),
            },
        })
    }

    fn tools(self, paths: &Paths) -> PathBuf {
        paths.source.join("tools").join(self.title().0)
    }

    fn build(self, paths: &Paths, out: &Path) -> Result<()> {
        match self {
            Self::Kubernetes => kubernetes(&self.tools(paths), out),
            Self::ExternalDns => external_dns(&self.tools(paths), out),
            Self::OldExternalDns(_) => {
                let (name, version) = self.title();
                step(&format!("{name} {version}"), || {
                    go::install(out, &format!("sigs.k8s.io/external-dns@v{version}"))
                })
            }
            Self::CoreDns => coredns(out),
            Self::MetalLb => metallb(out),
            Self::Helm => step(&format!("helm {HELM}"), || {
                go::install(out, &format!("helm.sh/helm/v4/cmd/helm@v{HELM}"))
            }),
            Self::CertManager => cert_manager(&self.tools(paths), out),
            Self::Pebble => step(&format!("pebble {PEBBLE}"), || {
                go::install(out, &format!("github.com/letsencrypt/pebble/v2/cmd/pebble@v{PEBBLE}"))
            }),
            Self::KubeRouter => step(&format!("kube-router {KUBE_ROUTER}"), || {
                let command = "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router";
                go::install(out, &format!("{command}@v{KUBE_ROUTER}"))
            }),
            Self::CustomMetrics | Self::Collector => {
                let (name, version) = self.title();
                step(&format!("{name} {version}"), || {
                    let command = format!("xmppfederation.dev/lab/tools/{name}");
                    go::build(&self.tools(paths), out, &command)
                })
            }
            Self::Prosody => step(&format!("prosody {PROSODY}"), || rootfs::prosody(out)),
            Self::Components => step(&format!("component by mellium {MELLIUM}"), || {
                go::build(&self.tools(paths), out, "xmppfederation.dev/components")
            }),
            Self::Server(server) => {
                let (name, version) = server.title();
                step(&format!("{name} {version}"), || server.build(out))
            }
            Self::Image(server) => {
                let (name, version) = server.title();
                let root = Self::Server(server).file(paths, "rootfs")?;
                step(&format!("image of {name} {version}"), || server.pack(&root, out))
            }
        }
    }
}

/// Installs the Debian packages and builds every part that is missing from the cache.
pub fn build(paths: &Paths) -> Result<()> {
    build_only(paths, &Part::ALL)
}

/// Like [`build`], for the given parts only.
pub fn build_only(paths: &Paths, parts: &[Part]) -> Result<()> {
    packages::install()?;
    make_dir(&paths.cache)?;
    // One build at a time. The remains of an interrupted build are useless.
    let lock_file = paths.cache.join(".lock");
    let lock = File::create(&lock_file).map_err(Error::io("opening", &lock_file))?;
    lock.lock().map_err(Error::io("locking", &lock_file))?;
    let entries = fs::read_dir(&paths.cache).map_err(Error::io("listing", &paths.cache))?;
    for left in entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED))
    {
        // A program of a killed build may still write there for a moment; the next build removes the remains.
        let _ = fs::remove_dir_all(left.path());
    }
    for &part in parts {
        let dir = part.dir(paths)?;
        if dir.exists() {
            continue;
        }
        if !part.is_unpacked() {
            packages::require_go()?;
        }
        // Next to the final location, so that the rename is atomic; removed if the build fails.
        let out = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(&paths.cache)
            .map_err(Error::io("making a directory in", &paths.cache))?;
        part.build(paths, out.path())?;
        let built = out.keep();
        fs::rename(&built, &dir).map_err(Error::io("moving what was built to", &dir))?;
    }
    Ok(())
}

fn kubernetes(tools: &Path, out: &Path) -> Result<()> {
    // Without a version, the servers report v0.0.0, and the `kubeVersion` of charts refuses them.
    let version = "k8s.io/component-base/version";
    let minor = KUBERNETES.split('.').nth(1).unwrap_or_default();
    let ldflags = format!(
        "-s -w -X {version}.gitVersion=v{KUBERNETES} -X {version}.gitMajor=1 -X {version}.gitMinor={minor}"
    );
    for command in KUBERNETES_COMMANDS {
        step(&format!("{command} {KUBERNETES}"), || {
            go::build_optimised(tools, out, &ldflags, &format!("k8s.io/kubernetes/cmd/{command}"))
        })?;
    }
    step("pause image", || {
        let source = go::module_in(tools, "k8s.io/kubernetes")?.join("build/pause/linux/pause.c");
        let program = out.join("pause");
        Run::building("gcc")
            .args(["-Os", "-static", "-DVERSION=lab", "-o"])
            .arg(&program)
            .arg(source)
            .ok()?;
        let image = Image { user: "65535:65535".into(), entrypoint: vec!["/pause".into()] };
        let layer = layer_of_files(&[(program, "/pause".into())]);
        pack(&image, &out.join("pause.tar"), PAUSE_IMAGE, layer)
    })
}

fn external_dns(tools: &Path, out: &Path) -> Result<()> {
    step(&format!("external-dns {EXTERNAL_DNS}"), || {
        go::build(tools, out, "sigs.k8s.io/external-dns")?;
        let crd = "config/crd/standard/dnsendpoints.externaldns.k8s.io.yaml";
        let from = go::module_in(tools, "sigs.k8s.io/external-dns")?.join(crd);
        copy(&from, &out.join("dnsendpoints.yaml"))
    })
}

fn coredns(out: &Path) -> Result<()> {
    step(&format!("coredns {COREDNS}"), || {
        go::install(out, &format!("github.com/coredns/coredns@v{COREDNS}"))?;
        let image = Image { user: "65534:65534".into(), entrypoint: vec!["/coredns".into()] };
        let layer = layer_of_files(&[(out.join("coredns"), "/coredns".into())]);
        pack(&image, &out.join("coredns.tar"), COREDNS_IMAGE, layer)
    })
}

fn metallb(out: &Path) -> Result<()> {
    step(&format!("metallb {METALLB}"), || {
        go::install(out, &format!("go.universe.tf/metallb/controller@v{METALLB}"))?;
        let crds =
            go::module(&format!("go.universe.tf/metallb@v{METALLB}"))?.join("config/crd/bases");
        copy_manifests(&crds, &out.join("crds"))
    })
}

fn cert_manager(tools: &Path, out: &Path) -> Result<()> {
    step(&format!("cert-manager {CERT_MANAGER}"), || {
        go::build(tools, out, "xmppfederation.dev/lab/tools/cert-manager")?;
        let module = go::module_in(tools, "github.com/cert-manager/cert-manager")?;
        copy_manifests(&module.join("deploy/crds"), &out.join("crds"))
    })
}

/// Copies all manifests of a directory.
fn copy_manifests(from: &Path, to: &Path) -> Result<()> {
    make_dir(to)?;
    let entries = fs::read_dir(from).map_err(Error::io("listing", from))?;
    for entry in entries {
        let entry = entry.map_err(Error::io("listing", from))?;
        if entry.path().extension().is_some_and(|extension| extension == "yaml") {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Copies the content only, because files of the Go module cache are read-only.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).map_err(Error::io("reading", from))?;
    fs::write(to, content).map_err(Error::io("writing", to))
}
