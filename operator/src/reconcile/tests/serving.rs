//! The copy of the certificate that engine pods serve.

use super::*;

/// A client for which the API server has these Secrets, and a task that answers until the client is dropped.
fn secrets(found: Vec<Value>) -> (Client, JoinHandle<()>) {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let task = tokio::spawn(async move {
        while let Some((request, answer)) = handle.next_request().await {
            let name = request.uri().path().rsplit('/').next().unwrap().to_owned();
            let is_it = |secret: &&Value| secret["metadata"]["name"] == json!(name);
            let of_secrets = request.uri().path().contains("/secrets/");
            let secret = found.iter().find(is_it).filter(|_| of_secrets);
            let (status, body) = match secret {
                Some(secret) => (StatusCode::OK, secret.clone()),
                None => (StatusCode::NOT_FOUND, failure(404, "NotFound", "not found")),
            };
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            answer.send_response(Response::builder().status(status).body(body).unwrap());
        }
    });
    (Client::new(service, "im"), task)
}

/// The certificate in the Secret that pods mount after a pass, with these Secrets in the cluster, and the Secrets.
async fn served(spec: &Value, found: Vec<Value>) -> (String, Vec<Value>) {
    let federation = validated(spec);
    let (client, task) = secrets(found);
    let now = jiff::Timestamp::now();
    let contents = Contents::uncached(&client, "im");
    let found =
        Box::pin(crate::reconcile::dereference::dereference(&contents, &federation, true, now));
    let found = found.await.unwrap();
    drop(client);
    task.await.unwrap();
    let material = crate::federation::material::complete(&found.existing, &federation, now);
    let mut given = given();
    given.material = material.unwrap();
    given.serving = found.serving(&federation, &given.material, now);
    let children = build::children(&federation, &given, &settings()).unwrap();
    let secrets = children.iter().filter(|child| child.resource.kind == "Secret");
    let secrets: Vec<_> =
        secrets.map(|child| serde_json::to_value(&child.object).unwrap()).collect();
    let mounted = secrets.iter().find(|s| s["metadata"]["name"] == "example-tls-serving");
    (mounted.map_or(Value::Null, |s| s["data"]["tls.crt"].clone()).to_string(), secrets)
}

#[tokio::test]
async fn no_change_of_a_reference_takes_the_served_certificate_away() {
    let own = federation_engine::tls::issue::self_signed(
        &["example.com".parse().unwrap()],
        std::time::Duration::from_hours(24 * 90),
        rustls_pki_types::UnixTime::now(),
    )
    .unwrap();
    let secret = |certificate: &str, key: &str| {
        let data = |text: &str| data_encoding::BASE64.encode(text.as_bytes());
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own", "namespace": "im"},
            "data": {"tls.crt": data(certificate), "tls.key": data(key)}
        })
    };
    let mut spec = smallest();
    let (self_signed, secrets) = served(&spec, vec![]).await;
    spec["tls"] = json!({"certificate": {"secretRef": {"name": "own"}}});
    // A typo before the first good reference leaves the self-signed certificate.
    assert_eq!(served(&spec, secrets.clone()).await.0, self_signed);

    let good = secret(&own.certificate, &own.private_key);
    let (first, mut secrets) = served(&spec, [secrets, vec![good.clone()]].concat()).await;
    assert_ne!(first, self_signed);
    for source in [json!({"secretRef": {"name": "onw"}}), json!({"issuerRef": {"name": "ca"}})] {
        spec["tls"] = json!({"certificate": source});
        let again = served(&spec, [secrets.clone(), vec![good.clone()]].concat()).await;
        assert_eq!(again.0, first, "{source}");
        secrets = again.1;
    }
    spec["paused"] = json!(true);
    spec["tls"] = json!({});
    let again = served(&spec, secrets.clone()).await;
    assert_eq!(again.0, first, "a paused federation keeps the source of its certificate");
    spec["paused"] = json!(false);
    spec["tls"] = json!({"certificate": {"secretRef": {"name": "own"}}});
    for broken in [
        vec![],
        vec![secret("nonsense", "nonsense")],
        vec![secret(&own.certificate, "nonsense")],
        vec![json!({"metadata": {"name": "own"}, "data": {}})],
    ] {
        let again = served(&spec, [secrets.clone(), broken.clone()].concat()).await;
        assert_eq!(again.0, first, "{broken:?}");
        secrets = again.1;
    }
}
