//! The limits that both sides announce: XEP-0478.

use super::initiating::{OFFER_DIALBACK, encrypted, established_by_external};
use super::*;

const BEFORE: &str = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes>\
                      <idle-seconds>600</idle-seconds></limits>";
const AFTER: &str = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>524288</max-bytes>\
                     <idle-seconds>600</idle-seconds></limits>";

#[test]
fn xep0478_before_authentication_the_limit_of_that_time_is_notified_and_then_that_of_stanzas() {
    let world = World::trusting(Profile::Strict);
    let mut side = Receiving::direct_tls();
    let written = side.send(&header("them.example", "us.example"), &world);
    assert!(written.contains(BEFORE), "{written}");
    side.send(&auth("="), &world);
    let written = side.send(&header("them.example", "us.example"), &world);
    assert!(written.contains(AFTER), "{written}");
}

#[test]
fn xep0478_where_no_features_follow_dialback_the_limit_of_stanzas_is_notified() {
    let world = World::new(Profile::Standards);
    let mut side = Receiving::direct_tls();
    let written = side.send(&header("them.example", "us.example"), &world);
    assert!(written.contains("urn:xmpp:features:dialback") && written.contains(AFTER), "{written}");
}

#[test]
fn xep0478_the_peers_last_features_say_what_it_accepts() {
    let world = standards();
    assert_eq!(established_by_external(&world).machine.peer_limits().max_bytes, None);
    let mut side = encrypted(&world);
    let limited = |bytes: usize| {
        let limits = format!(
            "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>{bytes}</max-bytes></limits></stream:features>"
        );
        OFFER_DIALBACK.replace("</stream:features>", &limits)
    };
    side.send(&format!("{}{}", response("s2"), limited(20_000)), &world);
    side.send("<db:result from='them.example' to='us.example' type='valid'/>", &world);
    assert_eq!(side.machine.peer_limits().max_bytes, Some(20_000));
}
