//! Prepares the hosts and runs programs on them.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::cgroups::Cgroups;
use crate::command::Run;
use crate::error::{Error, Result};
use crate::network::Host;
use crate::paths::{Paths, write};
use crate::process::{self, Namespace, Process};
use crate::wait::{Seen, Wait};

/// Maximum time for the remaining processes of an interrupted run to end.
const END: Duration = Duration::from_secs(30);

/// Starts the first process of a host and waits until the host is prepared.
pub fn start(paths: &Paths, host: Host) -> Result<()> {
    let home = paths.host(host.name());
    let resolver = format!("nameserver {}\noptions timeout:1 attempts:2\n", Host::Dns.address());
    write(&home.join("resolv.conf"), resolver)?;
    let mut run = Run::new("nsenter").arg(format!("--net={}", host.namespace_file().display()));
    if host == Host::Node {
        let cgroups = Cgroups::of_machine()?;
        cgroups.prepare(&home, &paths.cgroup())?;
        run = match cgroups.group(&paths.cgroup()) {
            Some(group) => run.arg(paths.source.join("host/own-group")).arg(group),
            None => run.args(["unshare", "--cgroup"]),
        };
    }
    let command = run
        .args(["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--"])
        .arg(paths.source.join("host/init"))
        .arg(host.name())
        .arg(&paths.state)
        .into_command();
    let daemons = paths.daemons();
    let name = init_name(host);
    daemons.start(&name, &command)?;
    Wait::new(format!("host {host} to be furnished"), Duration::from_mins(1))
        .log(daemons.log(&name))
        .until(|| {
            daemons.must_run(&name)?;
            Ok(Seen::done_if(home.join("ready").exists(), "its first process is at work"))
        })
}

/// Stops a host and all its programs.
pub fn stop(paths: &Paths, host: Host) -> Result<()> {
    let daemons = paths.daemons();
    if let Some(process) = daemons.running(&init_name(host))? {
        // unshare(1) ignores SIGTERM. The pid namespace ends with it.
        process.kill()?;
    }
    daemons.forget(&init_name(host))
}

/// Ends every process in the network namespaces of the hosts.
pub fn end_unrecorded() -> Result<()> {
    let files = Host::ALL.map(Host::namespace_file);
    let namespaces: Vec<_> = files.iter().filter_map(Namespace::of_file).collect();
    if namespaces.is_empty() {
        return Ok(());
    }
    Wait::new("the processes of the lab's hosts to end", END).until(|| {
        let left = process::in_network_namespaces(&namespaces);
        for one in &left {
            one.kill()?;
        }
        Ok(Seen::done_if(left.is_empty(), format!("{left:?}")))
    })
}

/// Removes the directories that the node's first process created on this machine as mount points.
pub fn remove_made_places(paths: &Paths) {
    let made = fs::read_to_string(paths.host("node").join("made")).unwrap_or_default();
    for place in made.lines() {
        // Only if the directory is empty, because it may be in use by now.
        let _ = fs::remove_dir(place);
    }
}

/// The record name of a host's first process.
pub fn init_name(host: Host) -> String {
    format!("host-{host}")
}

/// A program that runs on a host, in all of its namespaces.
pub fn on(paths: &Paths, host: Host, program: impl AsRef<Path>) -> Result<Run> {
    let init = first_process(paths, host)?;
    let run = match host {
        Host::Node => node_group(paths)?,
        _ => Run::new("nsenter"),
    };
    Ok(enter(run, init, host).arg(program.as_ref()))
}

fn first_process(paths: &Paths, host: Host) -> Result<Process> {
    let outer = paths.daemons().running(&init_name(host))?.ok_or_else(|| {
        Error::State(format!("host {host} is not up: start the lab with `lab up`"))
    })?;
    outer
        .children()
        .first()
        .copied()
        .ok_or_else(|| Error::State(format!("host {host} has lost its first process")))
}

/// `nsenter`, started in the node's control group if the machine has cgroup v2. From within the cgroup namespace, no
/// process outside of the namespace's root can be moved.
fn node_group(paths: &Paths) -> Result<Run> {
    Ok(match Cgroups::of_machine()?.group(&paths.cgroup()) {
        Some(group) => Run::new(paths.source.join("host/join-group")).arg(group).arg("nsenter"),
        None => Run::new("nsenter"),
    })
}

fn enter(run: Run, init: Process, host: Host) -> Run {
    let run = run.args([
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

/// Stops a background program of a host with SIGTERM first. Its record names the `nsenter` that waits for it.
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

/// A program that runs in a host's network only, with this machine's files: for tools such as kubectl and dig.
pub fn in_network_of(host: Host, program: impl AsRef<Path>) -> Run {
    Run::new("nsenter")
        .arg(format!("--net={}", host.namespace_file().display()))
        .arg("--")
        .arg(program.as_ref())
}

/// Opens a connection from a host's network.
pub fn connect(from: Host, to: SocketAddr, within: Duration) -> io::Result<TcpStream> {
    connect_in(File::open(from.namespace_file())?, to, within)
}

/// Opens a connection from a network.
pub fn connect_in(network: File, to: SocketAddr, within: Duration) -> io::Result<TcpStream> {
    in_network(network, move || TcpStream::connect_timeout(&to, within))
}

/// Listens in a host's network.
pub fn listen(on: Host, address: SocketAddr) -> io::Result<TcpListener> {
    in_network(File::open(on.namespace_file())?, move || TcpListener::bind(address))
}

/// Runs a function in a thread whose sockets are in a host's network.
pub fn in_thread_on<T: Send + 'static>(
    host: Host,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    in_network(File::open(host.namespace_file())?, || Ok(work()))
}

/// Only the thread that creates the socket is in that network.
fn in_network<T: Send + 'static>(
    network: File,
    open: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let thread = thread::spawn(move || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        open()
    });
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread in the network panicked")))
}

/// The root directory of a host, as seen from this machine.
pub fn root(paths: &Paths, host: Host) -> Result<PathBuf> {
    Ok(format!("/proc/{}/root", first_process(paths, host)?.pid()).into())
}
