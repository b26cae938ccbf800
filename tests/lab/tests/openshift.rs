//! Pods under `OpenShift`'s constraint restricted-v2: a user and a group that the platform assigns, and nothing that it
//! refuses. The constraint is a pair of admission policies of the real API server.

use std::time::Duration;

use lab::error::{Error, Result};
use lab::federation::{self, NAME, NAMESPACE, OPERATOR, OPERATOR_NAMESPACE};
use lab::kubernetes::{apply, get, kubectl};
use lab::manifest::render;
use lab::paths::Paths;
use lab::scenario::conversation;
use lab::scenario::federated::Federated;
use lab::wait::{Seen, Wait};
use serde_json::{Value, json};

const MANIFEST: &str = "restricted-v2.yaml";
/// The first user of each namespace's range. No image of the project has it.
const ENGINE_USER: u32 = 1_000_660_000;
const OPERATOR_USER: u32 = 1_000_670_000;

/// The policies, and the label and range of two namespaces, until the end of the test.
struct Constraint {
    paths: Paths,
}

impl Constraint {
    fn put(paths: &Paths) -> Result<Self> {
        let constraint = Self { paths: paths.clone() };
        federation::make_namespace(paths)?;
        constrain(paths, NAMESPACE, ENGINE_USER)?;
        constrain(paths, OPERATOR_NAMESPACE, OPERATOR_USER)?;
        apply(paths, &render(paths, MANIFEST, &[])?)?;
        Wait::new("the policies to be in force", Duration::from_mins(1)).until(|| {
            let refused = kubectl(paths)?
                .args(["create", "--dry-run=server", "-f", "-"])
                .input(pod_of_root().to_string())
                .output()?;
            let text = String::from_utf8_lossy(&refused.stderr);
            Ok(Seen::done_if(text.contains("outside the range of the namespace"), text.as_ref()))
        })?;
        Ok(constraint)
    }
}

impl Drop for Constraint {
    /// The next test finds the cluster without the constraint, and an operator that it does not apply to.
    fn drop(&mut self) {
        let remove = || -> Result<()> {
            let policies = render(&self.paths, MANIFEST, &[])?;
            kubectl(&self.paths)?
                .args(["delete", "--ignore-not-found", "-f", "-"])
                .input(policies)
                .ok()?;
            kubectl(&self.paths)?.args(["label", "namespace", OPERATOR_NAMESPACE, "scc-"]).ok()?;
            restart_operator(&self.paths)
        };
        if let Err(error) = remove() {
            eprintln!("cannot remove the constraint: {error}");
        }
    }
}

/// A pod that the constraint refuses.
fn pod_of_root() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root", "namespace": OPERATOR_NAMESPACE},
        "spec": {
            "securityContext": {"runAsUser": 0},
            "containers": [{"name": "root", "image": "localhost/none"}],
        },
    })
}

fn constrain(paths: &Paths, namespace: &str, first: u32) -> Result<()> {
    let range = format!("openshift.io/sa.scc.uid-range={first}/10000");
    kubectl(paths)?.args(["annotate", "--overwrite", "namespace", namespace, &range]).ok()?;
    kubectl(paths)?.args(["label", "--overwrite", "namespace", namespace, "scc=restricted-v2"]).ok()
}

fn restart_operator(paths: &Paths) -> Result<()> {
    let deployment = format!("deployment/{OPERATOR}");
    let args = ["-n", OPERATOR_NAMESPACE, deployment.as_str()];
    kubectl(paths)?.args(["rollout", "restart"]).args(args).ok()?;
    kubectl(paths)?.args(["rollout", "status", "--timeout=3m"]).args(args).ok()
}

/// The user and the group with which each running pod of a selection was admitted.
fn users(paths: &Paths, namespace: &str, selector: &str) -> Result<Vec<(u64, u64)>> {
    let running = "--field-selector=status.phase=Running";
    let pods: Value = get(paths, &["pods", "-n", namespace, "-l", selector, running])?;
    let items = pods.pointer("/items").and_then(Value::as_array).cloned().unwrap_or_default();
    let number = |pod: &Value, field: &str| {
        let found = pod.pointer(&format!("/spec/securityContext/{field}")).and_then(Value::as_u64);
        found.ok_or_else(|| Error::State(format!("a pod without {field}")))
    };
    let of_pod = |pod: &Value| Ok((number(pod, "runAsUser")?, number(pod, "fsGroup")?));
    items
        .iter()
        .filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none())
        .map(of_pod)
        .collect()
}

#[test]
fn operator_and_engine_work_under_any_user_that_openshift_assigns() {
    let paths = Federated::stage().unwrap();
    let _constraint = Constraint::put(&paths).unwrap();
    restart_operator(&paths).unwrap();
    let operators =
        users(&paths, OPERATOR_NAMESPACE, &format!("app.kubernetes.io/name={OPERATOR}")).unwrap();
    let assigned = (u64::from(OPERATOR_USER), u64::from(OPERATOR_USER));
    assert!(operators.contains(&assigned), "{operators:?}");

    let manifest = federation::short_federation(&paths).unwrap();
    let mut federated = Federated::apply(paths, &manifest).unwrap();
    federated.until_true("Ready").unwrap();
    let engines =
        users(&federated.paths, NAMESPACE, &format!("app.kubernetes.io/instance={NAME}")).unwrap();
    assert_eq!(engines, [(u64::from(ENGINE_USER), u64::from(ENGINE_USER)); 2]);

    let (mut ours, mut theirs) = federated.people().unwrap();
    conversation::say(&mut ours, &mut theirs, "hello from an assigned user", &mut |_| ()).unwrap();
}
