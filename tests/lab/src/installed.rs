//! The operator on a standalone API server: the chart's objects, and the program outside of the cluster with the
//! permissions of its service account.

use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::program;
use serde_json::{Value, json};

use crate::apiserver::{ApiServer, Program, SERVICE_CIDR, free_ports};
use crate::command::Run;
use crate::conditions::Snapshot;
use crate::error::{Error, Result};
use crate::parts::Part;
use crate::paths::{Paths, write};
use crate::wait::{Seen, Wait};

/// The namespace of the release.
pub const NAMESPACE: &str = "xmpp-federation-system";
/// The release, and the operator's service account.
pub const ACCOUNT: &str = "xmpp-federation-operator";

/// Maximum time for one change on a busy machine.
const LIMIT: Duration = Duration::from_mins(2);

/// The chart of the version before, from the root of the tree.
pub const PREVIOUS_CHART: &str = "tests/lab/previous/xmpp-federation-operator-0.1.0.tgz";

/// A release of the chart.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    /// Its namespace, which must exist.
    pub namespace: &'a str,
    /// Its name, with that of the chart in it: the Deployment and the service account have the same name.
    pub name: &'a str,
    /// Its values.
    pub values: &'a [&'a str],
}

impl<'a> Release<'a> {
    /// The usual one with these values.
    pub fn usual(values: &'a [&'a str]) -> Self {
        Self { namespace: NAMESPACE, name: ACCOUNT, values }
    }

    /// Applies the rendered manifests, and lets the operator's service account log in.
    pub fn install(&self, server: &ApiServer) -> Result<()> {
        server.apply(&self.rendered(server)?)?;
        server.wait_for_resource()?;
        server.log_in_as(self.namespace, self.name, &self.user())
    }

    /// The name of its account among the users of the server, which is unique.
    fn user(&self) -> String {
        if self.namespace == NAMESPACE {
            self.name.to_owned()
        } else {
            format!("{}.{}", self.namespace, self.name)
        }
    }

    /// The account's name in the audit log.
    pub fn account(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    /// The chart's rendered manifests.
    pub fn rendered(&self, server: &ApiServer) -> Result<String> {
        let helm = Part::Helm.file(&Paths::from_env()?, "helm")?;
        let mut run = Run::new(helm)
            .env("HOME", server.dir().as_os_str())
            .args(["template", self.name])
            .arg(source().join("charts/xmpp-federation-operator"))
            .args(["--no-hooks", "--namespace", self.namespace]);
        for value in self.values {
            run = run.args(["--set", value]);
        }
        run.stdout()
    }

    /// The operator, started outside of the cluster as the chart's Deployment starts it.
    pub fn start(&self, server: &ApiServer) -> Result<Program> {
        let [port] = free_ports()?;
        self.start_at(server, port)
    }

    /// The same, with its metrics at that port of 127.0.0.1.
    pub fn start_at(&self, server: &ApiServer, port: u16) -> Result<Program> {
        let Self { namespace, name, .. } = *self;
        let failed = |what: &str| Error::State(what.to_owned());
        let program =
            program::build("operator", ACCOUNT).map_err(|error| Error::State(error.to_string()))?;
        let deployment: Value = server
            .kubectl()
            .args(["get", "deployment", name, "-n", namespace, "-o", "json"])
            .json()?;
        let arguments = deployment
            .pointer("/spec/template/spec/containers/0/args")
            .and_then(Value::as_array)
            .ok_or_else(|| failed("the operator's Deployment has no arguments"))?;
        let mut own = Vec::new();
        for argument in arguments.iter().filter_map(Value::as_str) {
            if argument.starts_with("--domains=") {
                own.push(format!("--domains={}", self.domains(server)?.display()));
            } else if argument.starts_with("--log-filter-file=") {
                // Nobody follows the ConfigMap here; the default is the same.
            } else if !argument.starts_with("--listen=") {
                own.push(argument.to_owned());
            }
        }
        own.push(format!("--listen=127.0.0.1:{port}"));
        own.push(format!("--kubeconfig={}", server.kubeconfig(&self.user()).display()));
        let environment = [("POD_NAME", "operator-0"), ("POD_NAMESPACE", namespace)];
        Program::start_as(&self.user(), server.dir(), &program, &own, &environment)
    }

    /// The list of domains as a file, which the kubelet would make.
    fn domains(&self, server: &ApiServer) -> Result<PathBuf> {
        let map = format!("{}-domains", self.name);
        let text = server
            .kubectl()
            .args(["get", "configmap", &map, "-n", self.namespace])
            .args(["-o", r"jsonpath={.data.domains\.json}"])
            .stdout()?;
        let path = server.dir().join(format!("{}.domains.json", self.user()));
        write(&path, text)?;
        Ok(path)
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A server with the chart's objects and the namespace `im`, where the operator's service account can log in.
pub fn install(values: &[&str]) -> Result<ApiServer> {
    install_with(values, SERVICE_CIDR)
}

/// The same with this range of addresses for Services.
pub fn install_with(values: &[&str], service_cidr: &str) -> Result<ApiServer> {
    let server = ApiServer::start_with(&Paths::from_env()?, service_cidr)?;
    for namespace in [NAMESPACE, "im"] {
        server.kubectl().args(["create", "namespace", namespace]).ok()?;
    }
    Release::usual(values).install(&server)?;
    Ok(server)
}

/// The operator, started outside of the cluster as the chart's Deployment starts it.
pub fn start_operator(server: &ApiServer) -> Result<Program> {
    Release::usual(&[]).start(server)
}

/// The smallest federation. Its resolvers do not answer: nothing leaves the machine.
pub fn federation(namespace: &str, name: &str, domain: &str) -> Value {
    json!({
        "apiVersion": "xmppfederation.dev/v1alpha1",
        "kind": "XmppFederation",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "domains": [{"name": domain}],
            "backends": [{"name": "im", "server": {"host": "prosody.im.svc"}}],
            "dns": {"resolvers": ["127.0.0.1:1"]}
        }
    })
}

/// Creates the smallest federation with the name `example`. Its DNS records are published before its engine is ready.
pub fn create_example(server: &ApiServer, namespace: &str, domain: &str) -> Result<()> {
    let mut example = federation(namespace, "example", domain);
    if let Some(Value::Object(dns)) = example.pointer_mut("/spec/dns") {
        dns.insert("publish".to_owned(), json!("Always"));
    }
    server.apply(&example.to_string())
}

/// A federation as it is now.
pub fn snapshot(server: &ApiServer, namespace: &str, name: &str) -> Result<Snapshot> {
    let get = ["get", "xfed", name, "-n", namespace, "-o", "json"];
    Ok(Snapshot::of(server.kubectl().args(get).json()?))
}

/// Whether an object exists, as `kind/name`. There is none of a kind that the server does not have.
pub fn exists(server: &ApiServer, namespace: &str, object: &str) -> Result<bool> {
    let get = server.kubectl().args(["get", object, "-n", namespace]).output()?;
    Ok(get.status.success())
}

/// Waits until the operator has created an object.
pub fn until_exists(
    server: &ApiServer,
    operator: &mut Program,
    namespace: &str,
    object: &str,
) -> Result<()> {
    Wait::new(format!("{object} in namespace {namespace}"), LIMIT).log(operator.log()).until(|| {
        operator.must_run()?;
        Ok(Seen::done_if(exists(server, namespace, object)?, "it does not exist"))
    })
}
