//! A real bot as a component behind the engine: what the status says until it is connected, its messages, and its secret.

use lab::bot;
use lab::client::Client;
use lab::error::Result;
use lab::federation::{self, NAME, NAMESPACE};
use lab::kubernetes::kubectl;
use lab::public_dns::LOCAL_ZONE;
use lab::scenario::conversation;
use lab::scenario::federated::Federated;

#[test]
fn a_bot_is_attached_as_the_status_says_and_its_secret_can_be_replaced() {
    let paths = Federated::stage().unwrap();
    bot::import(&paths).unwrap();
    let manifest = bot::instead_of_the_server(&federation::short_federation(&paths).unwrap());
    federation::federate(&paths, &manifest).unwrap();
    let watch = federation::watch(&paths).unwrap();
    let mut federated = Federated { paths, watch };
    let missing = federated.until_false("ResolvedRefs", "SecretNotFound").unwrap();
    for part in ["backends[im].component.secretRef", "Secret bot"] {
        assert!(missing.contains(part), "{part}: {missing}");
    }

    bot::put_secret(&federated.paths, NAMESPACE, "the first secret").unwrap();
    federated.until_true("ResolvedRefs").unwrap();
    let absent = federated.until_false("BackendReady", "ComponentNotConnected").unwrap();
    for part in [&format!("{NAME}-backend.{NAMESPACE}.svc, port 5347"), "Secret bot"] {
        assert!(absent.contains(part), "{part}: {absent}");
    }
    let configure = federated.watch.last.object.pointer("/status/backends/0/configure").cloned();
    let configure = configure.unwrap_or_default().to_string();
    assert!(configure.contains("port: 5347") && configure.contains(LOCAL_ZONE), "{configure}");

    bot::attach(&federated.paths, NAMESPACE, NAME, LOCAL_ZONE).unwrap();
    federated
        .until("a pong of the bot", |now| now.has("BackendReady", "True", "RoundTripSeen"))
        .unwrap();
    federated.until_true("Ready").unwrap();
    federation::wait_for_public_port(&federated.paths, NAME).unwrap();
    let mut jdoe1 = federated.jdoe1().unwrap();
    let bot = bot::address(LOCAL_ZONE);
    conversation::befriend(&mut jdoe1, &bot, &mut |line| println!("{line}")).unwrap();
    conversation::hear_the_echo(&mut jdoe1, &bot, "Hello, bot! Grüße", &mut |_| ()).unwrap();

    replace_the_secret(&mut federated, &mut jdoe1).unwrap();
    serve_from_two_pods(&mut federated, &mut jdoe1).unwrap();
}

/// The bot is connected to one of two engine pods. A second instance of the bot finds the other pod.
fn serve_from_two_pods(federated: &mut Federated, jdoe1: &mut Client) -> Result<()> {
    kubectl(&federated.paths)?
        .args(["scale", "xfed", NAME, "-n", NAMESPACE, "--replicas=2"])
        .ok()?;
    let one = federated.until_false("BackendReady", "ComponentNotConnected")?;
    for part in ["at engine pod", "Engine pods with a connection:", "run one instance"] {
        assert!(one.contains(part), "{part}: {one}");
    }
    bot::scale(&federated.paths, NAMESPACE, 2)?;
    federated.until_true("BackendReady")?;
    federated.until_true("Ready")?;
    let bot = bot::address(LOCAL_ZONE);
    for body in ["which", "of", "you", "two?"] {
        conversation::hear_the_echo(jdoe1, &bot, body, &mut |_| ())?;
    }
    Ok(())
}

/// The connected bot stays connected with the old secret. The next one authenticates with the new secret.
fn replace_the_secret(federated: &mut Federated, jdoe1: &mut Client) -> Result<()> {
    let bot = bot::address(LOCAL_ZONE);
    bot::put_secret(&federated.paths, NAMESPACE, "the second secret")?;
    conversation::hear_the_echo(jdoe1, &bot, "still there?", &mut |_| ())?;
    bot::scale(&federated.paths, NAMESPACE, 0)?;
    federated.until_false("BackendReady", "ComponentNotConnected")?;
    bot::scale(&federated.paths, NAMESPACE, 1)?;
    federated.until_true("BackendReady")?;
    conversation::hear_the_echo(jdoe1, &bot, "and now?", &mut |_| ())
}
