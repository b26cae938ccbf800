//! The secrets of components (XEP-0114). Each Secret is mounted once, with the keys that the resource names, so that the
//! kubelet updates a secret that is replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crds::federation::XmppFederationSpec;
use crds::federation::backend::Attachment;
use crds::federation::reference::SecretKey;

use super::paths;

/// The name of every backend that is a component, and its secret, in the order of the spec.
pub fn references(spec: &XmppFederationSpec) -> impl Iterator<Item = (&str, &SecretKey)> {
    spec.backends.iter().filter_map(|backend| match &backend.attachment {
        Attachment::Component(component) => Some((backend.name.as_str(), &component.secret_ref)),
        Attachment::Server(_) => None,
    })
}

/// Whether any backend is a component.
pub fn any(spec: &XmppFederationSpec) -> bool {
    references(spec).next().is_some()
}

/// The file of a secret in the engine's container.
pub fn secret_file(reference: &SecretKey) -> PathBuf {
    PathBuf::from(format!("{}/{}", directory(&reference.name), reference.key))
}

/// The directory of a Secret's volume.
pub fn directory(secret: &str) -> String {
    format!("{}/{secret}", paths::COMPONENTS)
}

/// The Secrets by name, each with the keys that the resource names.
pub fn secrets(spec: &XmppFederationSpec) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut all = BTreeMap::<_, BTreeSet<_>>::new();
    for (_, SecretKey { name, key }) in references(spec) {
        all.entry(name.as_str()).or_default().insert(key.as_str());
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::build::{backend_service, deployment, engine_file, network_policy};
    use crate::fixtures::{given, settings, smallest, validated};

    fn with_components() -> Value {
        json!({
            "domains": [
                {"name": "bot.example.com", "backend": "bot"},
                {"name": "irc.example.com", "backend": "irc"}
            ],
            "backends": [
                {"name": "bot", "component": {"secretRef": {"name": "components", "key": "bot"}}},
                {"name": "irc", "component": {"secretRef": {"name": "components", "key": "irc"}}}
            ]
        })
    }

    fn pointers(object: &impl serde::Serialize, list: &str, field: &str) -> Vec<Value> {
        let object = serde_json::to_value(object).unwrap();
        let entries = object.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
        entries.iter().filter_map(|entry| entry.pointer(field).cloned()).collect()
    }

    #[test]
    fn a_component_gets_a_port_and_its_secret_and_a_server_does_not() {
        for (spec, has) in [(with_components(), true), (smallest(), false)] {
            let federation = validated(&spec);
            let service = backend_service::build(&federation).unwrap();
            assert_eq!(pointers(&service, "/spec/ports", "/port").contains(&json!(5347)), has);
            let policy = network_policy::build(&federation, &settings()).unwrap();
            let inner = pointers(&policy, "/spec/ingress/1/ports", "/port");
            assert_eq!(inner.contains(&json!(5347)), has);
            let pods = deployment::build(&federation, &settings());
            let container = "/spec/template/spec/containers/0";
            let ports = pointers(&pods, &format!("{container}/ports"), "/containerPort");
            assert_eq!(ports.contains(&json!(5347)), has);
            let mounts = pointers(&pods, &format!("{container}/volumeMounts"), "/mountPath");
            let directory = json!("/etc/xmpp-federation/components/components");
            assert_eq!(mounts.iter().filter(|path| **path == directory).count(), usize::from(has));
            let file = engine_file::file(&federation, &given());
            assert_eq!(file.listen.component.is_some(), has);
            assert_eq!(file.not_in_effect(), Vec::<String>::new());
        }
    }

    #[test]
    fn a_secret_of_several_components_is_mounted_once_with_the_keys_that_are_named() {
        let federation = validated(&with_components());
        let pods = deployment::build(&federation, &settings());
        let volumes = pointers(&pods, "/spec/template/spec/volumes", "");
        let of: Vec<&Value> =
            volumes.iter().filter(|one| one["secret"]["secretName"] == "components").collect();
        let [volume] = of[..] else { panic!("{of:?}") };
        let keys = pointers(volume, "/secret/items", "/key");
        assert_eq!(keys, [json!("bot"), json!("irc")]);
        assert_eq!(volume["secret"]["optional"], true);
        let file = engine_file::file(&federation, &given());
        let files: Vec<_> = file.backends.iter().filter_map(|b| b.component.as_ref()).collect();
        let path = std::path::Path::new("/etc/xmpp-federation/components/components/irc");
        assert_eq!(files.last().unwrap().secret_file, path);
    }
}
