//! What probers outside the cluster see, and where the culprit is if they cannot connect. Pure.

use std::net::{IpAddr, SocketAddr};

use crds::reason::InboundReachableReason as Reason;
use federation_engine::prober::message::{OutsideMode, OutsideOutcome, OutsideResult};
use jiff::{SignedDuration, Timestamp};

use super::View;
use crate::build::{Address, ports};
use crate::evidence::reported::ReportedProbe;

/// Results of the same time: probers and peers that differ within it disagree; an older result is over.
const SAME_TIME: SignedDuration = SignedDuration::from_mins(2);
/// How long a failure counts that a user reports: nobody may probe again after a repair.
const REPORTED_FAILURE_TTL: SignedDuration = SignedDuration::from_mins(10);

/// What one prober sees.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its name; if a user reported the probe, from where and which user.
    pub prober: String,
    /// A user reported it.
    pub is_reported: bool,
    /// When it probed.
    pub at: Timestamp,
    /// Since when it sees the fault.
    pub since: Timestamp,
    /// The first fault; `None` if all streams were established.
    pub fault: Option<Fault>,
}

/// Why servers outside cannot connect.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The reason.
    pub reason: Reason,
    /// What the prober sees; one sentence.
    pub seen: String,
    /// Where the culprit is, and what to do; one or two sentences.
    pub advice: String,
}

impl Finding {
    /// Whether evidence of that time contradicts the fault.
    pub fn is_contradicted_by(&self, at: Timestamp) -> bool {
        at >= self.since && at.duration_since(self.at) <= SAME_TIME
    }

    /// Whether evidence of that time shows that the fault is over.
    pub fn is_over(&self, at: Timestamp) -> bool {
        at.duration_since(self.at) > SAME_TIME
    }
}

/// What all probers see that could be used, in the order of the spec, then what users report.
pub fn findings(view: View<'_>) -> Vec<Finding> {
    let asked = view.seen.outside.reports.iter().filter_map(|report| {
        let results = report.found.as_ref().ok()?;
        let fault = judge(view, &report.prober, results)?.err();
        let prober = report.prober.clone();
        Some(Finding { prober, is_reported: false, at: report.at, since: report.since, fault })
    });
    let told = view.seen.reported.iter().filter_map(|report| {
        let fault = judge(view, &report.prober, &report.results)?.err();
        // The API server's clock may be ahead of the operator's.
        let at = report.at.min(view.seen.now);
        let age = view.seen.now.duration_since(at);
        let counts = age < if fault.is_some() { REPORTED_FAILURE_TTL } else { evidence_ttl(view) }
            && view.seen.address_changed.is_none_or(|changed| at >= changed)
            // Of another federation that had the name.
            && view.federation.created.is_none_or(|created| report.at >= created)
            && inside(view, report).is_none();
        let prober = report.prober.clone();
        counts.then_some(Finding { prober, is_reported: true, at, since: at, fault })
    });
    asked.chain(told).collect()
}

/// The address of a reported probe, if it is one of the cluster.
fn inside(view: View<'_>, report: &ReportedProbe) -> Option<IpAddr> {
    report.source.filter(|source| view.seen.networks.contains(*source))
}

/// The first fault among the results that are about the current addresses; `None` if there is none to judge.
fn judge(view: View<'_>, prober: &str, results: &[OutsideResult]) -> Option<Result<(), Fault>> {
    let mut current =
        results.iter().filter(|result| is_current(view, result) && is_usable(result)).peekable();
    current.peek()?;
    Some(current.find_map(|result| fault(view, prober, result)).map_or(Ok(()), Err))
}

/// How long evidence counts.
pub fn evidence_ttl(view: View<'_>) -> SignedDuration {
    let ttl: std::time::Duration = view.federation.spec.verification.evidence_ttl.into();
    SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX)
}

/// Why the probers of the spec, or the reports of users, give no evidence; a sentence after a space.
pub fn unusable(view: View<'_>) -> String {
    let unanswered = view.seen.outside.reports.iter().find_map(|report| match &report.found {
        Err(why) => {
            Some(format!(" Cannot use prober {}: {}.", report.prober, why.trim_end_matches('.')))
        }
        Ok(results) => {
            let limited = results.iter().find(|result| !is_usable(result))?;
            let all = results.iter().all(|result| !is_usable(result));
            all.then(|| format!(" Prober {} cannot judge: {}.", report.prober, limits(limited)))
        }
    });
    let from_inside = || {
        view.seen.reported.iter().find_map(|report| {
            let source = inside(view, report)?;
            let prober = &report.prober;
            Some(format!(
                " The probe from {prober} does not count, because its address {source} belongs to the cluster."
            ))
        })
    };
    unanswered.or_else(from_inside).unwrap_or_default()
}

