//! `attack`: runs attacks against your own server, or against an engine that it starts, and reports the effect on a
//! good peer.

use std::fs;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use attack::aim::Aim;
use attack::kind::{Kind, Standing};
use attack::measure::{Extent, measure};
use attack::report::Figures;
use attack::tally::Tally;
use clap::Parser;
use s2s_peer::authority::Identity;

/// Attacks an XMPP server as unauthenticated servers and hostile peers do. Run it against your own servers only.
///
/// With --engine, each attack runs against a new engine with a good peer beside it. A table shows the delays of that
/// peer and the engine's memory and processor time. With --to, one attack runs against that server.
#[derive(Debug, Parser)]
struct Arguments {
    /// The attack. With --engine: several attacks, or none for all.
    attacks: Vec<Kind>,
    /// Start this engine and measure.
    #[arg(long, conflicts_with = "to")]
    engine: Option<PathBuf>,
    /// Round trips of the good peer before and during each attack.
    #[arg(long, default_value_t = 1_000, requires = "engine")]
    round_trips: usize,
    /// Address where the target accepts streams of servers, as host:port; for admin-port, its port of probes.
    #[arg(long, required_unless_present = "engine", requires = "domain")]
    to: Option<String>,
    /// A domain that the target serves; for white-space, one whose server reads slowly.
    #[arg(long)]
    domain: Option<String>,
    /// The attacker's domain. For dialback-hanging, the names hang0 to hang63 below it must resolve to a server that
    /// accepts connections and never answers.
    #[arg(long, default_value = "attacker.example")]
    from: String,
    /// Certificate of the attacker's domain (for wildcard-names, of all domains below it) that the target can verify,
    /// in PEM.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// Its private key, in PEM.
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
    /// Certificate of an authority that the target trusts, in PEM. certificate-chains uses its name.
    #[arg(long)]
    authority: Option<PathBuf>,
    /// Source address of the attack.
    #[arg(long)]
    source: Option<IpAddr>,
    /// Concurrent connections. [default: that of the attack]
    #[arg(long)]
    connections: Option<usize>,
    /// Bytes of a large stanza.
    #[arg(long, default_value_t = 262_144)]
    bytes: usize,
    /// Duration of the attack against --to.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// A reason why an attack cannot run.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("attack: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Some(engine) = &arguments.engine else { return attack(arguments) };
    let all = Kind::ALL.to_vec();
    let kinds = if arguments.attacks.is_empty() { &all } else { &arguments.attacks };
    let extent = Extent {
        round_trips: arguments.round_trips,
        connections: arguments.connections,
        peer_first: true,
    };
    println!("{}", Figures::HEAD);
    for kind in kinds {
        println!("{}", measure(engine, *kind, extent)?);
    }
    Ok(())
}

fn attack(arguments: &Arguments) -> Result<(), Failure> {
    let [kind] = *arguments.attacks.as_slice() else {
        return Err("--to requires the name of one attack".into());
    };
    let aim = aim(arguments, kind)?;
    let tally = Tally::default();
    thread::scope(|scope| {
        let attack = scope.spawn(|| kind.run(&aim, &tally));
        for _ in 0..arguments.seconds {
            thread::sleep(Duration::from_secs(1));
            let counts = tally.counts();
            println!("{kind}: {counts:?}");
            if attack.is_finished() {
                break;
            }
        }
        tally.stop();
        attack.join().unwrap_or(Ok(()))
    })?;
    Ok(())
}

fn aim(arguments: &Arguments, kind: Kind) -> Result<Aim, Failure> {
    let (Some(to), Some(domain)) = (&arguments.to, &arguments.domain) else {
        return Err("--to and --domain are required".into());
    };
    let read = |file: &PathBuf| {
        fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
    };
    let identity = match (&arguments.certificate, &arguments.key) {
        (Some(certificate), Some(key)) => {
            Some(Identity::from_pem(&read(certificate)?, &read(key)?)?)
        }
        _ => None,
    };
    let authority = arguments.authority.as_ref().map(read).transpose()?;
    match kind.standing() {
        // Unauthenticated servers can send such stanzas as well, but smaller ones.
        Standing::Authenticated if identity.is_none() && kind != Kind::PrefixedAttributes => {
            return Err(format!("{kind} requires --certificate and --key").into());
        }
        Standing::KnowsAuthority if authority.is_none() => {
            return Err(format!("{kind} requires --authority").into());
        }
        _ => {}
    }
    Ok(Aim {
        to: resolve(to)?,
        domain: domain.clone(),
        from: arguments.from.clone(),
        identity,
        authority,
        source: arguments.source,
        connections: arguments.connections.unwrap_or_else(|| kind.connections()),
        bytes: arguments.bytes,
    })
}

fn resolve(place: &str) -> Result<SocketAddr, Failure> {
    let mut addresses = place.to_socket_addrs().map_err(|error| format!("{place}: {error}"))?;
    addresses.next().ok_or_else(|| format!("{place} does not resolve to an address").into())
}
