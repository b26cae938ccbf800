//! Compares wanted DNS records with the records found, for the status. Pure.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};
use std::net::IpAddr;

use crds::status::{DnsRecord, DnsRecordState};

use crate::dns::wanted;
use crate::evidence::answer::NameEvidence;
use crate::evidence::dns::leads_to;
use crate::ladder::View;

/// Most records in the status.
const MAX_RECORDS: usize = 96;
/// Longest text of found records.
const MAX_FOUND: usize = 1024;

/// The wanted records in the order address, SRV.
pub fn records(view: View<'_>) -> Vec<DnsRecord> {
    let federation = view.federation;
    let ttl = federation.spec.dns.ttl;
    let address = view.published_at();
    let address = address.as_ref();
    let host = federation.host.to_ascii();
    let mut all: Vec<DnsRecord> = wanted::host_addresses(address)
        .into_iter()
        .map(|ip| {
            let evidence = &view.seen.dns.host;
            let (state, found) = compare(
                evidence,
                |found: &IpAddr| *found == ip,
                |found| found.is_ipv4() == ip.is_ipv4(),
            );
            DnsRecord {
                name: format!("{host}."),
                type_: if ip.is_ipv4() { "A" } else { "AAAA" }.to_owned(),
                ttl,
                value: ip.to_string(),
                state,
                found,
            }
        })
        .collect();
    let Some(target) = wanted::srv_target(federation, address) else { return all };
    for wanted in wanted::srv_records(federation, &target) {
        let evidence = view.seen.dns.services.iter().find(|(owner, _)| *owner == wanted.owner);
        all.extend(wanted.all().map(|srv| {
            let (state, found) = evidence.map_or((DnsRecordState::Unknown, None), |(_, found)| {
                compare(found, |found| leads_to(found, srv), |_| true)
            });
            DnsRecord {
                name: format!("{}.", wanted.owner),
                type_: "SRV".to_owned(),
                ttl,
                value: format!("{srv}."),
                state,
                found,
            }
        }));
    }
    all
}

/// The records that the status has room for: those that are not as wanted first, if there are too many.
pub fn bounded(mut records: Vec<DnsRecord>) -> Vec<DnsRecord> {
    if records.len() > MAX_RECORDS {
        records.sort_by_key(|record| record.state == DnsRecordState::Present);
        records.truncate(MAX_RECORDS);
    }
    records
}

/// State and text of the records at the first server that answers.
fn compare<T: Display + Ord>(
    evidence: &NameEvidence<T>,
    is_wanted: impl Fn(&T) -> bool,
    is_of_type: impl Fn(&T) -> bool,
) -> (DnsRecordState, Option<String>) {
    let reported: Vec<&BTreeSet<T>> = evidence.best().map(|(_, found)| found).collect();
    let Some(first) = reported.first() else { return (DnsRecordState::Unknown, None) };
    let mut text = String::new();
    for one in first.iter().filter(|one| is_of_type(one)) {
        if text.len() > MAX_FOUND {
            break;
        }
        let separator = if text.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{one}");
    }
    let everywhere = reported.iter().all(|found| found.iter().any(&is_wanted));
    let state = match (everywhere, text.is_empty()) {
        (true, _) => DnsRecordState::Present,
        (false, true) => DnsRecordState::Missing,
        (false, false) => DnsRecordState::Mismatch,
    };
    (state, Some(text).filter(|text| !text.is_empty()))
}