/// The prober itself could not try, so the result says nothing about the federation.
const fn is_usable(result: &OutsideResult) -> bool {
    !matches!(result.outcome, OutsideOutcome::NotAllowed { .. } | OutsideOutcome::NoRoute)
}

fn limits(result: &OutsideResult) -> String {
    match &result.outcome {
        OutsideOutcome::NotAllowed { detail } => {
            format!("{}; see its --allow-network", detail.replace('`', "").trim_end_matches('.'))
        }
        _ => format!("it has no route to {}", shown(result)),
    }
}

/// The result is about an address and port at which the federation is reached now.
fn is_current(view: View<'_>, result: &OutsideResult) -> bool {
    let Some(address) = result.address else { return true };
    let port = match result.mode {
        OutsideMode::StartTls => Some(view.federation.public_port()),
        OutsideMode::DirectTls => view.federation.public_tls_port(),
    };
    let here = match view.federation.reached_at(view.seen.cluster.address()) {
        Some(Address::Ips(ips)) => ips.contains(&address.ip()),
        Some(Address::Hostname(_)) => true,
        None => false,
    };
    here && port == Some(address.port())
        && view.federation.domains().any(|domain| *domain == result.domain)
}

fn shown(result: &OutsideResult) -> String {
    result.address.map_or_else(|| "the host".to_owned(), |address| address.to_string())
}

fn fault(view: View<'_>, prober: &str, result: &OutsideResult) -> Option<Fault> {
    let (at, mode, domain) = (shown(result), result.mode.label(), &result.domain);
    let port = result.address.map_or(view.federation.public_port(), |address| address.port());
    let not_connected = |reason, why: &str, advice| {
        Some(Fault {
            reason,
            seen: format!("Prober {prober} cannot connect to {at}: {why}."),
            advice,
        })
    };
    let no_stream = |reason, why: String, advice| {
        let seen = format!("Prober {prober} reaches {at} ({mode}, {domain}), but {why}.");
        Some(Fault { reason, seen, advice })
    };
    match &result.outcome {
        OutsideOutcome::Reached { certificate, names, .. } => {
            if is_ours(view, certificate) {
                return None;
            }
            let why = format!("the server presents a certificate for {} that no engine pod serves", listed(names));
            no_stream(Reason::ProbeWrongCertificate, why, elsewhere(view, result))
        }
        OutsideOutcome::Refused => not_connected(Reason::ProbeRefused, "connection refused", refused(view, port)),
        OutsideOutcome::TimedOut => not_connected(Reason::ProbeTimedOut, "connection timed out", dropped(view, port)),
        OutsideOutcome::Reset { detail } => no_stream(
            Reason::ProbeReset,
            format!("the connection was reset or closed while {detail}"),
            format!("A firewall that inspects TCP {port}, or a load balancer without a ready engine pod behind it, ends the connection. Exempt the port from inspection, and {}.", check_target(view)),
        ),
        OutsideOutcome::Stalled { detail } => no_stream(
            Reason::ProbeTimedOut,
            format!("the stream stalls while {detail}"),
            format!("Large packets may be lost on the way: check the MTU of the path, and let firewalls pass ICMP \"fragmentation needed\". Otherwise a device in front of the engine accepts TCP {port} and forwards nothing: {}.", check_target(view)),
        ),
        OutsideOutcome::NotXmpp { detail } => no_stream(
            Reason::ProbeNotXMPP,
            format!("the server does not speak XMPP: {}", detail.trim_end_matches('.').trim_start_matches(NOT_XMPP)),
            elsewhere(view, result),
        ),
        OutsideOutcome::StreamError { condition, text } => no_stream(
            Reason::ProbeFailed,
            format!("the server closed the stream with {condition}{}", quoted(text)),
            elsewhere(view, result),
        ),
        OutsideOutcome::StartTlsNotOffered => no_stream(
            Reason::ProbeFailed,
            "the server does not offer STARTTLS".to_owned(),
            "A firewall that removes STARTTLS, or another server, answers there. Exempt the port from inspection.".to_owned(),
        ),
        OutsideOutcome::HandshakeFailed { detail } => no_stream(
            Reason::ProbeFailed,
            format!("the TLS handshake failed: {}", detail.trim_end_matches('.')),
            elsewhere(view, result),
        ),
        OutsideOutcome::ConnectFailed { detail } => {
            not_connected(Reason::ProbeFailed, detail.trim_end_matches('.'), dropped(view, port))
        }
        OutsideOutcome::NoAddress { detail } => Some(Fault {
            reason: Reason::ProbeFailed,
            seen: format!("Prober {prober} finds no address of the host: {}.", detail.trim_end_matches('.')),
            advice: "See HostResolves.".to_owned(),
        }),
        OutsideOutcome::NotAllowed { .. } | OutsideOutcome::NoRoute => None,
    }
}

