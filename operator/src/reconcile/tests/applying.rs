//! How children are applied and deleted.

use super::*;

#[tokio::test]
async fn a_foreign_object_of_the_same_name_is_left_alone() {
    let (client, requests) = server(vec![call(Method::GET, PATH, 200, object("somebody", "1"))]);
    let (context, _writers) = context(client);
    let foreign = apply_one(&context).await;
    assert_eq!(foreign.problems, [Problem::foreign("NetworkPolicy", "example")]);
    drop(context);
    requests.await.unwrap();

    let federation = validated(&smallest());
    let mut seen = evidence(&federation);
    seen.applied = foreign;
    let verdict = accepted::check(View { federation: &federation, seen: &seen });
    assert_eq!(verdict.reason.to_string(), "AdoptionConflict");
    assert!(verdict.message.contains("NetworkPolicy example"));
}

#[tokio::test]
async fn children_are_applied_by_server_side_apply_strictly_and_under_one_name() {
    let (client, requests) =
        server(vec![not_found(), call(Method::PATCH, PATH, 201, object(UID, "1"))]);
    let (context, _writers) = context(client);
    assert_eq!(apply_one(&context).await, done());
    drop(context);
    let patch = requests.await.unwrap().pop().unwrap();
    for part in ["force=true", "fieldManager=xmpp-federation-operator", "fieldValidation=Strict"] {
        assert!(patch.contains(part), "{patch}");
    }
}

#[tokio::test]
async fn a_conflict_with_another_client_is_no_refusal() {
    let conflict = failure(409, "Conflict", "the object has been modified");
    let (client, requests) = server(vec![
        not_found(),
        call(Method::PATCH, PATH, 409, conflict),
        call(Method::PATCH, PATH, 201, object(UID, "1")),
    ]);
    let (context, _writers) = context(client);
    assert_eq!(apply_one(&context).await, done());
    drop(context);
    requests.await.unwrap();
}

#[tokio::test]
async fn what_the_api_server_refuses_becomes_a_problem_in_its_own_words() {
    for (code, reason, cause, message) in [
        (
            403,
            "Forbidden",
            Cause::NotPermitted,
            "User \"system:serviceaccount:a:b\" cannot patch resource \"networkpolicies\"",
        ),
        (403, "Forbidden", Cause::Quota, "exceeded quota: small, requested: services=1"),
        (500, "InternalError", Cause::Exhausted, "failed to allocate a serviceIP: range is full"),
        (400, "", Cause::Denied, "admission webhook \"a.example\" denied the request: no"),
        (500, "InternalError", Cause::WebhookFailed, "failed calling webhook \"a.example\": EOF"),
        (422, "Invalid", Cause::Invalid, "spec.podSelector: Invalid value"),
        (404, "NotFound", Cause::KindMissing, "the server could not find the requested resource"),
        (500, "InternalError", Cause::Failed, "etcd is gone"),
    ] {
        let refusal = call(Method::PATCH, PATH, code, failure(code, reason, message));
        let (client, requests) = server(vec![not_found(), refusal]);
        let (context, _writers) = context(client);
        assert_eq!(apply_one(&context).await, refused(cause, message));
        drop(context);
        requests.await.unwrap();
    }
}

#[tokio::test]
async fn one_refused_child_does_not_stop_the_others_but_the_workload_waits_for_what_it_mounts() {
    let wanted = build::children(&validated(&smallest()), &given(), &settings()).unwrap();
    for (refused, workload) in [("services", true), ("networkpolicies", true), ("secrets", false)] {
        let sent = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = Arc::clone(&sent);
        let client = answering(move |request| {
            if request.method() == Method::GET {
                return (404, failure(404, "NotFound", "not found"));
            }
            let resource = request.uri().path().rsplit('/').nth(1).unwrap().to_owned();
            if resource == refused {
                let message = "admission webhook \"a.example\" denied the request: no";
                return (403, failure(403, "Forbidden", message));
            }
            seen.lock().unwrap().push(resource);
            (201, applied(request))
        });
        let (context, _writers) = context(client);
        let outcome = apply_all(&context, &wanted).await;
        assert!(outcome.applied.problems.iter().all(|problem| problem.cause == Cause::Denied));
        assert!(!outcome.applied.problems.is_empty());
        let sent = sent.lock().unwrap();
        assert!(sent.iter().any(|resource| resource == "configmaps"), "{refused}: {sent:?}");
        let deployed = sent.iter().any(|resource| resource == "deployments");
        assert_eq!(deployed, workload, "{refused}: {sent:?}");
    }
}

