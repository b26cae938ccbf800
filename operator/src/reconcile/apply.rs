//! Applies the wanted children by server-side apply under one field manager, and deletes those that are no longer wanted.
//! An object that has not changed since it was last applied causes no request. One object that the API server refuses does
//! not stop the others.

use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, ResourceExt};
use sha2::{Digest, Sha256};

use super::creation;
use super::problem::{Applied, Cause, Problem, Step};
use super::replace::{self, Refusal};
use super::replacement::Replacement;
use crate::build::Child;
use crate::children::{self, is_controlled_by};
use crate::contest::last_writer;
use crate::context::{Context, FederationRef};
use crate::federation::validated::Validated;
use crate::memory::AppliedChild;

/// Time limit for one child. An admission webhook may take 10 s by default, and the API server's answer names it.
const CHILD_TIMEOUT: Duration = Duration::from_secs(12);
/// Time after which a request without an answer is sent again beside the first: an admission webhook that never answers may be
/// gone by now, and its request would wait for it all the same.
const HUNG_AFTER: Duration = Duration::from_secs(4);
/// Kinds that the pods mount or run as: without them, the workload is not changed.
const MOUNTED: [&str; 3] = ["Secret", "ConfigMap", "ServiceAccount"];

/// What one run of [`apply`] did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The result.
    pub applied: Applied,
    /// The objects as the API server has them, of those that were sent.
    pub sent: Vec<DynamicObject>,
    /// Objects that another client had changed or deleted, and that were restored; each completes "... and the operator
    /// restored it".
    pub restored: Vec<String>,
}

/// One child that was sent.
struct Sent {
    object: DynamicObject,
    restored: Option<String>,
}

/// Why a child was not applied.
enum NotApplied {
    Problem(Problem),
    /// A Service must be deleted and created anew.
    Replacement(Replacement),
}

impl From<Problem> for NotApplied {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Applies the children: first what pods need, and Secrets before what comes from their keys; then the workload, unless that is
/// kept as it is. Then deletes orphans.
pub async fn apply(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    wanted: &[Child],
    keeps_workload: bool,
) -> Outcome {
    let paused = federation.spec.paused;
    let (secrets, workloads) =
        (ApiResource::erase::<Secret>(&()), ApiResource::erase::<Deployment>(&()));
    let (last, first): (Vec<&Child>, Vec<&Child>) = wanted
        .iter()
        // Certificates are renewed even while the federation is paused, because they expire all the same.
        .filter(|child| !paused || child.resource == secrets)
        .filter(|child| !keeps_workload || child.resource != workloads)
        .partition(|child| child.resource == workloads);
    let mut outcome = Outcome::default();
    outcome.applied.paused = paused;
    for group in [first, last] {
        let unmounted =
            outcome.applied.problems.iter().any(|problem| MOUNTED.contains(&problem.kind.as_str()));
        let group = group.into_iter().filter(|child| child.resource != workloads || !unmounted);
        let sent = futures::future::join_all(
            chains(&group.collect::<Vec<_>>())
                .into_iter()
                .map(|chain| in_order(context, reference, federation, chain)),
        );
        for result in sent.await.into_iter().flatten() {
            match result {
                Ok(Some(sent)) => {
                    outcome.sent.push(sent.object);
                    outcome.restored.extend(sent.restored);
                }
                Ok(None) => {}
                Err(NotApplied::Problem(problem)) => outcome.applied.problems.push(problem),
                // The other children do not depend on it.
                Err(NotApplied::Replacement(needed)) => outcome.applied.replacement = Some(needed),
            }
        }
    }
    if !paused && outcome.applied.problems.is_empty() {
        outcome.applied.problems = orphans(context, reference, federation, wanted).await;
    }
    outcome
}

/// A child, and those that are applied once it is stored: see [`Child::after`].
struct Chain<'a> {
    first: &'a Child,
    rest: Vec<&'a Child>,
}

fn chains<'a>(group: &[&'a Child]) -> Vec<Chain<'a>> {
    let follows = |child: &Child, first: &Child| {
        let name = child.after.as_deref();
        first.resource.kind == "Secret" && name.is_some_and(|name| name == first.object.name_any())
    };
    let is_first = |child: &&Child| !group.iter().any(|first| follows(child, first));
    let chain = |first: &'a Child| Chain {
        first,
        rest: group.iter().copied().filter(|child| follows(child, first)).collect(),
    };
    group.iter().copied().filter(is_first).map(chain).collect()
}

