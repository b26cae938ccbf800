//! The driver of one reconcile: observe, build, apply, judge, report. A failure on the way is evidence like any other, so the
//! status is always written, and nothing in it is older than the last answer of each source.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::condition::{self, ConditionStatus, ConditionType};
use crds::domain::Domain;
use crds::reason::AcceptedReason;
use crds::{XmppFederation, XmppFederationStatus};
use jiff::{SignedDuration, Timestamp};
use kube::core::error_boundary::InvalidObject;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};

use super::apply::{self, Outcome};
use super::away;
use super::error::Error;
use super::plan::{Plan, plan};
use super::problem::{Applied, Cause, Step};
use super::shortage::{self, Shortage};
use super::{observe, report, schedule, status};
use crate::context::{Context, Federation, FederationRef, Server};
use crate::evidence::cluster::ClusterEvidence;
use crate::evidence::dns::{DnsEvidence, LookedFor};
use crate::evidence::engine::{EngineReport, Report};
use crate::evidence::networks::ClusterNetworks;
use crate::evidence::peer_dns::{self, PeerDnsEvidence};
use crate::evidence::prober::{self, OutsideEvidence};
use crate::evidence::reported::reported;
use crate::evidence::{Evidence, WantedConfig, probe, resolvers};
use crate::federation::names;
use crate::federation::validated::{InvalidFederation, Validated, validate};
use crate::ladder::verdict::Verdict;
use crate::ladder::{View, accepted};

/// Time that applying may take before the status is written without its result, and between two such reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(1500);
/// Older answers from the network say nothing about now.
const MAX_EVIDENCE_AGE: SignedDuration = SignedDuration::from_mins(2);
/// Pause before another attempt to get a turn for applying.
const TURN_PAUSE: Duration = Duration::from_secs(1);

/// One reconcile of one federation.
///
/// # Errors
/// When it must be retried.
pub async fn reconcile(object: Arc<Federation>, context: Arc<Context>) -> Result<Action, Error> {
    let reference = FederationRef::from_obj(object.as_ref());
    let metadata = match &object.0 {
        Ok(object) => &object.metadata,
        Err(invalid) => &invalid.metadata,
    };
    if let Some(server) = context.served_by(metadata) {
        context.leave(&reference);
        return Ok(left(&server));
    }
    match &object.0 {
        Err(invalid) => unreadable(&context, invalid).await,
        Ok(object) if object.metadata.deletion_timestamp.is_some() => Ok(Action::await_change()),
        Ok(object) => Box::pin(one(&context, &reference, object)).await,
    }
}

/// Another operator serves the federation and writes its status. A change of its annotations triggers a reconcile; a lease
/// that expires does not.
fn left(server: &Server) -> Action {
    match server {
        Server::Class => Action::await_change(),
        Server::Namespace(holder) => {
            tracing::debug!(operator = %holder.identity, "another operator serves the namespace");
            let rest = holder.until.duration_since(Timestamp::now());
            Action::requeue(rest.unsigned_abs() + Duration::from_secs(1))
        }
    }
}

