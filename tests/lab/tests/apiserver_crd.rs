//! Tests the resource on a real API server. The server accepts it, its validation rules refuse with their messages, and
//! the table, the defaults and the status behave as documented.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use lab::apiserver::ApiServer;
use lab::paths::Paths;
use serde::Deserialize;
use serde_json::{Value, json};

/// The same cases as in the tests of the crate `crds`, where this process evaluates the rules.
#[derive(Deserialize)]
struct Case {
    message: String,
    field: String,
    #[serde(default)]
    old: Option<Value>,
    good: Vec<Value>,
    bad: Vec<Value>,
}

fn cases() -> Vec<Case> {
    serde_saphyr::from_str(include_str!("../../../crds/tests/admission.yaml")).unwrap()
}

/// The smallest valid object, overlaid with the given one.
fn object(over: &Value) -> Value {
    let mut spec = json!({"domains": [{"name": "example.com"}]});
    for (key, value) in over["spec"].as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({
        "apiVersion": "xmppfederation.dev/v1alpha1",
        "kind": "XmppFederation",
        "metadata": {"name": over.get("name").unwrap_or(&json!("example"))},
        "spec": spec
    })
}

fn started() -> ApiServer {
    let server = ApiServer::start(&Paths::from_env().unwrap()).unwrap();
    let said = server.install_crd().unwrap();
    assert_eq!(
        said,
        "customresourcedefinition.apiextensions.k8s.io/xmppfederations.xmppfederation.dev created\n\
         customresourcedefinition.apiextensions.k8s.io/xmppprobereports.xmppfederation.dev created",
        "nothing else may lie in crds/"
    );
    server
}

/// The server's response to this request of a user: `None` if it accepts, otherwise the reason for the refusal.
fn refusal(server: &ApiServer, verb: &str, object: &Value) -> Option<String> {
    let output = server
        .kubectl()
        .args([verb, "--dry-run=server", "-f", "-"])
        .input(object.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("Warning"), "{said}");
    (!output.status.success()).then(|| said.trim().to_owned())
}

#[test]
fn every_admission_rule_refuses_with_its_field_and_sentence() {
    let server = started();
    let mut refused = 0;
    for case in cases() {
        let verb = if let Some(old) = &case.old {
            server.apply(&object(old).to_string()).unwrap();
            "replace"
        } else {
            "create"
        };
        for good in &case.good {
            assert_eq!(refusal(&server, verb, &object(good)), None, "{good}");
        }
        for bad in &case.bad {
            let object = object(bad);
            let said = refusal(&server, verb, &object).unwrap_or_else(|| panic!("accepted: {bad}"));
            let begin = format!(
                "The XmppFederation {} is invalid: {}: Invalid value: ",
                object["metadata"]["name"], case.field
            );
            assert!(said.starts_with(&begin), "{said}\n  is not about {begin}");
            assert!(said.ends_with(&case.message), "{said}\n  is not: {}", case.message);
            assert!(!said.contains('\n'), "more than one refusal for {bad}: {said}");
            refused += 1;
        }
        if case.old.is_some() {
            server.kubectl().args(["delete", "xfed", "example"]).ok().unwrap();
        }
    }
    assert!(refused >= cases().len(), "{refused}");
}

#[test]
fn sizes_unknown_fields_and_duplicate_keys_are_refused() {
    let server = started();
    let peers: Vec<_> = (0..257).map(|n| json!({"domain": format!("p{n}.example")})).collect();
    let domains: Vec<_> = (0..33).map(|n| json!({"name": format!("d{n}.example")})).collect();
    for (over, part) in [
        (
            json!({"spec": {"domains": []}}),
            "spec.domains: Invalid value: 0: spec.domains in body should have at least 1 items",
        ),
        (
            json!({"spec": {"domains": domains}}),
            "spec.domains: Too many: 33: must have at most 32 items",
        ),
        (
            json!({"spec": {"peers": peers}}),
            "spec.peers: Too many: 257: must have at most 256 items",
        ),
        (
            json!({"spec": {"replicas": 0}}),
            "spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1",
        ),
        (
            json!({"spec": {"limits": {"stanzaBytes": 9_999}}}),
            "should be greater than or equal to 10000",
        ),
        (
            json!({"spec": {"peers": [{"domain": "a.example"}, {"domain": "a.example"}]}}),
            "spec.peers[1]: Duplicate value: {\"domain\":\"a.example\"}",
        ),
        (
            json!({"spec": {"backends": [{"name": "a", "server": {"host": "a"}}, {"name": "a", "server": {"host": "a"}}]}}),
            "spec.backends[1]: Duplicate value: {\"name\":\"a\"}",
        ),
        (
            json!({"spec": {"peers": [{"domain": "a.example", "profile": "Google"}]}}),
            "spec.peers[0].profile: Unsupported value: \"Google\": supported values: \"Standards\", \"Strict\"",
        ),
        (json!({"spec": {"domain": "example.com"}}), "unknown field \"spec.domain\""),
    ] {
        let said = refusal(&server, "create", &object(&over)).unwrap_or_else(|| panic!("{over}"));
        assert!(said.contains(part), "{said}\n  lacks {part}");
    }
    let null = json!({"spec": {"host": null, "tls": {"certificate": null}}});
    assert_eq!(refusal(&server, "create", &object(&null)), None, "null says the same as nothing");
}

