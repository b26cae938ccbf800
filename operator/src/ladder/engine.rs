//! `EngineReady`: enough engine pods run with the wanted configuration.

use crds::reason::EngineReadyReason;
use federation_engine::observe::evidence::LoadError;
use federation_engine::run::EXIT_MEMORY;
use jiff::SignedDuration;

use super::verdict::Verdict;
use super::{View, memory};
use crate::build::paths;
use crate::evidence::cluster::{EnginePod, is_killed_at_start};
use crate::evidence::engine::Report;
use crate::federation::names;

/// Time that a started engine may take to become ready.
const START: SignedDuration = SignedDuration::from_secs(15);
/// Time that a pod of a new revision gets before its trouble counts while others serve: the scheduler and the first attempt
/// to pull an image may fail once.
const FIRST_ATTEMPT: SignedDuration = SignedDuration::from_secs(8);
/// Exit code of the engine for a configuration that it rejects.
const EXIT_CONFIGURATION: i32 = 2;

/// Judges the pods.
pub fn check(view: View<'_>) -> Verdict {
    let wanted = i32::from(view.federation.spec.replicas);
    let name = &view.federation.name;
    let Some(workload) = &view.seen.cluster.workload else {
        return Verdict::new(
            EngineReadyReason::RollingOut,
            format!("Deployment {name} does not exist yet.{}", view.because("Deployment", name)),
        );
    };
    // Half of the replicas, rounded up, carry the load while the others are being replaced.
    let enough = (wanted + 1) / 2;
    // Pods that terminate are still counted by the Deployment's controller for a moment.
    let serving = view.seen.cluster.pods.iter().filter(|pod| pod.ready).count();
    let ready = workload.ready.min(i32::try_from(serving).unwrap_or(i32::MAX));
    if ready >= enough {
        return memory::exhausted(view)
            .or_else(|| rejected_configuration(view))
            .or_else(|| out_of_sync(view))
            .or_else(|| stuck_rollout(view, ready))
            .unwrap_or_else(|| available(ready, wanted));
    }
    if workload.wanted == 0 {
        return scaled_down(view);
    }
    if let Some(failure) = &workload.replica_failure {
        return refused(view, failure);
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
            format!("{ready} of {wanted} engine pods are ready.{detail}"),
        )
    })
}

/// Pods of the current revision that cannot become ready, although those of an earlier revision still serve. Without this,
/// an image that does not exist would look like a rollout that goes on for ever.
fn stuck_rollout(view: View<'_>, ready: i32) -> Option<Verdict> {
    let workload = view.seen.cluster.workload.as_ref()?;
    let earlier = |mut verdict: Verdict| {
        let still = match ready {
            1 => "1 pod of an earlier revision still serves.".to_owned(),
            _ => format!("{ready} pods of an earlier revision still serve."),
        };
        verdict.message = format!("{} {still}", verdict.message.trim_end());
        verdict
    };
    if let Some(failure) = &workload.replica_failure {
        return Some(earlier(refused(view, failure)));
    }
    let now = view.seen.now;
    let waited =
        |pod: &&EnginePod| pod.created.is_none_or(|at| now.duration_since(at) >= FIRST_ATTEMPT);
    let pods = current_revision(&view.seen.cluster.pods);
    let found = pods
        .filter(|pod| !pod.ready && !pod.terminating)
        .filter(waited)
        .find_map(|pod| trouble(view, pod));
    found.map(earlier)
}

/// The pods of the revision that was created last.
fn current_revision(pods: &[EnginePod]) -> impl Iterator<Item = &EnginePod> {
    let newest = pods.iter().filter(|pod| !pod.terminating).max_by_key(|pod| pod.created);
    let revision = newest.and_then(|pod| pod.revision.as_ref());
    pods.iter().filter(move |pod| pod.revision.as_ref() == revision)
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
                "Engine pod {} rejected its configuration and still uses the last valid one: {}. {}",
                engine.replica.name,
                placed(problem),
                correct(view)
            ),
        ))
    })
}

/// The place and the message of a problem; most messages begin with the place.
fn placed(problem: &LoadError) -> String {
    let LoadError { place, message, .. } = problem;
    let message = message.trim_end_matches('.');
    if message.starts_with(place.as_str()) {
        return message.to_owned();
    }
    format!("{place}: {message}")
}

fn out_of_sync(view: View<'_>) -> Option<Verdict> {
    let wanted = &view.seen.config;
    if wanted.hash.is_empty() || wanted.is_on_its_way() {
        return None;
    }
    view.seen.engines.iter().find_map(|engine| match &engine.report {
        Report::Seen(evidence) if evidence.config_hash != wanted.hash => Some(Verdict::new(
            EngineReadyReason::ReplicaOutOfSync,
            if view.federation.spec.paused {
                format!(
                    "Engine pod {} still runs the configuration from before spec.paused was set. Set spec.paused to false to apply the current spec.",
                    engine.replica.name
                )
            } else {
                format!(
                    "Engine pod {} still runs an earlier configuration. Check its log, or delete the pod to start it with the current configuration.",
                    engine.replica.name
                )
            },
        )),
        Report::Seen(_) | Report::Waiting | Report::Unreachable(_) => None,
    })
}

