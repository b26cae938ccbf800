//! Missing records as lines for a zone file. Pure.

use crds::status::{DnsRecord, DnsRecordState};

/// Zone file lines for every record that is missing or wrong; `None` if all records are as wanted.
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
