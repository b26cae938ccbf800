//! The `CustomResourceDefinition` that the API server serves. It may be of another version than this operator, because they
//! are installed in two steps. The API server's `OpenAPI` document says which fields it has; every client may read that
//! document, also an operator that has permissions in one namespace only.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crds::XmppFederation;
use http::header::{ACCEPT, ETAG, IF_NONE_MATCH};
use http::{Request, StatusCode};
use kube::client::Body;
use kube::{Client, Resource};
use serde_json::Value;
use tokio::sync::Notify;

use crate::causes::Causes;
use crate::schema::{Difference, Fields, named};

/// Pause between two queries. The API server answers with an empty body while nothing has changed.
const PAUSE: Duration = Duration::from_secs(15);
/// Time limit of one query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// The definition as the API server serves it.
#[derive(Debug)]
pub struct Definition {
    own: Fields,
    served: Mutex<Served>,
    /// The last query failed.
    failing: AtomicBool,
    /// The difference has changed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Served {
    /// Of the document that was read last.
    tag: Option<String>,
    /// `None` while the API server serves the operator's own fields, or its fields are not known.
    fields: Option<Arc<Fields>>,
    difference: Difference,
}

/// Why the document cannot be read.
#[derive(Debug, thiserror::Error)]
enum QueryError {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("HTTP status {0}")]
    Status(StatusCode),
    #[error("the document is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("no answer within {QUERY_TIMEOUT:?}")]
    TimedOut,
}

