//! The filter of the operator's log changes while it runs, without a cluster.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use harness::loopback::DEADLINE;
use harness::{claim, environment, program};
use serde_json::Value;

#[test]
fn the_file_with_the_filter_is_followed_and_a_wrong_one_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {"server": format!("https://{}", claim::port().unwrap())}}],
        "users": [{"name": "operator", "user": {"token": "none"}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "operator"}}],
    });
    fs::write(path("kubeconfig"), config.to_string()).unwrap();
    // A rename, as editors and the kubelet do: no reader sees half a file.
    let write = |filter: &str| {
        fs::write(path("new"), filter).unwrap();
        fs::rename(path("new"), path("log-filter")).unwrap();
    };
    write("error\n");
    let binary = program::build("operator", "xmpp-federation-operator").unwrap();
    let mut command = Command::new(binary);
    let mut operator = environment::strip(&mut command)
        .arg("--kubeconfig")
        .arg(path("kubeconfig"))
        .arg("--log-filter-file")
        .arg(path("log-filter"))
        .args(["--engine-image", "localhost/federation-engine:dev", "--log-format", "json"])
        .args(["--listen", &claim::port().unwrap().to_string()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (tell, said) = channel();
    let log = BufReader::new(operator.stderr.take().unwrap());
    thread::spawn(move || log.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
    let mut heard = Vec::new();
    let mut until = |wanted: &dyn Fn(&Value) -> bool| {
        loop {
            let line =
                said.recv_timeout(DEADLINE).unwrap_or_else(|end| panic!("{end}: {heard:#?}"));
            let line: Value = serde_json::from_str(&line).unwrap();
            let found = wanted(&line);
            heard.push(line.clone());
            if found {
                return line;
            }
        }
    };
    let message = |line: &Value, part: &str| line["message"].as_str().unwrap().contains(part);
    let first = until(&|_| true);
    assert_eq!(first["level"], "ERROR", "{first}");
    write("operator=loud");
    let line = until(&|line| message(line, "is not valid"));
    assert!(message(&line, "The last filter stays in effect"), "{line}");
    write("debug");
    let line = until(&|line| message(line, "the filter of the log has changed"));
    assert_eq!((&line["filter"], &line["level"]), (&"debug".into(), &"INFO".into()));
    until(&|line| line["level"] == "DEBUG");
    operator.kill().unwrap();
    operator.wait().unwrap();
}
