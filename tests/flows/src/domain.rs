//! The domains of both sides. They have international labels, over every backend.

use std::iter;

/// Services of a server that are domains of their own.
const SERVICES: [&str; 3] = ["conference", "pubsub", "upload"];

/// An international label, in both of its forms (RFC 5890 §2.3.2.1). They are written down here: a program under test must
/// not be the only one that converts them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label {
    unicode: &'static str,
    ascii: &'static str,
}

/// The label of our side.
pub(crate) const OURS: Label = Label { unicode: "münchen", ascii: "xn--mnchen-3ya" };
/// The label of the other side.
pub(crate) const THEIRS: Label = Label { unicode: "bücher", ascii: "xn--bcher-kva" };

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Domain {
    /// As it is in addresses (RFC 7622 §3.2).
    pub address: String,
    /// As it is in DNS and certificates.
    pub dns: String,
}

impl Domain {
    /// The domain with that label directly below a domain without international labels.
    pub(crate) fn below(parent: &str, label: Label) -> Self {
        let domain = |label: &str| format!("{label}.{parent}");
        Self { address: domain(label.unicode), dns: domain(label.ascii) }
    }

    /// The domain and its services, in addresses.
    pub(crate) fn addresses(&self) -> Vec<String> {
        with_services(&self.address)
    }

    /// The domain and its services, in DNS.
    pub(crate) fn names(&self) -> Vec<String> {
        with_services(&self.dns)
    }
}

fn with_services(domain: &str) -> Vec<String> {
    let services = SERVICES.iter().map(|service| format!("{service}.{domain}"));
    iter::once(domain.to_owned()).chain(services).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_below_each_form_of_a_domain() {
        let domain = Domain::below("example", THEIRS);
        let prefixes = ["", "conference.", "pubsub.", "upload."];
        assert_eq!(domain.addresses(), prefixes.map(|one| format!("{one}bücher.example")));
        assert_eq!(domain.names(), prefixes.map(|one| format!("{one}xn--bcher-kva.example")));
    }
}
