//! The harness itself, without the product: two people of one server on the internet hold the whole conversation. If this
//! fails, what the other tests say about the federation is worth nothing.

use tests::client::{Client, Server};
use tests::network::Host;
use tests::paths::Paths;
use tests::person::Person;
use tests::public_dns::PARTNER_ZONE;
use tests::scenario::conversation;
use tests::{cluster, partner};

#[test]
fn two_people_of_one_server_meet_and_chat_in_both_directions() {
    let paths = Paths::from_env().unwrap();
    assert!(cluster::is_well(&paths), "the lab is not up: `make lab`");
    let (one, other) = (Person::jdoe1(), Person::new("neighbour", PARTNER_ZONE));
    partner::reset(&paths).unwrap();
    partner::register(&paths, &other).unwrap();
    let server = Server { address: Host::Partner.address(), authority: partner::authority(&paths) };
    let mut one = Client::log_in(&paths, Host::Client, &one, &server).unwrap();
    let mut other = Client::log_in(&paths, Host::Other, &other, &server).unwrap();
    let mut steps = 0;
    conversation::both_directions(&mut one, &mut other, &mut |line| {
        println!("{line}");
        steps += 1;
    })
    .unwrap();
    assert_eq!(steps, 20, "ten steps in each direction");
}
