//! Components (XEP-0114) by two unmodified libraries of different languages, slixmpp and mellium, as backends of the
//! engine. The peer is scripted, the engine is the real program. Everything is on loopback.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use harness::loopback::{LOCAL, ORDINARY, PEER, World, eventually};
use harness::{claim, evidence, program};
use lab::parts::{self, Part};
use lab::paths::Paths;
use s2s_peer::initiator::Initiator;
use s2s_peer::namespace::SERVER;
use serde_json::{Value, json};

const BOT: &str = "bot.example";
/// Another domain of the same backend.
const NEWS: &str = "news.example";
const SECRET: &str = "only for this test, on loopback";
/// Debian's Python, for which slixmpp is packaged.
const PYTHON: &str = "/usr/bin/python3";

/// A library.
#[derive(Clone, Copy, Debug)]
enum Library {
    Slixmpp,
    Mellium,
}

/// A running component.
struct Component(Child);

impl Drop for Component {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Library {
    /// Starts its component, which may be refused.
    fn start(self, secret: &str, server: SocketAddr) -> Component {
        let paths = Paths::from_env().unwrap();
        parts::build_only(&paths, &[Part::Components]).unwrap();
        let mut command = match self {
            Self::Slixmpp => {
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("components/echo.py");
                let mut command = Command::new(PYTHON);
                command.arg(script).args([BOT, secret]);
                command.args([server.ip().to_string(), server.port().to_string()]);
                command
            }
            Self::Mellium => {
                let mut command =
                    Command::new(Part::Components.file(&paths, "components").unwrap());
                command.args([BOT, secret, &server.to_string()]);
                command
            }
        };
        Component(command.stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Starts its component and waits until it is authenticated.
    fn connect(self, server: SocketAddr) -> Component {
        let mut component = self.start(SECRET, server);
        let mut line = String::new();
        let output = component.0.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "connected", "{self:?}");
        component
    }
}

/// Everything that a component must be able to do behind the engine.
fn federates(library: Library) {
    let server = claim::port().unwrap();
    let mut control = None;
    let world = World::start_with(program::engine(), ORDINARY, |ground, config| {
        ground.install_certificate_for(&[LOCAL, BOT, NEWS]).unwrap();
        ground.write("component", SECRET).unwrap();
        let secret = ground.path("component").display().to_string();
        let bot = json!({"name": "bot", "component": {"secretFile": secret}});
        config["backends"].as_array_mut().unwrap().push(bot);
        let domains = config["domains"].as_array_mut().unwrap();
        domains.extend([BOT, NEWS].map(|name| json!({"name": name, "backend": "bot"})));
        config["listen"]["component"] = json!(server.to_string());
        control = Some(evidence::serve(ground, config).unwrap());
    })
    .unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let outcome = |wanted: &str| {
        eventually("the round trip", &wanted.to_owned(), || {
            let all: Value = evidence::of_all(control.unwrap(), &roots)?;
            let trips = all["backends"].as_array().cloned().unwrap_or_default();
            let trip = trips.iter().find(|trip| trip["domain"] == BOT);
            Ok(trip.and_then(|trip| trip["outcome"].as_str()).unwrap_or_default().to_owned())
        })
        .unwrap();
    };
    outcome("ComponentNotConnected");
    let refused = library.start("a wrong secret", server);
    outcome("ComponentRejected");
    drop(refused);

    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let peer_to = |to: &'static str| {
        let initiator = world.from_peer(Some(&identity), &roots);
        Initiator { to, ..initiator }.external().unwrap()
    };
    let echoed = |stream: &mut s2s_peer::stream::Stream, to: &str, id: &str| {
        let body = "a &lt; b \u{1F600} &#233;";
        stream
            .send(format!(
                "<message from='juliet@{PEER}/b' to='echo@{to}/r' id='{id}' type='chat'><body>{body}</body></message>"
            ))
            .unwrap();
    };
    let arrives = |from: &str, id: &str| {
        let arrived = world.peer.message().unwrap();
        assert_eq!(arrived.attribute("id"), Some(id), "{arrived}");
        assert_eq!(arrived.attribute("from"), Some(format!("echo@{from}/r").as_str()), "{arrived}");
        let body = arrived.child(SERVER, "body").map(|body| body.text.as_str());
        assert_eq!(body, Some("echo: a < b \u{1F600} \u{e9}"), "{arrived}");
    };
    // A message that waits for the component, then the others.
    let mut to_bot = peer_to(BOT);
    echoed(&mut to_bot, BOT, "m1");
    let component = library.connect(server);
    arrives(BOT, "m1");
    let mut to_news = peer_to(NEWS);
    echoed(&mut to_news, NEWS, "m2");
    arrives(NEWS, "m2");
    outcome("RoundTripSeen");
    // It restarts.
    drop(component);
    outcome("ComponentNotConnected");
    echoed(&mut to_bot, BOT, "m3");
    let _component = library.connect(server);
    arrives(BOT, "m3");
}

#[test]
fn a_component_by_slixmpp_federates() {
    federates(Library::Slixmpp);
}

#[test]
fn a_component_by_mellium_federates() {
    federates(Library::Mellium);
}