/// How the prober's own words begin.
const NOT_XMPP: &str = "the peer does not speak XMPP: ";

fn quoted(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text:?})") }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "no domain".to_owned() } else { names.join(", ") }
}

/// The certificate is the wanted one, or one that a replica still serves.
fn is_ours(view: View<'_>, sha256: &str) -> bool {
    let wanted =
        view.seen.references.served.as_ref().map(|served| served.readable.facts.sha256.as_str());
    let served =
        view.reports().flat_map(|report| &report.certificates).map(|own| own.sha256.as_str());
    let mut known = wanted.into_iter().chain(served).peekable();
    known.peek().is_none() || known.any(|own| own == sha256)
}

/// Where the mapping of a firewall or NAT must lead; `None` if the spec names no such device.
fn behind(view: View<'_>, port: u16) -> Option<String> {
    let spec = &view.federation.spec.service;
    if spec.public_addresses.is_empty() {
        return None;
    }
    let is_tls = Some(port) == view.federation.public_tls_port();
    let (own, index) = if is_tls { (ports::S2S_TLS, 1) } else { (ports::S2S, 0) };
    let node_port = view.seen.cluster.service.as_ref().and_then(|s| s.node_ports.get(index));
    Some(match (view.seen.cluster.address(), node_port) {
        (Some(Address::Ips(ips)), _) if !ips.is_empty() => {
            let all: Vec<String> =
                ips.iter().map(|ip: &IpAddr| SocketAddr::new(*ip, own).to_string()).collect();
            all.join(" or ")
        }
        (Some(Address::Hostname(name)), _) => format!("{name}:{own}"),
        (_, Some(node_port)) => format!("TCP {node_port} of the nodes"),
        _ => format!("TCP {own} of the Service"),
    })
}

fn refused(view: View<'_>, port: u16) -> String {
    match behind(view, port) {
        Some(target) => format!(
            "The firewall or NAT device rejects TCP {port}, or maps it to a port where nothing listens. Map it to {target}."
        ),
        None => format!(
            "The load balancer has no listener for TCP {port}, or no node with a ready engine pod accepts it: {}.",
            check_target(view)
        ),
    }
}

fn dropped(view: View<'_>, port: u16) -> String {
    if let Some(target) = behind(view, port) {
        return format!(
            "The firewall or NAT device drops TCP {port}, or has no mapping for it. Allow it from the internet, and map it to {target}."
        );
    }
    let ranges = &view.federation.spec.service.load_balancer_source_ranges;
    if ranges.is_empty() {
        return format!(
            "A firewall between the internet and the load balancer drops TCP {port}, or the address is not routed to the cluster. Allow TCP {port} from the internet, and {}.",
            check_target(view)
        );
    }
    let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
    format!(
        "spec.service.loadBalancerSourceRanges admits only {}; add the networks of your peers and of the prober, or remove it. If it contains them, allow TCP {port} in the firewall.",
        ranges.join(", ")
    )
}

fn elsewhere(view: View<'_>, result: &OutsideResult) -> String {
    let port = result.address.map_or(view.federation.public_port(), |address| address.port());
    match behind(view, port) {
        Some(target) => {
            format!("The NAT mapping of TCP {port} leads to another server. Map it to {target}.")
        }
        None => format!("Another server or a TLS proxy answers there: {}.", check_target(view)),
    }
}

fn check_target(view: View<'_>) -> String {
    format!("check Service {} and its events", view.federation.name)
}

#[cfg(test)]
mod tests;
