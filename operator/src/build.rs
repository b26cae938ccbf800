//! Builds the child objects of a validated federation. Pure: the same input gives the same objects. One file for each kind
//! of object.

pub mod backend_service;
pub mod bundles;
pub mod certificate;
pub mod components;
pub mod deployment;
pub mod dns_clients;
pub mod dns_endpoint;
pub mod egress;
pub mod engine_file;
pub mod given;
pub mod metadata;
pub mod network_policy;
pub mod paths;
pub mod pod_disruption_budget;
pub mod ports;
pub mod revision;
pub mod secrets;
pub mod service;
pub mod service_account;

use kube::Resource;
use kube::core::{ApiResource, DynamicObject};
use serde::Serialize;

use crate::federation::names;
use crate::federation::validated::Validated;

pub use given::{Address, BuildError, Given, Settings};

/// An object to apply.
#[derive(Clone, Debug)]
pub struct Child {
    /// Kind of the object.
    pub resource: ApiResource,
    /// The object.
    pub object: DynamicObject,
    /// The Secret that must be stored first, because it has the keys that certificates of this object come from. A pass that
    /// ends in between would leave certificates whose keys nobody has.
    pub after: Option<String>,
}

impl Child {
    fn after(self, secret: String) -> Self {
        Self { after: Some(secret), ..self }
    }
}

/// Only the Service for the backend: the engine's configuration needs its `ClusterIP`.
///
/// # Errors
/// See [`BuildError`].
pub fn backend_service(federation: &Validated) -> Result<Option<Child>, BuildError> {
    backend_service::build(federation).map(|service| child(&service)).transpose()
}

/// All wanted children, in the order in which they are applied: first what pods need, the pods last.
///
/// # Errors
/// See [`BuildError`].
pub fn children(
    federation: &Validated,
    given: &Given,
    settings: &Settings,
) -> Result<Vec<Child>, BuildError> {
    let mut all = vec![
        child(&service_account::build(federation))?,
        child(&service::build(federation, given))?,
        child(&secrets::control(federation, given))?,
    ];
    let for_backends = [
        backend_service(federation)?,
        secrets::dialback(federation, given).map(|o| child(&o)).transpose()?,
        secrets::backend_ca(federation, given).map(|o| child(&o)).transpose()?,
    ];
    all.extend(for_backends.into_iter().flatten());
    let backend_ca = names::backend_ca(&federation.name);
    if let Some(public) = secrets::backend_ca_public(federation, given) {
        all.push(child(&public)?.after(backend_ca.clone()));
    }
    for secret in secrets::backend_tls(federation, given) {
        all.push(child(&secret)?.after(backend_ca.clone()));
    }
    if let Some(own) = secrets::self_signed(federation, given) {
        all.push(child(&own)?);
    }
    if let Some(serving) = secrets::serving(federation, given) {
        let child = child(&serving)?;
        let copied = secrets::is_self_signed(given);
        all.push(if copied { child.after(names::self_signed(&federation.name)) } else { child });
    }
    let optional = [
        certificate::build(federation, given).map(|o| child(&o)).transpose()?,
        network_policy::build(federation, settings).map(|o| child(&o)).transpose()?,
        pod_disruption_budget::build(federation).map(|o| child(&o)).transpose()?,
        dns_endpoint::build(federation, given).map(|o| child(&o)).transpose()?,
    ];
    all.extend(optional.into_iter().flatten());
    all.push(child(&engine_file::build(federation, given)?)?);
    all.push(child(&deployment::build(federation, settings))?);
    Ok(all)
}

/// Builders use typed objects; applying uses untyped ones, because it treats all kinds alike.
fn child<K>(object: &K) -> Result<Child, BuildError>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let resource = ApiResource::erase::<K>(&());
    let failed = |detail: String| BuildError::Object { kind: resource.kind.clone(), detail };
    let mut value = serde_json::to_value(object).map_err(|error| failed(error.to_string()))?;
    let Some(fields) = value.as_object_mut() else {
        return Err(failed("it is no mapping".to_owned()));
    };
    fields.insert("apiVersion".to_owned(), resource.api_version.clone().into());
    fields.insert("kind".to_owned(), resource.kind.clone().into());
    let object = serde_json::from_value(value).map_err(|error| failed(error.to_string()))?;
    Ok(Child { resource, object, after: None })
}

#[cfg(test)]
mod tests;