async fn one(
    context: &Context,
    reference: &FederationRef,
    object: &XmppFederation,
) -> Result<Action, Error> {
    let begun = Instant::now();
    context.adopt(reference, object.uid());
    let shown = object.status.clone().unwrap_or_default();
    let old = context.remember(reference, |memory| memory.current(&shown));
    let rivals =
        context.rivals.of(object, &context.federations.state(), |other| context.claims(other));
    let now = Timestamp::now();
    let validated = context.domains.check(object).and_then(|()| validate(object, &rivals));
    let federation = match validated {
        Ok(federation) => federation,
        Err(rejection) => {
            // No verdict depends on the network.
            context.dns.forget(reference);
            context.probes.forget(reference);
            context.outside.forget(reference);
            context.peer_dns.forget(reference);
            context.shortages.forget(reference);
            return reject(context, object, &old, &rejection, now).await;
        }
    };
    let turn = context.applying.try_take(&federation.namespace);
    if turn.is_none() && !was_judged(&old) {
        return wait_for_turn(context, object, &old, now).await;
    }
    let may_apply = turn.is_some();
    let plan = Box::pin(plan(context, reference, &federation, &old, now, may_apply)).await;
    if plan.is_away && was_judged(&old) {
        let bound = context.remember(reference, |memory| memory.errors.bound_after_failure());
        let pause = schedule::after_problem(bound, begun.elapsed(), rand::random());
        return Ok(Action::requeue(pause));
    }
    let mut pass =
        Pass { context, reference, object, federation: &federation, plan: &plan, old, away: false };
    if !may_apply {
        let applied = pass.applied_before();
        Box::pin(pass.judge(applied, &[])).await?;
        return Ok(Action::requeue(turn_pause()));
    }
    let mut work = Box::pin(act(context, reference, &federation, &plan));
    let outcome = loop {
        // A request that hangs, as in a slow admission webhook, never delays the verdicts.
        if let Ok(outcome) = tokio::time::timeout(REPORT_INTERVAL, &mut work).await {
            break outcome;
        }
        let applied = pass.applied_before();
        Box::pin(pass.judge(applied, &[])).await?;
    };
    drop(work);
    drop(turn);
    report::restored(context, object, &plan.restored).await;
    report::restored(context, object, &outcome.restored).await;
    let shortage = shortage::note(context, reference, &outcome.applied.problems, begun);
    let generation = federation.generation;
    context.remember(reference, |memory| {
        memory.last_applied = Some((generation, outcome.applied.clone()));
    });
    if outcome.applied.problems.iter().any(|problem| problem.cause == Cause::KindMissing) {
        context.kinds.suspect();
    }
    let held = Box::pin(pass.judge(outcome.applied, &outcome.sent)).await?;
    let conditions = &pass.old.conditions;
    let expiry = context.dns.last(reference).and_then(|dns| dns.lowest_ttl());
    let expiry = expiry.map(SignedDuration::unsigned_abs);
    let dates = plan.references.served.iter().flat_map(|served| {
        let facts = &served.readable.facts;
        [facts.not_before, facts.not_after]
    });
    let dates: Vec<Timestamp> = dates.collect();
    let failed = pass.away || (pass.failed() && shortage != Some(Shortage::Waits));
    let pause = context.remember(reference, |memory| {
        if !failed {
            memory.errors.reset();
            let now = Timestamp::now();
            let pause = schedule::next(conditions, held, expiry, now, rand::random());
            return schedule::not_beyond(pause, &dates, now);
        }
        let mut bound = memory.errors.bound_after_failure();
        if shortage == Some(Shortage::Tries) {
            bound = bound.min(shortage::PAUSE);
        }
        schedule::after_problem(bound, begun.elapsed(), rand::random())
    });
    Ok(Action::requeue(pause))
}

/// Whether the status has verdicts, and not only the announcement of them.
fn was_judged(old: &XmppFederationStatus) -> bool {
    condition::get(&old.conditions, ConditionType::Accepted)
        .is_some_and(|accepted| accepted.status != ConditionStatus::Unknown)
}

/// The status of a new federation while others of its namespace have all turns for applying.
async fn wait_for_turn(
    context: &Context,
    object: &XmppFederation,
    old: &XmppFederationStatus,
    now: Timestamp,
) -> Result<Action, Error> {
    if old.conditions.is_empty() {
        let verdict = Verdict::new(
            AcceptedReason::Pending,
            "The operator applies other federations of the namespace first.",
        );
        let status = status::rejected(old, verdict, object.metadata.generation, now);
        report::status(context, object, old, &status).await?;
    }
    Ok(Action::requeue(turn_pause()))
}

fn turn_pause() -> Duration {
    TURN_PAUSE.mul_f64(1.0 + rand::random::<f64>())
}

/// What one pass works with.
struct Pass<'a> {
    context: &'a Context,
    reference: &'a FederationRef,
    object: &'a XmppFederation,
    federation: &'a Validated,
    plan: &'a Plan,
    /// The status as it was written last.
    old: XmppFederationStatus,
    /// The API server was away when the last verdicts were due.
    away: bool,
}

