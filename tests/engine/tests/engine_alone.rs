//! A domain without a backend: the real engine program answers for it. Loopback only.

#![allow(clippy::unwrap_used, reason = "a test states its expectations so")]

use std::process::Command;

use harness::loopback::{LOCAL, ORDINARY, PEER, World};
use harness::program::engine;
use s2s_peer::element::Element;
use serde_json::json;

const INFO: &str = "http://jabber.org/protocol/disco#info";
const ITEMS: &str = "http://jabber.org/protocol/disco#items";
const FORM: &str = "jabber:x:data";

/// The domain's answer to that query.
fn asked(world: &World, query: &str) -> Element {
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut stream = world.from_peer(Some(&identity), &roots).external().unwrap();
    stream
        .send(format!(
            "<iq type='get' from='romeo@{PEER}/r' to='{LOCAL}' id='d1'><query xmlns='{query}'/></iq>"
        ))
        .unwrap();
    let answer = world.peer.stanza().unwrap();
    assert_eq!(answer.attribute("type"), Some("result"), "{answer}");
    answer.child(query, "query").unwrap().clone()
}

#[test]
fn xep0157_3_contact_addresses_are_notified_and_xep0030_4_the_list_of_items_is_empty() {
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        let settings = config.as_object_mut().unwrap();
        settings.remove("backends");
        settings.remove("backendCa");
        config["domains"] = json!([{
            "name": LOCAL,
            "contact": {"abuse": ["mailto:abuse@local.example", "https://local.example/?a=1&b=2"]},
        }]);
    })
    .unwrap();
    let info = asked(&world, INFO);
    let form = info.child(FORM, "x").unwrap();
    let field = |name| {
        let field = form.children.iter().find(|field| field.attribute("var") == Some(name));
        field.map(|field| field.children.iter().map(|value| value.text.as_str()).collect())
    };
    assert_eq!(field("FORM_TYPE"), Some(vec!["http://jabber.org/network/serverinfo"]));
    assert_eq!(
        field("abuse-addresses"),
        Some(vec!["mailto:abuse@local.example", "https://local.example/?a=1&b=2"])
    );
    assert_eq!(field("admin-addresses"), None);
    assert!(asked(&world, ITEMS).children.is_empty());
}

#[test]
fn a_setting_without_effect_is_named_by_check_and_in_the_log_at_the_start() {
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        config["peerDefaults"] = json!({"probe": {"to": format!("echo@{PEER}")}});
    })
    .unwrap();
    let sentence = "peerDefaults.probe.to: no effect, because the address belongs to one peer; set peers[].probe.to";
    let log = world.engine.log();
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains(sentence)), "{log}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("engine.yaml");
    std::fs::write(&file, world.config.to_string()).unwrap();
    let check = Command::new(engine()).arg("check").arg("--config").arg(file).output().unwrap();
    let report = String::from_utf8(check.stdout).unwrap();
    assert!(check.status.success(), "{report}");
    let (_, list) = report.split_once("\nnotInEffect:\n").unwrap();
    assert!(list.contains(sentence), "{list}");
}
