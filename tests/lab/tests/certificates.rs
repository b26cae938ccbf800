//! Certificates of cert-manager: the real controllers, a CA issuer, and an ACME issuer that answers DNS-01 challenges.

use std::net::IpAddr;
use std::time::Duration;

use data_encoding::BASE64;
use federation_engine::probe;
use lab::cert_manager::{self, ACME_ISSUER, CA_ISSUER};
use lab::client::Client;
use lab::error::{Error, Result};
use lab::federation::{self, NAME, NAMESPACE};
use lab::host;
use lab::kubernetes::{apply, get, kubectl};
use lab::network::Host;
use lab::paths::{Paths, read};
use lab::pki::{Authority, Subject, Usage};
use lab::public_dns::LOCAL_ZONE;
use lab::scenario::conversation;
use lab::scenario::federated::Federated;
use lab::wait::{Seen, Wait};
use s2s_proto::plan::TlsStart;
use serde_json::Value;

const DOCS: &str = include_str!("../../../docs/certificates.md");
/// The Certificate, and the Secret that cert-manager writes.
const ISSUED: &str = "example-tls-issued";
/// The Secret that the pods mount.
const SERVING: &str = "example-tls-serving";
/// Maximum time until every pod serves a new certificate.
const RELOAD: Duration = Duration::from_mins(4);

#[test]
fn an_issuer_is_named_in_each_state_and_its_certificates_replace_each_other_without_a_lost_stream()
{
    let paths = Federated::stage().unwrap();
    cert_manager::remove(&paths).unwrap();
    let manifest = federation::short_federation(&paths).unwrap().replace(
        "  egress:",
        &format!("  tls: {{certificate: {{issuerRef: {{name: {ACME_ISSUER}}}}}}}\n  egress:"),
    );
    let mut federated = Federated::apply(paths, &manifest).unwrap();
    let message = federated.until_false("CertificateReady", "CertManagerNotInstalled").unwrap();
    assert!(message.contains("kind Certificate of cert-manager.io/v1"), "{message}");

    cert_manager::start(&federated.paths).unwrap();
    let message = federated.until_false("ResolvedRefs", "IssuerNotFound").unwrap();
    let quote = format!(
        "CertificateRequest {ISSUED}-1: Referenced \"Issuer\" not found: issuer.cert-manager.io \"{ACME_ISSUER}\" not found"
    );
    assert!(message.contains(&quote), "{message}");
    let message = federated.until_false("CertificateReady", "IssuanceFailed").unwrap();
    assert!(message.contains(&quote), "{message}");

    cert_manager::make_acme_issuer(&federated.paths).unwrap();
    federated
        .until("the cause in the Challenge", |now| {
            now.has("CertificateReady", "False", "Issuing")
                && now
                    .condition("CertificateReady")
                    .is_some_and(|ready| ready.message.contains(&format!("Challenge {ISSUED}-1-")))
        })
        .unwrap();
    cert_manager::give_dns_key(&federated.paths).unwrap();
    federated.until_true("Ready").unwrap();
    let by_acme = wait_until_served(&federated, ISSUED, &mut |_| Ok(())).unwrap();

    let (mut ours, mut theirs) = federated.people().unwrap();
    conversation::meet_and_chat(&mut ours, &mut theirs, &mut |_| ()).unwrap();
    let before = troubles(&federated.paths).unwrap();
    assert!(before.iter().any(|line| line.contains("_dials_total{")), "{before:?}");

    // From here on, one conversation goes on over the same streams.
    cert_manager::make_ca_issuer(&federated.paths).unwrap();
    run_documented(
        &federated.paths,
        r#"kubectl patch xfed example -n im --type=merge -p '{"spec": {"tls": {"certificate": {"issuerRef": {"name": "internal-ca"}}}}}'"#,
    )
    .unwrap();
    assert_eq!(CA_ISSUER, "internal-ca");
    let by_ca = wait_for_other(&federated, &by_acme, &mut ours, &mut theirs).unwrap();
    federated.until_true("Ready").unwrap();

    renew(&federated.paths).unwrap();
    let renewed = wait_for_other(&federated, &by_ca, &mut ours, &mut theirs).unwrap();

    point_to_secret(&federated.paths, "typo").unwrap();
    federated.until_false("ResolvedRefs", "SecretNotFound").unwrap();
    federated
        .until("the previous certificate", |now| {
            now.has("CertificateReady", "True", "PreviousCertificateServed")
        })
        .unwrap();
    assert_eq!(leaf(&federated.paths, SERVING).unwrap(), renewed);
    // It is still served, so its renewals are.
    renew(&federated.paths).unwrap();
    let last = wait_for_other(&federated, &renewed, &mut ours, &mut theirs).unwrap();

    let own = put_own_certificate(&federated.paths).unwrap();
    point_to_secret(&federated.paths, "own").unwrap();
    let served = wait_for_other(&federated, &last, &mut ours, &mut theirs).unwrap();
    assert_eq!(served, own);
    federated.until_true("Ready").unwrap();
    wait_until_no_certificate(&federated.paths).unwrap();

    assert_eq!(troubles(&federated.paths).unwrap(), before, "a stream was lost");
}

