//! The verdict about a certificate that cert-manager has not issued yet, with the report of the deepest object.

use crds::reason::CertificateReadyReason;

use super::View;
use super::verdict::Verdict;
use crate::evidence::issuance::{IssuanceReport, Progress};
use crate::federation::names;

/// Why there is no certificate from the issuer.
pub(super) fn missing(view: View<'_>) -> Verdict {
    let federation = view.federation;
    let certificate = names::issued(&federation.name);
    if !view.seen.references.issuance.kind_exists {
        return Verdict::new(
            CertificateReadyReason::CertManagerNotInstalled,
            "spec.tls.certificate.issuerRef needs cert-manager, but the API server does not have the kind Certificate of cert-manager.io/v1. Install cert-manager, or set spec.tls.certificate.secretRef.",
        );
    }
    let Some(report) = &view.seen.references.issuance.report else {
        return Verdict::new(
            CertificateReadyReason::Issuing,
            format!("cert-manager is issuing Certificate {certificate}."),
        );
    };
    let quote = quoted(report);
    match report.progress {
        Progress::Pending => Verdict::new(
            CertificateReadyReason::Issuing,
            format!("cert-manager has not issued Certificate {certificate} yet. {quote}"),
        ),
        Progress::IssuerNotFound => {
            let (kind, name) = federation
                .issuer()
                .map_or(("issuer", ""), |issuer| (issuer.kind.as_str(), issuer.name.as_str()));
            Verdict::new(
                CertificateReadyReason::IssuanceFailed,
                format!(
                    "cert-manager cannot issue Certificate {certificate}. {quote} Create {kind} {name}, or correct spec.tls.certificate.issuerRef."
                ),
            )
        }
        Progress::Failed => Verdict::new(
            CertificateReadyReason::IssuanceFailed,
            format!(
                "cert-manager failed to issue Certificate {certificate}. {quote} Correct the cause; cert-manager retries after at least 1h, or when you run cmctl renew {certificate} -n {}.",
                federation.namespace
            ),
        ),
    }
}

/// The report of an object, with its kind and name.
pub(super) fn quoted(report: &IssuanceReport) -> String {
    format!("{} {}: {}.", report.kind, report.name, report.message)
}
