//! The operator's command line: flags, most with an environment variable of the same meaning.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use crds::target::RouteTarget;
use federation_engine::args::LogFormat;

use crate::check::CheckArgs;

/// The whole command line: the flags of the operator, or a subcommand.
#[derive(Clone, Debug, Parser)]
#[command(name = "xmpp-federation-operator", version, arg_required_else_help = true)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct CommandLine {
    /// Subcommand; without one, the operator runs.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags for running the operator; required without a subcommand.
    #[command(flatten)]
    pub run: Option<Args>,
}

/// Subcommands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Check that the resource is installed and the operator is ready.
    Check(CheckArgs),
}

/// Controller that deploys each `XmppFederation` and verifies, step by step, that federation works.
#[derive(Clone, Debug, Parser)]
#[command(name = "xmpp-federation-operator", version)]
pub struct Args {
    /// Image of the federation engine.
    #[arg(long, env = "ENGINE_IMAGE")]
    pub engine_image: String,
    /// When the kubelet pulls the engine image.
    #[arg(long, env = "ENGINE_IMAGE_PULL_POLICY", default_value = "IfNotPresent")]
    pub engine_image_pull_policy: PullPolicy,
    /// Namespace to watch; empty means all namespaces.
    #[arg(long, env = "WATCH_NAMESPACE", default_value = "")]
    pub namespace: String,
    /// Reconcile only while holding a lease that all operators for the same federations share.
    #[arg(
        long,
        env = "LEADER_ELECTION",
        default_value_t = false,
        num_args = 0..=1,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub leader_election: bool,
    /// Namespace of the lease; by default the operator's own. All operators for all namespaces must use the same one.
    #[arg(long, env = "LEADER_ELECTION_NAMESPACE", default_value = "")]
    pub leader_election_namespace: String,
    /// Class of the operator: it serves the federations with this class in the annotation `xmppfederation.dev/class`; those
    /// without the annotation have the class `default`.
    #[arg(long, env = "CLASS", default_value = crds::DEFAULT_CLASS, value_parser = class)]
    pub class: String,
    /// File with the domains that each namespace may claim, as the chart writes it; without it, every domain is allowed.
    #[arg(long, env = "DOMAINS")]
    pub domains: Option<PathBuf>,
    /// Federations that are reconciled at the same time; a quarter of them may belong to one namespace.
    #[arg(
        long,
        env = "CONCURRENCY",
        default_value_t = 32,
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    pub concurrency: u16,
    /// Listen address for `/livez`, `/readyz` and `/metrics`.
    #[arg(long, env = "LISTEN", default_value = "[::]:8080")]
    pub listen: SocketAddr,
    /// Format of the log, which goes to standard error.
    #[arg(long, env = "LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// File with the filter of the log, in the syntax of `XFED_LOG`. A change takes effect at once. Without effect if `XFED_LOG` is
    /// set.
    #[arg(long, env = "LOG_FILTER_FILE")]
    pub log_filter_file: Option<PathBuf>,
    /// `host:port` of an OpenTelemetry collector that receives traces by OTLP over HTTP without TLS; without it, none are recorded.
    #[arg(long, env = "TRACES_COLLECTOR")]
    pub traces_collector: Option<RouteTarget>,
    /// Percentage of reconciles whose trace is recorded.
    #[arg(
        long,
        env = "TRACES_SAMPLE_PERCENT",
        default_value_t = 100,
        value_parser = clap::value_parser!(u8).range(1..=100)
    )]
    pub traces_sample_percent: u8,
    /// Kubeconfig file to use; by default `KUBECONFIG`, `~/.kube/config`, or the pod's service account.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Name of the operator's pod (downward API): its identity in the lease and in events.
    #[arg(long, env = "POD_NAME", default_value = "xmpp-federation-operator")]
    pub pod_name: String,
    /// Namespace of the operator's pod (downward API): the lease is there, and network policies admit it.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub pod_namespace: String,
}

/// A class is part of the name of a lease.
fn class(text: &str) -> Result<String, String> {
    let permitted =
        |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    let bounds = |octet: Option<u8>| octet.is_some_and(|octet| octet != b'-');
    let octets = text.as_bytes();
    if octets.len() <= 63
        && octets.iter().copied().all(permitted)
        && bounds(octets.first().copied())
        && bounds(octets.last().copied())
    {
        return Ok(text.to_owned());
    }
    Err("a class has 1 to 63 characters a-z, 0-9 and -, and neither begins nor ends with -"
        .to_owned())
}

/// `imagePullPolicy` of a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum PullPolicy {
    /// Query the registry at every start.
    #[value(name = "Always")]
    Always,
    /// Pull only if the node does not have the image.
    #[value(name = "IfNotPresent")]
    IfNotPresent,
    /// Never pull; the node must already have the image.
    #[value(name = "Never")]
    Never,
}

impl PullPolicy {
    /// The word as Kubernetes spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_a_subcommand_or_the_flags_of_the_operator() {
        use clap::CommandFactory;
        CommandLine::command().debug_assert();
        let parse = |line: &str| CommandLine::try_parse_from(line.split(' '));
        let check = parse("operator check --operator operator.system.svc:8080").unwrap();
        let Some(Command::Check(args)) = check.command else { panic!("{check:?}") };
        assert_eq!(args.operator.as_deref(), Some("operator.system.svc:8080"));
        assert!(check.run.is_none());
        assert!(parse("operator --engine-image=engine:1").unwrap().run.is_some());
        assert!(parse("operator --log-format=json").is_err());
    }

    #[test]
    fn the_flags_that_the_chart_gives_are_understood() {
        let args = Args::try_parse_from([
            "operator",
            "--engine-image=localhost/federation-engine:dev",
            "--engine-image-pull-policy=Never",
            "--namespace=im",
            "--leader-election",
            "--leader-election-namespace=kube-system",
            "--class=public",
            "--domains=/etc/xmpp-federation-operator/domains.json",
            "--concurrency=8",
            "--listen=[::]:8080",
            "--log-format=json",
            "--log-filter-file=/etc/xmpp-federation-operator/log-filter",
            "--traces-collector=otel.monitoring.svc:4318",
            "--traces-sample-percent=10",
        ])
        .unwrap();
        assert_eq!(args.engine_image_pull_policy.as_str(), "Never");
        assert!(args.leader_election);
        assert_eq!(args.concurrency, 8);
        assert_eq!(
            (args.class.as_str(), args.leader_election_namespace.as_str()),
            ("public", "kube-system")
        );
        assert_eq!((args.namespace.as_str(), args.log_format), ("im", LogFormat::Json));
        let collector = args.traces_collector.map(|collector| collector.to_string());
        assert_eq!(collector.as_deref(), Some("otel.monitoring.svc:4318"));
        assert_eq!(args.traces_sample_percent, 10);

        let off = ["operator", "--engine-image=engine:1", "--leader-election=false"];
        assert!(!Args::try_parse_from(off).unwrap().leader_election);
        let none = ["operator", "--engine-image=engine:1", "--concurrency=0"];
        assert!(Args::try_parse_from(none).is_err());
        for class in ["", "-", "a.b", "A", "a-"] {
            let bad = ["operator", "--engine-image=engine:1", &format!("--class={class}")];
            assert!(Args::try_parse_from(bad).is_err(), "{class}");
        }
    }
}