#[tokio::test]
async fn what_comes_from_the_keys_of_a_secret_waits_until_it_is_stored() {
    let wanted = build::children(&validated(&smallest()), &given(), &settings()).unwrap();
    let sent_if = |stored: bool| {
        let wanted = &wanted;
        async move {
            let sent = Arc::new(std::sync::Mutex::new(Vec::new()));
            let seen = Arc::clone(&sent);
            let client = answering(move |request| {
                if request.method() == Method::GET {
                    return (404, failure(404, "NotFound", "not found"));
                }
                let path: Vec<_> = request.uri().path().rsplit('/').take(2).collect();
                let place = format!("{}/{}", path[1], path[0]);
                if place == "secrets/example-backend-ca" && !stored {
                    return (500, failure(500, "InternalError", "no"));
                }
                seen.lock().unwrap().push(place);
                (201, applied(request))
            });
            let (context, _writers) = context(client);
            apply_all(&context, wanted).await;
            let sent = sent.lock().unwrap();
            let position = |place: &str| sent.iter().position(|sent| sent == place);
            [
                "secrets/example-backend-ca",
                "configmaps/example-backend-ca",
                "secrets/example-backend-tls",
                "secrets/example-dialback",
            ]
            .map(position)
        }
    };
    let [secret, public, leaf, _] = sent_if(true).await;
    assert!(secret.is_some() && secret < public && secret < leaf);
    let [secret, public, leaf, other] = sent_if(false).await;
    assert_eq!([secret, public, leaf], [None; 3]);
    assert!(other.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_ends_and_is_named() {
    let service = tower::service_fn(|request: Request<Body>| async move {
        if request.method() != Method::GET {
            std::future::pending::<()>().await;
        }
        let body = serde_json::to_vec(&failure(404, "NotFound", "not found")).unwrap();
        Response::builder().status(404).body(Body::from(body))
    });
    let (context, _writers) = context(Client::new(service, "im"));
    let applied = apply_one(&context).await;
    assert_eq!(applied, refused(Cause::Failed, "the API server did not answer within 12s"));
}

#[tokio::test]
async fn nothing_is_sent_again_while_the_federation_waits_for_an_address() {
    let words = "failed to allocate a serviceIP: range is full";
    let (client, requests) = server(vec![]);
    let (context, _writers) = context(client);
    let now = std::time::Instant::now();
    for federation in [FederationRef::new("other").within("im"), reference()] {
        context.shortages.note(&federation, Some(words), (now, now), 0.0);
    }
    let refused = refused(Cause::Exhausted, words);
    context.remember(&reference(), |memory| {
        memory.last_applied = Some((Some(1), refused.clone()));
    });
    assert_eq!(apply_one(&context).await, refused);
    drop(context);
    requests.await.unwrap();
}

#[tokio::test]
async fn what_is_no_longer_wanted_is_deleted_and_what_others_own_is_not() {
    let deleted = json!({"kind": "Status", "apiVersion": "v1", "status": "Success"});
    let path = "/apis/policy/v1/namespaces/im/poddisruptionbudgets/example";
    let (client, requests) = server(vec![call(Method::DELETE, path, 200, deleted)]);
    let (context, mut writers) = context(client);
    feed(&mut writers, "PodDisruptionBudget", object(UID, "1"));
    feed(&mut writers, "Service", object("somebody", "1"));
    let federation = validated(&smallest());
    assert_eq!(apply(&context, &reference(), &federation, &[], false).await.applied, done());
    drop(context);
    requests.await.unwrap();
}

#[tokio::test]
async fn a_paused_federation_is_left_as_it_is() {
    let (client, requests) = server(vec![]);
    let (context, mut writers) = context(client);
    feed(&mut writers, "PodDisruptionBudget", object(UID, "1"));
    let mut spec = smallest();
    spec["paused"] = json!(true);
    let outcome =
        apply(&context, &reference(), &validated(&spec), &[network_policy()], false).await;
    assert_eq!(outcome.applied, Applied { paused: true, ..Applied::default() });
    drop(context);
    requests.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_is_sent_again_beside_it() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let service = tower::service_fn(move |request: Request<Body>| {
        let is_patch = request.method() == Method::PATCH;
        let number = is_patch.then(|| count.fetch_add(1, Ordering::SeqCst));
        async move {
            let (code, body) = match number {
                None => (404, failure(404, "NotFound", "not found")),
                // A webhook holds it that is gone by now.
                Some(0) => std::future::pending().await,
                Some(_) => (201, object(UID, "7")),
            };
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            Response::builder().status(code).body(body)
        }
    });
    let (context, _writers) = context(Client::new(service, "im"));
    let begun = tokio::time::Instant::now();
    assert_eq!(apply_one(&context).await, done());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(sent.load(Ordering::SeqCst), 2);
}

/// The Services of a federation.
fn services() -> Vec<Child> {
    let all = build::children(&validated(&smallest()), &given(), &settings()).unwrap();
    all.into_iter().filter(|child| child.resource.kind == "Service").collect()
}

#[tokio::test(start_paused = true)]
async fn few_services_are_created_at_a_time() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    const FEDERATIONS: usize = 6;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (running, most) = (Arc::clone(&running), Arc::clone(&seen));
        async move {
            let (code, body) = if request.method() == Method::PATCH {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // As long as an API server with others in its queue needs for one of them.
                tokio::time::sleep(Duration::from_secs(1)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                (201, object(UID, "7"))
            } else {
                (404, failure(404, "NotFound", "not found"))
            };
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            Response::builder().status(code).body(body)
        }
    });
    let (context, _writers) = context(Client::new(service, "im"));
    let services = services();
    let all = (0..FEDERATIONS).map(|_| apply_all(&context, &services));
    for outcome in futures::future::join_all(all).await {
        assert_eq!(outcome.applied, done());
    }
    assert_eq!(most.load(Ordering::SeqCst), 2, "a quarter of all for one namespace");
}

#[tokio::test(start_paused = true)]
async fn the_creation_of_a_service_is_not_given_up() {
    use std::sync::atomic::{AtomicBool, Ordering};

    let ended = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&ended);
    let service = tower::service_fn(move |request: Request<Body>| {
        let ended = Arc::clone(&seen);
        async move {
            let (code, body) = if request.method() == Method::PATCH {
                tokio::time::sleep(Duration::from_secs(3)).await;
                ended.store(true, Ordering::SeqCst);
                (201, object(UID, "7"))
            } else {
                (404, failure(404, "NotFound", "not found"))
            };
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            Response::builder().status(code).body(body)
        }
    });
    let (context, _writers) = context(Client::new(service, "im"));
    let child = services().remove(0);
    let limit = Duration::from_secs(1);
    let federation = validated(&smallest());
    let outcome = alone(&context, &reference(), &federation, &child, limit).await;
    assert!(outcome.sent.is_empty(), "nobody waits for it");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(ended.load(Ordering::SeqCst));
}
