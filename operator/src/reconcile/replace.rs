//! Replaces a Service if the API server refuses to change it in place, as it does for `loadBalancerClass`.
//!
//! The Service has the name of the federation, so a new one cannot exist beside the old one. Deleting the old one releases
//! its addresses, which its controller may give to another Service. The user must therefore allow it, and nothing is deleted
//! before the API server has accepted the new Service in a dry run.

use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, PostParams, Preconditions, PropagationPolicy};
use kube::core::{ApiResource, DynamicObject, Status};
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::patch;
use super::replacement::{Replacement, ReplacementState};
use crate::build::Child;
use crate::children::is_controlled_by;
use crate::federation::validated::Validated;

/// Why a child was not applied.
#[derive(Debug)]
pub enum Refusal {
    /// The error of the API server.
    Api(kube::Error),
    /// The Service must be replaced.
    Replacement(Replacement),
}

impl From<kube::Error> for Refusal {
    fn from(error: kube::Error) -> Self {
        Self::Api(error)
    }
}

/// Applies a child, and replaces a Service that cannot be changed in place.
///
/// # Errors
/// [`Refusal`]
pub async fn apply(
    api: &Api<DynamicObject>,
    federation: &Validated,
    child: &Child,
) -> Result<DynamicObject, Refusal> {
    let name = child.object.name_any();
    let refused = match patch::apply(api, &name, &child.object).await {
        Err(kube::Error::Api(status))
            if status.code == 422 && child.resource == ApiResource::erase::<Service>(&()) =>
        {
            status
        }
        result => return Ok(result?),
    };
    let ordinary = |refused| Err(Refusal::Api(kube::Error::Api(refused)));
    let old = api.get_opt(&name).await?;
    let Some(old) = old.filter(|old| is_controlled_by(old, &federation.owner.uid)) else {
        return ordinary(refused);
    };
    if old.metadata.deletion_timestamp.is_some() {
        return Err(deleting(&old, old.finalizers()));
    }
    match api
        .create(&PostParams { dry_run: true, ..PostParams::default() }, &trial(child, &old))
        .await
    {
        Ok(_) => {}
        // A new Service would be refused as well, so the cause is in the spec.
        Err(kube::Error::Api(_)) => return ordinary(refused),
        Err(error) => return Err(error.into()),
    }
    if !federation.replace_service {
        let state = ReplacementState::Needed { refusal: reasons(&refused) };
        return Err(replacement(&old, state));
    }
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions { uid: old.uid(), resource_version: None }),
        ..DeleteParams::default()
    };
    tracing::info!(%name, addresses = ?addresses(&old), "deleting the Service to create it anew");
    let left = match api.delete(&name, &parameters).await {
        Ok(answer) => answer.left(),
        Err(kube::Error::Api(status)) if status.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    // With finalizers, the Service stays until their controllers have released what belongs to it.
    if let Some(left) = left.filter(|left| !left.finalizers().is_empty()) {
        return Err(deleting(&old, left.finalizers()));
    }
    Ok(patch::apply(api, &name, &child.object).await?)
}

/// The wanted Service under a name that the API server chooses. Node ports that the old Service holds are left out, because
/// the new one gets them only after it.
fn trial(child: &Child, old: &DynamicObject) -> DynamicObject {
    let mut trial = child.object.clone();
    trial.metadata.name = None;
    trial.metadata.generate_name = Some(format!("{}-", child.object.name_any()));
    let held: Vec<Value> = ports(old).filter_map(|port| port.get("nodePort")).cloned().collect();
    if let Some(ports) = trial.data.pointer_mut("/spec/ports").and_then(Value::as_array_mut) {
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            if port.get("nodePort").is_some_and(|wanted| held.contains(wanted)) {
                port.remove("nodePort");
            }
        }
    }
    trial
}

fn ports(service: &DynamicObject) -> impl Iterator<Item = &Value> {
    service.data.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten()
}

fn deleting(old: &DynamicObject, finalizers: &[String]) -> Refusal {
    replacement(old, ReplacementState::Deleting { finalizers: finalizers.to_vec() })
}

fn replacement(old: &DynamicObject, state: ReplacementState) -> Refusal {
    Refusal::Replacement(Replacement { name: old.name_any(), addresses: addresses(old), state })
}

/// The addresses of a Service that its clients know: those of the load balancer, else those inside the cluster.
fn addresses(service: &DynamicObject) -> Vec<String> {
    let texts = |list: Option<&Value>, key: &str| -> Vec<String> {
        let list = list.and_then(Value::as_array).into_iter().flatten();
        let text = |value: &Value| value.get(key).unwrap_or(value).as_str().map(str::to_owned);
        list.filter_map(text).collect()
    };
    let assigned = service.data.pointer("/status/loadBalancer/ingress");
    let mut all = texts(assigned, "ip");
    all.extend(texts(assigned, "hostname"));
    if all.is_empty() {
        all = texts(service.data.pointer("/spec/clusterIPs"), "");
    }
    all
}

/// The refused fields with their causes, in the words of the API server.
fn reasons(refused: &Status) -> String {
    let causes = refused.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<String> =
        causes.map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
    if causes.is_empty() { refused.message.clone() } else { causes.join("; ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::build;
    use crate::fixtures::{given, settings, smallest, validated};

    fn service(spec: &Value) -> Child {
        let all = build::children(&validated(spec), &given(), &settings()).unwrap();
        let is_outer = |child: &Child| {
            child.resource.kind == "Service" && child.object.name_any() == "example"
        };
        all.into_iter().find(is_outer).unwrap()
    }

    #[test]
    fn the_trial_has_another_name_and_no_port_that_the_old_service_holds() {
        let mut spec = smallest();
        spec["service"] = json!({"nodePorts": {"s2s": 30269, "s2sTls": 30270}});
        let mut old = service(&smallest()).object;
        old.data["spec"]["ports"] = json!([{"port": 5269, "nodePort": 30269}]);
        let trial = trial(&service(&spec), &old);
        assert_eq!(trial.metadata.name, None);
        assert_eq!(trial.metadata.generate_name.as_deref(), Some("example-"));
        let ports: Vec<_> = ports(&trial).map(|port| port.get("nodePort")).collect();
        assert_eq!(ports, [None, Some(&json!(30270))]);
    }

    #[test]
    fn the_released_addresses_are_those_that_clients_know() {
        let mut old = service(&smallest()).object;
        old.data["spec"]["clusterIPs"] = json!(["10.96.0.9"]);
        assert_eq!(addresses(&old), ["10.96.0.9"]);
        old.data["status"] =
            json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7", "ipMode": "VIP"}]}});
        assert_eq!(addresses(&old), ["192.0.2.7"]);
        old.data["status"] = json!({"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}});
        assert_eq!(addresses(&old), ["lb.example"]);
    }
}
