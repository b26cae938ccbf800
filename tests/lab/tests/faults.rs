//! Faults: the status names each one exactly, and no longer shows it after the repair.

use std::time::Duration;

use lab::addons::{self, RECORD_TYPES};
use lab::client::Event;
use lab::error::Result;
use lab::federation::{self, NAME, NAMESPACE};
use lab::kubernetes::apply;
use lab::paths::{Paths, read};
use lab::pki::{Authority, Subject, Usage};
use lab::public_dns::LOCAL_ZONE;
use lab::scenario::conversation;
use lab::scenario::federated::Federated;
use lab::{host, partner};

#[test]
fn no_load_balancer_address() {
    let paths = Federated::stage().unwrap();
    host::stop_daemon(&paths, addons::METALLB).unwrap();
    let manifest = federation::short_federation(&paths).unwrap();
    let mut federated = Federated::apply(paths, &manifest).unwrap();
    let named = federated.until("AddressAssigned=False, for want of a controller", |now| {
        let reasons = ["AddressNotAssigned", "NoLoadBalancerController"];
        reasons.iter().any(|reason| now.has("AddressAssigned", "False", reason))
            && now.condition("Ready").is_some_and(|ready| ready.status == "False")
    });
    // Repaired before the assertions, so that a failure here does not fail the tests after it.
    addons::start_metallb(&federated.paths).unwrap();
    named.unwrap();
    federated.until_true("AddressAssigned").unwrap();
    federated.until_true("Ready").unwrap();
}

#[test]
fn external_dns_does_not_manage_srv_records() {
    let paths = Federated::stage().unwrap();
    addons::restart_external_dns(&paths, &["A", "AAAA", "CNAME"]).unwrap();
    federation::remove_srv_records(&paths).unwrap();
    let manifest = federation::short_federation(&paths).unwrap();
    let mut federated = Federated::apply(paths, &manifest).unwrap();
    let named = federated.until_false("SRVResolves", "SRVTypeNotManaged");
    addons::restart_external_dns(&federated.paths, &RECORD_TYPES).unwrap();
    let message = named.unwrap();
    assert!(message.contains("--managed-record-types=SRV"), "{message}");
    federated.until_true("SRVResolves").unwrap();
    federated.until_true("Ready").unwrap();
}

#[test]
fn the_certificate_does_not_cover_a_domain() {
    let paths = Federated::stage().unwrap();
    let chat = format!("chat.{LOCAL_ZONE}");
    let manifest = federation::short_federation(&paths)
        .unwrap()
        .replace(
            &format!("    - name: {LOCAL_ZONE}\n"),
            &format!("    - name: {LOCAL_ZONE}\n    - name: {chat}\n"),
        )
        .replace("  egress:", "  tls: {certificate: {secretRef: {name: public}}}\n  egress:");
    federation::make_namespace(&paths).unwrap();
    put_certificate(&paths, vec![LOCAL_ZONE.to_owned()]).unwrap();
    let mut federated = Federated::apply(paths, &manifest).unwrap();
    let message = federated.until_false("CertificateReady", "DomainNotCovered").unwrap();
    assert!(message.contains(&chat), "{message}");

    put_certificate(&federated.paths, vec![LOCAL_ZONE.to_owned(), chat]).unwrap();
    federated.until_true("CertificateReady").unwrap();
    federated.until_true("TLSVerified").unwrap();
}

#[test]
fn the_partners_port_is_closed() {
    let paths = Federated::stage().unwrap();
    let manifest = federation::short_federation(&paths).unwrap().replace(
        "  egress:",
        "  peers: [{domain: partner.example}]\n  timeouts: {queueSeconds: 10}\n  egress:",
    );
    let mut federated = Federated::apply(paths, &manifest).unwrap();
    federated.until_true("Ready").unwrap();
    federated.until_true("PeersReachable").unwrap();
    let (mut ours, theirs) = federated.people().unwrap();

    drop(theirs);
    partner::stop(&federated.paths).unwrap();
    let person = lab::person::Person::jdoe1();
    let id = ours.message(&person, "is anybody there?").unwrap();
    let bounced = ours.expect(
        "the message back",
        // The engine retries for as long as a stanza may stay queued.
        Duration::from_mins(4),
        |event| matches!(event, Event::Error { from, .. } if *from == person.address()),
    );
    let named = federated.until_false("PeersReachable", "SomePeersFailed");
    partner::start(&federated.paths).unwrap();
    let Event::Error { text, .. } = bounced.unwrap() else { panic!("no error") };
    assert!(text.contains("refused"), "{id} came back without its cause: {text}");
    let message = named.unwrap();
    assert!(message.contains("partner.example"), "{message}");
    let still_ready = federated.watch.last.is_true("Ready");
    assert!(still_ready, "a peer that is not required does not gate Ready");

    federated.until_true("PeersReachable").unwrap();
    let mut theirs = federated.jdoe1().unwrap();
    conversation::say(&mut ours, &mut theirs, "good to see you", &mut |_| ()).unwrap();
}

fn put_certificate(paths: &Paths, alternative_names: Vec<String>) -> Result<()> {
    let subject = Subject { name: NAME, group: None, alternative_names };
    let pki = paths.pki();
    Authority::create(&pki, "public-ca")?.issue("public", &subject, Usage::Both)?;
    let secret = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "public", "namespace": NAMESPACE},
        "stringData": {
            "tls.crt": read(&pki.join("public.crt"))?,
            "tls.key": read(&pki.join("public.key"))?,
        },
    });
    apply(paths, &secret.to_string())
}
