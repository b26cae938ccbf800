//! `kubectl xfed`: the plugin of kubectl, for people. It acts with the user's own rights.

pub mod probe;
pub mod text;

use clap::{Parser, Subcommand};

use self::probe::ProbeArgs;

/// Inspect XMPP federations and report what you see. kubectl runs this program as `kubectl xfed`.
#[derive(Clone, Debug, Parser)]
#[command(name = "kubectl-xfed", bin_name = "kubectl xfed", version)]
pub struct Plugin {
    /// Subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Connect to a federation from this machine as a remote server would, and report the result to the operator as evidence from
    /// outside. Exit code: 0 if every stream was opened, 1 if one was not, 2 if nothing could be probed or reported.
    Probe(ProbeArgs),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Plugin::command().debug_assert();
    }

    #[test]
    fn a_probe_needs_a_federation_and_takes_the_flags_of_kubectl() {
        let line = "kubectl-xfed probe example -n im --context prod --allow-network 198.18.0.0/15";
        let Command::Probe(probe) = Plugin::try_parse_from(line.split(' ')).unwrap().command;
        assert_eq!(
            (probe.federation.as_str(), probe.namespace.as_deref()),
            ("example", Some("im"))
        );
        assert_eq!((probe.allow_networks.len(), probe.no_report), (1, false));
        assert!(Plugin::try_parse_from(["kubectl-xfed", "probe"]).is_err());
    }
}
