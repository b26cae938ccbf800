//! Children that others change.

use super::*;

#[tokio::test]
async fn an_object_that_is_as_it_was_applied_is_not_asked_about() {
    let (client, requests) =
        server(vec![not_found(), call(Method::PATCH, PATH, 201, object(UID, "7"))]);
    let (context, mut writers) = context(client);
    assert_eq!(apply_one(&context).await, done());
    feed(&mut writers, "NetworkPolicy", object(UID, "7"));
    assert_eq!(apply_one(&context).await, done());
    drop(context);
    assert_eq!(requests.await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_object_that_somebody_changed_is_applied_again() {
    let (client, requests) = server(vec![
        not_found(),
        call(Method::PATCH, PATH, 201, object(UID, "7")),
        call(Method::PATCH, PATH, 200, object(UID, "9")),
    ]);
    let (context, mut writers) = context(client);
    apply_one(&context).await;
    feed(&mut writers, "NetworkPolicy", object(UID, "8"));
    let again = apply_all(&context, &[network_policy()]).await;
    assert_eq!(again.restored, ["Another client changed NetworkPolicy example"]);
    drop(context);
    requests.await.unwrap();
}

#[tokio::test]
async fn an_object_that_somebody_deleted_is_restored_and_one_that_is_as_wanted_is_no_drift() {
    let (client, requests) = server(vec![
        not_found(),
        call(Method::PATCH, PATH, 201, object(UID, "7")),
        not_found(),
        call(Method::PATCH, PATH, 201, object(UID, "9")),
        call(Method::PATCH, PATH, 200, object(UID, "10")),
    ]);
    let (context, mut writers) = context(client);
    apply_one(&context).await;
    let again = apply_all(&context, &[network_policy()]).await;
    assert_eq!(again.restored, ["Another client deleted NetworkPolicy example"]);
    // A field that the operator does not set has changed: the object keeps the version that it got by that.
    feed(&mut writers, "NetworkPolicy", object(UID, "10"));
    let same = apply_all(&context, &[network_policy()]).await;
    assert_eq!(same.restored, [] as [&str; 0]);
    drop(context);
    requests.await.unwrap();
}

#[tokio::test]
async fn a_label_that_somebody_changed_is_restored_although_the_generation_is_the_same() {
    const BUDGET: &str = "/apis/policy/v1/namespaces/im/poddisruptionbudgets/example";
    let labelled = |revision: &str, part_of: &str| {
        let mut object = object(UID, revision);
        object["kind"] = json!("PodDisruptionBudget");
        object["apiVersion"] = json!("policy/v1");
        object["metadata"]["generation"] = json!(1);
        object["metadata"]["labels"] = json!({"app.kubernetes.io/part-of": part_of});
        object
    };
    let all = build::children(&validated(&smallest()), &given(), &settings()).unwrap();
    let budget = all.into_iter().find(|child| child.resource.kind == "PodDisruptionBudget");
    let budget = [budget.unwrap()];
    let own = "xmpp-federation";
    let (client, requests) = server(vec![
        call(Method::GET, BUDGET, 404, failure(404, "NotFound", "not found")),
        call(Method::PATCH, BUDGET, 201, labelled("7", own)),
        call(Method::PATCH, BUDGET, 200, labelled("9", own)),
    ]);
    let (context, mut writers) = context(client);
    apply_all(&context, &budget).await;
    feed(&mut writers, "PodDisruptionBudget", labelled("7", own));
    assert_eq!(apply_all(&context, &budget).await.restored, [] as [&str; 0]);
    feed(&mut writers, "PodDisruptionBudget", labelled("8", "somebody-else"));
    let again = apply_all(&context, &budget).await;
    assert_eq!(again.restored, ["Another client changed PodDisruptionBudget example"]);
    drop(context);
    requests.await.unwrap();
}

#[tokio::test]
async fn a_child_that_lost_the_label_of_the_watch_is_restored_with_an_event() {
    let (client, requests) = server(vec![
        not_found(),
        call(Method::PATCH, PATH, 201, object(UID, "7")),
        call(Method::GET, PATH, 200, object(UID, "8")),
        call(Method::PATCH, PATH, 200, object(UID, "9")),
    ]);
    let (context, _writers) = context(client);
    apply_one(&context).await;
    // The watch reported it as deleted.
    let again = apply_all(&context, &[network_policy()]).await;
    assert_eq!(again.restored, ["Another client changed NetworkPolicy example"]);
    drop(context);
    requests.await.unwrap();
}
