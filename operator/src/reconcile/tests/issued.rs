//! What cert-manager keeps for a federation, as a pass reads it.

use crds::reason::ResolvedRefsReason;

use super::*;
use crate::federation::material;
use crate::reconcile::dereference::{Dereferenced, dereference};
use crate::reconcile::problem::Cause;

const SECRETS: &str = "/api/v1/namespaces/im/secrets/";
const CERTIFICATE: &str = "/apis/cert-manager.io/v1/namespaces/im/certificates/example-tls-issued";
const REQUESTS: &str = "/apis/cert-manager.io/v1/namespaces/im/certificaterequests";

/// What a pass reads from an API server with these objects by path, and the paths of its requests.
async fn read(spec: &Value, objects: &[(String, Value)]) -> (Dereferenced, Vec<String>) {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let objects = objects.to_vec();
    let task = tokio::spawn(async move {
        let mut paths = Vec::new();
        while let Some((request, answer)) = handle.next_request().await {
            let path = request.uri().path().to_owned();
            let found = objects.iter().find(|(of, _)| *of == path);
            let (status, body) = match found {
                Some((_, object)) => (StatusCode::OK, object.clone()),
                None => (StatusCode::NOT_FOUND, failure(404, "NotFound", "not found")),
            };
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            answer.send_response(Response::builder().status(status).body(body).unwrap());
            paths.push(path);
        }
        paths
    });
    let client = Client::new(service, "im");
    let federation = validated(spec);
    let contents = Contents::uncached(&client, "im");
    let found = dereference(&contents, &federation, true, jiff::Timestamp::now());
    let found = Box::pin(found).await.unwrap();
    drop(client);
    (found, task.await.unwrap())
}

fn spec(source: &Value) -> Value {
    let mut spec = smallest();
    spec["tls"] = json!({"certificate": source});
    spec
}

fn with_issuer() -> Value {
    spec(&json!({"issuerRef": {"name": "ca"}}))
}

/// A Secret with a good certificate.
fn secret(name: &str, annotations: &Value, owners: &Value) -> (String, Value) {
    let pair = federation_engine::tls::issue::self_signed(
        &["example.com".parse().unwrap()],
        std::time::Duration::from_hours(24 * 90),
        rustls_pki_types::UnixTime::now(),
    )
    .unwrap();
    let data = |text: &str| data_encoding::BASE64.encode(text.as_bytes());
    let data = json!({"tls.crt": data(&pair.certificate), "tls.key": data(&pair.private_key)});
    let metadata = json!({
        "name": name, "namespace": "im", "annotations": annotations, "ownerReferences": owners
    });
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data});
    (format!("{SECRETS}{name}"), object)
}

fn owned() -> Value {
    object(UID, "1")["metadata"]["ownerReferences"].clone()
}

/// The Secret that cert-manager wrote for the federation's Certificate.
fn issued() -> (String, Value) {
    let annotation = json!({"cert-manager.io/certificate-name": "example-tls-issued"});
    secret("example-tls-issued", &annotation, &json!([]))
}

/// The certificate that the pods serve, from cert-manager.
fn serving() -> (String, Value) {
    let annotation =
        json!({"xmppfederation.dev/certificate-source": "Certificate/example-tls-issued"});
    secret("example-tls-serving", &annotation, &owned())
}

fn certificate(status: &Value) -> (String, Value) {
    let object = json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": {
            "name": "example-tls-issued", "namespace": "im", "uid": "c", "ownerReferences": owned()
        },
        "spec": {"issuerRef": {"name": "ca", "kind": "ClusterIssuer", "group": "cert-manager.io"}},
        "status": status,
    });
    (CERTIFICATE.to_owned(), object)
}

fn ready(status: &str) -> Value {
    json!({"conditions": [{"type": "Ready", "status": status, "message": "up to date"}]})
}

/// The issuer of the Certificate that a pass wants, and the source of the certificate that it serves.
fn wanted(spec: &Value, found: &Dereferenced) -> (Option<String>, String) {
    let federation = validated(spec);
    let now = jiff::Timestamp::now();
    let material = material::complete(&found.existing, &federation, now).unwrap();
    let served = found.serving(&federation, &material, now).unwrap().source;
    let issuer = found.issued.issuer(&federation, Some(&served));
    (issuer.map(|issuer| issuer.name), served.annotation())
}

