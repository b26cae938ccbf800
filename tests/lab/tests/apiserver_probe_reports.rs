//! `kubectl xfed probe` and its reports on a real API server: who may report, in whose name, and what a report may contain.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::process::Output;
use std::time::Duration;

use harness::{claim, program};
use lab::apiserver::ApiServer;
use lab::command::Run;
use lab::error::Result;
use lab::installed::install;
use lab::wait::{Seen, Wait};
use serde_json::{Value, json};

/// Maximum time for the API server to enforce a new role or policy.
const ENFORCED: Duration = Duration::from_mins(3);
const REPORTER: &str = "system:serviceaccount:im:reporter";

/// The rights that docs/probers.md lists for somebody who only reports.
fn role() -> String {
    let page = include_str!("../../../docs/probers.md");
    let after = page.split_once("kind: Role\n").unwrap().1;
    let rest = after.split_once("```").unwrap().0;
    format!("apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n{rest}")
}

/// A server with the chart, a federation without an operator, and a service account that may report.
fn started() -> ApiServer {
    let server = install(&[]).unwrap();
    let federation = json!({
        "apiVersion": "xmppfederation.dev/v1alpha1", "kind": "XmppFederation",
        "metadata": {"name": "example", "namespace": "im"},
        "spec": {"domains": [{"name": "example.com"}]}
    });
    server.apply(&federation.to_string()).unwrap();
    for account in ["reporter", "stranger"] {
        server.kubectl().args(["create", "serviceaccount", account, "-n", "im"]).ok().unwrap();
        server.log_in("im", account).unwrap();
    }
    server.kubectl().args(["apply", "-n", "im", "-f", "-"]).input(role()).ok().unwrap();
    server
        .kubectl()
        .args(["create", "rolebinding", "reporter", "-n", "im", "--role=xmpp-probe-reporter"])
        .arg("--serviceaccount=im:reporter")
        .ok()
        .unwrap();
    server
}

/// What the operator would publish.
fn publish(server: &ApiServer, port: u16) {
    let status = json!({"status": {
        "addresses": [{"type": "IPAddress", "value": "127.0.0.1"}],
        "ports": {"s2s": port},
    }});
    let patch = ["patch", "xfed", "example", "-n", "im", "--subresource=status", "--type=merge"];
    server.kubectl().args(patch).args(["-p", &status.to_string()]).ok().unwrap();
}

fn plugin(server: &ApiServer, user: &str) -> Run {
    Run::new(program::build("operator", "kubectl-xfed").unwrap())
        .args(["probe", "example", "-n", "im", "--allow-network", "127.0.0.0/8", "--kubeconfig"])
        .arg(server.kubeconfig(user))
}

fn report(reporter: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut report = json!({
        "apiVersion": "xmppfederation.dev/v1alpha1", "kind": "XmppProbeReport",
        "metadata": {"name": "by-hand", "namespace": "im"},
        "spec": {
            "federation": "example", "reporter": reporter, "vantage": "laptop",
            "results": [{"address": "192.0.2.7:5269", "domain": "example.com",
                         "mode": "STARTTLS", "outcome": "TimedOut"}]
        }
    });
    change(&mut report["spec"]);
    report
}

