//! `StreamVerified`: the engine answers a stream for every domain with the features that the settings ask for.

use crds::domain::Domain;
use crds::effective;
use crds::peer::Dialback;
use crds::reason::StreamVerifiedReason;

use super::View;
use super::verdict::Verdict;
use crate::evidence::probe::{Probe, ProbeOutcome};

/// Stream error condition of RFC 6120 §4.9.3.6.
const HOST_UNKNOWN: &str = "host-unknown";

/// The verdict when every domain's is True.
pub fn every_domain(_: View<'_>, _: &[Verdict]) -> Verdict {
    Verdict::new(
        StreamVerifiedReason::FeaturesReceived,
        "Every engine pod answers streams for every domain.",
    )
}

/// Judges the streams for one domain.
pub fn for_domain(view: View<'_>, domain: &Domain) -> Verdict {
    let mut probes = view.seen.probes.probes.iter().filter(|p| p.domain == *domain).peekable();
    if probes.peek().is_none() {
        return Verdict::new(
            StreamVerifiedReason::EvidenceUnavailable,
            format!("No stream to an engine pod for {domain} has been tried yet."),
        );
    }
    probes.find_map(|probe| fault(view, probe)).unwrap_or_else(|| {
        Verdict::new(
            StreamVerifiedReason::FeaturesReceived,
            format!("Every engine pod answers streams for {domain}."),
        )
    })
}

fn fault(view: View<'_>, probe: &Probe) -> Option<Verdict> {
    let Probe { pod, domain, mode, outcome } = probe;
    let mode = mode.as_str();
    match outcome {
        ProbeOutcome::Features { mechanisms, dialback, .. } => {
            // EXTERNAL is offered to peers whose certificate proves them, and the probe has none. Dialback is the only
            // feature that a stranger can be sure of, where the settings for strangers allow it.
            let strangers = effective::effective(&view.federation.spec.peer_defaults, None);
            let expected = strangers.rules.dialback != Dialback::Disabled;
            (expected && !dialback && mechanisms.is_empty()).then(|| {
                Verdict::new(
                    StreamVerifiedReason::NoAuthMechanism,
                    format!("Engine pod {pod} offers neither dialback nor EXTERNAL for {domain} over {mode}, although spec.peerDefaults allows dialback. Look at the pod's log."),
                )
            })
        }
        ProbeOutcome::StreamError(condition, _) if condition == HOST_UNKNOWN => Some(Verdict::new(
            StreamVerifiedReason::HostUnknown,
            format!(
                "Engine pod {pod} does not know {domain}. It has not read the current configuration yet; look at its log."
            ),
        )),
        ProbeOutcome::StreamError(condition, text) => Some(Verdict::new(
            StreamVerifiedReason::StreamError,
            format!("Engine pod {pod} ended the stream for {domain} with {condition} {text}."),
        )),
        ProbeOutcome::NotXmpp(what) => Some(Verdict::new(
            StreamVerifiedReason::NotXMPP,
            format!(
                "What answers on engine pod {pod} ({mode}) does not speak XMPP: {what}. Check that nothing else has the pod's address."
            ),
        )),
        ProbeOutcome::ConnectFailed(why) => Some(Verdict::new(
            StreamVerifiedReason::ConnectFailed,
            format!("Engine pod {pod} does not answer with {mode}: {why}."),
        )),
        // No stream came about, and TLSVerified says why.
        ProbeOutcome::StartTlsNotOffered | ProbeOutcome::HandshakeFailed(_) => Some(Verdict::new(
            StreamVerifiedReason::EvidenceUnavailable,
            format!("TLS with engine pod {pod} for {domain} fails; see TLSVerified."),
        )),
    }
}