impl Pass<'_> {
    /// The result of the last run of apply, while there is no new one.
    fn applied_before(&self) -> Applied {
        let last = self.context.remember(self.reference, |memory| memory.last_applied.clone());
        match last {
            Some((generation, applied)) if generation == self.federation.generation => applied,
            _ => Applied {
                paused: self.federation.spec.paused,
                pending: true,
                problems: self.plan.problems.clone(),
                replacement: None,
            },
        }
    }

    /// Whether something could not be read or applied.
    fn failed(&self) -> bool {
        let last = self.context.remember(self.reference, |memory| memory.last_applied.clone());
        self.away
            || !self.plan.problems.is_empty()
            || last.is_some_and(|(_, applied)| !applied.problems.is_empty())
    }

    /// Judges with the latest evidence, and writes the status. Returns whether a verdict awaits confirmation.
    #[tracing::instrument(name = "judge", level = "debug", skip_all)]
    async fn judge(&mut self, applied: Applied, sent: &[DynamicObject]) -> Result<bool, Error> {
        let Self { context, reference, federation, plan, .. } = *self;
        let evidence =
            evidence(context, reference, federation, plan, &self.old, applied, sent).await;
        self.away = away::is_away(&evidence.applied.problems) && was_judged(&self.old);
        if self.away {
            return Ok(false);
        }
        let view = View { federation, seen: &evidence };
        let failing = context.remember(reference, |memory| memory.failing.clone());
        let judged = status::judged(&self.old, view, &failing);
        let held = !judged.failing.is_empty();
        let every = schedule::evidence(&judged.status.conditions, held, evidence.now);
        context.remember(reference, |memory| {
            memory.failing = judged.failing;
            memory.every = every;
        });
        let outdated = outdated(&evidence.engines, &plan.config);
        ask(context, reference, federation, &evidence.cluster, plan, outdated, every);
        count_certificate(context, federation, &evidence);
        report::status(context, self.object, &self.old, &judged.status).await?;
        self.old = judged.status;
        Ok(held)
    }
}

/// Applies the children.
async fn act(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    plan: &Plan,
) -> Outcome {
    let mut outcome = Outcome::default();
    outcome.applied.paused = federation.spec.paused;
    if let Some(children) = &plan.children {
        outcome = apply::apply(context, reference, federation, children, plan.keeps_workload).await;
    }
    outcome.applied.problems.extend(plan.problems.iter().cloned());
    outcome
}

/// The evidence as it is now. It waits for the API server at most, and only if a watch fails.
async fn evidence(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    plan: &Plan,
    old: &XmppFederationStatus,
    mut applied: Applied,
    sent: &[DynamicObject],
) -> Evidence {
    let (mut cluster, unread) = observe::cluster(context, reference, federation).await;
    observe::overlay(&mut cluster, federation, sent);
    applied
        .problems
        .retain(|problem| problem.step != Step::Read || plan.problems.contains(problem));
    applied.problems.extend(unread);
    let now = Timestamp::now();
    let engines = match &plan.credentials {
        Some(credentials) => context.engines.observe(reference, cluster.replicas(), credentials),
        None => context.engines.last(reference),
    };
    let every = context.remember(reference, |memory| memory.every);
    let outdated = outdated(&engines, &plan.config);
    let (dns, probes) = ask(context, reference, federation, &cluster, plan, outdated, every);
    let outside = ask_probers(context, reference, federation, &cluster, plan, every);
    let peer_dns = ask_about_peers(context, reference, federation);
    let fresh = |at: Timestamp| now.duration_since(at) < MAX_EVIDENCE_AGE;
    let networks = inside(&plan.networks, federation, &cluster);
    let reached_at = federation.reached_at(cluster.address());
    let unread = away::unread_service(&applied.problems, &names::own(&federation.name)).is_some();
    let address_changed = if unread {
        old.addresses_changed_time.as_ref().map(|time| time.0)
    } else {
        status::address_changed(old, federation, reached_at.as_ref(), now)
    };
    let remembered = status::remembered(old);
    let reports = || {
        engines.iter().filter_map(|engine| match &engine.report {
            Report::Seen(report) => Some(report),
            Report::Waiting | Report::Unreachable(_) => None,
        })
    };
    let senders = reports().flat_map(|report| &report.inbound).chain(&remembered);
    let senders = senders.map(|seen| seen.peer.clone()).collect();
    let trips = reports().flat_map(|report| &report.backends);
    let is_local = |domain: &Domain| federation.domains().any(|local| local == domain);
    let backend_answered =
        context.remember(reference, |memory| memory.note_answers(trips, is_local));
    Evidence {
        backend_answered,
        neighbours: context.rivals.serve(reference, &senders),
        now,
        applied,
        references: plan.references.clone(),
        cluster,
        config: plan.config.clone(),
        certificate_age: certificate_age(context, reference, plan, now),
        publication: plan.publication,
        engines,
        dns: dns.filter(|dns| fresh(dns.at)).unwrap_or_default(),
        networks,
        probes: probes.filter(|probes| fresh(probes.at)).unwrap_or_default(),
        outside: outside.filter(|outside| fresh(outside.at)).unwrap_or_default(),
        reported: reported(
            &context.objects.probe_reports_of(&federation.namespace, &federation.name),
        ),
        peer_dns: peer_dns.unwrap_or_default(),
        address_changed,
        remembered,
        rollout_waits: plan.rollout_waits.clone(),
        definition: context.definition.difference(),
    }
}

