//! Missing records as lines for a zone file. Pure.

use crds::status::{DnsRecord, DnsRecordState};

/// Longest snippet in the status, in octets.
const MAX_SNIPPET: usize = 65_536;

/// Zone file lines for every record that is missing or wrong; `None` if all records are as wanted.
pub fn snippet(records: &[DnsRecord]) -> Option<String> {
    let mut lines = String::new();
    for record in records.iter().filter(|record| record.state != DnsRecordState::Present) {
        let line = format!("{} {} IN {} {}\n", record.name, record.ttl, record.type_, record.value);
        if lines.len() + line.len() > MAX_SNIPPET {
            break;
        }
        lines.push_str(&line);
    }
    Some(lines).filter(|lines| !lines.is_empty())
}
