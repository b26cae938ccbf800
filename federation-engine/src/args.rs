//! The command line of the engine.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// `federation-engine --config FILE` or `federation-engine check --config FILE`.
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
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
