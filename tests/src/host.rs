//! Furnishing the hosts, and running programs on them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::command::Run;
use crate::error::{Error, Result};
use crate::network::Host;
use crate::paths::{Paths, write};
use crate::process::Process;
use crate::wait::{Seen, Wait};

/// Starts the first process of a host and waits until the host is furnished.
pub fn start(paths: &Paths, host: Host) -> Result<()> {
    let home = paths.host(host.name());
    let resolver = format!("nameserver {}\noptions timeout:1 attempts:2\n", Host::Dns.address());
    write(&home.join("resolv.conf"), resolver)?;
    if host == Host::Node {
        let cgroups = fs::read_to_string("/proc/self/cgroup")
            .map_err(Error::io("reading", "/proc/self/cgroup"))?;
        if !cgroups.lines().any(|line| line.contains(":memory:")) {
            return Err(Error::State(
                "this machine has no cgroup v1 hierarchy with the memory controller, which the lab's kubelet uses: \
                 boot it with systemd.unified_cgroup_hierarchy=0".into(),
            ));
        }
        write(&home.join("cgroups"), cgroups)?;
    }
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", host.namespace_file().display()));
    command.args(["unshare", "--mount", "--pid", "--uts", "--ipc"]);
    if host == Host::Node {
        command.arg("--cgroup");
    }
    command.args(["--fork", "--kill-child", "--"]);
    command.arg(paths.source.join("host/init")).arg(host.name()).arg(&paths.state);
    let daemons = paths.daemons();
    let name = init_name(host);
    daemons.start(&name, &command)?;
    Wait::new(format!("host {host} to be furnished"), Duration::from_secs(10))
        .log(daemons.log(&name))
        .until(|| {
            daemons.must_run(&name)?;
            Ok(Seen::done_if(home.join("ready").exists(), "its first process is at work"))
        })
}

/// Ends a host and everything that runs on it.
pub fn stop(paths: &Paths, host: Host) -> Result<()> {
    let daemons = paths.daemons();
    if let Some(process) = daemons.running(&init_name(host))? {
        // unshare(1) ignores SIGTERM; its end takes the pid namespace along.
        process.kill()?;
    }
    daemons.forget(&init_name(host))
}

/// The record's name of a host's first process.
pub fn init_name(host: Host) -> String {
    format!("host-{host}")
}

/// A program to be run on a host, in all of its namespaces.
pub fn on(paths: &Paths, host: Host, program: impl AsRef<Path>) -> Result<Run> {
    let outer = paths.daemons().running(&init_name(host))?.ok_or_else(|| {
        Error::State(format!("host {host} is not up: start the lab with `lab up`"))
    })?;
    let init = outer
        .children()
        .first()
        .copied()
        .ok_or_else(|| Error::State(format!("host {host} has lost its first process")))?;
    Ok(enter(init, host).arg(program.as_ref()))
}

fn enter(init: Process, host: Host) -> Run {
    let run = Run::new("nsenter").args([
        format!("--target={}", init.pid()),
        "--mount".into(),
        "--uts".into(),
        "--ipc".into(),
        "--net".into(),
        "--pid".into(),
        "--wd=/".into(),
    ]);
    let run = if host == Host::Node { run.arg("--cgroup") } else { run };
    run.arg("--")
}

/// Starts a program in the background on a host.
pub fn daemon(paths: &Paths, name: &str, run: Run) -> Result<Process> {
    paths.daemons().start(name, &run.into_command())
}

/// Ends a background program of a host politely. Its record names the `nsenter` that waits for it.
pub fn stop_daemon(paths: &Paths, name: &str) -> Result<()> {
    let daemons = paths.daemons();
    if let Some(outer) = daemons.running(name)? {
        for program in outer.children() {
            program.stop()?;
        }
        outer.kill()?;
    }
    daemons.forget(name)
}

/// A program to be run in a host's network only, with this machine's files: for tools such as kubectl and dig.
pub fn in_network_of(host: Host, program: impl AsRef<Path>) -> Run {
    Run::new("nsenter")
        .arg(format!("--net={}", host.namespace_file().display()))
        .arg("--")
        .arg(program.as_ref())
}
