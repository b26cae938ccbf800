//! The records that are missing, as lines for a zone file. Pure.

use crds::status::{DnsRecord, DnsRecordState};

/// Lines for a zone file with every record that is not there as wanted; none when all are.
pub fn snippet(records: &[DnsRecord]) -> Option<String> {
    let lines: Vec<String> = records
        .iter()
        .filter(|record| record.state != DnsRecordState::Present)
        .map(|record| {
            format!("{} {} IN {} {}\n", record.name, record.ttl, record.type_, record.value)
        })
        .collect();
    (!lines.is_empty()).then(|| lines.concat())
}
