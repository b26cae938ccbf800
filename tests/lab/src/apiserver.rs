//! A standalone etcd and kube-apiserver, both real, on loopback. They serve tests of the resource, its validation rules
//! and the operator's permissions, which need a real API server. Needs no root. Dropping the value stops both servers.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::claim;
use harness::environment;
use tempfile::TempDir;

pub use crate::audit::Timed;
use crate::audit::{self, Request};
use crate::command::{Run, which};
use crate::error::{Error, Result};
use crate::parts::Part;
use crate::paths::{Paths, write};
use crate::pki::{self, Authority, Subject, Usage};
use crate::wait::{Seen, Wait};

/// Maximum time for the servers to become ready on a busy machine.
const READY: Duration = Duration::from_secs(90);

/// Virtual addresses of Services, two for each federation; nothing listens there.
pub const SERVICE_CIDR: &str = "198.18.64.0/20";

/// The API server with its etcd.
#[derive(Debug)]
pub struct ApiServer {
    // Declared in this order so that the servers stop before their directory is removed.
    kube_apiserver: Program,
    etcd: Program,
    dir: TempDir,
    kubectl: PathBuf,
    url: String,
}

impl ApiServer {
    /// Starts both servers and waits until the API server is ready.
    pub fn start(paths: &Paths) -> Result<Self> {
        Self::start_with(paths, SERVICE_CIDR)
    }

    /// The same with this range of addresses for Services.
    pub fn start_with(paths: &Paths, service_cidr: &str) -> Result<Self> {
        let etcd = which("etcd").ok_or_else(|| Error::MissingTool {
            tool: "etcd".into(),
            remedy: "install the package etcd-server, or run `lab build`".into(),
        })?;
        let kube_apiserver = Part::Kubernetes.file(paths, "kube-apiserver")?;
        let kubectl = Part::Kubernetes.file(paths, "kubectl")?;
        let dir = tempfile::Builder::new()
            .prefix("xfed-apiserver-")
            .tempdir()
            .map_err(Error::io("making a directory in", std::env::temp_dir()))?;
        let [etcd_client, etcd_peer, port] = free_ports()?;
        let (etcd_client, etcd_peer) =
            (format!("http://127.0.0.1:{etcd_client}"), format!("http://127.0.0.1:{etcd_peer}"));
        let url = format!("https://127.0.0.1:{port}");
        make_pki(dir.path())?;
        write(&dir.path().join("audit.yaml"), audit::POLICY)?;
        write_kubeconfig(dir.path(), &url, ADMIN, &client_certificate(dir.path(), ADMIN))?;
        let etcd = Program::start(
            dir.path(),
            &etcd,
            &[
                format!("--data-dir={}", dir.path().join("etcd").display()),
                // The data is needed only during the test; the test does not cover its durability on disk.
                "--unsafe-no-fsync".into(),
                format!("--listen-client-urls={etcd_client}"),
                format!("--advertise-client-urls={etcd_client}"),
                format!("--listen-peer-urls={etcd_peer}"),
                format!("--initial-advertise-peer-urls={etcd_peer}"),
                format!("--initial-cluster=default={etcd_peer}"),
            ],
            &[],
        )?;
        let arguments = apiserver_args(dir.path(), &etcd_client, port, service_cidr);
        let kube_apiserver = Program::start(dir.path(), &kube_apiserver, &arguments, &[])?;
        let mut server = Self { kube_apiserver, etcd, dir, kubectl, url };
        server.wait_ready()?;
        Ok(server)
    }

    /// kubectl as the administrator.
    pub fn kubectl(&self) -> Run {
        self.kubectl_as(ADMIN)
    }

    /// kubectl as a user that [`Self::log_in`] has created.
    pub fn kubectl_as(&self, user: &str) -> Run {
        // kubectl caches the discovery data of the server. The cache is kept with the server, not in a home directory.
        Run::new(&self.kubectl)
            .env("KUBECONFIG", self.kubeconfig(user))
            .env("HOME", self.dir.path())
    }

