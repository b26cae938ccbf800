//! `TLSVerified`: the engine serves the correct certificate for every domain, with STARTTLS and with Direct TLS.

use std::time::Duration;

use crds::domain::Domain;
use crds::reason::TLSVerifiedReason;

use super::View;
use super::verdict::Verdict;
use crate::evidence::probe::{Probe, ProbeOutcome, Served};
use crate::federation::names;
use crate::federation::serving::Source;

/// What this rung does not check.
const NOT_CHECKED: &str = "The operator does not check whether peers trust its issuer";

/// Time that a changed certificate may take to reach every pod: the kubelet syncs volumes about once a minute.
const RELOAD_TIME: Duration = Duration::from_mins(2);

/// The verdict when every domain's is True.
pub fn every_domain(view: View<'_>, _: &[Verdict]) -> Verdict {
    good(view, "every domain")
}

fn good(view: View<'_>, what: &str) -> Verdict {
    let served = view.seen.references.served.as_ref();
    match served.map(|served| &served.source) {
        Some(source @ (Source::Secret(_) | Source::Certificate(_))) => Verdict::new(
            TLSVerifiedReason::CertificateValid,
            format!("Every engine pod serves {source} for {what}. {NOT_CHECKED}."),
        ),
        Some(Source::SelfSigned) | None => Verdict::new(
            TLSVerifiedReason::SelfSigned,
            format!(
                "Every engine pod serves the self-signed certificate for {what}. Peers that verify certificates need dialback."
            ),
        ),
    }
}

/// Judges what is served for one domain.
pub fn for_domain(view: View<'_>, domain: &Domain) -> Verdict {
    let probes: Vec<&Probe> =
        view.seen.probes.probes.iter().filter(|probe| probe.domain == *domain).collect();
    if probes.is_empty() {
        return Verdict::new(
            TLSVerifiedReason::EvidenceUnavailable,
            format!("The operator has not opened a stream to an engine pod for {domain} yet."),
        );
    }
    probes
        .into_iter()
        .find_map(|probe| fault(view, probe))
        .unwrap_or_else(|| good(view, domain.as_str()))
}

fn fault(view: View<'_>, probe: &Probe) -> Option<Verdict> {
    let Probe { pod, domain, mode, outcome } = probe;
    let mode = mode.as_str();
    match outcome {
        ProbeOutcome::Features { served, .. } => certificate_fault(view, probe, served),
        ProbeOutcome::ConnectFailed(why) => Some(Verdict::new(
            TLSVerifiedReason::ConnectFailed,
            format!(
                "The operator cannot connect to engine pod {pod} over {mode}: {why}. Check that NetworkPolicies allow it, then check the pod's log."
            ),
        )),
        ProbeOutcome::StartTlsNotOffered => Some(Verdict::new(
            TLSVerifiedReason::STARTTLSNotOffered,
            format!(
                "Engine pod {pod} does not offer STARTTLS for {domain}, because it has no usable certificate. Check CertificateReady and the pod's log."
            ),
        )),
        ProbeOutcome::HandshakeFailed(why) => Some(Verdict::new(
            TLSVerifiedReason::HandshakeFailed,
            format!(
                "The TLS handshake ({mode}) with engine pod {pod} for {domain} failed: {why}. Check the pod's log."
            ),
        )),
        ProbeOutcome::StreamError(condition, _) => Some(Verdict::new(
            TLSVerifiedReason::EvidenceUnavailable,
            format!(
                "Engine pod {pod} closed the stream for {domain} with {condition}; see StreamVerified."
            ),
        )),
        ProbeOutcome::NotXmpp(_) => Some(Verdict::new(
            TLSVerifiedReason::EvidenceUnavailable,
            format!("Engine pod {pod} does not speak XMPP over {mode}; see StreamVerified."),
        )),
    }
}

fn certificate_fault(view: View<'_>, probe: &Probe, served: &Served) -> Option<Verdict> {
    let Probe { pod, domain, .. } = probe;
    let wanted = view.seen.references.served.as_ref().map(|served| &served.readable.facts.sha256);
    // A renewal is no fault: the earlier certificate is as good until the kubelet has updated the volume.
    let is_reloading = view.seen.certificate_age < RELOAD_TIME
        && served.covers_domain
        && served.not_after > view.seen.now;
    if !is_reloading && wanted.is_some_and(|wanted| *wanted != served.sha256) {
        return Some(Verdict::new(
            TLSVerifiedReason::OldCertificateServed,
            format!(
                "Engine pod {pod} serves a certificate for {domain} other than the one in Secret {}. It has not loaded the new certificate within 2m: check the pod's log, or delete the pod.",
                names::serving(&view.federation.name)
            ),
        ));
    }
    if !served.covers_domain {
        return Some(Verdict::new(
            TLSVerifiedReason::NameMismatch,
            format!(
                "Engine pod {pod} serves a certificate that does not name {domain}. Issue one that does."
            ),
        ));
    }
    (served.not_after <= view.seen.now).then(|| {
        Verdict::new(
            TLSVerifiedReason::Expired,
            format!(
                "The certificate that engine pod {pod} serves for {domain} expired at {}.",
                served.not_after
            ),
        )
    })
}
