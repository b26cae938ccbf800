//! Service that the backend connects to: the inner leg on the port where a server expects S2S, the split-horizon DNS, and
//! the port of components.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{components, metadata, ports};
use crate::federation::names;
use crate::federation::validated::Validated;

/// The inner Service; `None` without backends.
pub fn build(federation: &Validated) -> Option<Service> {
    let mut all = vec![
        port("s2s", "TCP", ports::S2S, ports::BACKEND),
        port("dns", "UDP", ports::DNS_SERVICE, ports::DNS),
        port("dns-tcp", "TCP", ports::DNS_SERVICE, ports::DNS),
    ];
    if components::any(&federation.spec) {
        all.push(port("component", "TCP", ports::COMPONENT, ports::COMPONENT));
    }
    (!federation.spec.backends.is_empty()).then(|| Service {
        metadata: metadata::child(federation, names::backend_service(&federation.name)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(metadata::selector_labels(&federation.name)),
            ports: Some(all),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    })
}

fn port(name: &str, protocol: &str, number: u16, target: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(number),
        target_port: Some(IntOrString::Int(i32::from(target))),
        protocol: Some(protocol.to_owned()),
        ..ServicePort::default()
    }
}