/// Since when this process knows the certificate that the pods should serve.
fn certificate_age(
    context: &Context,
    reference: &FederationRef,
    plan: &Plan,
    now: Timestamp,
) -> Duration {
    let served = plan.references.served.as_ref();
    let digest = served.map(|served| served.readable.facts.sha256.clone()).unwrap_or_default();
    let since = context.remember(reference, |memory| match &memory.certificate {
        Some((known, since)) if *known == digest => *since,
        _ => {
            memory.certificate = Some((digest, now));
            now
        }
    });
    now.duration_since(since).unsigned_abs()
}

/// Orders DNS queries and probes from the background, and takes the last results.
fn ask(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    cluster: &ClusterEvidence,
    plan: &Plan,
    outdated: Vec<String>,
    every: Duration,
) -> (Option<DnsEvidence>, Option<probe::ProbeEvidence>) {
    let published_at = federation.published_at(cluster.address());
    let resolvers = resolvers::of(federation);
    let names = LookedFor::of(federation, published_at.as_ref(), &resolvers);
    let served = plan.references.served.as_ref();
    let wanted = probe::Wanted::of(federation, cluster, served, outdated);
    (context.dns.observe(reference, names, every), context.probes.observe(reference, wanted, every))
}

/// The pods that run an earlier configuration.
fn outdated(engines: &[EngineReport], wanted: &WantedConfig) -> Vec<String> {
    let earlier = engines.iter().filter(|engine| match &engine.report {
        Report::Seen(report) => report.config_hash != wanted.hash,
        Report::Waiting | Report::Unreachable(_) => false,
    });
    earlier.map(|engine| engine.replica.name.clone()).collect()
}

/// Orders probes from outside, and takes the last results. Without probers, or an address to probe, nothing is ordered.
fn ask_probers(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    cluster: &ClusterEvidence,
    plan: &Plan,
    every: Duration,
) -> Option<OutsideEvidence> {
    let address = federation.reached_at(cluster.address());
    let Some(wanted) = prober::Wanted::of(federation, address.as_ref(), &plan.probers) else {
        context.outside.forget(reference);
        return None;
    };
    let every = every.clamp(prober::SHORTEST_INTERVAL, prober::LONGEST_INTERVAL);
    context.outside.observe(reference, wanted, every)
}

/// Orders the queries about peers, and takes the last answers.
fn ask_about_peers(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
) -> Option<PeerDnsEvidence> {
    let Some(wanted) = peer_dns::Wanted::of(federation, &resolvers::of(federation)) else {
        context.peer_dns.forget(reference);
        return None;
    };
    context.peer_dns.observe(reference, wanted, peer_dns::INTERVAL)
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
    report::status(context, object, old, &status).await?;
    Ok(match rejection {
        InvalidFederation::Unreadable(_)
        | InvalidFederation::Invalid(_)
        | InvalidFederation::NotAllowed { .. } => Action::await_change(),
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
    let verdict = accepted::unreadable(invalid.error.clone(), &context.definition.difference());
    let new = status::rejected(&old, verdict, object.meta().generation, Timestamp::now());
    if new != old {
        report::write(context, &namespace, &name, &new).await?;
    }
    Ok(Action::await_change())
}
