//! `AddressAssigned`: servers on the internet have an address to connect to: the outer Service's, or the public addresses
//! of a firewall or proxy in front of it.

use std::net::IpAddr;

use crds::federation::service::ServiceType;
use crds::reason::AddressAssignedReason;
use jiff::SignedDuration;

use super::View;
use super::verdict::Verdict;
use crate::build::{Address, ports};
use crate::evidence::cluster::{OuterService, ServiceEvents};
use crate::federation::reach::unreachable_kind;
use crate::reconcile::replacement::{Replacement, ReplacementState};

/// Time without an event about the Service after which no load balancer controller is thought to be installed: each of them
/// reports an event as soon as it begins.
const SILENCE: SignedDuration = SignedDuration::from_secs(20);

/// Judges the address.
pub fn check(view: View<'_>) -> Verdict {
    let wanted = &view.federation.spec.service;
    let name = &view.federation.name;
    if wanted.type_ != ServiceType::LoadBalancer && wanted.public_addresses.is_empty() {
        return Verdict::new(
            AddressAssignedReason::NotNeeded,
            format!(
                "spec.service.type is not LoadBalancer, so the operator knows no public address. Set spec.service.publicAddresses to the addresses that forward TCP {} to the Service; the operator then publishes and verifies them.",
                public_ports(view)
            ),
        );
    }
    let Some(service) = &view.seen.cluster.service else {
        return Verdict::new(
            AddressAssignedReason::AddressNotAssigned,
            format!("Service {name} does not exist yet.{}", view.because("Service", name)),
        );
    };
    if let Some(needed) = &view.seen.applied.replacement {
        return replacement(needed);
    }
    if wanted.type_ != ServiceType::LoadBalancer {
        return public(view, &inside(view, service));
    }
    match &service.address {
        Some(assigned) if !wanted.public_addresses.is_empty() => {
            public(view, &format!("the load balancer's {}", text(assigned)))
        }
        Some(Address::Hostname(host)) => Verdict::new(
            AddressAssignedReason::AddressAssigned,
            format!("The load balancer has the host name {host}."),
        ),
        Some(Address::Ips(ips)) => {
            match ips.iter().find_map(|ip| view.federation.unreachable(*ip)) {
                Some((ip, kind)) => unusable(view, ip, kind),
                None => Verdict::new(
                    AddressAssignedReason::AddressAssigned,
                    format!("The load balancer has the address {}.", list(ips)),
                ),
            }
        }
        None => without_address(view, &service.events, service.created),
    }
}

/// The Service cannot be changed in place, and its addresses are lost with it.
fn replacement(needed: &Replacement) -> Verdict {
    let Replacement { name, addresses, state } = needed;
    let addresses = addresses.join(" and ");
    match state {
        ReplacementState::Needed { refusal } => Verdict::new(
            AddressAssignedReason::ReplacementNeeded,
            format!(
                "The API server refuses to change Service {name} in place: {refusal}. Replacing the Service releases its address {addresses}. To allow it, set annotation {} to \"true\" on the XmppFederation; otherwise restore the field.",
                crds::ALLOW_SERVICE_REPLACEMENT
            ),
        ),
        ReplacementState::Deleting { finalizers } => Verdict::new(
            AddressAssignedReason::ReplacementInProgress,
            format!(
                "Service {name} is being deleted, which releases its address {addresses}, and is then created anew. If this persists, check the controllers of its finalizers: {}.",
                finalizers.join(", ")
            ),
        ),
    }
}

fn unusable(view: View<'_>, ip: IpAddr, kind: &str) -> Verdict {
    Verdict::new(
        AddressAssignedReason::AddressNotUsable,
        format!(
            "The load balancer assigned {ip}, {kind}; servers on the internet cannot reach it. If a firewall forwards TCP {} to it, set spec.service.publicAddresses to the firewall's address. If all peers are in that network, add it to spec.egress.allowNetworks; otherwise request a public address with spec.service.annotations.",
            public_ports(view)
        ),
    )
}

/// The public addresses of the spec, and what must forward to what.
fn public(view: View<'_>, to: &str) -> Verdict {
    let ips = &view.federation.spec.service.public_addresses;
    let private = ips.iter().find_map(|ip| Some((ip, unreachable_kind(*ip)?)));
    let consequence = private.map_or_else(String::new, |(ip, kind)| {
        format!(" {ip} is {kind}; only servers in its network can reach it.")
    });
    Verdict::new(
        AddressAssignedReason::AddressAssigned,
        format!(
            "Servers connect to {}, as set in spec.service.publicAddresses. Forward TCP {} of each address to {to}.{consequence}",
            list(ips),
            public_ports(view)
        ),
    )
}

/// Where a firewall or proxy forwards to if there is no load balancer.
fn inside(view: View<'_>, service: &OuterService) -> String {
    let ports: Vec<String> = service.node_ports.iter().map(ToString::to_string).collect();
    if !ports.is_empty() {
        return format!("TCP {} of the nodes", ports.join(" and "));
    }
    let name = &view.federation.name;
    match view.federation.public_tls_port() {
        Some(_) => format!("TCP {} and {} of Service {name}", ports::S2S, ports::S2S_TLS),
        None => format!("TCP {} of Service {name}", ports::S2S),
    }
}

/// The ports that servers connect to.
fn public_ports(view: View<'_>) -> String {
    let port = view.federation.public_port();
    match view.federation.public_tls_port() {
        Some(tls) => format!("{port} and {tls}"),
        None => port.to_string(),
    }
}

fn without_address(
    view: View<'_>,
    events: &ServiceEvents,
    created: Option<jiff::Timestamp>,
) -> Verdict {
    let name = &view.federation.name;
    if let Some((reason, message)) = &events.warning {
        return Verdict::new(
            AddressAssignedReason::AllocationFailed,
            format!(
                "The load balancer controller assigned no address to Service {name} and reported {reason}: {message}. Give it a free address (for MetalLB, extend an IPAddressPool), or choose another one with spec.service.annotations."
            ),
        );
    }
    let silent =
        !events.any && created.is_some_and(|at| view.seen.now.duration_since(at) >= SILENCE);
    if silent {
        return Verdict::new(
            AddressAssignedReason::NoLoadBalancerController,
            format!(
                "Service {name} has no address, and no controller has reported an event about it. Install a load balancer controller (MetalLB or the cloud provider's), or check spec.service.loadBalancerClass. Without one, set spec.service.type to NodePort and spec.service.publicAddresses to the addresses that forward to the nodes."
            ),
        );
    }
    Verdict::new(
        AddressAssignedReason::AddressNotAssigned,
        format!("Service {name} is waiting for an address from the load balancer controller."),
    )
}

fn text(address: &Address) -> String {
    match address {
        Address::Ips(ips) => list(ips),
        Address::Hostname(name) => name.clone(),
    }
}

/// Addresses for a message.
pub(crate) fn list(ips: &[IpAddr]) -> String {
    ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
