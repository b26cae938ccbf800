//! Dialback as authoritative server: XEP-0220 §2.2.2.

use super::*;
use crate::dialback::KeyVerdict;

fn verify(id: &str, key: &str) -> String {
    format!("<db:verify from='them.example' to='us.example' id='{id}'>{key}</db:verify>")
}

fn key(world: &World, id: &str) -> String {
    world.dialback_key(&domain("them.example"), &domain("us.example"), id).as_str().to_owned()
}

#[test]
fn xep0220_2_2_2_our_own_key_is_valid_without_authentication() {
    let world = World::new(Profile::Standards);
    let (mut side, _) = Receiving::opened(&world);
    let written = side.send(&verify("their-id", &key(&world, "their-id")), &world);
    assert_eq!(
        written,
        "<db:verify from='us.example' to='them.example' id='their-id' type='valid'></db:verify>"
    );
    assert!(matches!(side.actions.last(),
        Some(Action::KeyAnswered { pair: issued, id, answer: KeyVerdict::Valid })
            if *issued == pair("us.example", "them.example") && id == "their-id"));
    assert!(side.authorized().is_empty(), "asking proves nothing");
}

#[test]
fn xep0220_2_2_2_every_other_key_is_invalid() {
    let world = World::new(Profile::Standards);
    let ours = key(&world, "their-id");
    for (id, key) in
        [("other-id", ours.as_str()), ("their-id", "x"), ("their-id", &ours.to_uppercase())]
    {
        let (mut side, _) = Receiving::opened(&world);
        let written = side.send(&verify(id, key), &world);
        assert!(written.contains(" type='invalid'>"), "{id} {key}: {written}");
        assert!(matches!(
            side.actions.last(),
            Some(Action::KeyAnswered { answer: KeyVerdict::Invalid, .. })
        ));
        assert!(!side.closed());
    }
    // The key for another pair.
    let (mut side, _) = Receiving::opened(&world);
    let relayed = verify("their-id", &ours).replace("us.example", "chat.us.example");
    assert!(side.send(&relayed, &world).contains(" type='invalid'>"));
}

#[test]
fn xep0220_2_2_2_a_domain_that_is_not_ours_gets_item_not_found() {
    let world = World::new(Profile::Standards);
    let (mut side, _) = Receiving::opened(&world);
    let written = side.send(&verify("i", "k").replace("us.example", "no.example"), &world);
    assert_dialback_error(&written, "item-not-found");
    assert!(!side.closed());
    assert!(matches!(
        side.actions.last(),
        Some(Action::KeyAnswered { answer: KeyVerdict::Error { .. }, .. })
    ));
}

#[test]
fn verification_never_happens_in_the_clear_where_tls_is_required() {
    let world = World::new(Profile::Standards);
    let mut side = Receiving::new();
    side.send(&header("them.example", "us.example"), &world);
    let written = side.send(&verify("i", &key(&world, "i")), &world);
    assert_dialback_error(&written, "policy-violation");
    let lenient = World::new(Profile::CiscoImp);
    let mut side = Receiving::new();
    side.send(&header("them.example", "us.example"), &lenient);
    assert!(side.send(&verify("i", &key(&lenient, "i")), &lenient).contains(" type='valid'>"));
}

#[test]
fn a_denied_peer_gets_no_answer_about_keys() {
    let world = World {
        denied: vec![pair("them.example", "us.example")],
        ..World::new(Profile::Standards)
    };
    let mut side = Receiving::direct_tls();
    side.send(&header_with("to='us.example' version='1.0'"), &world);
    let written = side.send(&verify("i", &key(&world, "i")), &world);
    assert_dialback_error(&written, "policy-violation");
}
