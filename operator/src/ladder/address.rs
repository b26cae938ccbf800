//! `AddressAssigned`: the outer Service has an address that the internet can reach.

use std::net::{IpAddr, Ipv4Addr};

use crds::federation::service::ServiceType;
use crds::reason::AddressAssignedReason;
use jiff::SignedDuration;

use super::View;
use super::verdict::Verdict;
use crate::build::Address;

/// Time without an event about the Service after which no load balancer controller is thought to be installed.
const SILENCE: SignedDuration = SignedDuration::from_mins(2);

/// Judges the address.
pub fn check(view: View<'_>) -> Verdict {
    let wanted = &view.federation.spec.service;
    let name = &view.federation.name;
    if wanted.type_ != ServiceType::LoadBalancer {
        return Verdict::new(
            AddressAssignedReason::NotNeeded,
            "spec.service.type is not LoadBalancer, so the operator does not check the address. Forward ports 5269 and 5270 of your public address to the Service.",
        );
    }
    let Some(service) = &view.seen.cluster.service else {
        return Verdict::new(
            AddressAssignedReason::AddressNotAssigned,
            format!("Service {name} does not exist yet."),
        );
    };
    match &service.address {
        Some(Address::Hostname(host)) => Verdict::new(
            AddressAssignedReason::AddressAssigned,
            format!("The load balancer has the host name {host}."),
        ),
        Some(Address::Ips(ips)) => match ips.iter().find_map(|ip| unusable(view, *ip)) {
            Some((ip, kind)) => Verdict::new(
                AddressAssignedReason::AddressNotUsable,
                format!(
                    "The load balancer assigned {ip}, {kind}; servers on the internet cannot reach it. Request a public address with spec.service.annotations or spec.service.loadBalancerClass. If all peers are in that network, add it to spec.egress.allowNetworks."
                ),
            ),
            None => Verdict::new(
                AddressAssignedReason::AddressAssigned,
                format!("The load balancer has the address {}.", list(ips)),
            ),
        },
        None => without_address(view, service.warning.as_ref(), service.created),
    }
}

fn without_address(
    view: View<'_>,
    warning: Option<&(String, String)>,
    created: Option<jiff::Timestamp>,
) -> Verdict {
    let name = &view.federation.name;
    if let Some((reason, message)) = warning {
        return Verdict::new(
            AddressAssignedReason::AllocationFailed,
            format!(
                "The load balancer controller assigned no address to Service {name} and reported {reason}: {message}. Give it a free address (for MetalLB, extend an IPAddressPool), or choose another one with spec.service.annotations."
            ),
        );
    }
    let silent = created.is_some_and(|at| view.seen.now.duration_since(at) >= SILENCE);
    if silent {
        return Verdict::new(
            AddressAssignedReason::NoLoadBalancerController,
            format!(
                "Service {name} has had no address for over 2m, and no controller has reported an event about it. Install a load balancer controller (MetalLB or the cloud provider's), check spec.service.loadBalancerClass, or set spec.service.type to NodePort."
            ),
        );
    }
    Verdict::new(
        AddressAssignedReason::AddressNotAssigned,
        format!("Service {name} is waiting for an address from the load balancer controller."),
    )
}

/// The address and what is wrong with it, unless the spec says that peers are in that network.
fn unusable(view: View<'_>, ip: IpAddr) -> Option<(IpAddr, &'static str)> {
    let allowed = &view.federation.spec.egress.allow_networks;
    if allowed.iter().any(|network| network.contains(&ip)) {
        return None;
    }
    Some((ip, kind(ip)?))
}

fn kind(ip: IpAddr) -> Option<&'static str> {
    match ip.to_canonical() {
        IpAddr::V4(v4) if v4.is_private() => Some("a private address (RFC 1918)"),
        IpAddr::V4(v4) if v4.is_loopback() => Some("a loopback address"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("a link-local address"),
        IpAddr::V4(v4) if is_shared(v4) => Some("a carrier's shared address (RFC 6598)"),
        IpAddr::V6(v6) if v6.is_loopback() => Some("a loopback address"),
        IpAddr::V6(v6) if v6.is_unique_local() => Some("a unique local address (RFC 4193)"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
        _ => None,
    }
}

/// 100.64.0.0/10.
fn is_shared(v4: Ipv4Addr) -> bool {
    matches!(v4.octets(), [100, second, _, _] if second & 0xc0 == 64)
}

/// Addresses for a message.
pub(crate) fn list(ips: &[IpAddr]) -> String {
    ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
