//! `TLSVerified`: the engine serves the correct certificate for every domain, with STARTTLS and with Direct TLS.

use std::time::Duration;

use crds::domain::Domain;
use crds::reason::TLSVerifiedReason;
use federation_engine::observe::evidence::LoadError;

use super::View;
use super::verdict::Verdict;
use crate::build::paths;
use crate::evidence::engine::Report;
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
    if let Some(problem) = without_certificate(view, probe) {
        return Some(Verdict::new(
            TLSVerifiedReason::STARTTLSNotOffered,
            format!(
                "Engine pod {pod} does not offer STARTTLS for {domain}, because it cannot load its certificate: {problem}. {}",
                undo(view)
            ),
        ));
    }
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
    let is_old = wanted.is_some_and(|wanted| *wanted != served.sha256);
    if let Some(verdict) = is_old.then(|| never_reloaded(view, probe)).flatten() {
        return Some(verdict);
    }
    if !is_reloading && is_old {
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
                "The certificate that engine pod {pod} serves for {domain} expired at {}. Replace it: see CertificateReady.",
                served.not_after
            ),
        )
    })
}

/// A pod that serves an earlier certificate and cannot load the current one, however long the operator waits.
fn never_reloaded(view: View<'_>, probe: &Probe) -> Option<Verdict> {
    let Probe { pod, domain, .. } = probe;
    let secret = names::serving(&view.federation.name);
    let is_frozen =
        view.seen.cluster.pods.iter().any(|seen| seen.name == *pod && seen.certificate_frozen);
    let (cause, action) = if is_frozen {
        let cause = "its volume mount has a subPath, which the kubelet never updates".to_owned();
        (cause, unmount(view))
    } else {
        (unreadable(view, pod)?, undo(view))
    };
    Some(Verdict::new(
        TLSVerifiedReason::OldCertificateServed,
        format!(
            "Engine pod {pod} still serves the previous certificate for {domain}. It cannot load the one in Secret {secret}: {cause}. {action}"
        ),
    ))
}

/// Why a pod has no certificate, if that is why no TLS was negotiated. An engine that has none closes some connections.
pub(super) fn without_certificate(view: View<'_>, probe: &Probe) -> Option<String> {
    let failed = matches!(
        probe.outcome,
        ProbeOutcome::StartTlsNotOffered
            | ProbeOutcome::HandshakeFailed(_)
            | ProbeOutcome::NotXmpp(_)
    );
    unreadable(view, &probe.pod).filter(|_| failed)
}

/// Why a pod cannot load its certificate, in its own words.
fn unreadable(view: View<'_>, pod: &str) -> Option<String> {
    let engine = view.seen.engines.iter().find(|engine| engine.replica.name == pod)?;
    let Report::Seen(evidence) = &engine.report else { return None };
    let is_it = |problem: &&LoadError| problem.unusable && problem.place.starts_with(paths::TLS);
    let problem = evidence.problems.iter().find(is_it)?;
    Some(format!("{}: {}", problem.place, problem.message.trim_end_matches('.')))
}

/// The operator restores its own mount, and leaves mounts that others added.
fn unmount(view: View<'_>) -> String {
    let name = &view.federation.name;
    if view.federation.spec.paused {
        format!(
            "Remove that mount from Deployment {name}, and set spec.paused to false, so that the operator restores its own."
        )
    } else {
        format!("Remove that mount from Deployment {name}.")
    }
}

/// The operator itself mounts the certificate so that the engine can read it and the kubelet updates it.
fn undo(view: View<'_>) -> String {
    let name = &view.federation.name;
    if view.federation.spec.paused {
        format!("Set spec.paused to false, so that the operator restores Deployment {name}.")
    } else {
        format!("Undo what others changed in Deployment {name}, or delete the pod.")
    }
}
