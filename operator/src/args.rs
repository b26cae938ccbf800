//! The operator's command line: flags, most with an environment variable of the same meaning.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use federation_engine::args::LogFormat;

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
    /// Reconcile only while holding the lease `xmpp-federation-operator` in the operator's own namespace.
    #[arg(
        long,
        env = "LEADER_ELECTION",
        default_value_t = false,
        num_args = 0..=1,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub leader_election: bool,
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
    fn the_flags_that_the_chart_gives_are_understood() {
        let args = Args::try_parse_from([
            "operator",
            "--engine-image=localhost/federation-engine:dev",
            "--engine-image-pull-policy=Never",
            "--namespace=im",
            "--leader-election",
            "--concurrency=8",
            "--listen=[::]:8080",
            "--log-format=json",
        ])
        .unwrap();
        assert_eq!(args.engine_image_pull_policy.as_str(), "Never");
        assert!(args.leader_election);
        assert_eq!(args.concurrency, 8);
        assert_eq!((args.namespace.as_str(), args.log_format), ("im", LogFormat::Json));

        let off = ["operator", "--engine-image=engine:1", "--leader-election=false"];
        assert!(!Args::try_parse_from(off).unwrap().leader_election);
        let none = ["operator", "--engine-image=engine:1", "--concurrency=0"];
        assert!(Args::try_parse_from(none).is_err());
    }
}
