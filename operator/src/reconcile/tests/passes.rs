//! Whole passes.

use super::*;

/// Runs one pass of a federation against an API server that has nothing yet, answers every other request by this function,
/// and returns the conditions of each status that the pass wrote, with the time since its beginning.
async fn pass<F>(
    answer: impl Fn(Request<Body>) -> F + Clone + Send + 'static,
) -> Vec<(Duration, Value)>
where
    F: Future<Output = (u16, Value)> + Send + 'static,
{
    let mut spec = smallest();
    // Nothing answers there, and nothing leaves the machine.
    spec["dns"] = json!({"resolvers": ["127.0.0.1:1"]});
    let object = federation(&spec);
    let known = serde_json::to_value(&object).unwrap();
    let written = Arc::new(std::sync::Mutex::new(Vec::new()));
    let begun = tokio::time::Instant::now();
    let statuses = Arc::clone(&written);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answer, statuses) = (answer.clone(), Arc::clone(&statuses));
        let known = known.clone();
        async move {
            let path = request.uri().path().to_owned();
            let (code, body) = if request.method() == Method::GET {
                let items = path.ends_with("/pods") || path.ends_with("/events");
                if items {
                    (200, json!({"items": [], "metadata": {}}))
                } else {
                    (404, failure(404, "NotFound", "not found"))
                }
            } else if path.ends_with("/status") {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let sent: Value = serde_json::from_slice(&body).unwrap();
                let conditions = sent["status"]["conditions"].clone();
                statuses.lock().unwrap().push((begun.elapsed(), conditions));
                (200, known)
            } else if path.ends_with("/events") {
                (201, json!({"metadata": {"name": "e"}, "eventTime": null}))
            } else {
                answer(request).await
            };
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            Response::builder().status(code).body(body)
        }
    });
    let (context, _writers) = context(Client::new(service, "im"));
    let object = Arc::new(kube::core::DeserializeGuard(Ok(object)));
    crate::reconcile::pass::reconcile(object, Arc::new(context)).await.unwrap();
    let written = written.lock().unwrap();
    written.clone()
}

/// Status and reason of a condition in a written status.
fn word(conditions: &Value, type_: ConditionType) -> String {
    let all = conditions.as_array().unwrap();
    let found = all.iter().find(|condition| condition["type"] == json!(type_.as_str())).unwrap();
    format!("{}/{}", found["status"].as_str().unwrap(), found["reason"].as_str().unwrap())
}

