//! What the state of a pod shows about its memory and its certificate, and what the events about it show.

use serde_json::{Value, json};

use super::*;

/// The state of a pod with this container and the status of that container.
fn pod(container: &Value, status: &Value) -> EnginePod {
    let mut container = container.clone();
    container["name"] = json!(CONTAINER);
    let mut status = status.clone();
    for (field, value) in [
        ("name", json!(CONTAINER)),
        ("image", json!("engine")),
        ("imageID", json!("")),
        ("ready", json!(false)),
        ("restartCount", json!(1)),
    ] {
        status[field] = value;
    }
    let pod = json!({
        "metadata": {"name": "example-1"},
        "spec": {"containers": [container]},
        "status": {"containerStatuses": [status]},
    });
    engine_pod(&serde_json::from_value(pod).unwrap())
}

#[test]
fn a_kill_for_memory_is_seen_with_the_limit_before_and_after_the_start_of_the_engine() {
    let limited = json!({"resources": {"limits": {"memory": "8Mi"}}});
    let killed = json!({"lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}});
    let seen = pod(&limited, &killed);
    assert!(seen.out_of_memory, "{seen:?}");
    assert_eq!(seen.memory_limit.as_deref(), Some("8Mi"));
    // The words of runc when its own part of the container does not fit.
    let words =
        "unable to start container process: container init was OOM-killed (memory limit too low?)";
    let waiting = json!({"state": {"waiting": {"reason": "RunContainerError", "message": words}}});
    assert!(pod(&limited, &waiting).out_of_memory);
    let ended = json!({"lastState": {"terminated": {
        "exitCode": 128, "reason": "StartError", "message": words,
    }}});
    assert!(pod(&limited, &ended).out_of_memory);
    let failed = json!({"lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}});
    let seen = pod(&json!({}), &failed);
    assert!(!seen.out_of_memory && seen.memory_limit.is_none(), "{seen:?}");
}

#[test]
fn a_certificate_that_is_mounted_file_by_file_is_never_updated() {
    let mounted =
        |mount: Value| pod(&json!({"volumeMounts": [mount]}), &json!({})).certificate_frozen;
    let path = "/etc/xmpp-federation/tls/tls.crt";
    assert!(mounted(json!({"name": "tls", "mountPath": path, "subPath": "tls.crt"})));
    assert!(mounted(json!({"name": "tls", "mountPath": path, "subPathExpr": "$(FILE)"})));
    assert!(!mounted(json!({"name": "tls", "mountPath": "/etc/xmpp-federation/tls"})));
    assert!(!mounted(json!({"name": "config", "mountPath": "/etc/a", "subPath": "a"})));
}

#[test]
fn the_last_event_about_a_pod_is_quoted_if_it_is_a_warning() {
    let event = |type_: &str, reason: &str, time: Value, message: &str| -> Event {
        let mut event = json!({
            "metadata": {"name": reason},
            "involvedObject": {},
            "type": type_,
            "reason": reason,
            "message": message,
        });
        for (field, value) in time.as_object().unwrap() {
            event[field] = value.clone();
        }
        serde_json::from_value(event).unwrap()
    };
    let id = "0123456789abcdef".repeat(4);
    let words = format!(
        "(combined from similar events): Failed to create pod sandbox: rpc error: code = Unknown desc = failed to start sandbox container task \"{id}\": OCI runtime create failed: {id}: container init was OOM-killed (memory limit too low?): unknown"
    );
    let scheduled = event(
        "Normal",
        "Scheduled",
        json!({"eventTime": "2026-11-01T12:00:00.700000Z"}),
        "to a node",
    );
    let at = |second: u8| json!({"lastTimestamp": format!("2026-11-01T12:00:0{second}Z")});
    let failed = event("Warning", "FailedCreatePodSandBox", at(0), &words);
    let (reason, message) = last_warning([&failed, &scheduled].into_iter()).unwrap();
    assert_eq!(reason, "FailedCreatePodSandBox");
    assert_eq!(
        message,
        "Failed to create pod sandbox: failed to start sandbox container task: OCI runtime create failed: container init was OOM-killed (memory limit too low?): unknown"
    );
    assert!(is_killed_at_start(&message));
    let pulling = event("Normal", "Pulling", at(5), "Pulling image");
    assert_eq!(last_warning([&pulling, &failed, &scheduled].into_iter()), None, "it went on");
    assert_eq!(last_warning([].into_iter()), None);
}
