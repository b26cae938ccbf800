//! The audit log of an API server: the requests, their users, and the server's responses.

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::paths::read;

/// Logs every request once, when it is answered (a watch: when it begins), without bodies.
pub(crate) const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
";

/// One request to the API server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// The verb, in the notation of roles.
    pub verb: String,
    /// API group; empty for the core.
    pub group: String,
    /// Resource, with its subresource in the notation of roles: `deployments`, `xmppfederations/status`.
    pub resource: String,
    /// Namespace; empty for all namespaces and for resources without a namespace.
    pub namespace: String,
    /// HTTP status of the response.
    pub code: u16,
}

/// A request for one object, with the time at which the API server received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// The request.
    pub request: Request,
    /// Name of the object; empty for a list.
    pub name: String,
    /// The user.
    pub user: String,
    /// When it was received.
    pub at: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    request_received_timestamp: Timestamp,
    verb: String,
    user: User,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectRef {
    resource: Option<String>,
    #[serde(default)]
    subresource: String,
    #[serde(default)]
    api_group: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

/// The requests of a user for resources, in the order of the log, including repetitions.
pub(crate) fn requests_of(log: &Path, user: &str) -> Result<Vec<Request>> {
    let all = timed(log)?.into_iter().filter(|one| one.user == user);
    Ok(all.map(|one| one.request).collect())
}

/// The requests for resources, in the order of the log.
pub(crate) fn timed(log: &Path) -> Result<Vec<Timed>> {
    let mut requests = Vec::new();
    let text = read(log)?;
    // The server may still be writing the last line.
    let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
    for line in whole.lines() {
        let event: Event = serde_json::from_str(line).map_err(Error::json("the audit log"))?;
        let (Some(object), Some(answer)) = (event.object_ref, event.response_status) else {
            continue;
        };
        let Some(mut resource) = object.resource else { continue };
        if !object.subresource.is_empty() {
            resource = format!("{resource}/{}", object.subresource);
        }
        let (group, namespace) = (object.api_group, object.namespace);
        requests.push(Timed {
            request: Request { verb: event.verb, group, resource, namespace, code: answer.code },
            name: object.name,
            user: event.user.username,
            at: event.request_received_timestamp,
        });
    }
    Ok(requests)
}