impl Definition {
    /// Nothing is known about the API server's definition yet.
    pub fn new() -> Self {
        Self {
            own: Fields::own(),
            served: Mutex::default(),
            failing: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// How the definition differs from the operator's own.
    pub fn difference(&self) -> Difference {
        self.served().difference.clone()
    }

    /// Drops from a status what the definition does not have.
    pub fn fit(&self, status: &mut Value) {
        let fields = self.served().fields.clone();
        if let Some(fields) = fields {
            fields.fit("status", status);
        }
    }

    /// Queries once.
    pub async fn look(&self, client: &Client) {
        let query = tokio::time::timeout(QUERY_TIMEOUT, self.query(client)).await;
        match query.unwrap_or(Err(QueryError::TimedOut)) {
            Ok(changed) => {
                self.failing.store(false, Ordering::Relaxed);
                if changed {
                    log(&self.difference());
                    self.changed.notify_one();
                }
            }
            Err(error) => {
                // One warning for failures in a row.
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(why = %Causes(&error), "cannot query the API server for the fields of XmppFederation");
                }
            }
        }
    }

    async fn query(&self, client: &Client) -> Result<bool, QueryError> {
        let path = format!("/openapi/v3/apis/{}", XmppFederation::api_version(&()));
        let mut request = Request::get(path).header(ACCEPT, "application/json");
        if let Some(tag) = &self.served().tag {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let request = request.body(Body::empty()).map_err(kube::Error::HttpError)?;
        let answer = client.send(request).await?;
        let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok(false),
            other => return Err(QueryError::Status(other)),
        }
        let document = answer.into_body().collect_bytes().await?;
        let document: Value = serde_json::from_slice(&document)?;
        Ok(self.served_is(tag, schema(&document)))
    }

    fn served_is(&self, tag: Option<String>, schema: Option<&Value>) -> bool {
        let fields = schema.map(Fields::of);
        let difference = fields.as_ref().map(|fields| self.own.compare(fields)).unwrap_or_default();
        let mut served = self.served();
        served.tag = tag;
        served.fields = fields.filter(|_| !difference.missing.is_empty()).map(Arc::new);
        let changed = served.difference != difference;
        served.difference = difference;
        changed
    }

    /// Repeats the query, and reports each change of the difference.
    pub async fn follow<F>(&self, client: &Client, changed: impl Fn() -> F)
    where
        F: Future<Output = ()>,
    {
        loop {
            tokio::select! {
                () = self.changed.notified() => changed().await,
                () = tokio::time::sleep(PAUSE) => self.look(client).await,
            }
        }
    }

    fn served(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Definition {
    fn default() -> Self {
        Self::new()
    }
}

/// The schema of the resource in an `OpenAPI` document.
fn schema(document: &Value) -> Option<&Value> {
    let kind = |schema: &Value| {
        let kinds = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
        kinds.into_iter().flatten().any(|kind| {
            kind.get("kind").and_then(Value::as_str) == Some(&*XmppFederation::kind(&()))
        })
    };
    let schemas = document.pointer("/components/schemas").and_then(Value::as_object)?;
    schemas.values().find(|schema| kind(schema))
}

fn log(difference: &Difference) {
    let Difference { missing, unknown } = difference;
    if difference.is_empty() {
        tracing::info!("the CustomResourceDefinition has the fields of this operator's version");
    } else {
        tracing::warn!(
            missing = %named(missing),
            unknown = %named(unknown),
            "the CustomResourceDefinition is of another version than this operator"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use http::Response;
    use serde_json::json;

    use super::*;

    /// The document with the operator's own definition, changed.
    fn document(change: impl FnOnce(&mut Value)) -> Value {
        let definition =
            serde_json::to_value(crds::manifest::custom_resource_definition()).unwrap();
        let mut schema =
            definition.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().clone();
        schema["x-kubernetes-group-version-kind"] = json!([{"group": "xmppfederation.dev", "kind": "XmppFederation", "version": "v1alpha1"}]);
        change(&mut schema["properties"]);
        json!({"components": {"schemas": {
            "dev.xmppfederation.v1alpha1.XmppFederation": schema, "other": {}
        }}})
    }

    /// An API server with this document; it sends it only to a client that does not have it.
    fn server(status: StatusCode, document: &Value, tag: &'static str) -> Client {
        let body = document.to_string();
        let answer = move |request: Request<Body>| {
            let known = request.headers().get(IF_NONE_MATCH).is_some_and(|known| known == tag);
            let (status, body) = if known {
                (StatusCode::NOT_MODIFIED, String::new())
            } else {
                (status, body.clone())
            };
            let answer = Response::builder().status(status).header(ETAG, tag);
            async move { answer.body(Body::from(body.into_bytes())) }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    #[tokio::test]
    async fn an_older_and_a_newer_definition_is_noticed_and_its_repair_too() {
        let definition = Definition::new();
        let same = server(StatusCode::OK, &document(|_| ()), "\"1\"");
        definition.look(&same).await;
        assert!(definition.difference().is_empty(), "the operator's own fields");
        let older = document(|properties| {
            let status = properties["status"]["properties"].as_object_mut().unwrap();
            status.remove("stage").unwrap();
        });
        let older = server(StatusCode::OK, &older, "\"2\"");
        for _ in 0..2 {
            definition.look(&older).await;
            assert_eq!(definition.difference().missing, ["status.stage"]);
        }
        let mut status = json!({"stage": "Ready", "host": "xmpp.example.com"});
        definition.fit(&mut status);
        assert_eq!(status, json!({"host": "xmpp.example.com"}));

        definition.look(&server(StatusCode::SERVICE_UNAVAILABLE, &Value::Null, "\"3\"")).await;
        assert_eq!(definition.difference().missing, ["status.stage"], "a failure is no answer");

        let newer = document(|properties| {
            properties["spec"]["properties"]["future"] = json!({"type": "string"});
        });
        definition.look(&server(StatusCode::OK, &newer, "\"4\"")).await;
        let difference = definition.difference();
        assert_eq!(
            (difference.missing, difference.unknown),
            (vec![], vec!["spec.future".to_owned()])
        );
        definition.look(&same).await;
        assert!(definition.difference().is_empty());
    }

    #[tokio::test]
    async fn each_change_is_reported_once() {
        let definition = Definition::new();
        let older = document(|properties| {
            properties["spec"]["properties"].as_object_mut().unwrap().remove("peers").unwrap();
        });
        let older = server(StatusCode::OK, &older, "\"1\"");
        let reported = AtomicUsize::new(0);
        tokio::time::pause();
        let follow = definition.follow(&older, || {
            reported.fetch_add(1, Ordering::Relaxed);
            std::future::ready(())
        });
        let _ = tokio::time::timeout(10 * PAUSE, follow).await;
        assert_eq!(reported.load(Ordering::Relaxed), 1);
    }
}
