//! The operator without a cluster: its log, and its shutdown.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use harness::loopback::DEADLINE;
use harness::{claim, environment, program};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn an_api_server_that_is_not_there_is_named_and_does_not_hold_up_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    let server = format!("https://{}", claim::port().unwrap());
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {"server": server}}],
        "users": [{"name": "operator", "user": {"token": "none"}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "operator"}}],
    });
    fs::write(&kubeconfig, config.to_string()).unwrap();
    let binary = program::build("operator", "xmpp-federation-operator").unwrap();
    let mut command = Command::new(binary);
    let mut operator = environment::strip(&mut command)
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .args(["--engine-image", "localhost/federation-engine:dev", "--listen"])
        .arg(claim::port().unwrap().to_string())
        .env("NO_COLOR", "1")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (tell, said) = channel();
    let log = BufReader::new(operator.stderr.take().unwrap());
    // The thread ends when the program's output ends.
    let reader = thread::spawn(move || {
        log.lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
    });

    let line = said.recv_timeout(DEADLINE);
    let line = line.unwrap_or_else(|end| panic!("the operator logged nothing: {end}"));
    assert!(line.contains(&server), "the server is named: {line}");
    assert!(line.contains("onnection refused"), "and what is wrong with it: {line}");

    let pid = Pid::from_child(&operator);
    kill_process(pid, Signal::TERM).unwrap();
    // The channel closes when the program has exited.
    let mut log = line;
    let end = loop {
        match said.recv_timeout(DEADLINE) {
            Ok(line) => log = format!("{log}\n{line}"),
            Err(end) => break end,
        }
    };
    if end == RecvTimeoutError::Timeout {
        // No process of a failed run stays behind.
        operator.kill().unwrap();
    }
    let status = operator.wait().unwrap();
    assert!(status.success(), "SIGTERM did not end it in order: {status}; it logged:\n{log}");
    reader.join().unwrap().unwrap();
}