/// Runs a command of docs/certificates.md.
fn run_documented(paths: &Paths, command: &str) -> Result<()> {
    assert!(DOCS.contains(&format!("\n{command}\n")), "not in docs/certificates.md: {command}");
    // Arguments with spaces are in single quotes.
    let mut arguments = Vec::new();
    for (index, part) in command.split('\'').enumerate() {
        match index % 2 {
            0 => arguments.extend(part.split_whitespace().map(str::to_owned)),
            _ => arguments.push(part.to_owned()),
        }
    }
    kubectl(paths)?.args(arguments.into_iter().skip(1)).ok()
}

fn point_to_secret(paths: &Paths, name: &str) -> Result<()> {
    let certificate = serde_json::json!({"secretRef": {"name": name}, "issuerRef": null});
    let patch = serde_json::json!({"spec": {"tls": {"certificate": certificate}}}).to_string();
    kubectl(paths)?
        .args(["patch", "xfed", NAME, "-n", NAMESPACE, "--type=merge", "-p", &patch])
        .ok()
}

/// Requests a new certificate, as `cmctl renew` does.
fn renew(paths: &Paths) -> Result<()> {
    run_documented(
        paths,
        r#"kubectl patch certificate example-tls-issued -n im --subresource=status --type=json -p '[{"op": "add", "path": "/status/conditions/-", "value": {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "Renewal requested"}}]'"#,
    )
}

/// Waits until all pods serve another certificate than before. Meanwhile, two people chat in both directions.
fn wait_for_other(
    federated: &Federated,
    before: &[u8],
    ours: &mut Client,
    theirs: &mut Client,
) -> Result<Vec<u8>> {
    Wait::new("another certificate", RELOAD)
        .log(federated.paths.daemons().log(cert_manager::NAME))
        .until(|| {
            let now = leaf(&federated.paths, SERVING)?;
            Ok(if now == before { Seen::NotYet("the same".into()) } else { Seen::Done(()) })
        })?;
    wait_until_served(federated, SERVING, &mut |round| {
        conversation::say(ours, theirs, &format!("ping {round}"), &mut |_| ())?;
        conversation::say(theirs, ours, &format!("pong {round}"), &mut |_| ())
    })
}

/// Waits until all pods serve the certificate of a Secret, and returns it.
fn wait_until_served(
    federated: &Federated,
    secret: &str,
    between: &mut dyn FnMut(u32) -> Result<()>,
) -> Result<Vec<u8>> {
    let wanted = leaf(&federated.paths, secret)?;
    let mut round = 0;
    Wait::new(format!("all pods to serve the certificate of Secret {secret}"), RELOAD)
        .log(federated.paths.daemons().log(cert_manager::NAME))
        .until(|| {
            round += 1;
            between(round)?;
            let pods = pods(&federated.paths)?;
            let others: Vec<_> = pods
                .iter()
                .filter(|(_, address)| served_by(*address).as_ref() != Some(&wanted))
                .collect();
            let seen = format!("{others:?} of {pods:?} do not");
            Ok(Seen::done_if(others.is_empty() && !pods.is_empty(), seen))
        })?;
    between(0)?;
    Ok(wanted)
}

