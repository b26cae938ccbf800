//! `EngineReady`: enough engine pods run with the wanted configuration.

use std::time::Duration;

use crds::reason::EngineReadyReason;
use jiff::SignedDuration;

use super::View;
use super::verdict::Verdict;
use crate::build::paths;
use crate::evidence::cluster::EnginePod;
use crate::evidence::engine::Report;

/// Time for a started engine to become ready.
const START: SignedDuration = SignedDuration::from_secs(60);
/// Time for a changed configuration to reach every pod: the kubelet looks at volumes about once a minute.
const SPREAD: Duration = Duration::from_secs(150);
/// Exit code of the engine for a configuration that it refuses.
const EXIT_CONFIGURATION: i32 = 2;

/// Judges the pods.
pub fn check(view: View<'_>) -> Verdict {
    let wanted = i32::from(view.federation.spec.replicas);
    let Some(workload) = &view.seen.cluster.workload else {
        return Verdict::new(
            EngineReadyReason::RollingOut,
            format!("Deployment {} does not exist yet.", view.federation.name),
        );
    };
    // Half of the replicas, rounded up, carry the load while the others are being replaced.
    let enough = (wanted + 1) / 2;
    if workload.ready >= enough {
        return rejected_configuration(view)
            .or_else(|| out_of_sync(view))
            .unwrap_or_else(|| available(workload.ready, wanted));
    }
    if let Some(failure) = &workload.replica_failure {
        return refused(failure);
    }
    let current = || view.seen.cluster.pods.iter().filter(|pod| !pod.terminating && !pod.ready);
    current().find_map(|pod| trouble(view, pod)).unwrap_or_else(|| {
        let detail = current()
            .find_map(|pod| pod.waiting.as_ref())
            .map_or_else(String::new, |(reason, message)| {
                format!(" A container waits: {reason} {message}")
            });
        Verdict::new(
            EngineReadyReason::RollingOut,
            format!("{} of {wanted} engine pods are ready.{detail}", workload.ready),
        )
    })
}

fn available(ready: i32, wanted: i32) -> Verdict {
    Verdict::new(
        EngineReadyReason::EngineAvailable,
        format!("{ready} of {wanted} engine pods are ready."),
    )
}

/// An engine goes on with its last good configuration; the new one is not in force then.
fn rejected_configuration(view: View<'_>) -> Option<Verdict> {
    view.seen.engines.iter().find_map(|engine| {
        let Report::Seen(evidence) = &engine.report else { return None };
        let problem =
            evidence.problems.iter().find(|problem| problem.place.starts_with(paths::CONFIG))?;
        Some(Verdict::new(
            EngineReadyReason::ConfigRejected,
            format!(
                "Engine pod {} does not accept its configuration and goes on with the last good one: {}: {}.",
                engine.replica.name, problem.place, problem.message
            ),
        ))
    })
}

fn out_of_sync(view: View<'_>) -> Option<Verdict> {
    let wanted = &view.seen.config;
    if wanted.hash.is_empty() || wanted.age < SPREAD {
        return None;
    }
    view.seen.engines.iter().find_map(|engine| match &engine.report {
        Report::Seen(evidence) if evidence.config_hash != wanted.hash => Some(Verdict::new(
            EngineReadyReason::ReplicaOutOfSync,
            format!(
                "Engine pod {} still runs an earlier configuration. Look at its log; deleting the pod starts it with the current one.",
                engine.replica.name
            ),
        )),
        Report::Seen(_) | Report::Waiting | Report::Unreachable(_) => None,
    })
}

/// Why the API server does not create pods.
fn refused(failure: &str) -> Verdict {
    if failure.contains("exceeded quota") {
        Verdict::new(
            EngineReadyReason::QuotaExceeded,
            format!(
                "A quota forbids the engine pods: {failure}. Raise it, or lower spec.pod.resources or spec.replicas."
            ),
        )
    } else if failure.contains("PodSecurity") {
        Verdict::new(
            EngineReadyReason::PodSecurityRejected,
            format!(
                "Pod security admission refuses the engine pods: {failure}. They meet the restricted standard; check what spec.pod adds."
            ),
        )
    } else {
        Verdict::new(
            EngineReadyReason::RollingOut,
            format!("The engine pods cannot be created: {failure}."),
        )
    }
}

fn trouble(view: View<'_>, pod: &EnginePod) -> Option<Verdict> {
    let name = &pod.name;
    if let Some(message) = &pod.unschedulable {
        return Some(Verdict::new(
            EngineReadyReason::Unschedulable,
            format!(
                "No node takes engine pod {name}: {message}. Look at spec.pod (resources, nodeSelector, tolerations, affinity) and at the nodes."
            ),
        ));
    }
    if let Some((reason, message)) = &pod.waiting {
        match reason.as_str() {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "ErrImageNeverPull"
            | "InvalidImageName"
            | "ImageInspectError"
            | "RegistryUnavailable" => {
                return Some(Verdict::new(
                    EngineReadyReason::ImagePullFailed,
                    format!(
                        "The image of engine pod {name} cannot be had ({reason}): {message}. Check the operator's engine image, and spec.pod.imagePullSecrets."
                    ),
                ));
            }
            "CrashLoopBackOff" => return Some(crashed(pod)),
            _ => {}
        }
    }
    if pod.restarts > 0 && pod.ended.is_some() {
        return Some(crashed(pod));
    }
    let running = pod.waiting.is_none() && pod.ip.is_some();
    let old = pod.created.is_some_and(|at| view.seen.now.duration_since(at) >= START);
    (running && old).then(|| {
        Verdict::new(
            EngineReadyReason::ProbeFailing,
            format!("Engine pod {name} runs and does not become ready. Look at its log: kubectl logs {name}."),
        )
    })
}

fn crashed(pod: &EnginePod) -> Verdict {
    let name = &pod.name;
    match &pod.ended {
        Some((EXIT_CONFIGURATION, words)) => Verdict::new(
            EngineReadyReason::ConfigRejected,
            format!("Engine pod {name} does not accept its configuration: {}.", last_line(words)),
        ),
        Some((code, words)) => Verdict::new(
            EngineReadyReason::CrashLooping,
            format!(
                "Engine pod {name} ends with exit code {code}: {}. Its log before the end: kubectl logs --previous {name}.",
                last_line(words)
            ),
        ),
        None => Verdict::new(
            EngineReadyReason::CrashLooping,
            format!(
                "Engine pod {name} ends again and again. Its log before the end: kubectl logs --previous {name}."
            ),
        ),
    }
}

/// The last words, where a program says why it ends.
fn last_line(words: &str) -> &str {
    words.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no last words")
}
