//! Deletes the probe reports that no longer count: nobody else would, and anyone who may create them could fill the cluster.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crds::XmppProbeReport;
use crds::federation::verification::VerificationSpec;
use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Resource, ResourceExt};

use crate::causes::Causes;
use crate::context::{Context, FederationRef};
use crate::evidence::reported::created;

/// Pause between two sweeps.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
/// Most reports about a federation that stay, the newest ones.
const MAX_KEPT: usize = 32;
/// Most reports that one sweep deletes: the API server has other work.
const MAX_DELETED: usize = 256;

/// Deletes expired reports until the task ends.
pub async fn sweep(context: Arc<Context>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let all = context.objects.probe_reports.all();
        let ttl = |federation: &FederationRef| ttl(&context, federation);
        for report in expired(&all, Timestamp::now(), ttl).into_iter().take(MAX_DELETED) {
            delete(&context, report).await;
        }
    }
}

/// How long reports about a federation count; `None` if another operator judges them.
fn ttl(context: &Context, federation: &FederationRef) -> Option<Duration> {
    let default = || Duration::from(VerificationSpec::default().evidence_ttl);
    // Reports about a federation that does not exist count for nobody. They stay as long as others, because it may be created yet.
    let Some(found) = context.federations.get(federation) else { return Some(default()) };
    if context.served_by(found.meta()).is_some() {
        return None;
    }
    Some(
        found
            .0
            .as_ref()
            .map_or_else(|_| default(), |known| known.spec.verification.evidence_ttl.into()),
    )
}

/// The reports that no longer count.
fn expired(
    all: &[Arc<XmppProbeReport>],
    now: Timestamp,
    ttl: impl Fn(&FederationRef) -> Option<Duration>,
) -> Vec<&XmppProbeReport> {
    let mut newest_first: Vec<_> =
        all.iter().filter_map(|report| Some((created(report)?, report.as_ref()))).collect();
    newest_first.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let mut kept: HashMap<FederationRef, (Option<Duration>, usize)> = HashMap::new();
    newest_first.retain(|(at, report)| {
        let namespace = report.namespace().unwrap_or_default();
        let federation = FederationRef::new(&report.spec.federation).within(&namespace);
        let (ttl, number) =
            kept.entry(federation).or_insert_with_key(|federation| (ttl(federation), 0));
        let Some(ttl) = *ttl else { return false };
        *number = number.saturating_add(1);
        let age = now.duration_since(*at);
        *number > MAX_KEPT || age > SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX)
    });
    newest_first.into_iter().map(|(_, report)| report).collect()
}

async fn delete(context: &Context, report: &XmppProbeReport) {
    let (namespace, name) = (report.namespace().unwrap_or_default(), report.name_any());
    let api: Api<XmppProbeReport> = Api::namespaced(context.client.clone(), &namespace);
    // Another report may have the same name by now.
    let preconditions = Preconditions { uid: report.uid(), resource_version: None };
    let exactly = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match api.delete(&name, &exactly).await {
        Ok(_) => tracing::debug!(%namespace, %name, "deleted an expired probe report"),
        // It is gone already, or another one has its name.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
        Err(error) => {
            let why = Causes(&error);
            tracing::warn!(%namespace, %name, %why, "cannot delete an expired probe report");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::now;
    use crds::XmppProbeReportSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn report(federation: &str, name: &str, minutes_ago: i64) -> Arc<XmppProbeReport> {
        let spec = XmppProbeReportSpec {
            federation: federation.to_owned(),
            reporter: "alice".to_owned(),
            vantage: "laptop".to_owned(),
            source: None,
            results: Vec::new(),
        };
        let mut report = XmppProbeReport::new(name, spec);
        report.metadata.namespace = Some("im".to_owned());
        let at = now() - SignedDuration::from_mins(minutes_ago);
        report.metadata.creation_timestamp = Some(Time(at));
        Arc::new(report)
    }

    #[test]
    fn reports_expire_with_the_evidence_of_their_federation_and_stay_with_another_operator() {
        let all = [
            report("example", "new", 4),
            report("example", "old", 6),
            report("elsewhere", "ancient", 60 * 24 * 30),
        ];
        let ttl = |federation: &FederationRef| {
            (federation.name == "example").then_some(Duration::from_mins(5))
        };
        let names: Vec<_> = expired(&all, now(), ttl).iter().map(|r| r.name_any()).collect();
        assert_eq!(names, ["old"]);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let all: Vec<_> = (0..40).map(|n| report("example", &format!("r{n}"), n)).collect();
        let gone = expired(&all, now(), |_| Some(Duration::from_hours(24)));
        let names: Vec<_> = gone.iter().map(|report| report.name_any()).collect();
        assert_eq!(names, (32..40).map(|n| format!("r{n}")).collect::<Vec<_>>());
    }
}
