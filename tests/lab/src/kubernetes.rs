//! Access to the cluster: kubectl from outside of the node, in the node's network.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::command::Run;
use crate::error::Result;
use crate::host;
use crate::network::Host;
use crate::parts::Part;
use crate::paths::Paths;

/// kubectl as the administrator.
pub fn kubectl(paths: &Paths) -> Result<Run> {
    Ok(tool(paths, &Part::Kubernetes.file(paths, "kubectl")?))
}

/// helm as the administrator.
pub fn helm(paths: &Paths) -> Result<Run> {
    // helm keeps caches and settings. They are kept with the lab's state, not in a home directory.
    let home = paths.state.join("helm");
    Ok(tool(paths, &Part::Helm.file(paths, "helm")?)
        .env("HELM_CACHE_HOME", home.join("cache"))
        .env("HELM_CONFIG_HOME", home.join("config"))
        .env("HELM_DATA_HOME", home.join("data")))
}

/// Applies a manifest that is given as text.
pub fn apply(paths: &Paths, manifest: &str) -> Result<()> {
    kubectl(paths)?.args(["apply", "--server-side", "-f", "-"]).input(manifest).ok()
}

/// One object or a list of them: `get(paths, &["pods", "-n", "im"])`.
pub fn get<T: DeserializeOwned>(paths: &Paths, args: &[&str]) -> Result<T> {
    kubectl(paths)?.arg("get").args(args).args(["-o", "json"]).json()
}

fn tool(paths: &Paths, file: &Path) -> Run {
    // kubectl caches the API server's discovery data in the home directory, by address. The cache of an earlier lab is
    // wrong for this lab.
    host::in_network_of(Host::Node, file)
        .env("KUBECONFIG", paths.kubeconfig())
        .env("HOME", paths.state.join("home"))
}
