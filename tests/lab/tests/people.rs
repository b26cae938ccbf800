//! Tests of the harness itself, without the product. If these fail, the results of the other tests about the federation
//! are worthless.

use std::time::Duration;

use lab::client::{Client, Server};
use lab::error::Result;
use lab::federation::{self, NAME, NAMESPACE};
use lab::kubernetes::apply;
use lab::manifest::render;
use lab::network::{CLUSTER_DNS, Host};
use lab::paths::{Paths, read};
use lab::person::Person;
use lab::pki::{Authority, Subject, Usage};
use lab::public_dns::{LOCAL_ZONE, PARTNER_ZONE, dig};
use lab::scenario::conversation;
use lab::wait::{Seen, Wait};
use lab::{cluster, node, partner, parts};

#[test]
fn two_people_of_one_server_meet_and_chat_in_both_directions() {
    let paths = Paths::from_env().unwrap();
    assert!(cluster::is_well(&paths), "the lab is not up: `make lab`");
    let other = Person::new("neighbour", PARTNER_ZONE);
    partner::reset(&paths).unwrap();
    partner::register(&paths, &other).unwrap();
    let server = federation::partner_server(&paths);
    let mut one = Client::log_in(&paths, Host::Client, &Person::jdoe1(), &server).unwrap();
    let mut other = Client::log_in(&paths, Host::Other, &other, &server).unwrap();
    chat(&mut one, &mut other).unwrap();
}

/// The control experiment: the same two servers, the same DNS and the same LoadBalancer, without an engine between
/// them.
#[test]
fn two_servers_federate_without_the_engine() {
    let paths = Paths::from_env().unwrap();
    assert!(cluster::is_well(&paths), "the lab is not up: `make lab`");
    federation::clear(&paths).unwrap();
    let backend = expose_backend(&paths).unwrap();
    let record = format!("_xmpp-server._tcp.{LOCAL_ZONE}");
    Wait::new("the records of the backend", Duration::from_mins(2))
        .log(paths.daemons().log("external-dns"))
        .until(|| {
            let found = [
                dig(Host::Other, &record, "SRV")?,
                dig(Host::Other, &format!("xmpp.{LOCAL_ZONE}"), "A")?,
            ];
            Ok(Seen::done_if(found.iter().all(|answer| answer.len() == 1), format!("{found:?}")))
        })
        .unwrap();
    federation::wait_for_public_port(&paths, "direct").unwrap();
    let mut ours = Client::log_in(&paths, Host::Node, &Person::cupuser1(), &backend).unwrap();
    let partner = federation::partner_server(&paths);
    let mut theirs = Client::log_in(&paths, Host::Client, &Person::jdoe1(), &partner).unwrap();
    chat(&mut ours, &mut theirs).unwrap();
    federation::clear(&paths).unwrap();
}

fn chat(one: &mut Client, other: &mut Client) -> Result<()> {
    let mut steps = 0;
    conversation::both_directions(one, other, &mut |line| {
        println!("{line}");
        steps += 1;
    })?;
    assert_eq!(steps, 20, "ten steps in each direction");
    Ok(())
}

/// The backend on the internet, with a certificate from an unknown authority. It accepts peers that authenticate by
/// dialback.
fn expose_backend(paths: &Paths) -> Result<Server> {
    node::import_image(paths, &parts::Part::Prosody.file(paths, "prosody.tar")?)?;
    federation::make_namespace(paths)?;
    let pki = paths.pki();
    let alternative_names = vec![LOCAL_ZONE.to_owned()];
    let subject = Subject { name: NAME, group: None, alternative_names };
    Authority::create(&pki, "direct-ca")?.issue("direct", &subject, Usage::Both)?;
    let objects = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": format!("{NAME}-backend-ca"), "namespace": NAMESPACE},
            "data": {"ca.crt": read(&pki.join("direct-ca.crt"))?},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": format!("{NAME}-backend-tls"), "namespace": NAMESPACE},
            "stringData": {
                "tls.crt": read(&pki.join("direct.crt"))?,
                "tls.key": read(&pki.join("direct.key"))?,
            },
        },
    ]});
    apply(paths, &objects.to_string())?;
    let backend = federation::backend_manifest(paths, &CLUSTER_DNS.to_string())?;
    apply(paths, &backend.replace("s2s_secure_auth = true", "s2s_secure_auth = false"))?;
    apply(paths, &render(paths, "direct.yaml", &[])?)?;
    federation::wait_for_backend(paths)?;
    federation::backend_server(paths)
}