#[tokio::test]
async fn a_pass_that_the_api_server_refuses_still_writes_every_condition() {
    let written = pass(|request| async move {
        let resource = request.uri().path().rsplit('/').nth(1).unwrap().to_owned();
        let message = "exceeded quota: small, requested: count/services=1";
        match resource.as_str() {
            "services" => (403, failure(403, "Forbidden", message)),
            _ => (201, applied(&request)),
        }
    })
    .await;
    let (_, conditions) = written.last().unwrap();
    assert_eq!(word(conditions, ConditionType::Accepted), "False/ApplyFailed");
    assert_eq!(word(conditions, ConditionType::CertificateReady), "True/SelfSigned");
    assert_eq!(word(conditions, ConditionType::AddressAssigned), "False/AddressNotAssigned");
    assert_eq!(word(conditions, ConditionType::Ready), "False/Accepted");
    for type_ in ConditionType::LADDER {
        word(conditions, type_);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_federation_has_every_condition_within_five_seconds_even_if_every_write_hangs() {
    let written = pass(|_| std::future::pending::<(u16, Value)>()).await;
    let (first, conditions) = written.first().unwrap();
    assert!(*first <= Duration::from_secs(5), "{first:?}");
    assert_eq!(word(conditions, ConditionType::Accepted), "Unknown/Pending");
    for type_ in ConditionType::LADDER {
        word(conditions, type_);
    }
    let (_, conditions) = written.last().unwrap();
    assert_eq!(word(conditions, ConditionType::Accepted), "False/ApplyFailed");
    assert_eq!(word(conditions, ConditionType::Ready), "False/Accepted");
}

/// Gives the stores the objects that the operator has applied, as their watches would.
fn feed_all(
    writers: &mut [(ApiResource, Writer)],
    feeds: &mut crate::objects::Feeds,
    applied: &[Value],
) {
    fn all<K>(kind: &str, applied: &[Value]) -> Vec<watcher::Event<K>>
    where
        K: serde::de::DeserializeOwned,
    {
        let found = applied.iter().filter(|object| object["kind"] == json!(kind));
        let parsed = found.map(|object| serde_json::from_value(object.clone()).unwrap());
        std::iter::once(watcher::Event::Init)
            .chain(parsed.map(watcher::Event::InitApply))
            .chain(std::iter::once(watcher::Event::InitDone))
            .collect()
    }
    for (resource, writer) in writers {
        for event in all(&resource.kind, applied) {
            writer.apply_watcher_event(&event);
        }
    }
    macro_rules! feed {
        ($($feed:ident: $kind:literal),+) => {
            $(for event in all($kind, applied) {
                feeds.$feed.writer.apply_watcher_event(&event);
            })+
        };
    }
    feed!(
        deployments: "Deployment", services: "Service", pods: "Pod", service_events: "Event",
        secrets: "Secret", config_maps: "ConfigMap", dns_endpoints: "DNSEndpoint"
    );
}

#[tokio::test]
async fn a_federation_that_waits_for_the_world_sends_no_requests() {
    let mut spec = smallest();
    spec["dns"] = json!({"resolvers": ["127.0.0.1:1"]});
    let object = federation(&spec);
    let known = serde_json::to_value(&object).unwrap();
    let objects = Arc::new(std::sync::Mutex::new(Vec::<Value>::new()));
    let requests = Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let (kept, seen) = (Arc::clone(&objects), Arc::clone(&requests));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (kept, seen, known) = (Arc::clone(&kept), Arc::clone(&seen), known.clone());
        async move {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            seen.lock().unwrap().push(format!("{method} {path}"));
            let name = path.rsplit('/').next().unwrap().to_owned();
            let listing = name == "pods" || name == "events";
            let answer = if method == Method::GET && listing {
                Some(json!({"items": [], "metadata": {}}))
            } else if method == Method::GET {
                let resource = path.rsplit('/').nth(1).unwrap().to_owned();
                let kept = kept.lock().unwrap();
                let named = |object: &&Value| {
                    let kind = object["kind"].as_str().unwrap().to_lowercase();
                    object["metadata"]["name"] == json!(name) && resource.starts_with(&kind)
                };
                kept.iter().find(named).cloned()
            } else if name == "status" {
                Some(known)
            } else {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let mut object: Value = serde_json::from_slice(&body).unwrap();
                object["metadata"]["resourceVersion"] = json!("1");
                object["metadata"]["uid"] = json!(name);
                object["metadata"]["generation"] = json!(1);
                kept.lock().unwrap().push(object.clone());
                Some(object)
            };
            let (code, body) = match answer {
                Some(body) => (200, body),
                None => (404, failure(404, "NotFound", "not found")),
            };
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            Response::builder().status(code).body(body)
        }
    });
    let (context, mut writers, mut feeds) =
        crate::fixtures::context_with_feeds(Client::new(service, "im"));
    let context = Arc::new(context);
    let object = Arc::new(kube::core::DeserializeGuard(Ok(object)));
    let pass = || async {
        crate::reconcile::pass::reconcile(Arc::clone(&object), Arc::clone(&context)).await.unwrap();
        std::mem::take(&mut *requests.lock().unwrap())
    };
    assert!(pass().await.len() > 10);
    feed_all(&mut writers, &mut feeds, &objects.lock().unwrap());
    // The address of the backend's Service is known now, and Secrets are read once more.
    pass().await;
    let again = pass().await;
    let polled: Vec<_> = again.iter().filter(|request| !request.contains("/status")).collect();
    assert_eq!(polled, [] as [&String; 0]);
}
