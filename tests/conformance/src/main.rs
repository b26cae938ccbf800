//! `s2s-conformance`: tests a server against 71 rules of XMPP between servers, and reports which rules it keeps.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use s2s_conformance::adversarial::{Case, cases};
use s2s_conformance::ejabberd::Ejabberd;
use s2s_conformance::outcome::Outcome;
use s2s_conformance::outside::{Outside, domain_for};
use s2s_conformance::prosody::Prosody;
use s2s_conformance::report::{Line, Report, table};
use s2s_conformance::target::Target;
use s2s_conformance::world::World;
use s2s_conformance::{Check, statements};
use s2s_peer::authority::Authority;
use s2s_peer::dialback::Secret;
use serde_json::Value;

/// Tests an XMPP server against the rules of RFC 6120, XEP-0220 and others. The suite acts as a remote server that
/// opens streams to the target and accepts streams from it.
///
/// The target must trust the suite's authority, which is created on first use (--ca). For the statements about streams
/// that the target opens, the target must find the suite's own server (--listen). It also must query the suite's name
/// server (--resolver). Without these options some statements are not answered, and the report names the missing
/// options.
///
/// Exit code: 0 if no statement is violated, 1 if a statement is violated, 2 if the suite could not run.
#[derive(Debug, Parser)]
#[command(name = "s2s-conformance")]
struct Arguments {
    /// Address at which the target accepts streams of servers, as host:port.
    #[arg(long, required_unless_present_any = ["engine", "prosody", "ejabberd", "table", "adversarial_table"])]
    target: Option<String>,
    /// A domain that the target serves.
    #[arg(long, requires = "target")]
    domain: Option<String>,
    /// Another domain that the target serves, with its own certificate.
    #[arg(long, requires = "target")]
    second_domain: Option<String>,
    /// The domain of the suite.
    #[arg(long, default_value = "peer.example")]
    peer: String,
    /// Directory of the suite's authority; the target must trust its ca.crt.
    #[arg(long, default_value = "s2s-conformance-ca")]
    ca: PathBuf,
    /// Address at which the target accepts Direct TLS, as host:port.
    #[arg(long)]
    direct_tls: Option<String>,
    /// Address of the suite's own server, which listens on ports 5269 and 5270.
    #[arg(long)]
    listen: Option<Ipv4Addr>,
    /// Another address, to which no server should connect. [default: the one after --listen]
    #[arg(long, requires = "listen")]
    trap: Option<Ipv4Addr>,
    /// Address and port on which the suite answers DNS queries for its domain; the target's resolver must query it.
    #[arg(long, requires = "listen")]
    resolver: Option<SocketAddr>,
    /// A domain of the suite that the target authenticates by certificate only; preferably `only.strict.<peer>`.
    #[arg(long)]
    strict: Option<String>,
    /// The target's dialback secret.
    #[arg(long)]
    dialback_secret: Option<String>,
    /// The process ID of the target, which receives SIGTERM at the end.
    #[arg(long)]
    pid: Option<u32>,
    /// Maximum time for each operation, in seconds.
    #[arg(long, default_value_t = 15)]
    timeout: u64,
    /// Run only these statements.
    #[arg(long, value_delimiter = ',')]
    only: Vec<u8>,
    /// Run the adversarial cases instead: all, or the named ones, such as C7.
    #[arg(long, num_args = 0..=1, default_missing_value = "", value_name = "CASE,...")]
    adversarial: Option<String>,
    /// Start this engine, anew for each statement, and run the statements against it.
    #[arg(long, conflicts_with = "target")]
    engine: Option<PathBuf>,
    /// Start Prosody on this root file system and run the statements against it.
    #[arg(long, conflicts_with_all = ["target", "engine"])]
    prosody: Option<PathBuf>,
    /// Start ejabberd on this root file system and run the statements against it.
    #[arg(long, conflicts_with_all = ["target", "engine", "prosody"])]
    ejabberd: Option<PathBuf>,
    /// Print the table of the adversarial cases in Markdown and exit.
    #[arg(long)]
    adversarial_table: bool,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
    /// Print reports (name=file, as --json wrote them) side by side in Markdown and exit.
    #[arg(long, num_args = 1.., value_name = "NAME=FILE")]
    table: Vec<String>,
}

/// The reason why the suite cannot run.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("s2s-conformance: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, Failure> {
    if !arguments.table.is_empty() {
        print!("{}", side_by_side(&arguments.table)?);
        return Ok(true);
    }
    if arguments.adversarial_table {
        for case in cases() {
            println!("{}", case.row());
        }
        return Ok(true);
    }
    if let Some(names) = &arguments.adversarial {
        return adversarial(arguments, names);
    }
    let mut checks = statements();
    checks.retain(|check| arguments.only.is_empty() || arguments.only.contains(&check.id));
    // The shutdown of the target must come last.
    checks.sort_by_key(|check| (check.id == SHUTDOWN, check.id));
    let timeout = Duration::from_secs(arguments.timeout);
    let mut report = Report::default();
    if let Some(engine) = &arguments.engine {
        for check in &checks {
            let world = World::start(engine, check.id)?;
            put(check, &world.target, arguments.json, &mut report);
        }
    } else if let Some(root) = &arguments.prosody {
        let mut prosody = Prosody::start(root, timeout)?;
        put_all(&checks, &mut prosody.target, arguments.json, &mut report);
    } else if let Some(root) = &arguments.ejabberd {
        let mut ejabberd = Ejabberd::start(root, timeout)?;
        put_all(&checks, &mut ejabberd.target, arguments.json, &mut report);
    } else {
        put_all(&checks, &mut target(arguments, timeout)?, arguments.json, &mut report);
    }
    report.statements.sort_by_key(|line| line.id);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    let (_, violated, _) = report.counts();
    Ok(violated == 0)
}

