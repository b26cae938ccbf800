//! The plan of a pass: what is observed about the objects in the cluster, and the children that are built from it.

use std::sync::Arc;
use std::time::Duration;

use crds::XmppFederationStatus;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::core::ApiResource;
use kube::runtime::reflector::Store;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::apply::{self, Outcome};
use super::away;
use super::dereference::Dereferenced;
use super::observe;
use super::problem::{Cause, Problem, Step};
use crate::build::{self, Child, Given, Settings, paths, revision};
use crate::context::{Context, FederationRef};
use crate::dns::publish::{self, Publication};
use crate::evidence::WantedConfig;
use crate::evidence::cluster::{self, ClusterEvidence};
use crate::evidence::engine::Credentials;
use crate::evidence::networks::ClusterNetworks;
use crate::evidence::prober::KnownProber;
use crate::evidence::references::{References, ServedCertificate};
use crate::federation::material::{self, ControlMaterial};
use crate::federation::names;
use crate::federation::validated::Validated;
use crate::waves::{Choice, Wanted};

/// Time for the Service that the configuration needs the address of, before the configuration is built without it.
const BACKEND_SERVICE_TIMEOUT: Duration = Duration::from_millis(1500);

/// What is to be applied, and what follows from it for the verdicts.
pub(super) struct Plan {
    /// The wanted children; `None` if they could not be built.
    pub(super) children: Option<Vec<Child>>,
    pub(super) config: WantedConfig,
    pub(super) publication: Publication,
    pub(super) references: References,
    pub(super) credentials: Option<Credentials>,
    pub(super) probers: Vec<KnownProber>,
    pub(super) networks: Arc<ClusterNetworks>,
    /// Why the federation does not get the current engine pods yet.
    pub(super) rollout_waits: Option<String>,
    /// The workload stays as it is until then.
    pub(super) keeps_workload: bool,
    /// Objects that another client had changed or deleted.
    pub(super) restored: Vec<String>,
    /// Objects that could not be read, and children that could not be built.
    pub(super) problems: Vec<Problem>,
    /// The API server is away.
    pub(super) is_away: bool,
}

/// Observes, and builds the children.
#[tracing::instrument(name = "plan", level = "debug", skip_all)]
pub(super) async fn plan(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    old: &XmppFederationStatus,
    now: Timestamp,
    may_apply: bool,
) -> Plan {
    let (found, (mut cluster, unread)) = tokio::join!(
        observe::content(context, reference, federation, now),
        observe::cluster(context, reference, federation),
    );
    let published_at = federation.published_at(cluster.address());
    let last_dns = context.dns.last(reference);
    let publication = publish::decide(
        federation,
        published_at.as_ref(),
        cluster.dns_endpoint.kind_exists,
        cluster.dns_endpoint.exists,
        &old.conditions,
        last_dns.as_ref(),
    );
    let mut plan = Plan {
        children: None,
        config: WantedConfig::default(),
        publication,
        references: References::default(),
        credentials: None,
        probers: Vec::new(),
        networks: context.networks.last(),
        rollout_waits: None,
        keeps_workload: false,
        restored: Vec::new(),
        problems: Vec::new(),
        is_away: away::is_away(&unread),
    };
    match found {
        // What cannot be read must not be built: a Secret that seems to be missing would be issued again.
        Err(problem) => plan.problems.push(problem),
        Ok(found) => {
            let missing = cluster.backend_ip.is_none() && unread.is_empty();
            if missing && may_apply && !federation.spec.paused {
                let made = make_backend_service(context, reference, federation).await;
                let service = made.sent.first().cloned();
                let service = service.and_then(|object| object.try_parse::<Service>().ok());
                cluster.backend_ip = service.as_ref().and_then(cluster::cluster_ip);
                plan.restored = made.restored;
            }
            let unknown = unknown_service(federation, &cluster, &unread);
            let observed = (&cluster, unknown);
            let built =
                build(context, reference, federation, observed, found, (old, now), &mut plan);
            plan.problems.extend(built.err());
        }
    }
    plan
}

/// Why a Service could not be read about which nothing is known.
fn unknown_service<'a>(
    federation: &Validated,
    cluster: &ClusterEvidence,
    unread: &'a [Problem],
) -> Option<&'a Problem> {
    let name = federation.name.as_str();
    let of = |known: bool, name: String| {
        away::unread_service(unread, &name)
            .filter(|problem| !known && problem.cause == Cause::Failed)
    };
    of(cluster.service.is_some(), names::own(name))
        .or_else(|| of(cluster.backend_ip.is_some(), names::backend_service(name)))
}

