//! `EngineReady`: the memory of the engine pods, and which limit to raise. Pure.

use crds::reason::EngineReadyReason;
use federation_engine::PROCESS;
use federation_engine::observe::evidence::MemoryShortage;

use super::View;
use super::verdict::Verdict;
use crate::build::deployment::DEFAULT_MEMORY_LIMIT;
use crate::evidence::cluster::EnginePod;
use crate::evidence::engine::Report;

/// The kernel ended the last run of a pod.
pub(super) fn killed(pod: &EnginePod) -> Verdict {
    let name = &pod.name;
    let limit = pod.memory_limit.as_ref().map_or_else(String::new, |limit| format!(" of {limit}"));
    Verdict::new(
        EngineReadyReason::CrashLooping,
        format!(
            "Engine pod {name} is crash-looping: the kernel ended it because it exceeded its memory limit{limit} (OOMKilled). Raise limits.memory in spec.pod.resources; the default is {DEFAULT_MEMORY_LIMIT}."
        ),
    )
}

/// What to do about a limit under what the container runtime itself needs.
pub(super) fn raise_limit(pod: &EnginePod) -> String {
    let limit = pod.memory_limit.as_ref().map_or_else(String::new, |limit| format!(" of {limit}"));
    format!(
        "The memory limit{limit} is too small to start a container. Raise limits.memory in spec.pod.resources; the default is {DEFAULT_MEMORY_LIMIT}."
    )
}

/// Whether the limit is under what the engine needs to start.
pub(super) fn is_limit_under_minimum(pod: &EnginePod) -> bool {
    let bytes = pod.memory_limit.as_deref().and_then(bytes_of);
    bytes.and_then(|bytes| usize::try_from(bytes).ok()).is_some_and(|bytes| bytes < PROCESS)
}

/// The bytes of a quantity of Kubernetes; `None` for the suffixes that no small limit has.
fn bytes_of(quantity: &str) -> Option<u64> {
    let digits = quantity.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match quantity.get(digits.len()..)? {
        "" => 1,
        "k" => 1000,
        "Ki" => 1 << 10,
        "M" => 1_000_000,
        "Mi" => 1 << 20,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// The engine refuses to start with its memory limit; `words` are its own.
pub(super) fn not_started(pod: &str, words: &str) -> Verdict {
    Verdict::new(
        EngineReadyReason::CrashLooping,
        format!(
            "Engine pod {pod} does not start: {}. Raise limits.memory in spec.pod.resources; the default is {DEFAULT_MEMORY_LIMIT}.",
            words.trim_end_matches('.')
        ),
    )
}

/// An engine that has used its memory stays up, and closes connections instead.
pub(super) fn exhausted(view: View<'_>) -> Option<Verdict> {
    let (pod, shortage) = view.seen.engines.iter().find_map(|engine| match &engine.report {
        Report::Seen(evidence) => Some((&engine.replica.name, evidence.memory_shortage?)),
        Report::Waiting | Report::Unreachable(_) => None,
    })?;
    let MemoryShortage { limit, by_configuration, minimum } = shortage;
    let setting = if by_configuration {
        "spec.limits.memoryBytes"
    } else {
        "limits.memory in spec.pod.resources"
    };
    let (limit_text, minimum_text) = (quantity(limit), quantity(minimum));
    Some(Verdict::new(
        EngineReadyReason::MemoryExhausted,
        if limit < minimum {
            format!(
                "Engine pod {pod} closes connections, because its memory limit of {limit_text} leaves no memory for them. Raise {setting} to at least {minimum_text}; the default limit of a pod is {DEFAULT_MEMORY_LIMIT}."
            )
        } else {
            format!(
                "Engine pod {pod} closes connections, because it has used its memory limit of {limit_text}. Raise {setting}, or add replicas."
            )
        },
    ))
}

/// Bytes as a quantity of Kubernetes.
fn quantity(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    match bytes {
        _ if bytes > 0 && bytes.is_multiple_of(MIB) => format!("{}Mi", bytes / MIB),
        _ if bytes > 0 && bytes.is_multiple_of(KIB) => format!("{}Ki", bytes / KIB),
        _ => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_under_the_minimum_is_recognised_in_any_unit() {
        let under = |limit: &str| {
            is_limit_under_minimum(&EnginePod {
                memory_limit: Some(limit.into()),
                ..EnginePod::default()
            })
        };
        for limit in ["2Mi", "2M", "2048Ki", "2000k", "2097152"] {
            assert!(under(limit), "{limit}");
        }
        for limit in ["16Mi", "512Mi", "1Gi", "17M", "1e9", "0.5Gi", ""] {
            assert!(!under(limit), "{limit}");
        }
        assert!(!is_limit_under_minimum(&EnginePod::default()));
    }
}
