//! The driver of one reconcile.

use std::sync::Arc;

use crds::condition::{ConditionStatus, ConditionType, get};
use crds::external::dns_endpoint::DNSEndpoint;
use crds::{XmppFederation, XmppFederationStatus};
use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Service;
use kube::core::error_boundary::InvalidObject;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::apply::{self, Applied};
use super::dereference::dereference;
use super::error::Error;
use super::{report, schedule, status};
use crate::build::{self, Address, Child, Given, paths};
use crate::context::{Context, Federation, FederationRef};
use crate::dns::publish::{self, Publication};
use crate::evidence::cluster::{self, ClusterEvidence, DnsEndpointEvidence};
use crate::evidence::dns::{self, DnsEvidence, LookedFor};
use crate::evidence::engine::Credentials;
use crate::evidence::networks::ClusterNetworks;
use crate::evidence::probe::ProbeEvidence;
use crate::evidence::references::ServedCertificate;
use crate::evidence::{Evidence, WantedConfig, probe, resolvers};
use crate::federation::material::{self, ControlMaterial};
use crate::federation::names;
use crate::federation::validated::{InvalidFederation, Rival, Validated, validate};
use crate::ladder::{View, accepted};

/// How long network answers are reused while they are not as wanted. Shorter than
/// [`crate::ladder::damping::FAILURE_DAMPING_TIME`].
const FAILING_EVIDENCE_TTL: SignedDuration = SignedDuration::from_millis(1200);
/// How long network answers are reused once everything is as wanted.
const STABLE_EVIDENCE_TTL: SignedDuration = SignedDuration::from_secs(60);

/// One reconcile of one federation.
///
/// # Errors
/// When it must be retried.
pub async fn reconcile(object: Arc<Federation>, context: Arc<Context>) -> Result<Action, Error> {
    let reference = FederationRef::from_obj(object.as_ref());
    match &object.0 {
        Err(invalid) => unreadable(&context, invalid).await,
        Ok(object) if object.metadata.deletion_timestamp.is_some() => Ok(Action::await_change()),
        Ok(object) => Box::pin(one(&context, &reference, object)).await,
    }
}

async fn one(
    context: &Context,
    reference: &FederationRef,
    object: &XmppFederation,
) -> Result<Action, Error> {
    let now = Timestamp::now();
    let old = object.status.clone().unwrap_or_default();
    let rivals: Vec<Rival> = context
        .federations
        .state()
        .iter()
        .filter_map(|other| Rival::of(other.0.as_ref().ok()?))
        .collect();
    let federation = match validate(object, &rivals) {
        Ok(federation) => federation,
        Err(rejection) => return reject(context, object, &old, &rejection, now).await,
    };
    let evidence = Box::pin(act_and_look(context, reference, &federation, &old, now)).await?;
    let view = View { federation: &federation, seen: &evidence };
    let failing = context.remember(reference, |memory| memory.failing.clone());
    let judged = status::judged(&old, view, &failing);
    let held = !judged.failing.is_empty();
    context.remember(reference, |memory| memory.failing = judged.failing);
    count_certificate(context, &federation, &evidence);
    report::status(context, object, &judged.status).await?;
    context.remember(reference, |memory| memory.errors.reset());
    let pause = schedule::next(&judged.status.conditions, held, now, rand::random());
    Ok(Action::requeue(pause))
}

