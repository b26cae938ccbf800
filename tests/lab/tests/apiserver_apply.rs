//! `kubectl apply` of the whole tree, twice, to a real API server: the second time changes no object.

use std::collections::BTreeMap;

use lab::apiserver::ApiServer;
use lab::error::Result;
use lab::installed::{NAMESPACE, Release};
use lab::paths::{Paths, read};
use serde_json::Value;

/// UID and version of each object of a manifest.
fn versions(server: &ApiServer, manifest: &str) -> Result<BTreeMap<String, String>> {
    let list: Value =
        server.kubectl().args(["get", "-f", "-", "-o", "json"]).input(manifest).json()?;
    let text = |object: &Value, pointer: &str| {
        object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let items = list.pointer("/items").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(items
        .iter()
        .map(|object| {
            let name = ["/kind", "/metadata/namespace", "/metadata/name"];
            let version = ["/metadata/uid", "/metadata/resourceVersion"];
            (
                name.map(|pointer| text(object, pointer)).join(" "),
                version.map(|pointer| text(object, pointer)).join(" "),
            )
        })
        .collect())
}

#[test]
fn the_whole_tree_applied_twice_changes_nothing() {
    let paths = Paths::from_env().unwrap();
    let server = ApiServer::start(&paths).unwrap();
    for namespace in [NAMESPACE, "north", "south"] {
        server.kubectl().args(["create", "namespace", namespace]).ok().unwrap();
    }
    let chart = Release::usual(&["networkPolicy.enabled=true"]).rendered(&server).unwrap();
    server.apply(&chart).unwrap();
    server.wait_for_resource().unwrap();
    let federations = read(&paths.tree().join("docs/quickstart/federations.yaml")).unwrap();
    let tree = format!("{chart}\n---\n{federations}");
    for arguments in [
        &["apply", "--server-side", "--force-conflicts", "--field-manager=gitops", "-f", "-"][..],
        &["apply", "-f", "-"],
    ] {
        let apply = || server.kubectl().args(arguments).input(&tree).ok().unwrap();
        apply();
        let before = versions(&server, &tree).unwrap();
        assert!(before.len() > 10, "{before:?}");
        apply();
        assert_eq!(versions(&server, &tree).unwrap(), before, "{arguments:?}");
    }
}