/// Runs the adversarial cases with those names, or all, if they run over sockets.
fn adversarial(arguments: &Arguments, names: &str) -> Result<bool, Failure> {
    let timeout = Duration::from_secs(arguments.timeout);
    let wanted = |case: &Case| names.is_empty() || names.split(',').any(|name| name == case.name);
    let target = match (&arguments.target, &arguments.engine) {
        (Some(_), _) => Some(target(arguments, timeout)?),
        (None, Some(_)) => None,
        (None, None) => return Err("adversarial cases require --target or --engine".into()),
    };
    let mut holds = true;
    for case in cases().into_iter().filter(wanted) {
        let world = match &arguments.engine {
            Some(engine) if target.is_none() => Some(World::start_hostile(engine)?),
            _ => None,
        };
        let aim = world.as_ref().map(|world| &world.target).or(target.as_ref());
        let Some(outcome) = aim.and_then(|target| case.put(target)) else { continue };
        holds &= !matches!(outcome, Outcome::Violated { .. });
        println!("{:>3}  {}: {outcome}", case.name, case.sentence);
    }
    Ok(holds)
}

/// The statement about shutdown.
const SHUTDOWN: u8 = 65;

/// Runs all checks against one target that keeps running. If the suite answers DNS, each check uses a different domain.
fn put_all(checks: &[Check], target: &mut Target, quiet: bool, report: &mut Report) {
    let peer = target.peer.clone();
    for check in checks {
        if target.resolved().is_ok() {
            target.peer = domain_for(check.id, &peer);
        }
        put(check, target, quiet, report);
    }
}

fn put(check: &Check, target: &Target, quiet: bool, report: &mut Report) {
    let line = Line::new(check, check.put(target));
    if quiet {
        eprintln!("{line}");
    } else {
        println!("{line}");
    }
    report.statements.push(line);
}

fn target(arguments: &Arguments, timeout: Duration) -> Result<Target, Failure> {
    let (Some(target), Some(domain)) = (&arguments.target, &arguments.domain) else {
        return Err("--target and --domain are required".into());
    };
    let outside = match arguments.listen {
        Some(address) => {
            let trap = arguments.trap.unwrap_or_else(|| after(address));
            Some(Outside::start(&arguments.peer, address, trap, arguments.resolver)?)
        }
        None => None,
    };
    Ok(Target {
        address: resolve(target)?,
        direct_tls: arguments.direct_tls.as_deref().map(resolve).transpose()?,
        domain: domain.clone(),
        second_domain: arguments.second_domain.clone(),
        peer: arguments.peer.clone(),
        authority: authority(&arguments.ca)?,
        secret: arguments.dialback_secret.as_ref().map(Secret::new),
        outside,
        inside: None,
        strict: arguments.strict.clone(),
        closes_idle: false,
        process: arguments.pid,
        timeout,
    })
}

fn after(address: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits().wrapping_add(1))
}

/// IPv4 first, because the suite's own addresses are IPv4.
fn resolve(place: &str) -> Result<SocketAddr, Failure> {
    let mut addresses: Vec<SocketAddr> =
        place.to_socket_addrs().map_err(|error| format!("{place}: {error}"))?.collect();
    addresses.sort_by_key(|address| matches!(address.ip(), IpAddr::V6(_)));
    addresses
        .into_iter()
        .next()
        .ok_or_else(|| format!("{place} does not resolve to an address").into())
}

/// The suite's authority, created on first use.
fn authority(directory: &Path) -> Result<Authority, Failure> {
    const NAME: &str = "S2S conformance suite";
    let (certificate, key) = (directory.join("ca.crt"), directory.join("ca.key"));
    if key.exists() {
        return Ok(Authority::from_key_pem(NAME, &fs::read_to_string(&key)?)?);
    }
    fs::create_dir_all(directory)?;
    let authority = Authority::new(NAME)?;
    fs::write(&key, authority.key_pem())?;
    fs::write(&certificate, authority.certificate_pem())?;
    eprintln!(
        "the suite created a new CA: configure the target to trust {}",
        certificate.display()
    );
    Ok(authority)
}

fn side_by_side(named: &[String]) -> Result<String, Failure> {
    let mut reports = Vec::new();
    for one in named {
        let (name, file) =
            one.split_once('=').ok_or_else(|| format!("{one:?} must have the form NAME=FILE"))?;
        let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        reports.push((name.to_owned(), serde_json::from_str::<Value>(&text)?));
    }
    Ok(table(&reports, &statements())?)
}
