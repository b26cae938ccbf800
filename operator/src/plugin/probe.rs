//! `kubectl xfed probe`: opens the streams that a remote server would open, and reports what it sees as an `XmppProbeReport`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use crds::domain::Domain;
use crds::probe_report::{MAX_STREAMS, XmppProbeReport, XmppProbeReportSpec};
use crds::status::AddressType;
use crds::{GROUP, XmppFederation, XmppFederationStatus};
use federation_engine::prober::message::{OutsideResult, ProbeRequest};
use federation_engine::prober::visit::visit;
use ipnet::IpNet;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config, Resource, ResourceExt};
use s2s_proto::guard::Guard;
use tokio::time::timeout;

use super::text;
use crate::causes::Causes;
use crate::evidence::reported::stream;

/// For one request to the API server, with a login that the kubeconfig may start.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// Flags of `probe`.
#[derive(Args, Clone, Debug)]
pub struct ProbeArgs {
    /// Name of the `XmppFederation`.
    pub federation: String,
    /// Namespace of the federation. Default: that of the kubeconfig's context.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Kubeconfig file. Default: `KUBECONFIG`, or `~/.kube/config`.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long)]
    pub context: Option<String>,
    /// From where you probe, in at most 64 characters: the report names it. Default: the address of this machine.
    #[arg(long, value_name = "TEXT")]
    pub vantage: Option<String>,
    /// Print the results only.
    #[arg(long)]
    pub no_report: bool,
    /// A network that may be connected to although its addresses are private, loopback or reserved. Repeatable.
    #[arg(long = "allow-network", value_name = "NETWORK")]
    pub allow_networks: Vec<IpNet>,
}

/// What came of a probe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Every stream was opened.
    Reached,
    /// At least one stream was not opened.
    Failed,
}

/// Why nothing was probed or reported.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig: {0}")]
    Kubeconfig(#[from] KubeconfigError),
    /// A request failed.
    #[error("cannot {doing}: {}", Causes(.source))]
    Request {
        /// The request, as in "cannot list pods".
        doing: &'static str,
        /// The cause.
        source: kube::Error,
    },
    /// The API server did not answer.
    #[error("cannot {doing}: the API server did not answer within {REQUEST_TIMEOUT:?}")]
    Late {
        /// The request, as in "cannot list pods".
        doing: &'static str,
    },
    /// The status has no address for remote servers yet.
    #[error(
        "federation {0} has no address in its status yet; wait until its condition AddressAssigned is True"
    )]
    NoAddress(String),
    /// The API server does not say who the user is.
    #[error("cannot report: the API server does not report a user name for this kubeconfig")]
    Nobody,
}

/// Probes, prints the results, and reports them.
///
/// # Errors
/// When nothing could be probed or reported.
pub async fn probe(args: &ProbeArgs) -> Result<Outcome, ProbeError> {
    let file = args.kubeconfig.as_ref().map_or_else(Kubeconfig::read, Kubeconfig::read_from)?;
    let options = KubeConfigOptions { context: args.context.clone(), ..Default::default() };
    let config = Config::from_custom_kubeconfig(file, &options).await?;
    let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let doing = "connect to the API server";
    let client =
        Client::try_from(config).map_err(|source| ProbeError::Request { doing, source })?;
    let federations: Api<XmppFederation> = Api::namespaced(client.clone(), &namespace);
    let federation = within("read the federation", federations.get(&args.federation)).await?;
    let request = request(&federation)
        .ok_or_else(|| ProbeError::NoAddress(format!("{namespace}/{}", args.federation)))?;
    println!("{}", text::begin(&format!("{namespace}/{}", args.federation), &request));
    let guard = Guard { allow_networks: args.allow_networks.clone(), own: Vec::new() };
    let results = visit(&request, &guard).await;
    for result in &results {
        println!("{}", text::line(result));
    }
    if !args.no_report {
        let source = results.iter().find_map(|result| own_address(result.address?));
        let (name, reporter) =
            report(&client, &namespace, &federation, args, source, &results).await?;
        println!("{}", text::reported(&name, &reporter, &args.federation, &namespace));
    }
    let failed = results.is_empty() || !results.iter().all(text::is_reached);
    Ok(if failed { Outcome::Failed } else { Outcome::Reached })
}

async fn within<T>(
    doing: &'static str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ProbeError> {
    match timeout(REQUEST_TIMEOUT, call).await {
        Ok(done) => done.map_err(|source| ProbeError::Request { doing, source }),
        Err(_) => Err(ProbeError::Late { doing }),
    }
}