/// Applies the children, and gathers all evidence that the ladder is judged by.
async fn act_and_look(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    old: &XmppFederationStatus,
    now: Timestamp,
) -> Result<Evidence, Error> {
    let client = &context.client;
    let (found, cluster, networks) = tokio::join!(
        dereference(client, federation, now),
        look_at_cluster(context, federation),
        context.networks.get(client),
    );
    let found = found.map_err(Error::api("read Secrets and ConfigMaps"))?;
    let mut cluster = cluster?;
    let material = material::complete(&found.existing, federation, now)?;
    let serving = found.serving(federation, &material, now);
    let mut references = found.references;
    references.served = serving.as_ref().map(ServedCertificate::from);
    if cluster.backend_ip.is_none() && !federation.spec.paused {
        cluster.backend_ip = make_backend_service(context, reference, federation).await?;
    }
    let published_at = federation.published_at(cluster.address());
    let last_dns = context.remember(reference, |memory| memory.dns.clone());
    let publication = publish::decide(
        federation,
        published_at.as_ref(),
        cluster.dns_endpoint.kind_exists,
        cluster.dns_endpoint.exists,
        &old.conditions,
        last_dns.as_ref(),
    );
    let given = Given {
        address: published_at,
        assigned: cluster.address().cloned(),
        backend_ip: cluster.backend_ip,
        publish_srv: publication == Publication::Published,
        dns_clients: build::dns_clients::of(federation, &networks),
        material,
        serving,
    };
    let children = build::children(federation, &given, &context.settings)?;
    let applied = apply::apply(context, reference, federation, &children).await?;
    if cluster.workload.is_none() || cluster.service.is_none() {
        // It was created just now, and the verdicts must not report it as missing.
        cluster = look_at_cluster(context, federation).await?;
    }
    let config = wanted_config(context, reference, federation, &children, now);
    if matches!(applied, Applied::Done | Applied::Replacement(_)) {
        let files = digest_of_files(&config, &children);
        apply::refresh(context, federation, &cluster.pods, &files).await?;
    }
    let engines = match credentials(&given.material.control) {
        Some(credentials) => context.engines.observe(reference, cluster.replicas(), &credentials),
        None => Vec::new(),
    };
    let stable = get(&old.conditions, ConditionType::Ready)
        .is_some_and(|ready| ready.status == ConditionStatus::True);
    let failing = context.remember(reference, |memory| !memory.failing.is_empty());
    let kept = if stable && !failing { STABLE_EVIDENCE_TTL } else { FAILING_EVIDENCE_TTL };
    let to_probe = probe::Wanted::of(federation, &cluster, references.served.as_ref());
    let published_at = federation.published_at(cluster.address());
    let (dns, probes) = tokio::join!(
        ask_dns(context, reference, federation, published_at.as_ref(), last_dns, kept, now),
        probe_listeners(context, reference, to_probe, kept, now),
    );
    let networks = inside(&networks, federation, &cluster);
    let reached_at = federation.reached_at(cluster.address());
    let address_changed = status::address_changed(old, reached_at.as_ref(), now);
    Ok(Evidence {
        now,
        applied,
        references,
        cluster,
        config,
        publication,
        engines,
        dns,
        networks,
        probes,
        address_changed,
    })
}

async fn look_at_cluster(
    context: &Context,
    federation: &Validated,
) -> Result<ClusterEvidence, Error> {
    let mut endpoint = DnsEndpointEvidence {
        kind_exists: context.kinds.dns_endpoint(),
        ..DnsEndpointEvidence::default()
    };
    if endpoint.kind_exists {
        let api = Api::<DNSEndpoint>::namespaced(context.client.clone(), &federation.namespace);
        let name = names::dns_endpoint(&federation.name);
        if let Some(found) =
            api.get_opt(&name).await.map_err(Error::api(format!("read DNSEndpoint {name}")))?
        {
            let observed = found.status.as_ref().and_then(|status| status.observed_generation);
            endpoint.exists = crate::children::is_controlled_by(&found, &federation.owner.uid);
            endpoint.created = found.creation_timestamp().map(|time| time.0);
            endpoint.observed = observed.is_some();
        }
    }
    cluster::gather(&context.client, federation, endpoint)
        .await
        .map_err(Error::api("read the Deployment, pods and Services"))
}

/// Applies the Service for the backend first, because the engine's configuration needs its address.
async fn make_backend_service(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
) -> Result<Option<std::net::IpAddr>, Error> {
    let Some(child) = build::backend_service(federation)? else { return Ok(None) };
    let made = apply::alone(context, reference, federation, &child).await?;
    let service = made.and_then(|object: Box<DynamicObject>| object.try_parse::<Service>().ok());
    Ok(service.as_ref().and_then(cluster::cluster_ip))
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
    let text = children
        .iter()
        .find(|child| child.resource == config_map && child.object.name_any() == name)
        .and_then(|child| child.object.data.pointer(&format!("/data/{}", paths::CONFIG_KEY)))
        .and_then(|text| text.as_str())
        .unwrap_or_default();
    let hash = HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(text.as_bytes()));
    let since = context.remember(reference, |memory| match &memory.content {
        Some((known, since)) if *known == hash => *since,
        _ => {
            memory.content = Some((hash.clone(), now));
            now
        }
    });
    let age = now.duration_since(since).unsigned_abs();
    WantedConfig { hash, age }
}