fn create(server: &ApiServer, user: &str, object: &Value, flags: &[&str]) -> Output {
    let run = server.kubectl_as(user).args(["create", "-f", "-"]).args(flags);
    run.input(object.to_string()).output().unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Waits until the API server refuses a report in the name of somebody else, for the reason that the policy gives.
fn until_enforced(server: &ApiServer) {
    let forged = report("admin", |_| {});
    let refused: Result<()> = Wait::new("the policy about reporters", ENFORCED).until(|| {
        let output = create(server, "reporter", &forged, &["--dry-run=server"]);
        let said = said(&output);
        let wanted = format!("spec.reporter must be your own user name, {REPORTER}");
        Ok(Seen::done_if(!output.status.success() && said.contains(&wanted), said))
    });
    refused.unwrap();
}

#[test]
fn a_user_who_may_only_report_probes_and_reports_in_no_other_name() {
    let server = started();
    until_enforced(&server);
    // Before the operator knows an address, there is nothing to probe.
    let output = plugin(&server, "reporter").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("wait until its condition AddressAssigned is True"));

    let port = claim::port().unwrap().port();
    publish(&server, port);
    let output = plugin(&server, "reporter").args(["--vantage", "laptop"]).output().unwrap();
    let printed = said(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    let begin =
        format!("Probing federation im/example for example.com at 127.0.0.1, TCP {port}.\n");
    assert!(printed.starts_with(&begin), "{printed}");
    let line = format!("127.0.0.1:{port}, STARTTLS for example.com: connection refused.\n");
    assert!(printed.contains(&line), "{printed}");
    let stored: Value =
        server.kubectl().args(["get", "xfedreport", "-n", "im", "-o", "json"]).json().unwrap();
    let stored = &stored["items"][0];
    assert!(printed.contains(stored["metadata"]["name"].as_str().unwrap()), "{printed}");
    assert_eq!(
        stored["spec"],
        json!({
            "federation": "example", "reporter": REPORTER, "vantage": "laptop",
            "source": "127.0.0.1",
            "results": [{"address": format!("127.0.0.1:{port}"), "domain": "example.com",
                         "mode": "STARTTLS", "outcome": "Refused"}]
        })
    );
    let owner = &stored["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["name"]), (&json!("XmppFederation"), &json!("example")));
    let table = server.kubectl().args(["get", "xfedreport", "-n", "im"]).stdout().unwrap();
    assert!(table.starts_with("NAME"), "{table}");
    assert!(table.contains("Refused") && table.contains(REPORTER), "{table}");

    // With --no-report, nothing is stored.
    plugin(&server, "reporter").arg("--no-report").output().unwrap();
    let listed = server.kubectl().args(["get", "xfedreport", "-n", "im", "-o", "name"]).stdout();
    assert_eq!(listed.unwrap().lines().count(), 1);

    // A report is never changed, not even by the administrator.
    let name = stored["metadata"]["name"].as_str().unwrap();
    let patch = ["patch", "xfedreport", name, "-n", "im", "--type=merge", "-p"];
    let other = r#"{"spec": {"vantage": "office"}}"#;
    let changed = server.kubectl().args(patch).arg(other).output().unwrap();
    assert!(said(&changed).contains("A report cannot be changed"), "{}", said(&changed));

    // The right to report is no right to change the federation or its status.
    let may = |user: &str, question: &[&str]| {
        let run = server.kubectl_as(user).args(["auth", "can-i", "-n", "im"]).args(question);
        run.output().unwrap().status.success()
    };
    assert!(may("reporter", &["create", "xmppprobereports"]));
    assert!(!may("reporter", &["patch", "xmppfederations"]));
    assert!(!may("reporter", &["patch", "xmppfederations", "--subresource=status"]));
    let output = create(&server, "stranger", &report("x", |_| {}), &[]);
    assert!(said(&output).contains("cannot create resource \"xmppprobereports\""));
}

/// Makes a report invalid.
type Change<'a> = &'a dyn Fn(&mut Value);

#[test]
fn what_a_report_may_contain_is_bounded() {
    let server = started();
    until_enforced(&server);
    let good = create(&server, "reporter", &report(REPORTER, |_| {}), &["--dry-run=server"]);
    assert!(good.status.success(), "{}", said(&good));
    let stream = report(REPORTER, |_| {})["spec"]["results"][0].clone();
    let changes: [(&str, Change<'_>); 7] = [
        ("spec.results: Too many: 97", &|spec| spec["results"] = json!(vec![stream.clone(); 97])),
        ("spec.results", &|spec| spec["results"] = json!([])),
        ("Unsupported value: \"Someday\"", &|spec| {
            spec["results"][0]["outcome"] = json!("Someday");
        }),
        ("spec.results[0].detail", &|spec| spec["results"][0]["detail"] = json!("a\nb")),
        ("spec.results[0].detail: Too long", &|spec| {
            spec["results"][0]["detail"] = json!("a".repeat(301));
        }),
        ("spec.vantage", &|spec| spec["vantage"] = json!("laptop\u{202e}")),
        ("unknown field \"spec.ready\"", &|spec| spec["ready"] = json!(true)),
    ];
    for (part, change) in changes {
        let output = create(&server, "reporter", &report(REPORTER, change), &["--dry-run=server"]);
        assert!(!output.status.success(), "accepted, although {part}");
        assert!(said(&output).contains(part), "{}\n  lacks {part}", said(&output));
    }
}
