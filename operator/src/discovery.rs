//! Optional kinds, which come with other products. A watch on a kind that does not exist would fail all the time, so the
//! operator queries whether the kind exists, and repeats the query: the kind may be installed or removed at any time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::external::certificate::Certificate;
use crds::external::dns_endpoint::DNSEndpoint;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroupList;
use kube::core::ApiResource;
use kube::{Client, Resource};
use tokio::sync::{Notify, watch};

use crate::causes::Causes;

/// Pause between two queries. One request answers whether the groups exist.
const PAUSE: Duration = Duration::from_secs(30);
/// Time after which the kinds of a group are queried again although the group exists as before.
const KINDS_INTERVAL: Duration = Duration::from_mins(10);
/// Shortest pause between two queries, however many federations report that the kind is missing.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Which optional kinds exist.
#[derive(Debug)]
pub struct OptionalKinds {
    dns_endpoint: watch::Sender<bool>,
    certificate: watch::Sender<bool>,
    /// The API server did not answer the last query.
    failing: AtomicBool,
    /// When the kinds of the groups were queried last, since nothing was suspected.
    queried: Mutex<Option<Instant>>,
    /// Requests a query.
    suspected: Notify,
}

impl OptionalKinds {
    /// No kind is known to exist yet.
    pub fn new() -> Self {
        Self {
            dns_endpoint: watch::Sender::new(false),
            certificate: watch::Sender::new(false),
            failing: AtomicBool::new(false),
            queried: Mutex::new(None),
            suspected: Notify::new(),
        }
    }

    /// `DNSEndpoint` exists.
    pub fn dns_endpoint(&self) -> bool {
        *self.dns_endpoint.borrow()
    }

    /// `Certificate` of cert-manager exists.
    pub fn certificate(&self) -> bool {
        *self.certificate.borrow()
    }

    /// Changes of the existence of an optional kind; `None` for all other kinds.
    pub fn changes(&self, resource: &ApiResource) -> Option<watch::Receiver<bool>> {
        if *resource == ApiResource::erase::<DNSEndpoint>(&()) {
            Some(self.dns_endpoint.subscribe())
        } else if *resource == ApiResource::erase::<Certificate>(&()) {
            Some(self.certificate_changes())
        } else {
            None
        }
    }

    /// Changes of [`Self::certificate`].
    pub fn certificate_changes(&self) -> watch::Receiver<bool> {
        self.certificate.subscribe()
    }

    /// A request for the kind failed as if it did not exist: queries again soon.
    pub fn suspect(&self) {
        self.set_queried(None);
        self.suspected.notify_one();
    }

    /// Queries once.
    pub async fn look(&self, client: &Client) {
        match self.query(client).await {
            Ok((dns_endpoint, certificate)) => {
                self.failing.store(false, Ordering::Relaxed);
                for (known, found) in
                    [(&self.dns_endpoint, dns_endpoint), (&self.certificate, certificate)]
                {
                    known.send_if_modified(|known| std::mem::replace(known, found) != found);
                }
            }
            // One warning for failures in a row.
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                let why = Causes(&error);
                tracing::warn!(%why, "cannot query the API server for optional kinds");
            }
            Err(_) => {}
        }
    }

    async fn query(&self, client: &Client) -> Result<(bool, bool), kube::Error> {
        let groups = client.list_api_groups().await?;
        let queried = *self.queried.lock().unwrap_or_else(PoisonError::into_inner);
        let recently = queried.is_some_and(|at| at.elapsed() < KINDS_INTERVAL);
        if !recently {
            self.set_queried(Some(Instant::now()));
        }
        let found = tokio::try_join!(
            exists::<DNSEndpoint>(client, &groups, self.dns_endpoint() && recently),
            exists::<Certificate>(client, &groups, self.certificate() && recently),
        );
        if found.is_err() {
            self.set_queried(None);
        }
        found
    }

    fn set_queried(&self, at: Option<Instant>) {
        *self.queried.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Repeats the query.
    pub async fn follow(&self, client: &Client) {
        loop {
            tokio::time::sleep(SHORTEST_PAUSE).await;
            let suspected = self.suspected.notified();
            // Either way, the kind is queried again.
            let _ = tokio::time::timeout(PAUSE, suspected).await;
            self.look(client).await;
        }
    }
}

impl Default for OptionalKinds {
    fn default() -> Self {
        Self::new()
    }
}

