//! Starts from nothing and ends with two people who chat through the engine, on a real cluster. The README's first
//! command.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use lab::backend::Release;
use lab::behind::Behind;
use lab::client::Client;
use lab::cluster;
use lab::conditions::{Condition, Snapshot, Watch};
use lab::edge;
use lab::error::{Error, Result};
use lab::family::Family;
use lab::federation::{self, NAME, NAMESPACE};
use lab::kubernetes::kubectl;
use lab::network::Host;
use lab::paths::Paths;
use lab::person::Person;
use lab::progress::{step, title};
use lab::public_dns::{LOCAL_ZONE, dig};
use lab::wait::Wait;

/// Maximum time for the federation from `kubectl apply` to Ready, once its backend runs.
const READY: Duration = Duration::from_mins(2);
/// Maximum number of characters of a condition's message that fit on the screen next to the rest.
const MESSAGE_WIDTH: usize = 100;

/// Two people on two XMPP servers chat through the engine, on a real cluster. Needs root.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Args {
    /// The network between the internet and the cluster.
    #[arg(long, value_enum, default_value_t = Network::Direct)]
    network: Network,
    /// The XMPP server behind the engine.
    #[arg(long, value_enum, default_value_t = Server::Prosody)]
    backend: Server,
}

/// What is behind the engine; the servers are those of Debian 12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Server {
    Prosody,
    Ejabberd,
    Jabberd2,
    /// No server, but an echo bot as a component.
    Bot,
}

