//! From SRV answers to an ordered list of targets (RFC 6120 §3.2, RFC 2782, XEP-0368 §3). Pure; chance is an argument.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use crds::target::{RouteHost, RouteTarget};

use crate::Domain;
use crate::reason::{DnsReason, Records};
use crate::stream::redirect::OtherHost;

/// How TLS starts on a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TlsStart {
    /// After `<proceed/>` (RFC 6120 §5).
    StartTls,
    /// With the first byte (XEP-0368).
    Direct,
}

/// Port of server-to-server streams if no SRV record names one (RFC 6120 §14.2).
pub const DEFAULT_PORT: NonZeroU16 = match NonZeroU16::new(5269) {
    Some(port) => port,
    None => NonZeroU16::MIN,
};
/// Maximum targets kept of all SRV answers of a domain: no domain needs more, and each may cost a connection.
pub const MAX_TARGETS: usize = 32;

/// Result of one query.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer<T> {
    /// Records of the type exist; never empty.
    Records(Vec<T>),
    /// The name does not exist, or has no record of the type (RFC 2308).
    Absent,
    /// No usable answer; whether records exist is unknown. The reason as text.
    Failed(String),
    /// DNSSEC validation shows that the answer is not what the zone's owner published, or cannot decide (RFC 4035 §4.3,
    /// bogus and indeterminate). It is never used, and never treated as absence.
    Bogus,
}

/// An answer, and whether DNSSEC authenticates it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ValidatedAnswer<T> {
    /// The answer.
    pub answer: Answer<T>,
    /// A chain of signatures from a trust anchor covers every record of it, aliases included (RFC 4035 §4.3, secure).
    /// Never true for an answer other than [`Answer::Records`].
    pub secure: bool,
}

impl<T> From<Answer<T>> for ValidatedAnswer<T> {
    /// An answer that is not authenticated.
    fn from(answer: Answer<T>) -> Self {
        Self { answer, secure: false }
    }
}

/// One SRV record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SrvRecord {
    /// Lower first.
    pub priority: u16,
    /// Share among records of equal priority.
    pub weight: u16,
    /// TCP port.
    pub port: u16,
    /// Host in ASCII without trailing dot; `None` is the root `.`: the service is not available there.
    pub target: Option<Arc<str>>,
}

/// The DNS answers about a domain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answers {
    /// `_xmpp-server._tcp`: STARTTLS.
    pub xmpp: ValidatedAnswer<SrvRecord>,
    /// `_xmpps-server._tcp`: Direct TLS. `None` when it was not queried.
    pub xmpps: Option<ValidatedAnswer<SrvRecord>>,
    /// `_jabber._tcp`, from before RFC 3920. `None` when it was not queried.
    pub jabber: Option<ValidatedAnswer<SrvRecord>>,
}

/// The host to connect to.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Host {
    /// A name in ASCII, absolute, without trailing dot.
    Name(Arc<str>),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Why a target is on the list.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Origin {
    /// An SRV record.
    Srv,
    /// No SRV record exists: the domain itself on the default port (RFC 6120 §3.2.2).
    Fallback,
    /// `<see-other-host/>` names a host and a port, or an address (RFC 6120 §4.9.3.19).
    Redirect,
    /// The peer's static route; the address guard does not apply, because an administrator configured it.
    Route,
}

/// One target.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Target {
    /// Name or address.
    pub host: Host,
    /// TCP port.
    pub port: NonZeroU16,
    /// How TLS starts there.
    pub start: TlsStart,
    /// SRV priority; 0 if there is none.
    pub priority: u16,
    /// SRV weight; 0 if there is none.
    pub weight: u16,
    /// Its origin.
    pub origin: Origin,
    /// The domain whose SRV record names it, if DNSSEC authenticates that record, so that DANE applies (RFC 7673 §3.1).
    /// The facts about the server are authenticated for this domain and no other.
    pub validated_for: Option<Domain>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

impl Target {
    fn named(host: &RouteHost, port: NonZeroU16, origin: Origin) -> Self {
        let host = match host {
            RouteHost::Name(name) => Host::Name(name.to_ascii().into()),
            RouteHost::Address(address) => Host::Address(*address),
        };
        let start = TlsStart::StartTls;
        Self { host, port, start, priority: 0, weight: 0, origin, validated_for: None }
    }
}

impl From<&RouteTarget> for Target {
    fn from(route: &RouteTarget) -> Self {
        Self::named(&route.host, route.port, Origin::Route)
    }
}

impl From<&OtherHost> for Target {
    fn from(other: &OtherHost) -> Self {
        Self::named(&other.host, other.port.unwrap_or(DEFAULT_PORT), Origin::Redirect)
    }
}

