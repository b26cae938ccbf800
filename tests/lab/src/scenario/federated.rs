//! A federation in the lab for the tests, from `kubectl apply` to Ready.

use std::time::Duration;

use crate::client::Client;
use crate::cluster;
use crate::conditions::{Snapshot, Watch};
use crate::error::{Error, Result};
use crate::federation::{self, NAME};
use crate::network::Host;
use crate::paths::Paths;
use crate::person::Person;
use crate::wait::Wait;

/// Maximum time for a condition to change.
pub const TURN: Duration = Duration::from_mins(4);

/// A federation that was applied, and a watch of it.
#[derive(Debug)]
pub struct Federated {
    /// The lab.
    pub paths: Paths,
    /// The watch.
    pub watch: Watch,
}

impl Federated {
    /// The lab with the operator installed and nothing else. An error if the lab is not up.
    pub fn stage() -> Result<Paths> {
        let paths = Paths::from_env()?;
        if !cluster::is_well(&paths) {
            return Err(Error::State("the lab is not up: `make lab`".into()));
        }
        federation::clear(&paths)?;
        federation::install(&paths)?;
        Ok(paths)
    }

    /// Applies a federation, and attaches the backend when the status names its DNS server.
    pub fn apply(paths: Paths, manifest: &str) -> Result<Self> {
        federation::federate(&paths, manifest)?;
        let watch = federation::watch(&paths)?;
        let mut federated = Self { paths, watch };
        federated.until("the backend's DNS server in the status", |now| {
            federation::backend_dns(now).is_some()
        })?;
        let server = federation::backend_dns(&federated.watch.last).unwrap_or_default().to_owned();
        federation::attach_backend(&federated.paths, &server)?;
        Ok(federated)
    }

    /// The demo's short federation, Ready.
    pub fn ready() -> Result<Self> {
        let paths = Self::stage()?;
        let manifest = federation::short_federation(&paths)?;
        let mut federated = Self::apply(paths, &manifest)?;
        federated.until_true("Ready")?;
        Ok(federated)
    }

    /// Waits until the status matches. The error contains the conditions and the pods' logs.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Result<()> {
        let outcome = self.watch.until(Wait::new(what, TURN), TURN, |_, _| (), wanted);
        outcome.map_err(|error| match federation::pod_logs(&self.paths) {
            Ok(logs) => Error::State(format!("{error}\n--- pods, objects, events\n{logs}")),
            Err(_) => error,
        })
    }

    /// Waits until a condition is True.
    pub fn until_true(&mut self, kind: &str) -> Result<()> {
        self.until(&format!("{kind}=True"), |now| now.is_true(kind))
    }

    /// Waits until a condition is False for this reason, and returns its message.
    pub fn until_false(&mut self, kind: &str, reason: &str) -> Result<String> {
        self.until(&format!("{kind}=False for {reason}"), |now| now.has(kind, "False", reason))?;
        Ok(self.watch.last.condition(kind).map(|found| found.message.clone()).unwrap_or_default())
    }

    /// cupuser1 and jdoe1, logged in at their own servers, after the servers can reach each other.
    pub fn people(&self) -> Result<(Client, Client)> {
        federation::wait_for_public_port(&self.paths, NAME)?;
        Ok((self.cupuser1()?, self.jdoe1()?))
    }

    /// cupuser1, logged in at the backend.
    pub fn cupuser1(&self) -> Result<Client> {
        federation::wait_for_backend(&self.paths)?;
        let server = federation::backend_server(&self.paths)?;
        Client::log_in(&self.paths, Host::Node, &Person::cupuser1(), &server)
    }

    /// jdoe1, logged in at the partner's.
    pub fn jdoe1(&self) -> Result<Client> {
        let server = federation::partner_server(&self.paths);
        Client::log_in(&self.paths, Host::Client, &Person::jdoe1(), &server)
    }
}
