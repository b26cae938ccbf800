//! The operator on a standalone API server: the chart's objects, and the program outside of the cluster with the
//! permissions of its service account.

use std::path::{Path, PathBuf};

use harness::program;
use serde_json::Value;

use crate::apiserver::{ApiServer, Program, free_ports};
use crate::command::Run;
use crate::error::{Error, Result};
use crate::parts::Part;
use crate::paths::Paths;

/// The namespace of the release.
pub const NAMESPACE: &str = "xmpp-federation-system";
/// The release, and the operator's service account.
pub const ACCOUNT: &str = "xmpp-federation-operator";

/// The chart's rendered manifests.
fn rendered(server: &ApiServer, values: &[&str]) -> Result<String> {
    let helm = Part::Helm.file(&Paths::from_env()?, "helm")?;
    let mut run = Run::new(helm)
        .env("HOME", server.dir().as_os_str())
        .args(["template", ACCOUNT])
        .arg(source().join("charts/xmpp-federation-operator"))
        .args(["--namespace", NAMESPACE]);
    for value in values {
        run = run.args(["--set", value]);
    }
    run.stdout()
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A server with the chart's objects and the namespace `im`, where the operator's service account can log in.
pub fn install(values: &[&str]) -> Result<ApiServer> {
    let server = ApiServer::start(&Paths::from_env()?)?;
    for namespace in [NAMESPACE, "im"] {
        server.kubectl().args(["create", "namespace", namespace]).ok()?;
    }
    server.apply(&rendered(&server, values)?)?;
    server.wait_for_resource()?;
    server.log_in(NAMESPACE, ACCOUNT)?;
    Ok(server)
}

/// The operator, started outside of the cluster as the chart's Deployment starts it.
pub fn start_operator(server: &ApiServer) -> Result<Program> {
    let failed = |what: &str| Error::State(what.to_owned());
    let program =
        program::build("operator", ACCOUNT).map_err(|error| Error::State(error.to_string()))?;
    let deployment: Value = server
        .kubectl()
        .args(["get", "deployment", ACCOUNT, "-n", NAMESPACE, "-o", "json"])
        .json()?;
    let [port] = free_ports()?;
    let arguments = deployment
        .pointer("/spec/template/spec/containers/0/args")
        .and_then(Value::as_array)
        .ok_or_else(|| failed("the operator's Deployment has no arguments"))?;
    let mut arguments: Vec<String> = arguments
        .iter()
        .filter_map(Value::as_str)
        .filter(|argument| !argument.starts_with("--listen="))
        .map(str::to_owned)
        .collect();
    arguments.push(format!("--listen=127.0.0.1:{port}"));
    arguments.push(format!("--kubeconfig={}", server.kubeconfig(ACCOUNT).display()));
    let environment = [("POD_NAME", "operator-0"), ("POD_NAMESPACE", NAMESPACE)];
    Program::start(server.dir(), &program, &arguments, &environment)
}
