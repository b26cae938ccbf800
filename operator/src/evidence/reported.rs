//! Probes that users made from outside and reported, as an `XmppProbeReport`. The API server has authenticated the reporter, and
//! has noted the time; everything else is the reporter's word.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crds::XmppProbeReport;
use crds::probe_report::ReportedStream;
use federation_engine::prober::message::{MAX_RESULTS, OutsideOutcome, OutsideResult};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Most reports of a federation that are judged, the newest ones.
const MAX_REPORTS: usize = 8;

/// What a user saw.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportedProbe {
    /// From where, and which user reported it.
    pub prober: String,
    /// Local address of the connections.
    pub source: Option<IpAddr>,
    /// When it was reported, by the clock of the API server.
    pub at: Timestamp,
    /// The results that this version can read.
    pub results: Vec<OutsideResult>,
}

/// The reports about a federation, the newest first, and only the newest of each user and place: a user who probes again
/// replaces what the user reported before.
pub fn reported(all: &[Arc<XmppProbeReport>]) -> Vec<ReportedProbe> {
    let mut all: Vec<_> =
        all.iter().filter_map(|report| Some((created(report)?, report))).collect();
    // The time has seconds only. Within one, the revision of the store tells the order.
    all.sort_by_key(|(at, report)| Reverse((*at, revision(report), report.metadata.uid.clone())));
    let mut known = BTreeSet::new();
    all.retain(|(_, report)| known.insert((&report.spec.reporter, &report.spec.vantage)));
    all.into_iter().take(MAX_REPORTS).map(|(at, report)| read(at, report)).collect()
}

/// The revision of the store at the last write; a report is written once.
fn revision(report: &XmppProbeReport) -> Option<u64> {
    report.metadata.resource_version.as_ref()?.parse().ok()
}

