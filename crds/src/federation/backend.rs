//! The XMPP servers and components behind the engine.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reference::{BundleRef, SecretKey};
use crate::backend::{BackendAuthentication, S2S_PORT};
use crate::message;
use crate::target::RouteHost;

/// A server or component behind the engine that serves local domains.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "BackendEntry", into = "BackendEntry")]
pub struct Backend {
    /// Name that `domains[].backend` refers to.
    pub name: String,
    /// How it is attached.
    pub attachment: Attachment,
}

/// How a backend is attached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Attachment {
    /// An XMPP server that speaks the server-to-server protocol with the engine.
    Server(BackendServer),
    /// An external component that connects to the engine (XEP-0114).
    Component(Component),
}

/// An existing XMPP server, unmodified.
#[derive(Clone, Debug, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendServer {
    /// DNS name or IP address of the server.
    #[x_kube(validation = Rule::new(r"self.matches('^([^\\s:/@\\[\\]]+|[0-9A-Fa-f:.]+)$')").message(message::BACKEND_HOST))]
    pub host: RouteHost,
    /// Port of its server-to-server listener.
    #[serde(default = "s2s_port")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: u16,
    /// How the engine and the server authenticate each other.
    #[serde(default)]
    pub authentication: BackendAuthentication,
    /// How the engine verifies the server's certificate. Default: the backend CA that the operator created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<BundleRef>,
}

fn s2s_port() -> u16 {
    S2S_PORT
}

/// An external component (XEP-0114); the engine accepts its connection.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// The shared secret of the component and the engine.
    pub secret_ref: SecretKey,
}

/// [`Backend`] as written in the resource.
#[derive(Clone, Debug, KubeSchema, Deserialize, Serialize)]
#[x_kube(
    validation = Rule::new("has(self.server) != has(self.component)").message(message::ONE_ATTACHMENT)
)]
#[serde(rename_all = "camelCase")]
struct BackendEntry {
    /// Name that domains[].backend refers to.
    #[schemars(length(min = 1, max = 40))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message(message::BACKEND_NAME))]
    name: String,
    /// An existing XMPP server. Set exactly one of server and component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<BackendServer>,
    /// An external component (XEP-0114).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    component: Option<Component>,
}

impl TryFrom<BackendEntry> for Backend {
    type Error = &'static str;

    fn try_from(entry: BackendEntry) -> Result<Self, Self::Error> {
        let attachment = match (entry.server, entry.component) {
            (Some(server), None) => Attachment::Server(server),
            (None, Some(component)) => Attachment::Component(component),
            _ => return Err(message::ONE_ATTACHMENT),
        };
        Ok(Self { name: entry.name, attachment })
    }
}

impl From<Backend> for BackendEntry {
    fn from(backend: Backend) -> Self {
        let (server, component) = match backend.attachment {
            Attachment::Server(server) => (Some(server), None),
            Attachment::Component(component) => (None, Some(component)),
        };
        Self { name: backend.name, server, component }
    }
}
