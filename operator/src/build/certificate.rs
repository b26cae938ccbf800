//! `Certificate` of cert-manager, for all local domains and the host.

use crds::domain::Domain;
use crds::external::certificate::{Certificate, CertificatePrivateKey, CertificateSpec};

use super::{Given, metadata};
use crate::federation::names;
use crate::federation::validated::Validated;

/// The Certificate; `None` if there is no issuer. The host is a name of it because a peer that verifies by DANE checks
/// the target of the SRV record (RFC 7673 §4).
pub fn build(federation: &Validated, given: &Given) -> Option<Certificate> {
    let issuer_ref = given.issuer.clone()?;
    let mut dns_names: Vec<String> = federation.domains().map(Domain::to_ascii).collect();
    let host = federation.host.to_ascii();
    if !dns_names.contains(&host) {
        dns_names.push(host);
    }
    let name = names::issued(&federation.name);
    let spec = CertificateSpec {
        secret_name: name.clone(),
        dns_names,
        issuer_ref,
        // The engine accepts streams and opens them. A public CA may issue for serverAuth only.
        usages: ["digital signature", "server auth", "client auth"].map(str::to_owned).into(),
        private_key: Some(CertificatePrivateKey {
            algorithm: "ECDSA".to_owned(),
            size: 256,
            rotation_policy: "Always".to_owned(),
        }),
    };
    let mut certificate = Certificate::new(&name, spec);
    certificate.metadata = metadata::child(federation, name);
    Some(certificate)
}