/// If the first one is not stored, its problem is the only result: the others are tried again with it.
async fn in_order(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    chain: Chain<'_>,
) -> Vec<Result<Option<Sent>, NotApplied>> {
    let first = one(context, reference, federation, chain.first).await;
    let rest = if first.is_ok() { chain.rest } else { Vec::new() };
    let rest = rest.into_iter().map(|child| one(context, reference, federation, child));
    let mut results = futures::future::join_all(rest).await;
    results.insert(0, first);
    results
}

/// Applies one child within `limit`. Does nothing if it has not changed or if that fails, because [`apply`] tries again and
/// reports it.
pub async fn alone(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    child: &Child,
    limit: Duration,
) -> Outcome {
    let sent = tokio::time::timeout(limit, one(context, reference, federation, child)).await;
    let mut outcome = Outcome::default();
    if let Ok(Ok(Some(sent))) = sent {
        outcome.sent.push(sent.object);
        outcome.restored.extend(sent.restored);
    }
    outcome
}

#[tracing::instrument(name = "apply", level = "debug", skip_all, fields(kind = %child.resource.kind, name = %child.object.name_any()))]
async fn one(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    child: &Child,
) -> Result<Option<Sent>, NotApplied> {
    let (kind, name) = (child.resource.kind.as_str(), child.object.name_any());
    let _turn = creation::turn(context, federation, child).await?;
    let mut attempts = FuturesUnordered::new();
    let sent = async {
        loop {
            attempts.push(Box::pin(send(context, reference, federation, child)));
            // The answer of any of them counts: an object that is sent twice is the same as one that is sent once.
            if let Ok(Some(answer)) = tokio::time::timeout(HUNG_AFTER, attempts.next()).await {
                return answer;
            }
        }
    };
    tokio::time::timeout(CHILD_TIMEOUT, sent).await.unwrap_or_else(|_| {
        let message = format!("the API server did not answer within {CHILD_TIMEOUT:?}");
        Err(Problem::failed(Step::Apply, kind, &name, message).into())
    })
}

async fn send(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    child: &Child,
) -> Result<Option<Sent>, NotApplied> {
    let Child { resource, object, .. } = child;
    let (kind, name) = (resource.kind.clone(), object.name_any());
    let key = (kind.clone(), name.clone());
    let digest = digest(object);
    let known = context.children.get(resource, &federation.namespace, &name);
    let ours = known.as_deref().filter(|known| is_controlled_by(*known, &federation.owner.uid));
    let (last, fight) = context.remember(reference, |memory| {
        (memory.applied.get(&key).cloned(), memory.contests.get(&key).cloned().unwrap_or_default())
    });
    if let Some(writer) = fight.pauses(Instant::now()) {
        return Err(Problem::contested(&kind, &name, writer).into());
    }
    let unchanged = last.as_ref().filter(|last| last.digest == digest);
    if let (Some(known), Some(last)) = (ours, unchanged)
        && last.version == children::version(resource, known, object)
    {
        return Ok(None);
    }
    if let Some(problem) = deferred(context, reference, federation, &kind, &name) {
        return Err(problem.into());
    }
    let api = Api::<DynamicObject>::namespaced_with(
        context.client.clone(),
        &federation.namespace,
        resource,
    );
    let problem = |step, error: &kube::Error| Problem::of(step, &kind, &name, error);
    let mut deleted = false;
    let mut before = ours.and_then(ResourceExt::resource_version);
    let mut writer = None;
    if unchanged.is_some() && ours.is_some() && fight.is_suspected() {
        let found = api.get_metadata_opt(&name).await.map_err(|e| problem(Step::Read, &e))?;
        writer = found.and_then(|found| last_writer(found.managed_fields()));
    }
    if ours.is_none() {
        // The stores hold only objects with the operator's label, and lag behind; the API server has every object.
        let found = api.get_metadata_opt(&name).await.map_err(|e| problem(Step::Read, &e))?;
        deleted = found.is_none();
        before = found.as_ref().and_then(ResourceExt::resource_version);
        if found.is_some_and(|found| !is_controlled_by(&found, &federation.owner.uid)) {
            return Err(Problem::foreign(&kind, &name).into());
        }
    }
    context.remember(reference, |memory| memory.contents.forget(&kind, &name));
    let answer = if deleted && creation::is_service(child) {
        creation::create(&api, object).await.map_err(Refusal::Api)
    } else {
        replace::apply(&api, federation, child).await
    };
    let sent = match answer {
        Ok(sent) => sent,
        Err(Refusal::Api(error)) => return Err(problem(Step::Apply, &error).into()),
        Err(Refusal::Replacement(needed)) => return Err(NotApplied::Replacement(needed)),
    };
    if last.as_ref().map(|last| &last.digest) != Some(&digest) {
        tracing::info!(%kind, %name, "applied");
    }
    let revision = sent.resource_version();
    // An object that already was as wanted keeps its resource version.
    let changed = before.is_some() && before != revision;
    let restored = unchanged.filter(|last| last.revision != revision).and_then(|_| {
        let what = if deleted { "deleted" } else { "changed" };
        (deleted || changed).then(|| format!("Another client {what} {kind} {name}"))
    });
    let version = children::version(resource, &sent, object);
    let applied = AppliedChild { digest, version, revision };
    let now = Instant::now();
    let fight = context.remember(reference, |memory| {
        memory.applied.insert(key.clone(), applied);
        let fight = restored.is_some().then(|| memory.contests.entry(key).or_default());
        fight.map(|fight| {
            fight.restored(writer, now);
            fight.clone()
        })
    });
    if let Some(writer) = fight.as_ref().and_then(|fight| fight.pauses(now)) {
        return Err(Problem::contested(&kind, &name, writer).into());
    }
    Ok(Some(Sent { object: sent, restored }))
}