    /// The kubeconfig file of this server for this user.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.dir.path().join(format!("{user}.kubeconfig"))
    }

    /// Creates token credentials for a service account, as pods have them. The user has the account's name.
    pub fn log_in(&self, namespace: &str, account: &str) -> Result<()> {
        self.log_in_as(namespace, account, account)
    }

    /// The same for a user of this name: accounts of different namespaces may have the same name.
    pub fn log_in_as(&self, namespace: &str, account: &str, user: &str) -> Result<()> {
        let token = self.kubectl().args(["create", "token", account, "-n", namespace]).stdout()?;
        let credentials = format!("{{token: '{token}'}}");
        write_kubeconfig(self.dir.path(), &self.url, user, &credentials)
    }

    /// The directory of its files, which is removed with the value.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// All requests of a user so far; service accounts are `system:serviceaccount:NAMESPACE:NAME`.
    pub fn requests_of(&self, user: &str) -> Result<Vec<Request>> {
        audit::requests_of(&self.dir.path().join("audit.log"), user)
    }

    /// All requests for resources so far, with their times.
    pub fn timed_requests(&self) -> Result<Vec<Timed>> {
        audit::timed(&self.dir.path().join("audit.log"))
    }

    /// Applies a manifest that is given as text.
    pub fn apply(&self, manifest: &str) -> Result<()> {
        self.kubectl().args(["apply", "--server-side", "-f", "-"]).input(manifest).ok()
    }

    /// Installs the CRD from `crds/` as the README describes, and waits until clients can discover it. Returns the
    /// output of kubectl.
    pub fn install_crd(&self) -> Result<String> {
        let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
        let said = self.kubectl().args(["apply", "-f"]).arg(crds).stdout()?;
        self.wait_for_resource()?;
        Ok(said)
    }

    /// Waits until clients can discover the resource after its CRD is applied.
    pub fn wait_for_resource(&self) -> Result<()> {
        // Discovery and OpenAPI are updated some time after the CRD.
        Wait::new("the API server to offer the resource", READY).until(|| {
            // kubectl would cache a discovery result without the resource for ten minutes.
            let uncached = ["api-resources", "--cached=false", "--api-group=xmppfederation.dev"];
            self.kubectl().args(uncached).ok()?;
            let seen = self.kubectl().args(["explain", "xfed.spec"]).output()?;
            let text = String::from_utf8_lossy(&seen.stderr).into_owned();
            Ok(Seen::done_if(seen.status.success(), text))
        })
    }

    fn wait_ready(&mut self) -> Result<()> {
        let ready = Wait::new("the API server to be ready", READY)
            .log(&self.kube_apiserver.log)
            .log(&self.etcd.log);
        ready.until(|| {
            self.kube_apiserver.must_run()?;
            self.etcd.must_run()?;
            // The default namespace is created after the server reports that it is ready.
            let look = ["get", "namespace/default", "--request-timeout=5s"];
            let seen = self.kubectl().args(look).output()?;
            let text = String::from_utf8_lossy(&seen.stderr).into_owned();
            Ok(Seen::done_if(seen.status.success(), text))
        })
    }
}

/// The administrator.
const ADMIN: &str = "admin";

/// A program that stops when the value is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts a program with these arguments and environment variables. It logs into a file with its name in `dir`.
    pub fn start(
        dir: &Path,
        program: &Path,
        arguments: &[String],
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self::start_as(&name, dir, program, arguments, environment)
    }

    /// The same with another name, for a program that runs several times.
    pub fn start_as(
        name: &str,
        dir: &Path,
        program: &Path,
        arguments: &[String],
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let file = File::create(&log).map_err(Error::io("making", &log))?;
        let also = file.try_clone().map_err(Error::io("opening", &log))?;
        let mut command = Command::new(program);
        environment::of_lab(&mut command);
        let child = command
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(also)
            .spawn()
            .map_err(|source| Error::Io { doing: format!("starting {name}"), source })?;
        Ok(Self { child, log })
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The file that receives its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Fails with the end of its log if it has exited.
    pub fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Wait::new("a program to stay up", Duration::ZERO)
                .log(&self.log)
                .expired(Duration::ZERO, format!("it ended with {status}"))),
            Err(source) => Err(Error::io("looking after", &self.log)(source)),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // None of the programs has data to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn apiserver_args(dir: &Path, etcd: &str, port: u16, service_cidr: &str) -> Vec<String> {
    let pki = dir.display();
    vec![
        format!("--etcd-servers={etcd}"),
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={port}"),
        format!("--service-cluster-ip-range={service_cidr}"),
        "--authorization-mode=RBAC".into(),
        format!("--client-ca-file={pki}/ca.crt"),
        format!("--tls-cert-file={pki}/apiserver.crt"),
        format!("--tls-private-key-file={pki}/apiserver.key"),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={pki}/service-account.pub"),
        format!("--service-account-signing-key-file={pki}/service-account.key"),
        format!("--audit-policy-file={pki}/audit.yaml"),
        format!("--audit-log-path={pki}/audit.log"),
    ]
}

fn make_pki(dir: &Path) -> Result<()> {
    let authority = Authority::create(dir, "ca")?;
    let server = Subject {
        name: "kube-apiserver",
        group: None,
        alternative_names: vec!["127.0.0.1".into(), "localhost".into()],
    };
    authority.issue("apiserver", &server, Usage::Server)?;
    let admin = Subject { name: ADMIN, group: Some("system:masters"), ..Subject::default() };
    authority.issue(ADMIN, &admin, Usage::Client)?;
    pki::key_pair(dir, "service-account")
}

fn client_certificate(dir: &Path, user: &str) -> String {
    let dir = dir.display();
    format!("{{client-certificate: '{dir}/{user}.crt', client-key: '{dir}/{user}.key'}}")
}

fn write_kubeconfig(dir: &Path, url: &str, user: &str, credentials: &str) -> Result<()> {
    let text = format!(
        "apiVersion: v1
kind: Config
clusters:
  - name: test
    cluster: {{server: '{url}', certificate-authority: '{dir}/ca.crt'}}
users:
  - name: {user}
    user: {credentials}
contexts:
  - name: test
    context: {{cluster: test, user: {user}, namespace: default}}
current-context: test
",
        dir = dir.display()
    );
    write(&dir.join(format!("{user}.kubeconfig")), text)
}

/// Ports of 127.0.0.1 that no other process gets while this process runs; see [`claim`].
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let failed = |source| Error::Io { doing: "claiming a port of 127.0.0.1".into(), source };
    let mut ports = [0; N];
    for port in &mut ports {
        *port = claim::port().map_err(failed)?.port();
    }
    Ok(ports)
}
