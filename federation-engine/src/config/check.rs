//! `federation-engine check --config FILE`: prints the effective configuration, with all defaults filled in.
//!
//! The output is YAML, sorted and stable, so that two files can be compared by `diff`.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crds::contact::Contact;
use crds::engine_file::{FileClaimCheck, FileDnssec, FilePeer, SplitHorizon};
use crds::limits::{EffectiveLimits, EffectiveTimeouts, Limits, Timeouts};
use crds::observability::Observability;
use crds::peer::{PeerLimits, PeerSettings, PeerTls, Probe};
use crds::policy::Policy;
use serde::Serialize;

use crate::config::peer::Peer;
use crate::config::{Attachment, Config, LocalDomain};

/// The report for a configuration that is consistent. From `peerDefaults` on it has the vocabulary of the file.
///
/// # Errors
/// When the report cannot be written as YAML.
pub fn report(config: &Config) -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string(&Report {
        host: config.host.to_string(),
        probe_domain: config.probe_domain.to_string(),
        domains: config.domains.iter().map(DomainReport::new).collect(),
        peer_defaults: settings(config.peers.defaults()),
        peers: config.peers.entries().iter().filter_map(|peer| entry(peer)).collect(),
        policy: &config.policy,
        limits: limits(&config.limits),
        timeouts: timeouts(&config.timeouts),
        dnssec: &config.dnssec,
        claim_check: &config.claim_check,
        observability: Some(&config.observability).filter(|set| **set != Observability::default()),
        split_horizon: config.split_horizon.as_ref(),
        not_in_effect: config.not_in_effect(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    host: String,
    probe_domain: String,
    domains: Vec<DomainReport>,
    peer_defaults: PeerSettings<PathBuf>,
    peers: Vec<FilePeer>,
    policy: &'a Policy,
    limits: Limits,
    timeouts: Timeouts,
    dnssec: &'a FileDnssec,
    #[serde(skip_serializing_if = "FileClaimCheck::is_empty")]
    claim_check: &'a FileClaimCheck,
    #[serde(skip_serializing_if = "Option::is_none")]
    observability: Option<&'a Observability>,
    #[serde(skip_serializing_if = "Option::is_none")]
    split_horizon: Option<&'a SplitHorizon>,
    not_in_effect: &'a [String],
}

#[derive(Serialize)]
struct DomainReport {
    name: String,
    backend: String,
    #[serde(skip_serializing_if = "Contact::is_empty")]
    contact: Contact,
}

impl DomainReport {
    fn new(local: &LocalDomain) -> Self {
        let backend = match &local.backend {
            None => "none (the engine answers ping and disco, and bounces the rest)".to_owned(),
            Some(backend) => match &backend.attachment {
                Attachment::Server { target, authentication, .. } => {
                    format!("{} (server {target}, {authentication:?})", backend.name)
                }
                Attachment::Component(_) => format!("{} (component)", backend.name),
            },
        };
        Self { name: local.name.to_string(), backend, contact: local.contact.clone() }
    }
}

/// The complete entry of `peers`, with every field set.
fn entry(peer: &Peer) -> Option<FilePeer> {
    Some(FilePeer::new(peer.entry.clone()?, settings(peer)))
}

/// The complete settings, with every field set and nothing left to a preset.
fn settings(peer: &Peer) -> PeerSettings<PathBuf> {
    PeerSettings {
        profile: Some(peer.profile),
        tls: Some(PeerTls {
            bundles: peer.bundles.clone(),
            pins: peer.pins.iter().map(ToString::to_string).collect(),
            ..peer.rules.tls_settings()
        }),
        authentication: Some(peer.rules.authentication_settings()),
        route: peer.route.clone(),
        limits: Some(PeerLimits {
            stanza_bytes: number(peer.stanza_bytes),
            stanzas_per_second: peer.stanzas_per_second.map(NonZeroU32::get),
            streams: peer.streams.map(NonZeroU32::get),
            enforcement: Some(peer.enforcement),
        }),
        required: Some(peer.required),
        probe: Some(Probe { mode: Some(peer.probe.mode), to: peer.probe.to.clone() }),
    }
}

fn limits(limits: &EffectiveLimits) -> Limits {
    Limits {
        stanza_bytes: number(limits.stanza_bytes),
        pre_auth_element_bytes: number(limits.pre_auth_element_bytes),
        pre_auth_stream_bytes: number(limits.pre_auth_stream_bytes),
        depth: number(limits.depth),
        attributes: number(limits.attributes),
        queue_bytes: number(limits.queue_bytes),
        queue_stanzas: number(limits.queue_stanzas),
        unauthenticated_streams: number(limits.unauthenticated_streams),
        verifications_per_stream: number(limits.verifications_per_stream),
        verifications_per_source: number(limits.verifications_per_source),
        memory_bytes: limits.memory_bytes.and_then(number),
        connections: limits.connections.and_then(number),
    }
}

fn timeouts(timeouts: &EffectiveTimeouts) -> Timeouts {
    let seconds = |duration: Duration| u16::try_from(duration.as_secs()).ok();
    Timeouts {
        negotiation_seconds: seconds(timeouts.negotiation),
        dialback_seconds: seconds(timeouts.dialback),
        connect_seconds: seconds(timeouts.connect),
        idle_seconds: seconds(timeouts.idle.unwrap_or(Duration::ZERO)),
        queue_seconds: seconds(timeouts.queue),
        keepalive_seconds: seconds(timeouts.keepalive),
        user_timeout_seconds: seconds(timeouts.user_timeout),
    }
}

/// Numbers of the file; ranges keep them within its types.
fn number<T: TryFrom<usize>>(value: usize) -> Option<T> {
    T::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::parse_text;

    /// `UPDATE_GOLDEN=1` writes the text anew; read the difference.
    fn golden(name: &str, made: &str) -> String {
        let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, made).unwrap();
        }
        std::fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn the_report_of_the_sample_is_the_golden_text() {
        let config = parse_text(include_str!("../../tests/data/engine.yaml")).unwrap();
        let report = report(&config).unwrap();
        assert_eq!(report, golden("engine.check.yaml", &report), "\n{report}");
    }

    #[test]
    fn the_report_of_every_preset_is_the_golden_text() {
        let config = parse_text(include_str!("../../tests/data/presets.yaml")).unwrap();
        let shown: Vec<_> = config.peers.entries().iter().map(|peer| peer.profile).collect();
        assert!(crds::peer::Profile::ALL.iter().all(|profile| shown.contains(profile)));
        let report = report(&config).unwrap();
        assert_eq!(report, golden("presets.check.yaml", &report), "\n{report}");
    }

    /// The report is complete: read back, it means the same.
    #[test]
    fn the_settings_of_the_report_resolve_to_themselves() {
        let config = parse_text(include_str!("../../tests/data/engine.yaml")).unwrap();
        for peer in config.peers.entries() {
            let stated = settings(peer);
            let again = crds::effective::effective(&PeerSettings::default(), Some(&stated));
            let again = Peer::parse(peer.entry.clone(), again, &config.limits).unwrap();
            assert_eq!(again, **peer);
        }
        assert_eq!(limits(&config.limits).resolve(), config.limits);
        assert_eq!(timeouts(&config.timeouts).resolve(), config.timeouts);
    }
}