impl Server {
    fn behind(self) -> Behind {
        match self {
            Self::Prosody => Behind::server(Release::Prosody0_12),
            Self::Ejabberd => Behind::server(Release::Ejabberd23),
            Self::Jabberd2 => Behind::server(Release::Jabberd2),
            Self::Bot => Behind::Bot,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Network {
    /// The load balancer has an address of the internet.
    Direct,
    /// The load balancer has a private address, behind a firewall with NAT.
    Nat,
}

fn main() -> ExitCode {
    let Args { network, backend } = Args::parse();
    let backend = backend.behind();
    let begun = Instant::now();
    let paths = match Paths::from_env() {
        Ok(paths) => paths,
        Err(error) => {
            eprintln!("demo: {error}");
            return ExitCode::FAILURE;
        }
    };
    match demo(&paths, network, &backend) {
        Ok(()) => {
            println!("\nEvery step succeeded ({:.0} s).", begun.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("\ndemo: {error}");
            match federation::pod_logs(&paths) {
                Ok(logs) => eprintln!("\n--- pods, objects, events\n{logs}"),
                Err(error) => eprintln!("no pod logs: {error}"),
            }
            eprintln!(
                "\nThe lab keeps running, so that you can look at it. `make lab-down` stops it."
            );
            ExitCode::FAILURE
        }
    }
}

fn demo(paths: &Paths, network: Network, backend: &Behind) -> Result<()> {
    title("A cluster and a small internet on this machine");
    cluster::up(paths, Family::Ipv4)?;
    step("the removal of an earlier demo", || federation::clear(paths))?;

    title("The operator, by helm");
    step("images and chart", || federation::install(paths))?;
    backend.import(paths)?;

    if network == Network::Nat {
        title("A firewall with NAT");
        let what = format!("TCP 5269 and 5270 of {} to {}", edge::PUBLIC, edge::PRIVATE);
        step(&what, || edge::translate(edge::PRIVATE))?;
    }

    title("kubectl apply");
    let manifest = match network {
        Network::Direct => federation::short_federation(paths)?,
        Network::Nat => federation::federation_behind_nat(paths)?,
    };
    let manifest = backend.in_manifest(&manifest);
    for line in manifest.lines().filter(|line| !line.starts_with('#')) {
        println!("    {line}");
    }
    println!();
    backend.prepare(paths)?;
    let applied = Instant::now();
    federation::federate(paths, &manifest)?;
    let mut watch = federation::watch(paths)?;
    turn_ready(paths, backend, &mut watch, applied)?;

    title("DNS, as every host on the internet sees it");
    show_records()?;

    title(&format!("{} and {}", backend.person().address(), Person::jdoe1().address()));
    converse(paths, network, backend)?;

    title("The status of the federation now");
    let wait = Wait::new("InboundReachable, from evidence of the partner's server", READY);
    watch.until(
        wait,
        READY,
        |before, now| show(applied, before, now),
        |now| now.is_true("InboundReachable") && now.is_true("Ready"),
    )?;
    println!("{}\n", kubectl(paths)?.args(["get", "xfed", "-n", NAMESPACE]).stdout()?);
    println!("{}", watch.last.table());
    println!("{}", what_next());
    Ok(())
}

fn turn_ready(paths: &Paths, backend: &Behind, watch: &mut Watch, applied: Instant) -> Result<()> {
    let wait = Wait::new("the status to name the backend's DNS server", READY);
    watch.until(
        wait,
        READY,
        |before, now| show(applied, before, now),
        |now| federation::backend_dns(now).is_some() || matches!(backend, Behind::Bot),
    )?;
    let server = federation::backend_dns(&watch.last).unwrap_or("its own");
    backend.attach(paths, server)?;
    println!("    {:5.1} s  {} is applied: its DNS is {server}", seconds(applied), backend.name());
    watch.until(
        Wait::new("the federation to be Ready", READY),
        READY,
        |before, now| show(applied, before, now),
        |now| now.is_true("Ready"),
    )
}

fn show_records() -> Result<()> {
    for (name, kind) in [
        (format!("_xmpp-server._tcp.{LOCAL_ZONE}"), "SRV"),
        (format!("_xmpps-server._tcp.{LOCAL_ZONE}"), "SRV"),
        (format!("xmpp.{LOCAL_ZONE}"), "A"),
    ] {
        let answers = dig(Host::Client, &name, kind)?;
        if answers.is_empty() {
            return Err(Error::State(format!("the public DNS has no {kind} record of {name}")));
        }
        println!("    {name} {kind} {}", answers.join(", "));
    }
    Ok(())
}

fn converse(paths: &Paths, network: Network, backend: &Behind) -> Result<()> {
    match network {
        Network::Direct => federation::wait_for_public_port(paths, NAME)?,
        Network::Nat => federation::wait_for_public_address(paths, edge::PUBLIC)?,
    }
    let partner = federation::partner_server(paths);
    let mut theirs = Client::log_in(paths, Host::Client, &Person::jdoe1(), &partner)?;
    let begun = Instant::now();
    backend.converse(paths, &mut theirs, &mut |line| {
        println!("    {:5.1} s  {line}", seconds(begun));
    })
}

/// Prints a line for each condition that changed to True or False.
fn show(since: Instant, before: &Snapshot, now: &Snapshot) {
    for condition in now.changes_since(before).filter(|condition| condition.status != "Unknown") {
        println!("    {:5.1} s  {}", seconds(since), short(condition));
    }
}

fn short(condition: &Condition) -> String {
    let Condition { kind, status, reason, message } = condition;
    let mark = if status == "True" { "●" } else { "○" };
    let mut end = message.chars();
    let mut text: String = end.by_ref().take(MESSAGE_WIDTH).collect();
    if end.next().is_some() {
        text.push('…');
    }
    format!("{mark} {kind:<18} {status:<6} {reason:<20} {text}")
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

fn what_next() -> String {
    // Built next to this program.
    let lab = std::env::current_exe().unwrap_or_default().with_file_name("lab");
    let lab = lab.display();
    format!(
        "
== To look at next
    alias lab='{lab}' k='{lab} kubectl --'
    k describe xfed {NAME} -n {NAMESPACE}            every condition, with what to do when it is not True
    k get xfed {NAME} -n {NAMESPACE} -o yaml         peers, backends, DNS records as found
    k logs -n {NAMESPACE} deployment/{NAME}          what the engine does
    lab status                                       every program of the lab
    lab logs partner                                 the partner's server
    lab partner stop                                 and see what the status says

== To clean up
    make lab-down"
    )
}
