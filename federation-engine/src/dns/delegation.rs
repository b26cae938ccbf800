//! The facts about the server behind a target that DNSSEC authenticates (RFC 7673 §3): queries its address and TLSA
//! records.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::{RData, RecordType};
use s2s_proto::certificate::dane::{Associations, Delegation};
use s2s_proto::certificate::tlsa::Tlsa;
use s2s_proto::plan::{Answer, Host, Target, ValidatedAnswer};
use s2s_proto::reason::{DnsReason, Records};

use super::ask::absolute;
use super::resolve::{Bounded, Resolver};
use crate::Domain;

/// TLSA records kept of one server.
const MAX_RECORDS: usize = 16;

impl Bounded for Tlsa {
    /// Digests before whole certificates.
    fn bound(mut records: Vec<Self>) -> Vec<Self> {
        records.sort_by_key(Self::size);
        records.truncate(MAX_RECORDS);
        records
    }
}

impl Resolver {
    /// The authenticated facts about the server of a target; `None` if the target's SRV record is insecure, so that no
    /// fact about the server can be authenticated.
    ///
    /// # Errors
    /// When address or TLSA records are bogus, or it cannot be found out whether TLSA records exist: the server must
    /// not be connected to then (RFC 7673 §3.2, §3.4).
    pub async fn delegation(&self, target: &Target) -> Result<Option<Arc<Delegation>>, DnsReason> {
        let (Host::Name(host), Some(domain)) = (&target.host, &target.validated_for) else {
            return Ok(None);
        };
        let owner = format!("_{}._tcp.{host}", target.port);
        let (Some(name), Some(tlsa)) = (absolute(host), absolute(&owner)) else { return Ok(None) };
        let read = |data: &RData| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        };
        let (v6, v4) = tokio::join!(
            self.validated(&self.hosts, (name.clone(), RecordType::AAAA), read),
            self.validated(&self.hosts, (name, RecordType::A), read)
        );
        let associations = if server_is_secure(host, &[v6, v4])? {
            let read = |data: &RData| match data {
                RData::TLSA(record) => Some(Tlsa::new(
                    record.cert_usage.into(),
                    record.selector.into(),
                    record.matching.into(),
                    &record.cert_data,
                )),
                _ => None,
            };
            let answer = self.validated(&self.associations, (tlsa, RecordType::TLSA), read).await;
            associations(&owner, answer)?
        } else {
            Associations::None
        };
        let (domain, host) = (domain.clone(), Domain::parse(host).ok());
        Ok(Some(Arc::new(Delegation { domain, host, owner, associations })))
    }
}

/// RFC 7673 §3.2: whether TLSA records are queried.
fn server_is_secure(host: &str, addresses: &[ValidatedAnswer<IpAddr>]) -> Result<bool, DnsReason> {
    if addresses.iter().any(|family| family.answer == Answer::Bogus) {
        return Err(DnsReason::Bogus { name: host.to_owned(), records: Records::Address });
    }
    Ok(addresses.iter().any(|family| family.secure))
}

/// RFC 7673 §3.4.
fn associations(owner: &str, records: ValidatedAnswer<Tlsa>) -> Result<Associations, DnsReason> {
    let name = || owner.to_owned();
    match records.answer {
        Answer::Bogus => Err(DnsReason::Bogus { name: name(), records: Records::Certificate }),
        Answer::Failed(detail) => Err(DnsReason::ResolverUnavailable { name: name(), detail }),
        Answer::Records(records_of_owner) if records.secure => {
            let usable: Vec<_> = records_of_owner
                .into_iter()
                .filter_map(|record| match record {
                    Tlsa::Usable(association) => Some(association),
                    Tlsa::Unusable => None,
                })
                .collect();
            if usable.is_empty() {
                Ok(Associations::Unusable)
            } else {
                Ok(Associations::Usable(usable))
            }
        }
        Answer::Records(_) | Answer::Absent => Ok(Associations::None),
    }
}
