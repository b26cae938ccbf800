use serde_json::json;

use super::*;

/// An object with this status, owned by the object with that UID. Its own UID is its name.
fn object(name: &str, owner: &str, status: &Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Any",
        "metadata": {
            "name": name, "namespace": "im", "uid": name,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Any", "name": owner, "uid": owner}],
        },
        "spec": {"issuerRef": {"name": "ca", "group": "issuers.example"}, "dnsName": "example.com"},
        "status": status,
    }))
    .unwrap()
}

fn conditions(all: &[(&str, &str, &str, &str)]) -> Value {
    let all = all.iter().map(|(type_, status, reason, message)| {
        json!({"type": type_, "status": status, "reason": reason, "message": message})
    });
    json!({"conditions": all.collect::<Vec<_>>()})
}

/// The words of cert-manager 1.21.2 while a first certificate is issued.
fn waiting() -> DynamicObject {
    let (missing, does_not_exist) =
        ("Issuing certificate as Secret does not exist", "DoesNotExist");
    object(
        "c",
        "f",
        &conditions(&[
            ("Ready", "False", does_not_exist, missing),
            ("Issuing", "True", does_not_exist, missing),
        ]),
    )
}

fn request(ready: &[(&str, &str, &str, &str)]) -> DynamicObject {
    object("r", "c", &conditions(ready))
}

fn said(certificate: &DynamicObject, chain: &Chain) -> (String, Progress) {
    let report = deepest(certificate, chain).unwrap();
    (format!("{} {}: {}", report.kind, report.name, report.message), report.progress)
}

fn of_requests(requests: Vec<DynamicObject>) -> (String, Progress) {
    said(&waiting(), &Chain { requests, ..Chain::default() })
}

#[test]
fn a_missing_issuer_is_reported_by_the_request() {
    let message = r#"Referenced "Issuer" not found: issuer.cert-manager.io "nope" not found"#;
    let request = request(&[("Approved", "True", "", ""), ("Ready", "False", "Pending", message)]);
    let expected = format!("CertificateRequest r: {message}");
    assert_eq!(of_requests(vec![request]), (expected, Progress::IssuerNotFound));
}

#[test]
fn a_request_that_waits_fails_or_is_ignored_is_reported_as_such() {
    let not_ready = "Referenced issuer does not have a Ready status condition";
    for (ready, expected, progress) in [
        (("Ready", "False", "Pending", not_ready), not_ready, Progress::Pending),
        (("Ready", "False", "Failed", "bad CSR."), "bad CSR", Progress::Failed),
        (("Denied", "True", "Policy", "not allowed"), "not allowed", Progress::Failed),
        (("InvalidRequest", "True", "", "no names"), "no names", Progress::Failed),
        (
            ("Approved", "True", "", ""),
            "no controller for issuers of API group issuers.example has processed it",
            Progress::Pending,
        ),
        (("Approved", "False", "", ""), "it is not approved yet", Progress::Pending),
    ] {
        let expected = format!("CertificateRequest r: {expected}");
        assert_eq!(of_requests(vec![request(&[ready])]), (expected, progress));
    }
}

#[test]
fn a_challenge_is_reported_before_its_order_and_a_failed_one_before_others() {
    let chain = |order: &Value, challenges: &[(&str, Value)]| Chain {
        requests: vec![request(&[
            ("Approved", "True", "", ""),
            ("Ready", "False", "Pending", "Waiting on certificate issuance from order im/o"),
        ])],
        orders: vec![object("o", "r", order)],
        challenges: challenges.iter().map(|(name, s)| object(name, "o", s)).collect(),
    };
    let waits = json!({"state": "pending", "reason": "Waiting for propagation"});
    let valid = json!({"state": "valid", "reason": "Successfully authorized domain"});
    let refused = json!({"state": "invalid", "reason": "NXDOMAIN"});
    let pending = json!({"state": "pending"});
    let cases = [
        (
            pending.clone(),
            vec![("a", waits.clone()), ("b", refused)],
            "Challenge b: example.com: NXDOMAIN",
            Progress::Failed,
        ),
        (
            pending.clone(),
            vec![("a", valid.clone()), ("b", waits)],
            "Challenge b: example.com: Waiting for propagation",
            Progress::Pending,
        ),
        (
            json!({"state": "errored", "reason": "rate limited"}),
            vec![("a", valid.clone())],
            "Order o: rate limited",
            Progress::Failed,
        ),
        (json!({"state": "expired"}), vec![], "Order o: its state is expired", Progress::Failed),
        (
            pending,
            vec![("a", valid)],
            "CertificateRequest r: Waiting on certificate issuance from order im/o",
            Progress::Pending,
        ),
    ];
    for (order, challenges, expected, progress) in cases {
        let (message, seen) = said(&waiting(), &chain(&order, &challenges));
        assert_eq!((message.as_str(), seen), (expected, progress));
    }
}

#[test]
fn only_objects_of_the_last_issuance_count() {
    let numbered = |name: &str, revision: &str, message: &str| {
        let mut request = object(name, "c", &conditions(&[("Ready", "False", "Failed", message)]));
        request.annotations_mut().insert(REVISION.into(), revision.into());
        request
    };
    let foreign = object("x", "other", &conditions(&[("Ready", "False", "Failed", "foreign")]));
    let all = vec![numbered("r-9", "9", "old"), foreign, numbered("r-10", "10", "new")];
    assert_eq!(of_requests(all).0, "CertificateRequest r-10: new");
}

#[test]
fn the_certificate_itself_is_quoted_last() {
    let alone = |certificate: &DynamicObject| deepest(certificate, &Chain::default());
    let message = "Certificate c: Issuing certificate as Secret does not exist".to_owned();
    assert_eq!(said(&waiting(), &Chain::default()), (message, Progress::Pending));
    let new = object("c", "f", &Value::Null);
    assert_eq!(alone(&new).unwrap().message, "cert-manager has not processed it yet");
    let again = "The certificate request has failed to complete and will be retried: no";
    let failed = object(
        "c",
        "f",
        &conditions(&[("Ready", "True", "", ""), ("Issuing", "False", "Failed", again)]),
    );
    assert!(is_in_progress(&failed));
    assert_eq!(alone(&failed).unwrap().progress, Progress::Failed);
    let good = object("c", "f", &conditions(&[("Ready", "True", "Ready", "up to date")]));
    assert!(!is_in_progress(&good) && is_in_progress(&new) && is_in_progress(&waiting()));
    assert_eq!(alone(&good), None);
}

#[test]
fn a_long_message_of_an_acme_server_is_cut() {
    let long = "é".repeat(5000);
    let request = request(&[("Ready", "False", "Failed", &long)]);
    let report = deepest(&waiting(), &Chain { requests: vec![request], ..Chain::default() });
    assert_eq!(report.unwrap().message.chars().count(), MAX_QUOTE);
}