/// Digest of all files that pods load without a restart.
fn digest_of_files(config: &WantedConfig, children: &[Child]) -> String {
    let secrets: Vec<&serde_json::Value> = children
        .iter()
        .filter(|child| child.resource.kind == "Secret")
        .map(|child| &child.object.data)
        .collect();
    let mut digest = apply::digest(&(config.hash.as_str(), secrets));
    digest.truncate(16);
    digest
}

async fn ask_dns(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    address: Option<&Address>,
    last: Option<DnsEvidence>,
    kept: SignedDuration,
    now: Timestamp,
) -> DnsEvidence {
    let looked_for = LookedFor::of(federation, address, &resolvers::of(federation));
    if let Some(last) = last
        && last.looked_for == looked_for
        && now.duration_since(last.at) < kept
    {
        return last;
    }
    let evidence = dns::gather(looked_for, &context.zones, now).await;
    context.remember(reference, |memory| memory.dns = Some(evidence.clone()));
    evidence
}

/// Probes every pod, unless that was done less than `kept` ago.
async fn probe_listeners(
    context: &Context,
    reference: &FederationRef,
    wanted: probe::Wanted,
    kept: SignedDuration,
    now: Timestamp,
) -> ProbeEvidence {
    let last = context.remember(reference, |memory| memory.probes.clone());
    if let Some(last) = last
        && last.wanted == wanted
        && now.duration_since(last.at) < kept
    {
        return last;
    }
    let evidence = probe::gather(wanted, now).await;
    context.remember(reference, |memory| memory.probes = Some(evidence.clone()));
    evidence
}

/// The cluster's own networks, with those that the spec adds, and the addresses of the pods.
fn inside(
    networks: &ClusterNetworks,
    federation: &Validated,
    cluster: &ClusterEvidence,
) -> ClusterNetworks {
    let mut all = networks.clone();
    all.inside.extend(federation.spec.verification.cluster_networks.iter().copied());
    all.inside.extend(cluster.pods.iter().filter_map(|pod| pod.ip).map(ipnet::IpNet::from));
    // The operator's own address: its probes are no evidence of reachability from outside.
    all.inside.extend(
        cluster
            .replicas()
            .first()
            .and_then(|replica| probe::own_address(replica.ip))
            .map(ipnet::IpNet::from),
    );
    all
}

fn count_certificate(context: &Context, federation: &Validated, evidence: &Evidence) {
    let served = evidence.references.served.as_ref();
    let end = served.map(|served| served.readable.facts.not_after.as_second());
    context.metrics.certificate_expiry(&federation.namespace, &federation.name, end);
}

/// The federation is rejected. Its existing children stay unchanged, because an outage would not help.
async fn reject(
    context: &Context,
    object: &XmppFederation,
    old: &XmppFederationStatus,
    rejection: &InvalidFederation,
    now: Timestamp,
) -> Result<Action, Error> {
    let generation = object.metadata.generation;
    let verdict = accepted::rejected(rejection);
    let status = status::rejected(old, verdict, generation, now);
    report::status(context, object, &status).await?;
    Ok(match rejection {
        InvalidFederation::Unreadable(_) | InvalidFederation::Invalid(_) => Action::await_change(),
        // The older federation may be deleted.
        InvalidFederation::DomainConflict { .. } | InvalidFederation::HostConflict { .. } => {
            Action::requeue(std::time::Duration::from_secs(30))
        }
    })
}

/// An object that is not an `XmppFederation` of this version. Its status is read and written without its spec.
async fn unreadable(context: &Context, invalid: &InvalidObject) -> Result<Action, Error> {
    let metadata = &invalid.metadata;
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let name = metadata.name.clone().unwrap_or_default();
    let api = Api::<DynamicObject>::namespaced_with(
        context.client.clone(),
        &namespace,
        &ApiResource::erase::<XmppFederation>(&()),
    );
    let Some(object) =
        api.get_opt(&name).await.map_err(Error::api(format!("read XmppFederation {name}")))?
    else {
        return Ok(Action::await_change());
    };
    let old: XmppFederationStatus = object
        .data
        .get("status")
        .and_then(|status| serde_json::from_value(status.clone()).ok())
        .unwrap_or_default();
    let verdict = accepted::rejected(&InvalidFederation::Unreadable(invalid.error.clone()));
    let new = status::rejected(&old, verdict, object.meta().generation, Timestamp::now());
    if new != old {
        report::write(context, &namespace, &name, &new).await?;
    }
    Ok(Action::await_change())
}