/// The first certificate of a Secret (DER).
fn leaf(paths: &Paths, secret: &str) -> Result<Vec<u8>> {
    let object: Value = get(paths, &["secret", secret, "-n", NAMESPACE])?;
    let pem = object.pointer("/data/tls.crt").and_then(Value::as_str).unwrap_or_default();
    let pem = BASE64.decode(pem.as_bytes()).unwrap_or_default();
    first_certificate(&String::from_utf8_lossy(&pem))
        .ok_or_else(|| Error::State(format!("Secret {secret} has no certificate")))
}

fn first_certificate(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    BASE64.decode(body.split_whitespace().collect::<String>().as_bytes()).ok()
}

/// Names and addresses of the engine pods.
fn pods(paths: &Paths) -> Result<Vec<(String, IpAddr)>> {
    let selector = format!("xmppfederation.dev/federation={NAME}");
    let list: Value = get(paths, &["pods", "-n", NAMESPACE, "-l", &selector])?;
    let items = list.pointer("/items").and_then(Value::as_array).cloned().unwrap_or_default();
    let pod = |pod: &Value| {
        let name = pod.pointer("/metadata/name")?.as_str()?.to_owned();
        Some((name, pod.pointer("/status/podIP")?.as_str()?.parse().ok()?))
    };
    Ok(items.iter().filter_map(pod).collect())
}

/// The certificate that a pod serves (DER).
fn served_by(address: IpAddr) -> Option<Vec<u8>> {
    let look = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let domain = LOCAL_ZONE.parse().ok()?;
        let timeout = Duration::from_secs(10);
        let seen = probe::look((address, 5269).into(), &[], &domain, TlsStart::StartTls, timeout);
        Some(runtime.block_on(seen).ok()?.chain.leaf()?.to_vec())
    };
    host::in_thread_on(Host::Node, look).ok()?
}

/// What the pods count when a stream to another domain breaks: further attempts to reach it, and stanzas that were
/// resent or bounced.
fn troubles(paths: &Paths) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for (pod, _) in pods(paths)? {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}:9090/proxy/metrics");
        let metrics = kubectl(paths)?.args(["get", "--raw", &path]).stdout()?;
        let counts = ["dials", "stanzas_resent", "stanzas_bounced"]
            .map(|name| format!("xmpp_federation_{name}_total"));
        let lines = metrics.lines().filter(|line| counts.iter().any(|name| line.starts_with(name)));
        all.extend(lines.map(|line| format!("{pod} {line}")));
    }
    all.sort();
    Ok(all)
}

/// A Secret with a certificate of another authority; returns the certificate (DER).
fn put_own_certificate(paths: &Paths) -> Result<Vec<u8>> {
    let alternative_names = vec![LOCAL_ZONE.to_owned()];
    let subject = Subject { name: NAME, group: None, alternative_names };
    let pki = paths.pki();
    Authority::create(&pki, "own-ca")?.issue("own", &subject, Usage::Both)?;
    let certificate = read(&pki.join("own.crt"))?;
    let secret = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "own", "namespace": NAMESPACE},
        "stringData": {"tls.crt": certificate, "tls.key": read(&pki.join("own.key"))?},
    });
    apply(paths, &secret.to_string())?;
    first_certificate(&certificate).ok_or_else(|| Error::State("no certificate was issued".into()))
}

fn wait_until_no_certificate(paths: &Paths) -> Result<()> {
    Wait::new("the Certificate to be deleted", Duration::from_mins(1)).until(|| {
        let list = ["get", "certificates", "-n", NAMESPACE, "-o", "name"];
        let found = kubectl(paths)?.args(list).stdout()?;
        Ok(Seen::done_if(found.is_empty(), found))
    })
}