/// Where remote servers connect to, as the operator has published it.
fn request(federation: &XmppFederation) -> Option<ProbeRequest> {
    let status: &XmppFederationStatus = federation.status.as_ref()?;
    let ports = status.ports?;
    let of = |type_: AddressType| {
        status.addresses.iter().filter(move |address| address.type_ == type_).map(|a| &a.value)
    };
    let addresses: Vec<IpAddr> =
        of(AddressType::IPAddress).filter_map(|address| address.parse().ok()).collect();
    let named = of(AddressType::Hostname).find_map(|name| Domain::parse(name).ok());
    if addresses.is_empty() && named.is_none() {
        return None;
    }
    Some(ProbeRequest {
        nonce: String::new(),
        domains: federation.spec.domains.iter().map(|domain| domain.name.clone()).collect(),
        addresses,
        host: named.or_else(|| federation.spec.host())?,
        s2s: ports.s2s,
        s2s_tls: ports.s2s_tls,
    })
}

/// The local address of connections to that address. No packet is sent.
fn own_address(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Stores the report; returns its name and the name of the user.
async fn report(
    client: &Client,
    namespace: &str,
    federation: &XmppFederation,
    args: &ProbeArgs,
    source: Option<IpAddr>,
    results: &[OutsideResult],
) -> Result<(String, String), ProbeError> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let (parameters, review) = (PostParams::default(), SelfSubjectReview::default());
    let review = within("ask for your user name", reviews.create(&parameters, &review)).await?;
    let user = review.status.and_then(|status| status.user_info).and_then(|user| user.username);
    let reporter = user.ok_or(ProbeError::Nobody)?;
    let report = written(federation, args, &reporter, source, results);
    let reports: Api<XmppProbeReport> = Api::namespaced(client.clone(), namespace);
    let stored = within("store the report", reports.create(&parameters, &report)).await?;
    Ok((stored.name_any(), reporter))
}

fn written(
    federation: &XmppFederation,
    args: &ProbeArgs,
    reporter: &str,
    source: Option<IpAddr>,
    results: &[OutsideResult],
) -> XmppProbeReport {
    let here = || source.map_or_else(|| "unknown address".to_owned(), |source| source.to_string());
    let mut report = XmppProbeReport::new(
        "",
        XmppProbeReportSpec {
            federation: federation.name_any(),
            reporter: reporter.to_owned(),
            vantage: args.vantage.clone().unwrap_or_else(here),
            source: source.map(|source| source.to_string()),
            results: results.iter().take(MAX_STREAMS).map(stream).collect(),
        },
    );
    report.metadata.name = None;
    report.metadata.generate_name = Some(format!("{}-", federation.name_any()));
    // Deleted with the federation.
    report.metadata.owner_references = federation.uid().map(|uid| {
        vec![OwnerReference {
            api_version: format!("{GROUP}/v1alpha1"),
            kind: XmppFederation::kind(&()).into_owned(),
            name: federation.name_any(),
            uid,
            ..OwnerReference::default()
        }]
    });
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{federation, smallest};
    use serde_json::json;

    fn with_status(status: serde_json::Value) -> XmppFederation {
        let mut object = federation(&smallest());
        object.status = Some(serde_json::from_value(status).unwrap());
        object
    }

    #[test]
    fn the_probe_goes_where_the_status_says_that_remote_servers_connect() {
        let ports = json!({"s2s": 5299, "s2sTls": 5300});
        let ips = with_status(json!({"ports": ports, "addresses": [
            {"type": "IPAddress", "value": "192.0.2.7"}, {"type": "IPAddress", "value": "2001:db8::7"}
        ]}));
        let found = request(&ips).unwrap();
        assert_eq!(found.addresses.len(), 2);
        assert_eq!((found.s2s, found.s2s_tls), (5299, Some(5300)));
        assert_eq!(found.host.as_str(), "xmpp.example.com");
        let named = with_status(json!({"ports": ports, "addresses": [
            {"type": "Hostname", "value": "lb.cloud.example"}
        ]}));
        let found = request(&named).unwrap();
        assert_eq!((found.addresses.len(), found.host.as_str()), (0, "lb.cloud.example"));
        assert_eq!(request(&with_status(json!({"ports": ports}))), None);
        assert_eq!(request(&federation(&smallest())), None);
    }

    #[test]
    fn the_report_names_its_user_and_place_and_goes_with_its_federation() {
        let line = ["probe", "example"];
        let super::super::Command::Probe(args) =
            <super::super::Plugin as clap::Parser>::try_parse_from(
                std::iter::once("kubectl-xfed").chain(line),
            )
            .unwrap()
            .command;
        let object = federation(&smallest());
        let source = Some("203.0.113.9".parse().unwrap());
        let report = written(&object, &args, "alice", source, &[]);
        assert_eq!(
            (report.spec.reporter.as_str(), report.spec.vantage.as_str()),
            ("alice", "203.0.113.9")
        );
        assert_eq!(report.metadata.generate_name.as_deref(), Some("example-"));
        let owner = &report.metadata.owner_references.unwrap()[0];
        assert_eq!(
            (&owner.kind, Some(&owner.uid)),
            (&"XmppFederation".to_owned(), object.metadata.uid.as_ref())
        );
        assert_eq!(
            owner.block_owner_deletion, None,
            "this would need the right to change the federation"
        );
    }
}
