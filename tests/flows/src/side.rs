//! One side of a scene: a server with its people.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use interop::release::Release;
use serde_json::{Value, json};

use crate::client::{Client, DEADLINE};
use crate::domain::Domain;
use crate::driver::Driver;
use crate::error::{FlowError, Result};
use crate::features::{DISCO_INFO, DISCO_ITEMS, Features, Info};
use crate::flow::Outcome;

/// What serves the domain of a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Software {
    /// A server.
    Server(Release),
    /// A component (XEP-0114), which acts for the people of its domain.
    Component,
}

impl Software {
    /// All that can be the backend of the engine.
    pub const BACKENDS: [Self; 6] = [
        Self::Server(Release::Prosody0_12),
        Self::Server(Release::Prosody13),
        Self::Server(Release::Ejabberd23),
        Self::Server(Release::Ejabberd24),
        Self::Server(Release::Jabberd2),
        Self::Component,
    ];

    /// Its name and version.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server(Release::Prosody0_12) => "Prosody 0.12",
            Self::Server(Release::Prosody13) => "Prosody 13",
            Self::Server(Release::Ejabberd23) => "ejabberd 23.01",
            Self::Server(Release::Ejabberd24) => "ejabberd 24.12",
            Self::Server(Release::Jabberd2) => "jabberd2",
            Self::Component => "component (slixmpp)",
        }
    }

    /// How many of a domain and its services it serves, of all.
    pub(crate) const fn served(self, all: usize) -> usize {
        match self {
            // Without rooms, nodes and files.
            Self::Component | Self::Server(Release::Jabberd2) => 1,
            Self::Server(_) => all,
        }
    }
}

/// Attempts of a client to log in.
const ATTEMPTS: usize = 3;

/// What a side does before a person logs in.
pub(crate) type Register = Arc<dyn Fn(&str) -> Result<()> + Send + Sync>;

/// How the people of a side open a connection.
pub(crate) type Connect = Arc<dyn Fn(SocketAddr) -> io::Result<TcpStream> + Send + Sync>;

/// Opens connections from the network of this process.
pub(crate) fn from_here() -> Connect {
    Arc::new(|to| TcpStream::connect_timeout(&to, DEADLINE))
}

/// One side of a scene. Clones share its server and its clients' program.
#[derive(Clone)]
pub struct Side {
    /// Its domain, as it is in addresses.
    pub domain: String,
    /// What serves it.
    pub server: Software,
    /// What it says about itself.
    pub features: Features,
    pub(crate) driver: Arc<Driver>,
    /// Makes an account unless it exists.
    pub(crate) register: Register,
    /// The fields of the command with which a client logs in, besides the address.
    pub(crate) login: Value,
    /// Opens connections from where its people are.
    pub(crate) connect: Connect,
}

impl Side {
    /// The side of a component, which is the program of its people.
    pub(crate) fn of_component(domain: &Domain, driver: Driver) -> Self {
        Self {
            domain: domain.address.clone(),
            server: Software::Component,
            features: Features::default(),
            driver: Arc::new(driver),
            register: Arc::new(|_| Ok(())),
            login: json!({}),
            connect: from_here(),
        }
    }

    /// The bare address of a user.
    pub fn user(&self, user: &str) -> String {
        format!("{user}@{}", self.domain)
    }

    /// Makes the account if there is none, and logs in with that resource. The client has not sent presence yet.
    pub fn log_in(&mut self, user: &str, resource: &str) -> Result<Client> {
        (self.register)(user)?;
        let address = format!("{}/{resource}", self.user(user));
        let mut client = Client::log_in(&self.driver, &address, self.login.clone());
        for _ in 1..ATTEMPTS {
            // jabberd2 sometimes closes the connection of a client that logs in; every client tries again.
            if !matches!(client, Err(FlowError::Client { .. })) {
                break;
            }
            client = Client::log_in(&self.driver, &address, self.login.clone());
        }
        client
    }

    /// Finds out what the server says about itself.
    pub(crate) fn discover(&mut self) -> Result<()> {
        let mut client = self.log_in("disco", "discovery")?;
        let domain = self.domain.clone();
        let bare = client.bare().to_owned();
        self.features.domain = info(&mut client, &domain)?;
        self.features.account = info(&mut client, &bare)?;
        let items = client.request(&domain, "get", &format!("<query xmlns='{DISCO_ITEMS}'/>"))?;
        for item in items.children.iter().flat_map(|query| &query.children) {
            let Some(jid) = item.attribute("jid").filter(|_| item.attribute("node").is_none())
            else {
                continue;
            };
            let info = info(&mut client, jid)?;
            self.features.items.insert(jid.to_owned(), info);
        }
        Ok(())
    }

    /// The outcome of a flow for which this side lacks a feature.
    pub fn lacks(&self, feature: &'static str) -> Outcome {
        Outcome::Unsupported {
            feature,
            said: format!("{} does not announce it", self.server.name()),
        }
    }

    /// The first of these features that the domain or the account of this side does not announce.
    pub fn missing(&self, features: &[&'static str]) -> Option<Outcome> {
        let missing = features.iter().find(|feature| !self.features.has(feature));
        missing.map(|feature| self.lacks(feature))
    }

    /// The item of the server with that feature.
    pub fn service(&self, feature: &'static str) -> std::result::Result<&str, Outcome> {
        self.features.service(feature).ok_or_else(|| self.lacks(feature))
    }

    /// An error about this side.
    pub fn error(&self, reason: &str) -> FlowError {
        FlowError::Client { who: self.domain.clone(), reason: reason.to_owned() }
    }
}

/// The answer to disco#info; empty if it is an error.
fn info(client: &mut Client, to: &str) -> Result<Info> {
    let answer = client.request(to, "get", &format!("<query xmlns='{DISCO_INFO}'/>"))?;
    Ok(answer.child(DISCO_INFO, "query").map(Info::of).unwrap_or_default())
}