/// Completes the plan with the children.
fn build(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    (cluster, unknown): (&ClusterEvidence, Option<&Problem>),
    found: Dereferenced,
    (old, now): (&XmppFederationStatus, Timestamp),
    plan: &mut Plan,
) -> Result<(), Problem> {
    let failed = |error: &dyn std::fmt::Display| {
        Problem::failed(Step::Apply, "child object", "", error.to_string())
    };
    let material =
        material::complete(&found.existing, federation, now).map_err(|error| failed(&error))?;
    let serving = found.serving(federation, &material, now);
    let source = serving.as_ref().map(|serving| &serving.source);
    let issuer = found.issued.issuer(federation, source);
    plan.references = found.references;
    plan.probers = found.probers;
    plan.references.served = serving.as_ref().map(ServedCertificate::from);
    plan.references.ca_renewal = material.backend.as_ref().map(|backend| backend.ca.renewal);
    plan.credentials = credentials(&material.control);
    // Without the address, the records would be deleted.
    if let Some(problem) = unknown {
        return Err(problem.clone());
    }
    let given = Given {
        address: federation.published_at(cluster.address()),
        assigned: cluster.address().cloned(),
        backend_ip: cluster.backend_ip,
        publish_srv: plan.publication == Publication::Published,
        dns_clients: build::dns_clients::of(federation, &plan.networks),
        material,
        serving,
        issuer,
    };
    let all = context.objects.deployments.current().map(Store::state).unwrap_or_default();
    let image = &context.settings.engine_image;
    let wanted = Wanted { image, revision: &context.revision };
    // A federation whose workload is not applied must not hold up the others.
    let choice = if federation.spec.paused {
        Choice { image: image.clone(), waits: None }
    } else {
        context.waves.choose(reference, &all, wanted)
    };
    let settings = Settings { engine_image: choice.image, ..context.settings.clone() };
    plan.keeps_workload = choice
        .waits
        .as_ref()
        .is_some_and(|waits| waits.is_built_from(federation.generation, old.observed_generation));
    plan.rollout_waits = choice.waits.map(|waits| waits.why);
    let mut children =
        build::children(federation, &given, &settings).map_err(|error| failed(&error))?;
    let workload = ApiResource::erase::<Deployment>(&());
    for child in children.iter_mut().filter(|child| child.resource == workload) {
        revision::mark(child, &settings, federation.generation);
    }
    plan.config = wanted_config(context, reference, federation, &children, now);
    plan.children = Some(children);
    Ok(())
}

/// Applies the Service for the backend first, because the engine's configuration needs its address.
async fn make_backend_service(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
) -> Outcome {
    let name = names::backend_service(&federation.name);
    let refused = context.remember(reference, |memory| {
        let (_, applied) = memory.last_applied.as_ref()?;
        applied.problem(Step::Apply, "Service", &name).map(|_| ())
    });
    match build::backend_service(federation) {
        Ok(Some(child)) if refused.is_none() => {
            apply::alone(context, reference, federation, &child, BACKEND_SERVICE_TIMEOUT).await
        }
        // An object that cannot be built is reported with the other children.
        Ok(_) | Err(_) => Outcome::default(),
    }
}

fn credentials(control: &ControlMaterial) -> Option<Credentials> {
    let certificate = CertificateDer::from_pem_slice(control.pair.certificate.as_bytes()).ok()?;
    Some(Credentials { certificate, token: control.token.clone() })
}

/// Hash of the wanted configuration file, computed as the engine does, and since when it is wanted.
fn wanted_config(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    children: &[Child],
    now: Timestamp,
) -> WantedConfig {
    let config_map = ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&());
    let name = names::engine_config(&federation.name);
    let child = children
        .iter()
        .find(|child| child.resource == config_map && child.object.name_any() == name);
    let text = child
        .and_then(|child| child.object.data.pointer(&format!("/data/{}", paths::CONFIG_KEY)))
        .and_then(|text| text.as_str())
        .unwrap_or_default();
    let hash = HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(text.as_bytes()));
    let digest = child.map(|child| apply::digest(&child.object));
    let (since, is_written) = context.remember(reference, |memory| {
        let applied = memory.applied.get(&(config_map.kind.clone(), name.clone()));
        let is_written = applied.map(|applied| &applied.digest) == digest.as_ref();
        let since = match &memory.content {
            Some((known, since)) if *known == hash => *since,
            _ => {
                memory.content = Some((hash.clone(), now));
                now
            }
        };
        (since, is_written)
    });
    let age = now.duration_since(since).unsigned_abs();
    WantedConfig { hash, age, held: federation.spec.paused && !is_written }
}
