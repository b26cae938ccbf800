//! Names that cannot exist in the public DNS. Pure.

use std::net::IpAddr;

use crate::Domain;

/// Domains below which no name is public: RFC 6762 §3, RFC 6761 §6.3, ICANN's reservation of `internal`, the names of
/// Kubernetes, RFC 1035 §3.5, RFC 3596 §2.5, RFC 8375, RFC 7686 and RFC 9476.
const PRIVATE: [&str; 9] = [
    "local",
    "localhost",
    "internal",
    "svc",
    "in-addr.arpa",
    "ip6.arpa",
    "home.arpa",
    "onion",
    "alt",
];

/// Whether a server for this domain may exist in the public DNS. A domain that an unknown server claims is looked up
/// only then: an internal resolver would answer about our network, and an external one would learn of it.
pub fn is_public(domain: &Domain) -> bool {
    let name = domain.to_ascii();
    let below = |suffix: &str| {
        name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let is_address = name.starts_with('[') || name.parse::<IpAddr>().is_ok();
    !is_address && name.contains('.') && !PRIVATE.iter().any(|suffix| below(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clusters_hosts_and_addresses_are_not_public() {
        for (name, public) in [
            ("partner.example", true),
            ("chat.partner.example", true),
            ("bücher.example", true),
            ("nowhere.invalid", true),
            ("elsewhere.test", true),
            ("notlocal.example", true),
            ("mylocal", false),
            ("localhost", false),
            ("xmpp.localhost", false),
            ("printer.local", false),
            ("im.svc", false),
            ("kubernetes.default.svc.cluster.local", false),
            ("metadata.google.internal", false),
            ("router.home.arpa", false),
            ("1.0.0.10.in-addr.arpa", false),
            ("8.b.d.0.1.0.0.2.ip6.arpa", false),
            ("10.0.0.1", false),
            ("partner.arpa", true),
        ] {
            let Ok(domain) = Domain::parse(name) else { continue };
            assert_eq!(is_public(&domain), public, "{name}");
        }
        if let Ok(literal) = Domain::parse("[2001:db8::1]") {
            assert!(!is_public(&literal));
        }
    }
}
