//! The lab's command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand, ValueEnum};
use lab::cluster::{self, KeepLogs};
use lab::error::{Error, Result};
use lab::family::Family;
use lab::network::Host;
use lab::parts::Part;
use lab::paths::{Paths, make_dir};
use lab::{addons, edge, host, kubernetes, node, partner, parts};

/// A real Kubernetes cluster with a real internet around it, on this machine, in namespaces. Needs root.
#[derive(Debug, Parser)]
#[command(name = "lab")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install the Debian packages and build the parts that are not in the cache.
    Build {
        /// Also build the parts of the interoperability tests, and older versions of parts for the tests of these.
        #[arg(long)]
        servers: bool,
        /// Also build the parts of the tests of certificates.
        #[arg(long)]
        issuers: bool,
        /// Also build the parts of the tests of autoscaling and traces.
        #[arg(long)]
        monitors: bool,
    },
    /// Start the lab; returns at once if it is up.
    Up {
        /// IP families of pods and Services.
        #[arg(long, value_enum, default_value_t)]
        family: Family,
    },
    /// Stop the lab and remove everything that belongs to it.
    Down {
        /// Keep the logs.
        #[arg(long)]
        keep_logs: bool,
        /// Copy the logs to this directory first.
        #[arg(long)]
        logs_to: Option<PathBuf>,
        /// Fail if the lab runs for another source tree, and leave it unchanged.
        #[arg(long, conflicts_with = "keep_logs")]
        if_ours: bool,
    },
    /// Print the state of each program; exit code 0 only if all programs run.
    Status,
    /// Print the path of the administrator's kubeconfig (it works in the node's network: see kubectl).
    Kubeconfig,
    /// Run kubectl as the administrator.
    Kubectl {
        /// Its arguments, after `--`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Run helm as the administrator.
    Helm {
        /// Its arguments, after `--`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Run a program on a host: node, router, dns, partner, client or other.
    Exec {
        /// The host.
        host: String,
        /// The program and its arguments, after `--`.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Print the log of a program; without a name, list the names.
    Logs {
        /// The program, as `status` names it.
        name: Option<String>,
    },
    /// Import an image from a tar file into the node.
    ImageImport {
        /// The tar file.
        file: PathBuf,
    },
    /// Restart external-dns with other record types.
    ExternalDns {
        /// The record types that it manages.
        #[arg(long, value_delimiter = ',', default_values = addons::RECORD_TYPES)]
        managed_record_types: Vec<String>,
    },
    /// Put a firewall with NAT between the internet and the cluster, or remove it.
    Network {
        /// The network.
        network: Network,
    },
    /// Stop or start the partner's server.
    Partner {
        /// The action.
        action: Action,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Action {
    Start,
    Stop,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Network {
    /// The internet reaches the addresses of load balancers.
    Direct,
    /// A firewall translates a public address to the private one of a load balancer.
    Nat,
}

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let paths = Paths::from_env()?;
    match command {
        Command::Build { servers, issuers, monitors } => {
            parts::build(&paths)?;
            if servers {
                parts::build_only(&paths, &Part::SERVERS)?;
                parts::build_only(&paths, &Part::OLD_VERSIONS)?;
            }
            if issuers {
                parts::build_only(&paths, &Part::ISSUERS)?;
            }
            if monitors {
                parts::build_only(&paths, &Part::MONITORS)?;
            }
        }
        Command::Up { family } => {
            let begun = Instant::now();
            cluster::up(&paths, family)?;
            println!("the lab is up ({:.1} s)", begun.elapsed().as_secs_f64());
        }
        Command::Down { keep_logs, logs_to, if_ours } => {
            if let Some(directory) = logs_to {
                copy_logs(&paths, &directory)?;
            }
            match (if_ours, keep_logs) {
                (true, _) => cluster::down_if_ours(&paths)?,
                (false, true) => cluster::down(&paths, KeepLogs::Yes)?,
                (false, false) => cluster::down(&paths, KeepLogs::No)?,
            }
            println!("the lab is down");
        }
        Command::Status => return status(&paths),
        Command::Kubeconfig => println!("{}", paths.kubeconfig().display()),
        Command::Kubectl { args } => {
            return Ok(kubernetes::kubectl(&paths)?.args(args).interactive()?.into());
        }
        Command::Helm { args } => {
            return Ok(kubernetes::helm(&paths)?.args(args).interactive()?.into());
        }
        Command::Exec { host: name, command } => {
            let host = Host::from_name(&name).ok_or_else(|| {
                let names = Host::ALL.map(Host::name).join(", ");
                Error::State(format!("unknown host {name}; the hosts are {names}"))
            })?;
            let Some((program, args)) = command.split_first() else {
                return Err(Error::State("no program given".into()));
            };
            return Ok(host::on(&paths, host, program)?.args(args).interactive()?.into());
        }
        Command::Logs { name } => logs(&paths, name.as_deref())?,
        Command::ImageImport { file } => node::import_image(&paths, &file)?,
        Command::ExternalDns { managed_record_types } => {
            let types: Vec<&str> = managed_record_types.iter().map(String::as_str).collect();
            addons::restart_external_dns(&paths, &types)?;
        }
        Command::Network { network: Network::Direct } => edge::remove(&paths)?,
        Command::Network { network: Network::Nat } => {
            edge::translate(edge::PRIVATE)?;
            println!("TCP 5269 and 5270 of {} lead to {}", edge::PUBLIC, edge::PRIVATE);
        }
        Command::Partner { action: Action::Start } => partner::start(&paths)?,
        Command::Partner { action: Action::Stop } => partner::stop(&paths)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn status(paths: &Paths) -> Result<ExitCode> {
    for (name, runs) in cluster::states(paths)? {
        println!("{name:<24} {}", if runs { "runs" } else { "does not run" });
    }
    let well = cluster::is_well(paths);
    println!("{:<24} {}", "the lab", if well { "is up" } else { "is not up: `lab up`" });
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Copies the logs of the lab's programs, so that they remain available after the lab is removed.
fn copy_logs(paths: &Paths, to: &Path) -> Result<()> {
    make_dir(to)?;
    for name in paths.daemons().logs()? {
        let (from, to) = (paths.daemons().log(&name), to.join(format!("{name}.log")));
        fs::copy(&from, &to).map_err(Error::io("copying", &from))?;
    }
    Ok(())
}

fn logs(paths: &Paths, name: Option<&str>) -> Result<()> {
    match name {
        Some(name) => print!("{}", lab::paths::read(&paths.daemons().log(name))?),
        None => {
            for name in paths.daemons().names()? {
                println!("{name}");
            }
        }
    }
    Ok(())
}
