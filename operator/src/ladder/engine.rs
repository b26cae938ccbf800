//! `EngineReady`: enough engine pods run with the wanted configuration.

use std::time::Duration;

use crds::reason::EngineReadyReason;
use jiff::SignedDuration;

use super::View;
use super::verdict::Verdict;
use crate::build::paths;
use crate::evidence::cluster::EnginePod;
use crate::evidence::engine::Report;

/// Time that a started engine may take to become ready.
const START: SignedDuration = SignedDuration::from_secs(60);
/// Time that a changed configuration may take to reach every pod: the kubelet syncs volumes about once a minute.
const SPREAD: Duration = Duration::from_secs(150);
/// Exit code of the engine for a configuration that it rejects.
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
                format!(" A container is waiting: {reason} {message}")
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

/// An engine that rejects a configuration keeps its last valid one, so the new one is not in effect.
fn rejected_configuration(view: View<'_>) -> Option<Verdict> {
    view.seen.engines.iter().find_map(|engine| {
        let Report::Seen(evidence) = &engine.report else { return None };
        let problem =
            evidence.problems.iter().find(|problem| problem.place.starts_with(paths::CONFIG))?;
        Some(Verdict::new(
            EngineReadyReason::ConfigRejected,
            format!(
                "Engine pod {} rejected its configuration and still uses the last valid one: {}: {}.",
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
                "Engine pod {} still runs an earlier configuration. Check its log, or delete the pod to start it with the current configuration.",
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
                "A resource quota blocks the engine pods: {failure}. Raise the quota, or lower spec.pod.resources or spec.replicas."
            ),
        )
    } else if failure.contains("PodSecurity") {
        Verdict::new(
            EngineReadyReason::PodSecurityRejected,
            format!(
                "Pod security admission rejects the engine pods: {failure}. By default they meet the restricted standard; check the settings that spec.pod adds."
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
                "Engine pod {name} cannot be scheduled: {message}. Check spec.pod (resources, nodeSelector, tolerations, affinity) and the nodes."
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
                        "The image of engine pod {name} cannot be pulled ({reason}): {message}. Check the operator's engine image, and spec.pod.imagePullSecrets."
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
            format!("Engine pod {name} is running but does not become ready. Check its log: kubectl logs {name}."),
        )
    })
}

fn crashed(pod: &EnginePod) -> Verdict {
    let name = &pod.name;
    match &pod.ended {
        Some((EXIT_CONFIGURATION, words)) => Verdict::new(
            EngineReadyReason::ConfigRejected,
            format!("Engine pod {name} rejects its configuration: {}.", last_line(words)),
        ),
        Some((code, words)) => Verdict::new(
            EngineReadyReason::CrashLooping,
            format!(
                "Engine pod {name} is crash-looping with exit code {code}: {}. Read the log of the previous run: kubectl logs --previous {name}.",
                last_line(words)
            ),
        ),
        None => Verdict::new(
            EngineReadyReason::CrashLooping,
            format!(
                "Engine pod {name} is crash-looping. Read the log of the previous run: kubectl logs --previous {name}."
            ),
        ),
    }
}

/// The last line of output, where a program reports why it exits.
fn last_line(words: &str) -> &str {
    words.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("(no output)")
}
