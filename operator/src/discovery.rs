//! Kinds that come with other products. A watch on a kind that does not exist would fail all the time, so it is looked up
//! first, and now and then again.

use std::time::Duration;

use kube::Client;
use tokio::sync::watch;

use crds::external::dns_endpoint::DNSEndpoint;
use kube::Resource;

use crate::causes::Causes;

/// Pause between two looks while a kind is missing.
const PAUSE: Duration = Duration::from_secs(30);

/// Which optional kinds exist.
#[derive(Debug)]
pub struct OptionalKinds {
    dns_endpoint: watch::Sender<bool>,
}

impl OptionalKinds {
    /// None is known yet.
    pub fn new() -> Self {
        Self { dns_endpoint: watch::Sender::new(false) }
    }

    /// `DNSEndpoint` exists.
    pub fn dns_endpoint(&self) -> bool {
        *self.dns_endpoint.borrow()
    }

    /// Changes of [`Self::dns_endpoint`].
    pub fn dns_endpoint_changes(&self) -> watch::Receiver<bool> {
        self.dns_endpoint.subscribe()
    }

    /// Looks once.
    pub async fn look(&self, client: &Client) {
        match exists(client).await {
            Ok(found) => {
                self.dns_endpoint.send_if_modified(|known| {
                    let changed = *known != found;
                    *known = found;
                    changed
                });
            }
            Err(error) => {
                let why = Causes(&error);
                tracing::warn!(%why, "cannot ask the API server for the kind DNSEndpoint");
            }
        }
    }

    /// Looks now and then, until the kind is there.
    pub async fn follow(&self, client: &Client) {
        while !self.dns_endpoint() {
            tokio::time::sleep(PAUSE).await;
            self.look(client).await;
        }
    }
}

impl Default for OptionalKinds {
    fn default() -> Self {
        Self::new()
    }
}

async fn exists(client: &Client) -> Result<bool, kube::Error> {
    let version = DNSEndpoint::api_version(&());
    match client.list_api_group_resources(&version).await {
        Ok(list) => Ok(list.resources.iter().any(|found| found.kind == DNSEndpoint::kind(&()))),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}
