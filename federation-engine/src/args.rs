//! The command line of the engine.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

/// `federation-engine --config FILE`, or one of the subcommands.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    /// Subcommand; without one, the engine runs.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags for running the engine; required without a subcommand.
    #[command(flatten)]
    pub run: Option<RunArgs>,
}

/// Flags for running the engine.
#[derive(ClapArgs, Debug)]
pub struct RunArgs {
    /// Configuration file (YAML).
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Format of the log, which goes to standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the effective configuration with all defaults filled in, or the first error with its line and field.
    Check {
        /// Configuration file (YAML).
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Serve as a prober: connect to federations from here, when an operator requests it.
    Probe(ProbeArgs),
}

/// Flags of a prober.
#[derive(ClapArgs, Debug)]
pub struct ProbeArgs {
    /// Address and port of the listener (HTTPS).
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// File with the token that operators sign their requests with. At least 16 bytes; read again for each request.
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
    /// Certificate (PEM). Default: a self-signed one, because the token authenticates the prober.
    #[arg(long, value_name = "FILE", requires = "private_key_file")]
    pub certificate_file: Option<PathBuf>,
    /// Private key of the certificate (PEM, PKCS #8).
    #[arg(long, value_name = "FILE", requires = "certificate_file")]
    pub private_key_file: Option<PathBuf>,
    /// A network that the prober may connect to although its addresses are private, loopback or reserved. Repeatable.
    #[arg(long = "allow-network", value_name = "NETWORK")]
    pub allow_networks: Vec<IpNet>,
    /// Format of the log, which goes to standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Format of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Human-readable text.
    Text,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::error::ErrorKind> {
        Args::try_parse_from(line.split(' ')).map_err(|error| error.kind())
    }

    #[test]
    fn running_requires_a_file_and_logs_text_by_default() {
        let run = parse("federation-engine --config a.yaml").unwrap().run.unwrap();
        assert_eq!((run.config, run.log_format), (PathBuf::from("a.yaml"), LogFormat::Text));
        let run = parse("federation-engine --config a.yaml --log-format json").unwrap().run;
        assert_eq!(run.unwrap().log_format, LogFormat::Json);
        assert!(parse("federation-engine --log-format json").is_err());
        assert!(parse("federation-engine").is_err());
        assert!(parse("federation-engine --config a.yaml --log-format xml").is_err());
    }

    #[test]
    fn check_has_a_file_of_its_own() {
        let args = parse("federation-engine check --config a.yaml").unwrap();
        assert!(matches!(args.command, Some(Command::Check { config }) if config == *"a.yaml"));
        assert!(args.run.is_none());
        assert!(parse("federation-engine check").is_err());
    }

    #[test]
    fn a_prober_needs_an_address_and_a_token() {
        let line = "federation-engine probe --listen 192.0.2.1:9453 --token-file t";
        let more = "--allow-network 198.51.100.0/24 --allow-network 2001:db8::/32";
        let Some(Command::Probe(probe)) = parse(&format!("{line} {more}")).unwrap().command else {
            panic!("not a prober");
        };
        assert_eq!((probe.listen.port(), probe.allow_networks.len()), (9453, 2));
        assert!(parse("federation-engine probe --listen 192.0.2.1:9453").is_err());
        assert!(parse(&format!("{line} --certificate-file c")).is_err());
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
