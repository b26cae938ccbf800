//! `StreamVerified`: the engine answers a stream for every domain with the features that the settings require.

use crds::domain::Domain;
use crds::effective;
use crds::peer::Dialback;
use crds::reason::StreamVerifiedReason;
use crds::xmpp::StreamCondition;

use super::verdict::Verdict;
use super::{View, tls};
use crate::evidence::probe::{Probe, ProbeOutcome};

/// The verdict when every domain's is True.
pub fn every_domain(_: View<'_>, _: &[Verdict]) -> Verdict {
    Verdict::new(
        StreamVerifiedReason::FeaturesReceived,
        "Every engine pod accepts streams for every domain.",
    )
}

/// Judges the streams for one domain.
pub fn for_domain(view: View<'_>, domain: &Domain) -> Verdict {
    let mut probes = view.seen.probes.probes.iter().filter(|p| p.domain == *domain).peekable();
    if probes.peek().is_none() {
        return Verdict::new(
            StreamVerifiedReason::EvidenceUnavailable,
            format!("The operator has not opened a stream to an engine pod for {domain} yet."),
        );
    }
    probes.find_map(|probe| fault(view, probe)).unwrap_or_else(|| {
        Verdict::new(
            StreamVerifiedReason::FeaturesReceived,
            format!("Every engine pod accepts streams for {domain}."),
        )
    })
}

fn fault(view: View<'_>, probe: &Probe) -> Option<Verdict> {
    let Probe { pod, domain, mode, outcome } = probe;
    let mode = mode.as_str();
    let by_tls = || {
        Some(Verdict::new(
            StreamVerifiedReason::EvidenceUnavailable,
            format!("TLS with engine pod {pod} for {domain} fails; see TLSVerified."),
        ))
    };
    match outcome {
        ProbeOutcome::Features { mechanisms, dialback, .. } => {
            // EXTERNAL is offered only to peers that their certificate authenticates, and the probe presents none. Dialback
            // is the only feature that an unknown peer is always offered, if spec.peerDefaults allows it.
            let strangers = effective::effective(&view.federation.spec.peer_defaults, None);
            let expected = strangers.rules.dialback != Dialback::Disabled;
            (expected && !dialback && mechanisms.is_empty()).then(|| {
                Verdict::new(
                    StreamVerifiedReason::NoAuthMechanism,
                    format!("Engine pod {pod} offers neither dialback nor EXTERNAL for {domain} over {mode}, although spec.peerDefaults allows dialback. Check the pod's log."),
                )
            })
        }
        ProbeOutcome::StreamError(StreamCondition::HostUnknown, _)
            if view.seen.config.is_on_its_way()
                && view.seen.probes.wanted.outdated.contains(pod) =>
        {
            Some(Verdict::new(
                StreamVerifiedReason::EvidenceUnavailable,
                format!(
                    "Engine pod {pod} has not read the configuration with {domain} yet. The kubelet updates the file within 2m."
                ),
            ))
        }
        ProbeOutcome::StreamError(StreamCondition::HostUnknown, _) => Some(Verdict::new(
            StreamVerifiedReason::HostUnknown,
            format!(
                "Engine pod {pod} does not know {domain}, because it has not read the current configuration yet. Check its log."
            ),
        )),
        ProbeOutcome::StreamError(condition, text) => Some(Verdict::new(
            StreamVerifiedReason::StreamError,
            format!(
                "Engine pod {pod} closed the stream for {domain} with {condition}{}. Check its log, and that nothing else uses the pod's address.",
                if text.is_empty() { String::new() } else { format!(" ({text:?})") }
            ),
        )),
        ProbeOutcome::NotXmpp(_) if tls::without_certificate(view, probe).is_some() => by_tls(),
        ProbeOutcome::NotXmpp(what) => Some(Verdict::new(
            StreamVerifiedReason::NotXMPP,
            format!(
                "No XMPP stream opens on engine pod {pod} ({mode}): {what}. Check the pod's log, and that nothing else uses the pod's address."
            ),
        )),
        ProbeOutcome::ConnectFailed(why) => Some(Verdict::new(
            StreamVerifiedReason::ConnectFailed,
            format!(
                "The operator cannot connect to engine pod {pod} over {mode}: {why}. Check that NetworkPolicies allow it, then check the pod's log."
            ),
        )),
        // There is no stream; TLSVerified reports why.
        ProbeOutcome::StartTlsNotOffered | ProbeOutcome::HandshakeFailed(_) => by_tls(),
    }
}