#[tokio::test]
async fn what_cert_manager_issued_is_served_and_its_objects_are_not_read_again() {
    let objects = [issued(), certificate(&ready("True"))];
    let (found, paths) = read(&with_issuer(), &objects).await;
    assert_eq!(
        wanted(&with_issuer(), &found),
        (Some("ca".into()), "Certificate/example-tls-issued".into())
    );
    assert!(found.references.problems.is_empty() && found.references.certificate.is_some());
    assert!(!paths.contains(&REQUESTS.to_owned()), "{paths:?}");
}

#[tokio::test]
async fn while_a_certificate_is_not_ready_the_deepest_report_is_read() {
    let message = r#"Referenced "Issuer" not found: issuer.cert-manager.io "ca" not found"#;
    let request = json!({
        "metadata": {
            "name": "example-tls-issued-1",
            "ownerReferences": [{
                "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
                "name": "example-tls-issued", "uid": "c"
            }]
        },
        "status": {"conditions": [
            {"type": "Ready", "status": "False", "reason": "Pending", "message": message}
        ]}
    });
    let list = json!({
        "apiVersion": "cert-manager.io/v1", "kind": "CertificateRequestList", "metadata": {},
        "items": [request]
    });
    let objects = [certificate(&ready("False")), (REQUESTS.to_owned(), list)];
    let (found, _) = read(&with_issuer(), &objects).await;
    let [problem] = found.references.problems.as_slice() else { panic!("{:?}", found.references) };
    assert_eq!(problem.reason, ResolvedRefsReason::IssuerNotFound);
    assert!(problem.message.contains(message), "{problem:?}");
    assert_eq!(found.references.issuance.report.unwrap().message, message);
}

#[tokio::test]
async fn a_certificate_stays_until_its_replacement_is_valid() {
    let of_cert_manager = || vec![issued(), serving(), certificate(&ready("True"))];
    let own = spec(&json!({"secretRef": {"name": "own"}}));
    let (typo, _) = read(&own, &of_cert_manager()).await;
    assert_eq!(wanted(&own, &typo), (Some("ca".into()), "Certificate/example-tls-issued".into()));
    let mut objects = of_cert_manager();
    objects.push(secret("own", &json!({}), &json!([])));
    let (good, _) = read(&own, &objects).await;
    assert_eq!(wanted(&own, &good), (None, "Secret/own".into()));
    let (unset, _) = read(&smallest(), &of_cert_manager()).await;
    assert_eq!(wanted(&smallest(), &unset), (None, "SelfSigned".into()));
}

#[tokio::test]
async fn a_secret_that_cert_manager_would_overwrite_is_reported() {
    let objects = [secret("example-tls-issued", &json!({}), &json!([]))];
    let (found, _) = read(&with_issuer(), &objects).await;
    assert_eq!(wanted(&with_issuer(), &found), (None, "SelfSigned".into()));
    let [problem] = found.references.problems.as_slice() else { panic!("{:?}", found.references) };
    assert_eq!(problem.reason, ResolvedRefsReason::SecretInvalid);
    assert!(problem.message.contains("would overwrite Secret example-tls-issued"), "{problem:?}");
}

#[tokio::test]
async fn a_kind_that_was_removed_meanwhile_is_named() {
    let gone = || failure(404, "NotFound", "the server could not find the requested resource");
    let (client, requests) = server(vec![
        call(Method::GET, CERTIFICATE, 404, gone()),
        call(Method::PATCH, CERTIFICATE, 404, gone()),
    ]);
    let (context, _writers) = context(client);
    let federation = validated(&with_issuer());
    let mut given = given();
    given.issuer = federation.issuer().cloned();
    let all = build::children(&federation, &given, &settings()).unwrap();
    let certificate: Vec<_> =
        all.into_iter().filter(|child| child.resource.kind == "Certificate").collect();
    let outcome = apply(&context, &reference(), &federation, &certificate, false).await;
    let [problem] = outcome.applied.problems.as_slice() else { panic!("{outcome:?}") };
    assert_eq!((problem.kind.as_str(), problem.cause), ("Certificate", Cause::KindMissing));
    drop(context);
    requests.await.unwrap();
}