#[test]
fn the_largest_resource_stays_within_the_cost_that_the_server_allows() {
    let server = started();
    let name = |n: usize| format!("{}.{n}.example", "a".repeat(63));
    let peers: Vec<_> = (0..256)
        .map(|n| json!({"domain": name(n), "route": {"targets": [format!("{}:5269", name(n))]}}))
        .collect();
    let domains: Vec<_> = (1000..1032).map(|n| json!({"name": name(n)})).collect();
    let rules: Vec<_> = (0..256)
        .map(|n| json!({"action": "Deny", "domains": (0..8).map(|m| name(n * 8 + m)).collect::<Vec<_>>()}))
        .collect();
    let over = json!({"spec": {"domains": domains, "peers": peers, "policy": {"rules": rules}}});
    assert_eq!(refusal(&server, "create", &object(&over)), None);
}

#[test]
fn defaults_are_written_into_the_resource() {
    let server = started();
    let smallest = json!({"spec": {
        "backends": [{"name": "im", "server": {"host": "prosody.im.svc"}}],
        "tls": {"certificate": {"issuerRef": {"name": "ca"}}, "trust": {"bundles": [{"configMapRef": {"name": "ca"}}]}},
        "dialback": {"secretRef": {"name": "dialback"}}
    }});
    server.apply(&object(&smallest).to_string()).unwrap();
    let stored: Value =
        server.kubectl().args(["get", "xfed", "example", "-o", "json"]).json().unwrap();
    assert_eq!(
        stored["spec"],
        json!({
            "domains": [{"name": "example.com"}],
            "backends": [{"name": "im", "server": {"host": "prosody.im.svc", "port": 5269, "authentication": "Minted"}}],
            "replicas": 2,
            "service": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "directTls": true},
            "dns": {"mode": "ExternalDNS", "ttl": 300, "srv": {"priority": 0, "weight": 5}, "trailingDot": true, "publish": "WhenEngineReady", "takeover": false, "dnssec": "Auto"},
            "tls": {
                "certificate": {"issuerRef": {"name": "ca", "kind": "Issuer", "group": "cert-manager.io"}},
                "trust": {"systemRoots": true, "bundles": [{"configMapRef": {"name": "ca", "key": "ca.crt"}}]}
            },
            "dialback": {"secretRef": {"name": "dialback", "key": "secret"}},
            "paused": false
        })
    );
}

/// Older versions stored `proxyProtocol: false` in every object. A schema of type object would make the API server
/// refuse to apply any status to them.
#[test]
fn objects_with_the_boolean_of_older_versions_keep_their_status() {
    let server = started();
    for stored in [json!(false), json!(true), json!({"trustedSources": ["192.0.2.0/24"]})] {
        let over = json!({"spec": {"service": {"proxyProtocol": stored}}});
        server.apply(&object(&over).to_string()).unwrap();
        let status = json!({
            "apiVersion": "xmppfederation.dev/v1alpha1", "kind": "XmppFederation",
            "metadata": {"name": "example"}, "status": {"stage": "Ready"}
        });
        let run = server.kubectl().args(["apply", "--server-side", "--subresource=status"]);
        let output = run.args(["-f", "-"]).input(status.to_string()).output().unwrap();
        assert!(output.status.success(), "{stored}: {}", String::from_utf8_lossy(&output.stderr));
        let kept: Value =
            server.kubectl().args(["get", "xfed", "example", "-o", "json"]).json().unwrap();
        assert_eq!(kept["spec"]["service"]["proxyProtocol"], stored);
    }
    for sources in [json!("192.0.2.0/24"), json!(["a.example"]), json!(["192.0.2.1"])] {
        let over = json!({"spec": {"service": {"proxyProtocol": {"trustedSources": sources}}}});
        let said = refusal(&server, "create", &object(&over)).unwrap();
        assert!(said.contains("spec.service.proxyProtocol.trustedSources"), "{said}");
    }
}