/// When the API server stored a report.
pub fn created(report: &XmppProbeReport) -> Option<Timestamp> {
    report.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

fn read(at: Timestamp, report: &XmppProbeReport) -> ReportedProbe {
    let spec = &report.spec;
    ReportedProbe {
        prober: format!("{} (reported by {})", shown(&spec.vantage), shown(&spec.reporter)),
        source: spec.source.as_deref().and_then(|source| source.parse().ok()),
        at,
        results: spec.results.iter().take(MAX_RESULTS).filter_map(result).collect(),
    }
}

/// The schema forbids these characters; a server whose schema is older may have stored them.
fn shown(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// A result in the words of a prober's answer; `None` if this version does not know them.
fn result(stream: &ReportedStream) -> Option<OutsideResult> {
    let mut fields = json!({
        "domain": stream.domain,
        "mode": stream.mode,
        "outcome": stream.outcome,
        "detail": shown(&stream.detail),
        "condition": stream.condition,
        "text": shown(&stream.text),
        "tls": stream.tls,
        "certificate": stream.certificate,
        "names": stream.names.iter().map(|name| shown(name)).collect::<Vec<_>>(),
    });
    if let (Some(address), Value::Object(fields)) = (&stream.address, &mut fields) {
        fields.insert("address".to_owned(), json!(address));
    }
    let result: OutsideResult = serde_json::from_value(fields).ok()?;
    // Without an address, only the lookup of the host can have failed.
    let is_lookup = matches!(result.outcome, OutsideOutcome::NoAddress { .. });
    (result.address.is_some() || is_lookup).then_some(result)
}

/// A result in the words of a report.
pub fn stream(result: &OutsideResult) -> ReportedStream {
    let words = |result: &OutsideResult| -> Result<ReportedStream, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(result)?)
    };
    let mut stream = words(result).unwrap_or_default();
    for text in [&mut stream.detail, &mut stream.text].into_iter().chain(&mut stream.names) {
        *text = shown(text);
    }
    stream
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::XmppProbeReportSpec;
    use crds::probe_report::{MAX_DETAIL, MAX_STREAMS};
    use federation_engine::prober::message::OutsideMode;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn outcomes() -> Vec<OutsideOutcome> {
        let detail = || "x".to_owned();
        vec![
            OutsideOutcome::NoAddress { detail: detail() },
            OutsideOutcome::NotAllowed { detail: detail() },
            OutsideOutcome::Refused,
            OutsideOutcome::TimedOut,
            OutsideOutcome::NoRoute,
            OutsideOutcome::ConnectFailed { detail: detail() },
            OutsideOutcome::Reset { detail: detail() },
            OutsideOutcome::Stalled { detail: detail() },
            OutsideOutcome::NotXmpp { detail: detail() },
            OutsideOutcome::StartTlsNotOffered,
            OutsideOutcome::HandshakeFailed { detail: detail() },
            OutsideOutcome::StreamError { condition: "host-unknown".into(), text: String::new() },
            OutsideOutcome::Reached {
                tls: "TLSv1.3".to_owned(),
                certificate: "aa".to_owned(),
                names: Vec::new(),
            },
        ]
    }

    fn seen(outcome: OutsideOutcome) -> OutsideResult {
        OutsideResult {
            address: Some("192.0.2.7:5269".parse().unwrap()),
            domain: "example.com".parse().unwrap(),
            mode: OutsideMode::DirectTls,
            outcome,
        }
    }

    fn report(
        reporter: &str,
        vantage: &str,
        at: &str,
        streams: Vec<ReportedStream>,
    ) -> Arc<XmppProbeReport> {
        let mut report = XmppProbeReport::new(
            "a",
            XmppProbeReportSpec {
                federation: "example".to_owned(),
                reporter: reporter.to_owned(),
                vantage: vantage.to_owned(),
                source: Some("203.0.113.9".to_owned()),
                results: streams,
            },
        );
        report.metadata.creation_timestamp = Some(Time(at.parse().unwrap()));
        Arc::new(report)
    }

    #[test]
    fn every_result_of_a_prober_has_words_in_the_schema_and_comes_back_the_same() {
        assert_eq!((MAX_STREAMS, MAX_DETAIL), (MAX_RESULTS, 300));
        let crd = crds::manifest::manifests().unwrap().pop().unwrap().yaml;
        for outcome in outcomes() {
            let one = seen(outcome);
            let words = stream(&one);
            assert!(crd.contains(&format!("- {}\n", words.outcome)), "{words:?}\n{crd}");
            assert!(crd.contains(&format!("- {}\n", words.mode)), "{words:?}");
            assert_eq!(result(&words), Some(one));
        }
    }

    #[test]
    fn what_a_version_cannot_read_is_left_out_and_the_rest_counts() {
        let good = stream(&seen(OutsideOutcome::Refused));
        let bad: [fn(&mut ReportedStream); 5] = [
            |stream| stream.outcome = "Someday".to_owned(),
            |stream| stream.mode = "SSL".to_owned(),
            |stream| stream.domain = "a b".to_owned(),
            |stream| stream.address = Some("nowhere".to_owned()),
            |stream| stream.address = None,
        ];
        for change in bad {
            let mut other = good.clone();
            change(&mut other);
            let all =
                [report("alice", "laptop", "2026-11-01T12:00:00Z", vec![other, good.clone()])];
            assert_eq!(reported(&all)[0].results, [seen(OutsideOutcome::Refused)]);
        }
    }

    #[test]
    fn the_newest_report_of_each_user_and_place_counts_and_no_more_than_the_bound() {
        let streams = || vec![stream(&seen(OutsideOutcome::Refused))];
        let all = [
            report("alice", "laptop", "2026-11-01T12:00:00Z", streams()),
            report("alice", "laptop", "2026-11-01T12:05:00Z", streams()),
            report("alice", "office", "2026-11-01T12:01:00Z", streams()),
            report("mallory", "laptop\n", "2026-11-01T12:02:00Z", streams()),
        ];
        let found = reported(&all);
        let names: Vec<&str> = found.iter().map(|probe| probe.prober.as_str()).collect();
        assert_eq!(
            names,
            [
                "laptop (reported by alice)",
                "laptop  (reported by mallory)",
                "office (reported by alice)",
            ]
        );
        assert_eq!(found[0].at, "2026-11-01T12:05:00Z".parse::<Timestamp>().unwrap());
        // Both were stored in the same second.
        let stored = |uid: &str, revision: &str, outcome| {
            let at = "2026-11-01T12:00:00Z";
            let mut report = report("alice", "laptop", at, vec![stream(&seen(outcome))]);
            let metadata = &mut Arc::make_mut(&mut report).metadata;
            metadata.uid = Some(uid.to_owned());
            metadata.resource_version = Some(revision.to_owned());
            report
        };
        let both = [
            stored("f", "99", OutsideOutcome::TimedOut),
            stored("a", "100", OutsideOutcome::Refused),
        ];
        assert_eq!(reported(&both)[0].results, [seen(OutsideOutcome::Refused)]);
        let many: Vec<_> = (0..100)
            .map(|n| report(&format!("user {n}"), "x", "2026-11-01T12:00:00Z", streams()))
            .collect();
        assert_eq!(reported(&many).len(), MAX_REPORTS);
    }
}