/// Why the API server does not create pods.
fn refused(view: View<'_>, failure: &str) -> Verdict {
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
        let namespace = &view.federation.namespace;
        let action = if failure.contains("denied request") || failure.contains("denied the request")
        {
            format!("Correct what the policy objects to, or exempt namespace {namespace} from it.")
        } else {
            format!(
                "Check the settings that spec.pod adds, and the limit ranges of namespace {namespace}."
            )
        };
        Verdict::new(
            EngineReadyReason::PodsRejected,
            format!(
                "The API server rejects the engine pods: {}. {action}",
                failure.trim_end_matches('.')
            ),
        )
    }
}

/// The operator restores the replicas at once, unless it is paused.
fn scaled_down(view: View<'_>) -> Verdict {
    let federation = view.federation;
    let action = if federation.spec.paused {
        "The operator does not restore them while spec.paused is true. Set spec.paused to false."
    } else {
        "The operator restores them. If this persists, see Accepted."
    };
    Verdict::new(
        EngineReadyReason::ScaledDown,
        format!(
            "Deployment {} has 0 replicas; spec.replicas is {}. {action}",
            federation.name, federation.spec.replicas
        ),
    )
}

fn trouble(view: View<'_>, pod: &EnginePod) -> Option<Verdict> {
    let name = &pod.name;
    if let Some(message) = &pod.unschedulable {
        return Some(Verdict::new(
            EngineReadyReason::Unschedulable,
            format!(
                "Engine pod {name} cannot be scheduled: {}. Check spec.pod (resources, nodeSelector, tolerations, affinity) and the nodes.",
                message.trim_end_matches('.')
            ),
        ));
    }
    if let Some((reason, message)) = &pod.waiting {
        let (reason, message) = pull_error(reason, message);
        match reason {
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
            "CrashLoopBackOff" => return Some(crashed(view, pod)),
            _ if pod.out_of_memory => return Some(crashed(view, pod)),
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                return Some(start_failed(view, pod, reason, message));
            }
            _ => {}
        }
    }
    if pod.restarts > 0 && pod.ended.is_some() {
        return Some(crashed(view, pod));
    }
    if let Some((reason, message)) = &pod.warning {
        return Some(start_failed(view, pod, reason, message));
    }
    let running = pod.waiting.is_none() && pod.ip.is_some();
    let started = pod.started.or(pod.created);
    let old = started.is_some_and(|at| view.seen.now.duration_since(at) >= START);
    (running && old).then(|| {
        Verdict::new(
            EngineReadyReason::ProbeFailing,
            format!("Engine pod {name} is running but does not become ready. Check its log: kubectl logs {name}."),
        )
    })
}

/// The kubelet alternates between `ErrImagePull` and `ImagePullBackOff`, and the latter quotes the former. The message stays
/// the same for both.
fn pull_error<'a>(reason: &'a str, message: &'a str) -> (&'a str, &'a str) {
    const QUOTED: &str = "ErrImagePull: ";
    match message.find(QUOTED) {
        Some(at) if reason == "ImagePullBackOff" => {
            ("ErrImagePull", message.get(at + QUOTED.len()..).unwrap_or(message))
        }
        _ => (reason, message),
    }
}

/// The kubelet cannot create the sandbox, a volume or the container of a pod.
fn start_failed(view: View<'_>, pod: &EnginePod, reason: &str, message: &str) -> Verdict {
    // The container runtime has several words for a limit that is too small, and many for other failures.
    let starts_container = reason != "FailedMount" && reason != "CreateContainerConfigError";
    let action = if is_killed_at_start(message)
        || (starts_container && memory::is_limit_under_minimum(pod))
    {
        memory::raise_limit(pod)
    } else {
        format!(
            "Check the node, the settings that spec.pod adds, and what others changed in Deployment {}.",
            view.federation.name
        )
    };
    Verdict::new(
        EngineReadyReason::PodStartFailed,
        format!(
            "The kubelet cannot start engine pod {} ({reason}): {}. {action}",
            pod.name,
            message.trim_end_matches('.')
        ),
    )
}

fn crashed(view: View<'_>, pod: &EnginePod) -> Verdict {
    let name = &pod.name;
    if pod.out_of_memory {
        return memory::killed(pod);
    }
    match &pod.ended {
        // The program exits with the same code when it does not understand its command line.
        Some((EXIT_CONFIGURATION, words)) if words.contains("Usage:") => Verdict::new(
            EngineReadyReason::CrashLooping,
            format!(
                "Engine pod {name} is crash-looping, because its command line is not valid: {}. Undo what others changed in Deployment {}.",
                words.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default(),
                view.federation.name
            ),
        ),
        Some((EXIT_CONFIGURATION, words)) => Verdict::new(
            EngineReadyReason::ConfigRejected,
            format!(
                "Engine pod {name} rejects its configuration: {}. {}",
                last_line(words).trim_end_matches('.'),
                correct(view)
            ),
        ),
        Some((code, words)) if *code == i32::from(EXIT_MEMORY) => {
            memory::not_started(name, last_line(words))
        }
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

/// What to do about a configuration that the engine rejects.
fn correct(view: View<'_>) -> String {
    format!(
        "The operator writes the file from the spec: correct the spec, and undo what others changed in ConfigMap {}.",
        names::engine_config(&view.federation.name)
    )
}

/// The last line of output, where a program reports why it exits.
fn last_line(words: &str) -> &str {
    words.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("(no output)")
}