#[test]
fn two_managers_of_one_field_conflict_and_lists_merge_by_key() {
    let server = started();
    let apply = |manager: &str, over: &Value| {
        let run = server.kubectl().args([
            "apply",
            "--server-side",
            "--field-manager",
            manager,
            "-f",
            "-",
        ]);
        run.input(object(over).to_string()).output().unwrap()
    };
    let peers =
        |over: Value| json!({"spec": {"domains": [{"name": "example.com"}], "peers": over}});
    let team = |profile: &str| peers(json!([{"domain": "one.example", "profile": profile}]));
    assert!(apply("team-one", &team("Strict")).status.success());
    let other = peers(json!([{"domain": "two.example", "profile": "CiscoIMP"}]));
    assert!(apply("team-two", &other).status.success(), "another entry is another field");
    let conflict = apply("team-two", &team("CiscoIMP"));
    let said = String::from_utf8(conflict.stderr).unwrap();
    assert!(!conflict.status.success());
    assert!(
        said.contains("conflict with \"team-one\": .spec.peers[domain=\"one.example\"].profile"),
        "{said}"
    );
    let stored: Value =
        server.kubectl().args(["get", "xfed", "example", "-o", "json"]).json().unwrap();
    assert_eq!(
        stored["spec"]["peers"],
        json!([{"domain": "one.example", "profile": "Strict"}, {"domain": "two.example", "profile": "CiscoIMP"}])
    );
}

#[test]
fn the_status_is_a_subresource_and_fills_the_table() {
    let server = started();
    server.apply(&object(&json!({"status": {"stage": "Ready"}})).to_string()).unwrap();
    let condition = |type_: &str, status: &str, message: &str| {
        json!({"type": type_, "status": status, "reason": "Reason", "message": message,
               "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let patch = |status: Value| {
        let patch = json!({"status": status}).to_string();
        let run = server.kubectl().args(["patch", "xfed", "example", "--subresource=status"]);
        run.args(["--type=merge", "-p", patch.as_str()]).output().unwrap()
    };
    let status = json!({
        "observedGeneration": 1,
        "stage": "InboundReachable",
        "host": "xmpp.example.com",
        "conditions": [condition("Ready", "True", "All is well."), condition("Accepted", "True", "")],
        "addresses": [{"type": "IPAddress", "value": "203.0.113.10"}, {"type": "IPAddress", "value": "2001:db8::10"}],
        "peerSummary": {"display": "1/2", "total": 2, "reachable": 1, "failing": 1, "unknown": 0},
        "inbound": {"evidence": "Stream", "observedTime": "2026-01-01T00:00:00Z"}
    });
    let output = patch(status);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = server.kubectl().args(["get", "xfed"]).stdout().unwrap();
    let words: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["NAME", "READY", "STAGE", "HOST", "ADDRESS", "PEERS", "AGE"]);
    let row = ["example", "True", "InboundReachable", "xmpp.example.com", "203.0.113.10", "1/2"];
    assert_eq!(words[1][..6], row, "{table}");
    let wide = server.kubectl().args(["get", "xmpp", "-o", "wide"]).stdout().unwrap();
    assert!(wide.contains("DOMAINS") && wide.contains("Stream"), "{wide}");
    assert!(wide.contains("All is well."), "{wide}");

    let said = |output: std::process::Output| {
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let wrong = patch(json!({"conditions": [condition("Ready", "Perhaps", "")]}));
    assert!(said(wrong).contains("Unsupported value: \"Perhaps\""));
    let mut lower = condition("Ready", "True", "");
    lower["reason"] = json!("no reason");
    assert!(said(patch(json!({"conditions": [lower]}))).contains("reason in body should match"));
}

#[test]
fn explain_tells_what_a_field_means() {
    let server = started();
    let explain = |path: &str| server.kubectl().args(["explain", path]).stdout().unwrap();
    assert!(explain("xfed.spec.domains").contains("List each subdomain"));
    let mode = explain("xfed.spec.peers.tls.mode");
    assert!(mode.contains("ENUM:\n    Required\n    Optional\n    Disabled"), "{mode}");
    assert!(explain("xfed.status.conditions").contains("last changed"));
}