/// The last refusal of a child, while the federation waits for the end of a shortage.
fn deferred(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    kind: &str,
    name: &str,
) -> Option<Problem> {
    if !context.shortages.defers(reference, Instant::now()) {
        return None;
    }
    context.remember(reference, |memory| {
        let (generation, applied) = memory.last_applied.as_ref()?;
        let problem = applied.problem(Step::Apply, kind, name)?;
        let is_same = *generation == federation.generation && problem.cause == Cause::Exhausted;
        is_same.then(|| problem.clone())
    })
}

/// Deletes the objects that the federation controls and no longer wants.
async fn orphans(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    wanted: &[Child],
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (resource, orphan) in context.children.of_owner(&federation.owner.uid) {
        let name = orphan.name_any();
        let is_wanted = wanted
            .iter()
            .any(|child| child.resource == resource && child.object.name_any() == name);
        if is_wanted || orphan.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let kind = resource.kind.clone();
        let api = Api::<DynamicObject>::namespaced_with(
            context.client.clone(),
            &federation.namespace,
            &resource,
        );
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            // A new object of that name, created in the meantime, is kept.
            preconditions: Some(Preconditions { uid: orphan.uid(), resource_version: None }),
            ..DeleteParams::default()
        };
        match tokio::time::timeout(CHILD_TIMEOUT, api.delete(&name, &parameters)).await {
            Ok(Ok(_)) => {
                tracing::info!(%kind, %name, "deleted, because the federation no longer needs it");
            }
            Ok(Err(kube::Error::Api(status))) if status.is_not_found() || status.is_conflict() => {}
            Ok(Err(error)) => problems.push(Problem::of(Step::Delete, &kind, &name, &error)),
            Err(_) => {
                let message = format!("the API server did not answer within {CHILD_TIMEOUT:?}");
                problems.push(Problem::failed(Step::Delete, &kind, &name, message));
            }
        }
        context.remember(reference, |memory| memory.applied.remove(&(kind, name)));
    }
    problems
}

/// Digest of an object, or of a value that represents several objects.
pub fn digest(value: &impl serde::Serialize) -> String {
    // A value that cannot be serialized has no digest, and is sent each time.
    serde_json::to_vec(value)
        .map(|bytes| HEXLOWER.encode(&Sha256::digest(&bytes)))
        .unwrap_or_default()
}
