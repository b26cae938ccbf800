//! Components (XEP-0114) as backends of the engine: two by unmodified libraries of different languages, slixmpp and
//! mellium, and biboumi, a public gateway to IRC. The peer is scripted, the engine is the real program. Everything is on loopback.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use harness::launch::{Launch, Program, Running};
use harness::loopback::{LOCAL, ORDINARY, PEER, World, eventually};
use harness::{claim, evidence, program};
use lab::debian::Debian;
use lab::parts::{self, Part};
use lab::paths::Paths;
use s2s_peer::element::Element;
use s2s_peer::initiator::Initiator;
use s2s_peer::namespace::SERVER;
use s2s_peer::server::Event;
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

/// The engine with a component for [`BOT`] and [`NEWS`] as a backend, and the addresses for the component and of the
/// evidence.
fn world() -> (World, SocketAddr, SocketAddr) {
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
    (world, server, control.unwrap())
}

/// The outcome of the last round trip to [`BOT`].
fn await_outcome(world: &World, control: SocketAddr, wanted: &str) {
    let roots = world.ground.authority.roots().unwrap();
    eventually("the round trip", &wanted.to_owned(), || {
        let all: Value = evidence::of_all(control, &roots)?;
        let trips = all["backends"].as_array().cloned().unwrap_or_default();
        let trip = trips.iter().find(|trip| trip["domain"] == BOT);
        Ok(trip.and_then(|trip| trip["outcome"].as_str()).unwrap_or_default().to_owned())
    })
    .unwrap();
}

/// Everything that a component must be able to do behind the engine.
fn federates(library: Library) {
    let (world, server, control) = world();
    let roots = world.ground.authority.roots().unwrap();
    let outcome = |wanted: &str| await_outcome(&world, control, wanted);
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
    // New streams are refused without a component; a message on an open one waits for it.
    let component = library.connect(server);
    let mut to_bot = peer_to(BOT);
    drop(component);
    outcome("ComponentNotConnected");
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

/// Service discovery (XEP-0030).
const INFO: &str = "http://jabber.org/protocol/disco#info";
/// The settings of the IRC server.
const IRC_SERVER: &str = r#"<server name="irc.test.example" description="Test" network="Test" id="1AA">
<admin name="test" nick="test" email="test@test.example">
<bind address="ADDRESS" port="6667" type="clients">
<connect name="all" allow="*" resolvehostnames="no" localmax="9" globalmax="9" timeout="60">
<pid file="/run/inspircd.pid">
"#;

/// Starts biboumi as it comes in Debian's package, and an IRC server at this address.
fn biboumi(server: SocketAddr, irc: Ipv4Addr) -> Running {
    let paths = Paths::from_env().unwrap();
    let part = Part::Server(Debian::Biboumi12);
    parts::build_only(&paths, &[part]).unwrap();
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("biboumi");
    // From an earlier run.
    let _ = fs::remove_dir_all(&home);
    let (at, number) = (server.ip(), server.port());
    let program = |name, command: &[&str], listens| Program {
        name,
        command: command.iter().map(|&word| word.to_owned()).collect(),
        environment: vec![("HOME", "/run".to_owned())],
        listens,
        says: None,
    };
    let file = |name: &str, content: String| (name.to_owned(), content);
    let gateway = format!(
        "hostname={BOT}
password={SECRET}
xmpp_server_ip={at}
port={number}
db_name=/run/biboumi.sqlite
log_level=0
"
    );
    Launch {
        files: vec![
            file("inspircd.conf", IRC_SERVER.replace("ADDRESS", &irc.to_string())),
            file("biboumi.cfg", gateway),
            file("resolv.conf", String::new()),
            file("hosts", format!("{irc} irc.test.example\n")),
        ],
        programs: vec![
            program(
                "inspircd",
                &[
                    "/usr/sbin/inspircd",
                    "--nofork",
                    "--runasroot",
                    "--config",
                    "/run/inspircd.conf",
                ],
                vec![(irc, 6667).into()],
            ),
            program("biboumi", &["/usr/bin/biboumi", "/run/biboumi.cfg"], Vec::new()),
        ],
    }
    .start(&part.file(&paths, "rootfs").unwrap(), &home)
    .unwrap()
}

#[test]
fn xep0045_biboumi_brings_a_peer_into_a_channel_of_irc() {
    let (world, server, control) = world();
    let irc = claim::Network::claim().unwrap().host(1);
    let gateway = biboumi(server, irc);
    await_outcome(&world, control, "RoundTripSeen");
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let initiator = world.from_peer(Some(&identity), &roots);
    let mut peer = Initiator { to: BOT, ..initiator }.external().unwrap();
    let juliet = format!("juliet@{PEER}/balcony");
    let awaited = |what: &'static str, is_it: &dyn Fn(&Element) -> bool| {
        let found = world.peer.wait(what, |event| match event {
            Event::Stanza { stanza, .. } if is_it(&stanza) => Some(stanza),
            _ => None,
        });
        found.unwrap_or_else(|error| panic!("{error}\n{}\n{}", gateway.log(), world.engine.log()))
    };

    peer.send(format!(
        "<iq type='get' from='{juliet}' to='{BOT}' id='d1'><query xmlns='{INFO}'/></iq>"
    ))
    .unwrap();
    let info = awaited("service discovery", &|stanza| stanza.attribute("id") == Some("d1"));
    let query = info.child(INFO, "query").unwrap();
    let identity = query.children.iter().find(|child| child.name == "identity").unwrap();
    assert_eq!(identity.attribute("category"), Some("conference"), "{info}");

    let room = format!("#federation%{irc}@{BOT}");
    peer.send(format!(
        "<presence from='{juliet}' to='{room}/juliet'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    ))
    .unwrap();
    let own = format!("{room}/juliet");
    let of_juliet = |stanza: &Element, name: &str| {
        stanza.is(SERVER, name) && stanza.attribute("from") == Some(&own)
    };
    let joined =
        awaited("the presence of the new occupant", &|stanza| of_juliet(stanza, "presence"));
    assert_eq!(joined.attribute("type"), None, "{joined}");
    peer.send(format!(
        "<message type='groupchat' from='{juliet}' to='{room}' id='m1'><body>Gr\u{fc}\u{df}e</body></message>"
    ))
    .unwrap();
    let said = awaited("the message from the room", &|stanza| {
        of_juliet(stanza, "message") && stanza.child(SERVER, "body").is_some()
    });
    assert_eq!(said.child(SERVER, "body").unwrap().text, "Gr\u{fc}\u{df}e", "{said}");
}
