//! Optional kinds, which come with other products. A watch on a kind that does not exist would fail all the time, so the
//! operator queries whether the kind exists, and repeats the query: the kind may be installed or removed at any time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crds::external::certificate::Certificate;
use crds::external::dns_endpoint::DNSEndpoint;
use kube::Client;
use kube::Resource;
use kube::core::ApiResource;
use tokio::sync::{Notify, watch};

use crate::causes::Causes;

/// Pause between two queries.
const PAUSE: Duration = Duration::from_secs(10);
/// Shortest pause between two queries, however many federations report that the kind is missing.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Which optional kinds exist.
#[derive(Debug)]
pub struct OptionalKinds {
    dns_endpoint: watch::Sender<bool>,
    certificate: watch::Sender<bool>,
    /// The API server did not answer the last query.
    failing: AtomicBool,
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
        self.suspected.notify_one();
    }

    /// Queries once.
    pub async fn look(&self, client: &Client) {
        let (dns_endpoint, certificate) =
            tokio::join!(exists::<DNSEndpoint>(client), exists::<Certificate>(client));
        match dns_endpoint.and_then(|dns_endpoint| Ok((dns_endpoint, certificate?))) {
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

async fn exists<K: Resource<DynamicType = ()>>(client: &Client) -> Result<bool, kube::Error> {
    let version = K::api_version(&());
    match client.list_api_group_resources(&version).await {
        Ok(list) => Ok(list.resources.iter().any(|found| found.kind == K::kind(&()))),
        // For an unknown group, the API server answers in plain text, so there is no machine-readable reason.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use http::{Response, StatusCode};
    use kube::client::Body;

    use super::*;

    /// An API server that gives one answer to everything.
    fn server(status: StatusCode, body: &'static str) -> Client {
        let answer = move |_| async move {
            Response::builder().status(status).body(Body::from(body.as_bytes().to_vec()))
        };
        Client::new(tower::service_fn(answer), "default")
    }

    #[tokio::test]
    async fn a_kind_that_was_removed_is_unlearned() {
        let kinds = OptionalKinds::new();
        let there = r#"{"kind":"APIResourceList","groupVersion":"externaldns.k8s.io/v1alpha1",
            "resources":[{"name":"dnsendpoints","singularName":"","namespaced":true,
            "kind":"DNSEndpoint","verbs":["list"]}]}"#;
        kinds.look(&server(StatusCode::OK, there)).await;
        assert!(kinds.dns_endpoint());
        kinds.look(&server(StatusCode::SERVICE_UNAVAILABLE, "starting")).await;
        assert!(kinds.dns_endpoint(), "a failed query is no answer");
        let gone = server(StatusCode::NOT_FOUND, "404 page not found\n");
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
    async fn a_group_that_the_api_server_does_not_have_is_no_failure() {
        let missing = server(StatusCode::NOT_FOUND, "404 page not found\n");
        assert!(!exists::<DNSEndpoint>(&missing).await.unwrap());
        let other = r#"{"kind":"APIResourceList","groupVersion":"externaldns.k8s.io/v1alpha1",
            "resources":[{"name":"dnsendpoints","singularName":"","namespaced":true,
            "kind":"DNSEndpoint","verbs":["list"]}]}"#;
        assert!(exists::<DNSEndpoint>(&server(StatusCode::OK, other)).await.unwrap());
        let broken = server(StatusCode::SERVICE_UNAVAILABLE, "starting");
        assert!(exists::<DNSEndpoint>(&broken).await.is_err());
    }
}
