//! The administrator's list of domains for each namespace: which names a federation of a namespace may claim. Pure, except for
//! reading the file at start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crds::XmppFederation;
use crds::domain::Domain;
use crds::pattern::DomainPattern;
use kube::ResourceExt;
use serde::Deserialize;

use crate::federation::validated::InvalidFederation;

/// Which namespace may claim which domains.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DomainPolicy {
    /// For namespaces that are not listed.
    #[serde(default)]
    default: Rule,
    /// Patterns by namespace.
    #[serde(default)]
    namespaces: BTreeMap<String, Vec<DomainPattern>>,
}

/// What applies to namespaces that are not listed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
enum Rule {
    /// Every domain that is not reserved for a listed namespace.
    #[default]
    Allow,
    /// No domain.
    Deny,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DomainPolicyError {
    /// It cannot be read.
    #[error("cannot read the list of domains {path}: {source}")]
    Read {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is not such a list.
    #[error("the list of domains {path} is not valid: {source}; correct the chart's value domains")]
    Invalid {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
}

impl DomainPolicy {
    /// Reads the file; without one, every domain is allowed.
    ///
    /// # Errors
    /// See [`DomainPolicyError`].
    pub fn read(path: Option<&Path>) -> Result<Self, DomainPolicyError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read(path)
            .map_err(|source| DomainPolicyError::Read { path: path.to_owned(), source })?;
        serde_json::from_slice(&text)
            .map_err(|source| DomainPolicyError::Invalid { path: path.to_owned(), source })
    }

    /// Whether the federation's namespace may claim its domains and its host.
    ///
    /// # Errors
    /// The first name that it may not claim.
    pub fn check(&self, object: &XmppFederation) -> Result<(), InvalidFederation> {
        let namespace = object.namespace().unwrap_or_default();
        let refused = |domain: &Domain| InvalidFederation::NotAllowed {
            domain: domain.clone(),
            namespace: namespace.clone(),
        };
        for domain in object.spec.domains.iter().map(|domain| &domain.name) {
            if !self.allows(&namespace, domain, covers) {
                return Err(refused(domain));
            }
        }
        match object.spec.host() {
            // external-dns publishes it, so it must not be the name of a stranger.
            Some(host) if !self.allows(&namespace, &host, contains) => Err(refused(&host)),
            _ => Ok(()),
        }
    }

    fn allows(
        &self,
        namespace: &str,
        domain: &Domain,
        matches: fn(&DomainPattern, &Domain) -> bool,
    ) -> bool {
        if let Some(own) = self.namespaces.get(namespace) {
            return own.iter().any(|pattern| matches(pattern, domain));
        }
        let mut reserved = self.namespaces.values().flatten();
        self.default == Rule::Allow && !reserved.any(|pattern| contains(pattern, domain))
    }
}

/// The pattern names the domain.
fn covers(pattern: &DomainPattern, domain: &Domain) -> bool {
    pattern.covers(domain)
}

/// The pattern names the domain or one above it: names of hosts are below a domain, and who owns a domain owns them.
fn contains(pattern: &DomainPattern, domain: &Domain) -> bool {
    match pattern {
        DomainPattern::Exact(exact) => exact == domain || domain.is_below(exact),
        DomainPattern::Below(suffix) => domain.is_below(suffix),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::federation;

    fn policy(default: &str) -> DomainPolicy {
        let namespaces = json!({"im": ["example.com", "*.example.net"], "empty": []});
        serde_json::from_value(json!({"default": default, "namespaces": namespaces})).unwrap()
    }

    fn check(policy: &DomainPolicy, namespace: &str, spec: &Value) -> Option<String> {
        let mut object = federation(spec);
        object.metadata.namespace = Some(namespace.to_owned());
        match policy.check(&object) {
            Ok(()) => None,
            Err(InvalidFederation::NotAllowed { domain, .. }) => Some(domain.to_string()),
            Err(other) => panic!("{other}"),
        }
    }

    fn refused(policy: &DomainPolicy, namespace: &str, domain: &str) -> bool {
        check(policy, namespace, &json!({"domains": [{"name": domain}]})).is_some()
    }

    #[test]
    fn a_listed_namespace_may_claim_its_domains_alone() {
        for default in ["Allow", "Deny"] {
            let policy = policy(default);
            for (domain, expected) in [
                ("example.com", false),
                ("chat.example.com", true),
                ("a.example.net", false),
                ("example.net", true),
                ("example.org", true),
            ] {
                assert_eq!(refused(&policy, "im", domain), expected, "{domain}");
            }
            assert!(refused(&policy, "empty", "example.org"));
        }
    }

    #[test]
    fn what_is_listed_for_a_namespace_is_reserved_also_below() {
        let allowing = policy("Allow");
        assert!(!refused(&allowing, "other", "example.org"));
        for reserved in ["example.com", "chat.example.com", "a.example.net"] {
            assert!(refused(&allowing, "other", reserved), "{reserved}");
        }
        assert!(refused(&policy("Deny"), "other", "example.org"));
        assert!(!refused(&DomainPolicy::default(), "other", "example.com"), "without a list");
    }

    #[test]
    fn the_host_must_be_below_a_domain_of_the_namespace() {
        let with = |host: &str| {
            let spec = json!({"domains": [{"name": "example.com"}], "host": host});
            check(&policy("Allow"), "im", &spec)
        };
        assert_eq!(with("edge.example.com"), None);
        assert_eq!(with("www.example.org").as_deref(), Some("www.example.org"));
        let squatter = json!({"domains": [{"name": "example.org"}], "host": "xmpp.example.com"});
        assert!(check(&policy("Allow"), "other", &squatter).is_some());
    }
}
