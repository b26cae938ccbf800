//! The two kinds of evidence that are gathered from the network in the background, each with a deadline.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use super::answer::{Answer, NameEvidence, NoAnswer};
use super::background::Gather;
use super::dns::{self, DnsEvidence, LookedFor};
use super::probe::{self, ProbeEvidence};
use super::zone::Zones;

/// Time limit for all DNS queries of one federation.
pub const DNS_DEADLINE: Duration = Duration::from_secs(20);
/// Federations whose DNS records are queried at once.
pub const DNS_AT_ONCE: usize = 32;
/// Federations whose engine pods are probed at once.
pub const PROBES_AT_ONCE: usize = 16;

/// Queries the DNS records of a federation.
#[derive(Debug, Default)]
pub struct DnsRounds {
    /// Authoritative servers by zone.
    pub zones: Zones,
}

impl Gather for DnsRounds {
    type Wanted = LookedFor;
    type Found = DnsEvidence;

    async fn gather(&self, wanted: LookedFor) -> DnsEvidence {
        let now = Timestamp::now();
        match timeout(DNS_DEADLINE, dns::gather(wanted.clone(), &self.zones, now)).await {
            Ok(found) => found,
            Err(_) => unanswered(wanted, now),
        }
    }

    fn same(one: &DnsEvidence, other: &DnsEvidence) -> bool {
        // A cached answer has another TTL each time.
        timeless(one) == timeless(other)
    }
}

/// The evidence without the time at which it was received and the times for which servers keep it.
fn timeless(evidence: &DnsEvidence) -> DnsEvidence {
    let mut all = DnsEvidence { at: Timestamp::default(), ..evidence.clone() };
    all.host.forget_ttls();
    all.load_balancer.iter_mut().for_each(NameEvidence::forget_ttls);
    all.services.iter_mut().for_each(|(_, found)| found.forget_ttls());
    all
}

/// The evidence when the deadline has passed.
fn unanswered(looked_for: LookedFor, at: Timestamp) -> DnsEvidence {
    fn failed<T>() -> NameEvidence<T> {
        let why = format!("the queries were not answered within {DNS_DEADLINE:?}");
        let found = Err(NoAnswer::Failed(why));
        let answer = Answer { server: "all servers".to_owned(), found, ttl: None };
        NameEvidence { zone: vec![answer], public: Vec::new() }
    }
    let owners = looked_for.services.iter().map(|wanted| wanted.owner.clone());
    DnsEvidence {
        at,
        host: failed::<IpAddr>(),
        host_alias: None,
        load_balancer: looked_for.load_balancer.as_ref().map(|_| failed()),
        services: owners.map(|owner| (owner, failed())).collect(),
        owners: Vec::new(),
        looked_for,
    }
}

/// Opens streams to the engine's listeners of a federation.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProbeRounds;

impl Gather for ProbeRounds {
    type Wanted = probe::Wanted;
    type Found = ProbeEvidence;

    async fn gather(&self, wanted: probe::Wanted) -> ProbeEvidence {
        probe::gather(wanted, Timestamp::now()).await
    }

    fn same(one: &ProbeEvidence, other: &ProbeEvidence) -> bool {
        one.wanted == other.wanted && one.probes == other.probes
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::fixtures::{reported, smallest, validated};

    #[test]
    fn an_answer_with_another_ttl_is_no_news() {
        let with = |ttl, address: &str| {
            let mut host = reported([address.parse().unwrap()].into());
            host.public.clone_from(&host.zone);
            host.public.iter_mut().for_each(|answer| answer.ttl = Some(ttl));
            DnsEvidence { host, ..DnsEvidence::default() }
        };
        let first = with(300, "198.18.200.1");
        assert!(DnsRounds::same(&first, &with(280, "198.18.200.1")));
        assert!(!DnsRounds::same(&first, &with(300, "198.18.200.2")));
    }

    #[tokio::test]
    async fn resolvers_that_never_answer_end_at_the_deadline_with_a_failure_for_each_name() {
        // The socket is bound, so nothing refuses the queries.
        let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let resolver: SocketAddr = silent.local_addr().unwrap();
        let mut spec = smallest();
        let domains: Vec<_> =
            (0..32).map(|n| serde_json::json!({"name": format!("d{n}.example.com")})).collect();
        spec["domains"] = domains.into();
        let federation = validated(&spec);
        let wanted = LookedFor::of(&federation, None, &[resolver; 4]);
        let rounds = DnsRounds::default();
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        let found = rounds.gather(wanted.clone()).await;
        assert!(begun.elapsed() <= DNS_DEADLINE + Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(found.services.len(), wanted.services.len());
        assert!(found.services.iter().all(|(_, evidence)| evidence.best().next().is_none()));
    }
}
