//! `HostResolves` and `SRVResolves` of a zone whose servers nobody reaches, and of one with an inner view.

use super::*;
use crate::evidence::answer::{NameEvidence, NoAnswer};
use crate::fixtures::reported;

/// A server of the zone above delegates the name, and the resolver fails.
fn broken<T: Clone + Ord>() -> NameEvidence<T> {
    let mut evidence = reported([].into());
    evidence.zone[0].found = Err(NoAnswer::NotAuthoritative);
    evidence.public[0].found = Err(NoAnswer::ServFail);
    evidence
}

#[test]
fn a_broken_delegation_is_no_matter_of_our_resolvers() {
    let host = after(ConditionType::HostResolves, |seen| seen.dns.host = broken());
    assert_eq!(host.reason.to_string(), "DelegationBroken");
    assert!(host.message.contains("DNS server 192.0.2.53 delegates the name"), "{host:?}");
    let services = after(ConditionType::SRVResolves, |seen| {
        seen.dns.services.iter_mut().for_each(|(_, found)| *found = broken());
    });
    assert_eq!(services.reason.to_string(), "DelegationBroken");
    // A resolver that reaches no server at all fails in the same way.
    let unreachable = after(ConditionType::HostResolves, |seen| {
        seen.dns.host = broken();
        seen.dns.host.zone[0].found = Err("timed out".into());
    });
    assert_eq!(unreachable.reason.to_string(), "ResolverUnavailable");
}

#[test]
fn private_addresses_are_the_inner_view_of_split_horizon_dns() {
    let found = |address: &str| {
        let addresses = [address.parse().unwrap()].into();
        after(ConditionType::HostResolves, |seen| seen.dns.host = reported(addresses)).message
    };
    assert!(found("10.0.0.7").contains("split-horizon DNS: set spec.dns.resolvers"));
    assert!(!found("192.0.2.8").contains("split-horizon"));
}

#[test]
fn an_address_is_not_repeated_before_the_error_that_names_it() {
    let verdict = after(ConditionType::HostResolves, |seen| {
        seen.dns.host.zone[0].found = Err("192.0.2.53: Connection refused".into());
        seen.dns.host.public[0].found = Err("timed out".into());
    });
    let expected = "192.0.2.53: Connection refused; 198.51.100.53: timed out.";
    assert!(verdict.message.contains(expected), "{verdict:?}");
}
