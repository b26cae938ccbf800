//! `AddressAssigned`: load balancers, NAT, and Services without either.

use super::*;

#[test]
fn address_assigned() {
    let rung = ConditionType::AddressAssigned;
    let given = |address: &str| {
        let address = Address::Ips(vec![address.parse().unwrap()]);
        reason(rung, |seen| seen.cluster.service.as_mut().unwrap().address = Some(address))
    };
    assert_eq!(given("203.0.113.7"), "AddressAssigned");
    for unusable in
        ["10.0.0.7", "100.64.0.7", "169.254.0.7", "127.0.0.1", "fd00::7", "fe80::7", "::1"]
    {
        assert_eq!(given(unusable), "AddressNotUsable", "{unusable}");
    }
    let mut spec = smallest();
    spec["egress"] = json!({"allowNetworks": ["10.0.0.0/8"]});
    let private = Address::Ips(vec!["10.0.0.7".parse().unwrap()]);
    let allowed =
        of(&spec, rung, |seen| seen.cluster.service.as_mut().unwrap().address = Some(private));
    assert_eq!(allowed.reason.to_string(), "AddressAssigned");

    let pending = |seconds: i64, events: ServiceEvents| {
        after(rung, |seen| {
            let service = seen.cluster.service.as_mut().unwrap();
            service.address = None;
            service.created = Some(now() - SignedDuration::from_secs(seconds));
            service.events = events;
        })
    };
    let silent = ServiceEvents::default();
    assert_eq!(pending(10, silent.clone()).reason.to_string(), "AddressNotAssigned");
    assert_eq!(pending(25, silent).reason.to_string(), "NoLoadBalancerController");
    let begun = ServiceEvents { any: true, warning: None };
    assert_eq!(pending(300, begun).reason.to_string(), "AddressNotAssigned");
    let warning = Some(("AllocationFailed".to_owned(), "no available IPs".to_owned()));
    let failed = pending(1, ServiceEvents { any: true, warning });
    assert_eq!(failed.reason.to_string(), "AllocationFailed");
    assert!(failed.message.contains("AllocationFailed: no available IPs"), "{failed:?}");

    let mut spec = smallest();
    spec["service"] = json!({"type": "NodePort"});
    let unknown = of(&spec, rung, |_| {});
    assert_eq!(unknown.reason.to_string(), "NotNeeded");
    assert!(unknown.message.contains("spec.service.publicAddresses"), "{unknown:?}");
}

/// The network of the note: the load balancer has a private address, and a firewall forwards to it.
fn behind_nat(service: &Value) -> Value {
    let mut spec = smallest();
    spec["service"] = service.clone();
    spec["service"]["publicAddresses"] = json!(["203.0.113.10"]);
    spec
}

fn assign(seen: &mut Evidence, ip: &str) {
    let address = Some(Address::Ips(vec![ip.parse().unwrap()]));
    seen.cluster.service.as_mut().unwrap().address = address;
}

#[test]
fn a_private_address_behind_a_firewall_becomes_ready_with_its_public_address() {
    let spec = behind_nat(&json!({}));
    for rung in ConditionType::LADDER {
        let verdict = of(&spec, rung, |seen| assign(seen, "10.1.2.3"));
        assert_eq!(verdict.status(), ConditionStatus::True, "{verdict:?}");
    }
    let verdict = of(&spec, ConditionType::AddressAssigned, |seen| assign(seen, "10.1.2.3"));
    assert_eq!(
        verdict.message,
        "Servers connect to 203.0.113.10, as set in spec.service.publicAddresses. Forward TCP 5269 and \
         5270 of each address to the load balancer's 10.1.2.3."
    );
    // The firewall has nothing to forward to.
    let verdict = of(&spec, ConditionType::AddressAssigned, |seen| {
        seen.cluster.service.as_mut().unwrap().address = None;
    });
    assert_eq!(verdict.reason.to_string(), "NoLoadBalancerController");
}

#[test]
fn without_a_public_address_the_message_about_a_private_one_names_the_field() {
    let verdict = after(ConditionType::AddressAssigned, |seen| assign(seen, "10.1.2.3"));
    assert_eq!(verdict.reason.to_string(), "AddressNotUsable");
    assert!(verdict.message.contains("set spec.service.publicAddresses"), "{verdict:?}");
}

#[test]
fn services_without_a_load_balancer_become_ready_with_public_addresses() {
    for (type_, node_ports, to) in [
        ("NodePort", vec![30_269, 30_270], "each address to TCP 30269 and 30270 of the nodes."),
        ("ClusterIP", vec![], "each address to TCP 5269 and 5270 of Service example."),
    ] {
        let ports = json!({"type": type_, "publicPorts": {"s2s": 15_269}});
        let spec = behind_nat(&ports);
        let change = |seen: &mut Evidence| {
            let service = seen.cluster.service.as_mut().unwrap();
            service.address = None;
            service.node_ports.clone_from(&node_ports);
        };
        for rung in ConditionType::LADDER {
            let verdict = of(&spec, rung, change);
            assert_eq!(verdict.status(), ConditionStatus::True, "{verdict:?}");
        }
        let verdict = of(&spec, ConditionType::AddressAssigned, change);
        assert_eq!(verdict.reason.to_string(), "AddressAssigned");
        assert!(verdict.message.contains("Forward TCP 15269 and 5270 of"), "{verdict:?}");
        assert!(verdict.message.ends_with(to), "{verdict:?}");
    }
}

#[test]
fn a_private_public_address_is_used_and_its_consequence_is_stated() {
    let mut spec = behind_nat(&json!({}));
    spec["service"]["publicAddresses"] = json!(["10.9.9.9"]);
    let verdict = of(&spec, ConditionType::AddressAssigned, |_| {});
    assert_eq!(verdict.status(), ConditionStatus::True);
    assert!(verdict.message.contains("10.9.9.9 is a private address"), "{verdict:?}");
}

#[test]
fn a_service_that_must_be_replaced_is_named_with_its_address_and_the_annotation() {
    let of = |state: ReplacementState| {
        after(ConditionType::AddressAssigned, |seen| {
            seen.applied.replacement = Some(Replacement {
                name: "example".into(),
                addresses: vec!["192.0.2.7".into()],
                state,
            });
        })
    };
    let refusal = "spec.loadBalancerClass: may not change once set".to_owned();
    let needed = of(ReplacementState::Needed { refusal });
    assert_eq!(needed.reason.to_string(), "ReplacementNeeded");
    for part in
        ["192.0.2.7", "spec.loadBalancerClass", "xmppfederation.dev/allow-service-replacement"]
    {
        assert!(needed.message.contains(part), "{part}: {needed:?}");
    }
    let finalizers = vec!["service.kubernetes.io/load-balancer-cleanup".to_owned()];
    let deleting = of(ReplacementState::Deleting { finalizers });
    assert_eq!(deleting.reason.to_string(), "ReplacementInProgress");
    assert!(
        deleting.message.contains("service.kubernetes.io/load-balancer-cleanup"),
        "{deleting:?}"
    );
}
