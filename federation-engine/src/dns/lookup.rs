//! One query to the configured servers, and the aliases in its answer. The resolver library treats the target of an SRV
//! record as another alias, so it loses SRV records behind a CNAME; and it accepts records of any owner as an answer.
//! Here aliases are followed, and other records are ignored.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use hickory_proto::dnssec::Proof;
use hickory_proto::op::{DnsRequestOptions, Query};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::config::{NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, RetryDnsHandle};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};

/// Maximum queries for one name: longer chains of aliases are misconfigured.
const MAX_QUESTIONS: usize = 8;

/// The servers that are queried.
pub(super) type Servers = RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>;

/// Connects to nothing yet.
pub(super) fn servers(
    servers: Vec<NameServerConfig>,
    options: ResolverOpts,
) -> Result<Servers, NetError> {
    let attempts = options.attempts;
    let context = Arc::new(PoolContext::new(options, TlsConfig::new()?));
    let pool = NameServerPool::from_config(servers, context, TokioRuntimeProvider::default());
    Ok(RetryDnsHandle::new(pool, attempts))
}

/// The result of a lookup.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Records of the requested type, all of one owner. Empty: only aliases, which lead to no record of the type.
    pub(super) records: Vec<Record>,
    aliases: Vec<Record>,
}

impl From<&[Record]> for Found {
    fn from(records: &[Record]) -> Self {
        Self { records: records.to_vec(), aliases: Vec::new() }
    }
}

impl Found {
    fn all(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().chain(&self.aliases)
    }

    /// Every record has a proof of one of these kinds.
    pub(super) fn is_validated(&self, proofs: &[Proof]) -> bool {
        self.all().all(|record| proofs.contains(&record.proof))
    }

    /// How long the whole result may be cached.
    pub(super) fn ttl(&self) -> Duration {
        Duration::from_secs(self.all().map(|record| record.ttl).min().unwrap_or(0).into())
    }
}

/// Queries records of a type.
///
/// # Errors
/// As the library reports them; absence is an error as well.
pub(super) async fn lookup<H: DnsHandle>(
    handle: &H,
    name: Name,
    kind: RecordType,
    options: DnsRequestOptions,
) -> Result<Found, NetError> {
    let mut found = Found::default();
    let mut owner = name;
    for _ in 0..MAX_QUESTIONS {
        let answer = handle.lookup(Query::query(owner.clone(), kind), options).next().await;
        let answer = DnsError::from_response(answer.ok_or(NetError::Timeout)??)?;
        let end = follow(&answer.answers, &owner, kind, &mut found);
        if !found.records.is_empty() || end == owner {
            return Ok(found);
        }
        owner = end;
    }
    Ok(found)
}

/// Adds the records of an answer about an owner, and returns where its aliases end.
fn follow(answers: &[Record], owner: &Name, kind: RecordType, found: &mut Found) -> Name {
    let mut owner = owner.clone();
    // Never more steps than there are records: a loop of aliases ends too.
    for _ in 0..=answers.len() {
        let of_owner = || answers.iter().filter(|record| record.name == owner);
        found.records.extend(of_owner().filter(|record| record.record_type() == kind).cloned());
        let alias = of_owner().find_map(|record| match &record.data {
            RData::CNAME(target) => Some((record, target.0.clone())),
            _ => None,
        });
        match alias {
            Some((record, target)) if found.records.is_empty() => {
                found.aliases.push(record.clone());
                owner = target;
            }
            _ => break,
        }
    }
    owner
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::name;
    use hickory_proto::rr::rdata::{A, CNAME};

    fn record(owner: &str, data: RData, proof: Proof) -> Record {
        let mut record = Record::from_rdata(name(owner), 60, data);
        record.proof = proof;
        record
    }

    fn address(owner: &str, last: u8, proof: Proof) -> Record {
        record(owner, RData::A(A::new(198, 18, 0, last)), proof)
    }

    fn alias(owner: &str, target: &str, proof: Proof) -> Record {
        record(owner, RData::CNAME(CNAME(name(target))), proof)
    }

    fn found(answers: &[Record]) -> (Vec<RData>, bool) {
        let mut found = Found::default();
        follow(answers, &name("a.example"), RecordType::A, &mut found);
        let secure = found.is_validated(&[Proof::Secure]);
        (found.records.into_iter().map(|record| record.data).collect(), secure)
    }

    #[test]
    fn rfc4035_4_3_every_record_of_the_chain_has_to_be_secure() {
        let (good, bad) = (Proof::Secure, Proof::Insecure);
        for (first, second, secure) in [(good, good, true), (good, bad, false), (bad, good, false)]
        {
            let answers = [alias("a.example", "b.example", first), address("b.example", 1, second)];
            let (records, validated) = found(&answers);
            assert_eq!((records.len(), validated), (1, secure), "{first} {second}");
        }
        let half = [address("a.example", 1, good), address("a.example", 2, bad)];
        assert!(!found(&half).1);
    }

    #[test]
    fn records_of_other_names_neither_add_to_an_answer_nor_weaken_it() {
        let own = address("a.example", 1, Proof::Secure);
        for other in [
            address("evil.example", 2, Proof::Secure),
            address("evil.example", 2, Proof::Insecure),
            alias("evil.example", "b.example", Proof::Insecure),
        ] {
            assert_eq!(found(&[own.clone(), other.clone()]), (vec![own.data.clone()], true));
            assert_eq!(found(&[other]).0, []);
        }
    }

    #[test]
    fn a_loop_of_aliases_ends() {
        let secure = Proof::Secure;
        let answers =
            [alias("a.example", "b.example", secure), alias("b.example", "a.example", secure)];
        assert_eq!(found(&answers).0, []);
    }
}
