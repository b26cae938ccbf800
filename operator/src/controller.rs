//! The reconcile loop: which events trigger a reconcile, how many run in parallel, and how a failed one is retried.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use kube::ResourceExt;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::store::Writer;
use kube::runtime::{Predicate, PredicateConfig, WatchStreamExt, predicates, reflector, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;

use crate::causes::Causes;
use crate::context::{Context, Federation, FederationRef};
use crate::federation::watched::path;
use crate::metrics::ReconcileResult;
use crate::reconcile::error::Error;
use crate::reconcile::pass;

/// Events within this time are merged into one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Time limit of one reconcile: the API server may hang.
const RECONCILE_TIMEOUT: Duration = Duration::from_mins(1);

/// Watches federations and reconciles them until `stop` completes, at most `concurrency` at once.
pub async fn run(
    api: Api<Federation>,
    writer: Writer<Federation>,
    wakes: mpsc::Receiver<FederationRef>,
    context: Arc<Context>,
    concurrency: u16,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let deleted = Arc::clone(&context);
    let stream = watcher(api, watcher::Config::default())
        .default_backoff()
        .modify(|federation| federation.managed_fields_mut().clear())
        .reflect(writer)
        .inspect(move |event| match event {
            Ok(watcher::Event::Delete(object)) => {
                deleted.forget(&FederationRef::from_obj(object));
            }
            Ok(watcher::Event::InitDone) => deleted.forget_deleted(),
            _ => {}
        })
        .applied_objects()
        .predicate_filter(
            // The operator writes the status itself, so only changes by the user trigger a reconcile.
            predicates::generation.combine(predicates::annotations),
            PredicateConfig::default(),
        );
    Controller::for_stream(stream, context.federations.clone())
        .with_config(Config::default().concurrency(concurrency).debounce(DEBOUNCE))
        .reconcile_on(receiver(wakes))
        .graceful_shutdown_on(stop)
        .run(timed, on_error, context)
        .for_each(|result| {
            if let Err(error) = result {
                tracing::debug!(%error, "reconcile stopped early");
            }
            std::future::ready(())
        })
        .await;
}

/// The API of federations in the watched namespace, or in all namespaces.
pub fn federations(client: Client, namespace: &str) -> Api<Federation> {
    if namespace.is_empty() { Api::all(client) } else { Api::namespaced(client, namespace) }
}

/// An empty store for federations, and its writer.
pub fn store() -> (reflector::Store<Federation>, Writer<Federation>) {
    reflector::store()
}

fn receiver(wakes: mpsc::Receiver<FederationRef>) -> impl Stream<Item = FederationRef> + Send {
    futures::stream::unfold(wakes, |mut wakes| async move {
        wakes.recv().await.map(|reference| (reference, wakes))
    })
}

/// One reconcile: the span `pass` of traces, whose federation is a field of every log line within.
#[tracing::instrument(name = "pass", level = "info", skip_all, fields(federation = path(&object), reason, otel.status_code))]
async fn timed(object: Arc<Federation>, context: Arc<Context>) -> Result<Action, Error> {
    let begun = Instant::now();
    let metrics = context.metrics.clone();
    let reference = FederationRef::from_obj(object.as_ref());
    let work = Box::pin(pass::reconcile(object, Arc::clone(&context)));
    let result = tokio::time::timeout(RECONCILE_TIMEOUT, work)
        .await
        .unwrap_or(Err(Error::TimedOut(RECONCILE_TIMEOUT)));
    if context.federations.get(&reference).is_none() {
        // It was deleted in the meantime, and this reconcile may have counted it again.
        context.forget(&reference);
    }
    if let Err(error) = &result {
        let reason = tracing::field::debug(error.result());
        tracing::Span::current().record("reason", reason).record("otel.status_code", "ERROR");
    }
    let outcome = result.as_ref().map_or_else(Error::result, |_| ReconcileResult::Ok);
    metrics.reconciled(outcome, begun.elapsed());
    result
}

// The controller passes both by value.
#[allow(clippy::needless_pass_by_value)]
fn on_error(object: Arc<Federation>, error: &Error, context: Arc<Context>) -> Action {
    let reference = FederationRef::from_obj(object.as_ref());
    if matches!(error, Error::Conflict { .. }) {
        return Action::requeue(Duration::from_secs(1));
    }
    let pause = context.remember(&reference, |memory| memory.errors.bound_after_failure());
    tracing::warn!(federation = path(&object), reason = ?error.result(), why = %Causes(error), "reconcile failed; retrying");
    Action::requeue(pause)
}