/// `known`: the kind existed a moment ago, so its group tells enough.
async fn exists<K: Resource<DynamicType = ()>>(
    client: &Client,
    groups: &APIGroupList,
    known: bool,
) -> Result<bool, kube::Error> {
    if !groups.groups.iter().any(|group| group.name == K::group(&())) {
        return Ok(false);
    }
    if known {
        return Ok(true);
    }
    match client.list_api_group_resources(&K::api_version(&())).await {
        Ok(list) => Ok(list.resources.iter().any(|found| found.kind == K::kind(&()))),
        // The group has no such version. The API server answers in plain text, so there is no machine-readable reason.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{Request, Response, StatusCode};
    use kube::client::Body;

    use super::*;

    const GROUP: &str =
        r#"{"kind":"APIGroupList","groups":[{"name":"externaldns.k8s.io","versions":[]}]}"#;
    const NO_GROUP: &str = r#"{"kind":"APIGroupList","groups":[]}"#;
    const KIND: &str = r#"{"kind":"APIResourceList","groupVersion":"externaldns.k8s.io/v1alpha1",
        "resources":[{"name":"dnsendpoints","singularName":"","namespaced":true,
        "kind":"DNSEndpoint","verbs":["list"]}]}"#;
    const UNKNOWN: (StatusCode, &str) = (StatusCode::NOT_FOUND, "404 page not found\n");

    /// An API server with these answers to the queries for groups and for the kinds of a group, and its requests.
    fn server(
        groups: (StatusCode, &'static str),
        kinds: (StatusCode, &'static str),
    ) -> (Client, Arc<Mutex<Vec<String>>>) {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let answer = move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            let (status, body) = if path == "/apis" { groups } else { kinds };
            seen.lock().unwrap().push(path);
            async move { Response::builder().status(status).body(Body::from(body.as_bytes().to_vec())) }
        };
        (Client::new(tower::service_fn(answer), "default"), requests)
    }

    #[tokio::test]
    async fn a_kind_that_was_removed_is_unlearned() {
        let kinds = OptionalKinds::new();
        kinds.look(&server((StatusCode::OK, GROUP), (StatusCode::OK, KIND)).0).await;
        assert!(kinds.dns_endpoint());
        let starting = (StatusCode::SERVICE_UNAVAILABLE, "starting");
        kinds.look(&server(starting, starting).0).await;
        assert!(kinds.dns_endpoint(), "a failed query is no answer");
        let (gone, _) = server((StatusCode::OK, NO_GROUP), UNKNOWN);
        let mut changes = kinds.changes(&ApiResource::erase::<DNSEndpoint>(&())).unwrap();
        changes.mark_unchanged();
        tokio::time::pause();
        tokio::select! {
            () = kinds.follow(&gone) => {}
            result = changes.changed() => result.unwrap(),
        }
        assert!(!kinds.dns_endpoint());
    }

    #[tokio::test]
    async fn a_group_that_exists_as_before_costs_one_request_and_a_suspicion_another() {
        let kinds = OptionalKinds::new();
        let (client, requests) = server((StatusCode::OK, GROUP), (StatusCode::OK, KIND));
        kinds.look(&client).await;
        let taken = || std::mem::take(&mut *requests.lock().unwrap());
        assert_eq!(taken(), ["/apis", "/apis/externaldns.k8s.io/v1alpha1"]);
        kinds.look(&client).await;
        assert_eq!(taken(), ["/apis"]);
        kinds.suspect();
        kinds.look(&client).await;
        assert_eq!(taken().len(), 2);
        let (other, _) = server((StatusCode::OK, GROUP), UNKNOWN);
        kinds.suspect();
        kinds.look(&other).await;
        assert!(!kinds.dns_endpoint(), "the group without the kind");
    }

    #[tokio::test]
    async fn a_group_that_the_api_server_does_not_have_is_no_failure() {
        let kinds = OptionalKinds::new();
        kinds.look(&server((StatusCode::OK, NO_GROUP), UNKNOWN).0).await;
        assert!(!kinds.dns_endpoint() && !kinds.failing.load(Ordering::Relaxed));
        kinds.look(&server((StatusCode::SERVICE_UNAVAILABLE, "starting"), UNKNOWN).0).await;
        assert!(kinds.failing.load(Ordering::Relaxed));
    }
}