/// Orders the targets of a domain. `random(n)` returns a number from 0 to n inclusive.
///
/// # Errors
/// - [`DnsReason::ServiceDisabled`]: the only SRV records have the target `.`; then there is no fallback (RFC 6120
///   §3.2.1 rule 3).
/// - [`DnsReason::ResolverUnavailable`]: whether SRV records exist is unknown, so the fallback would be a guess.
/// - [`DnsReason::NoAddress`]: SRV records exist, and none is usable.
/// - [`DnsReason::Bogus`]: SRV records that fail validation end the search, whatever else was found (RFC 7673 §3.1).
pub fn plan(
    domain: &Domain,
    answers: &Answers,
    random: &mut impl FnMut(u32) -> u32,
) -> Result<Vec<Target>, DnsReason> {
    let name = || domain.to_string();
    let services =
        [(Some(&answers.xmpp), TlsStart::StartTls), (answers.xmpps.as_ref(), TlsStart::Direct)];
    let all = services.iter().filter_map(|(service, _)| *service).chain(&answers.jabber);
    if all.into_iter().any(|service| service.answer == Answer::Bogus) {
        return Err(DnsReason::Bogus { name: name(), records: Records::Service });
    }
    // XEP-0368 §3: one list by priority and weight, whatever the service.
    let mut candidates = Vec::new();
    let (mut published, mut disabled) = (false, false);
    for (service, start) in services {
        if let Some(ValidatedAnswer { answer: Answer::Records(records), secure }) = service {
            published = true;
            disabled |= is_disabled(records);
            let validated_for = secure.then_some(domain);
            candidates
                .extend(records.iter().filter_map(|record| target(record, start, validated_for)));
        }
    }
    if published {
        if !candidates.is_empty() {
            return Ok(order(candidates, random));
        }
        if let Answer::Failed(detail) = &answers.xmpp.answer {
            return Err(DnsReason::ResolverUnavailable { name: name(), detail: detail.clone() });
        }
        return Err(if disabled {
            DnsReason::ServiceDisabled { name: name() }
        } else {
            DnsReason::NoAddress { name: name() }
        });
    }
    for (service, _) in services {
        if let Some(ValidatedAnswer { answer: Answer::Failed(detail), .. }) = service {
            return Err(DnsReason::ResolverUnavailable { name: name(), detail: detail.clone() });
        }
    }
    match answers.jabber.as_ref().map(|service| (&service.answer, service.secure)) {
        Some((Answer::Records(records), secure)) => {
            let (start, validated_for) = (TlsStart::StartTls, secure.then_some(domain));
            let candidates: Vec<_> =
                records.iter().filter_map(|record| target(record, start, validated_for)).collect();
            if !candidates.is_empty() {
                return Ok(order(candidates, random));
            }
            return Err(DnsReason::ServiceDisabled { name: name() });
        }
        Some((Answer::Failed(detail), _)) => {
            return Err(DnsReason::ResolverUnavailable { name: name(), detail: detail.clone() });
        }
        Some((Answer::Absent | Answer::Bogus, _)) | None => {}
    }
    Ok(vec![Target {
        host: Host::Name(domain.to_ascii().into()),
        port: DEFAULT_PORT,
        start: TlsStart::StartTls,
        priority: 0,
        weight: 0,
        origin: Origin::Fallback,
        // RFC 7673 §3.1: if no SRV record exists, DANE does not apply.
        validated_for: None,
    }])
}

/// RFC 2782, Target: "." as the only record.
fn is_disabled(records: &[SrvRecord]) -> bool {
    matches!(records, [SrvRecord { target: None, .. }])
}

fn target(record: &SrvRecord, start: TlsStart, validated_for: Option<&Domain>) -> Option<Target> {
    Some(Target {
        host: Host::Name(Arc::clone(record.target.as_ref()?)),
        port: NonZeroU16::new(record.port)?,
        start,
        priority: record.priority,
        weight: record.weight,
        origin: Origin::Srv,
        validated_for: validated_for.cloned(),
    })
}

/// RFC 2782, Weight: by priority; within one, each next target is drawn with a chance proportional to its weight.
fn order(mut candidates: Vec<Target>, random: &mut impl FnMut(u32) -> u32) -> Vec<Target> {
    // Stable, and with the zero weights first, as the algorithm of the RFC requires.
    candidates.sort_by_key(|target| (target.priority, target.weight != 0));
    let mut ordered: Vec<Target> = Vec::with_capacity(candidates.len().min(MAX_TARGETS));
    while let Some(priority) = candidates.first().map(|target| target.priority) {
        let group = candidates.partition_point(|target| target.priority == priority);
        let sum = candidates.iter().take(group).map(|target| u32::from(target.weight)).sum();
        let drawn = random(sum).min(sum);
        let mut running = 0;
        let index = candidates.iter().take(group).position(|target| {
            running += u32::from(target.weight);
            running >= drawn
        });
        let next = candidates.remove(index.unwrap_or(0));
        let twice = ordered.iter().any(|known| {
            (&known.host, known.port, known.start) == (&next.host, next.port, next.start)
        });
        if !twice {
            ordered.push(next);
        }
        if ordered.len() == MAX_TARGETS {
            break;
        }
    }
    ordered
}

#[cfg(test)]
mod tests;
