//! Real resolvers query the engine's DNS server, and real servers find the engine with the resolver that they have. The
//! engine is alone; everything is in a network namespace of its own.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::loopback::until;
use harness::program;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use interop::release::Release;
use interop::resolvers::{ELSEWHERE, ENGINE_NAME, Library, Resolved, Scene, of_a_backend, output};
use interop::sandbox;
use lab::debian::Debian;
use lab::parts::{self, Part};
use lab::paths::Paths;

const REMOTE: &str = "partner.example";

/// Runs the scene in the namespaces of the test with that name, after building the part.
fn inside(test: &str, part: Option<Part>, scene: impl FnOnce(&Path)) {
    if let Some(engine) = sandbox::engine() {
        return scene(&engine);
    }
    let parts: Vec<Part> = part.into_iter().collect();
    parts::build_only(&Paths::from_env().unwrap(), &parts).unwrap();
    assert!(sandbox::enter(test, program::engine()).unwrap(), "see above");
}

/// The server as backend shows that it uses this resolver library, or none.
fn uses(test: &str, release: Release, library: Option<Library>) {
    inside(test, Some(release.part()), |engine| {
        let shown = of_a_backend(release, engine).unwrap();
        assert_eq!(shown.libraries, library.into_iter().collect::<BTreeSet<_>>());
        assert!(shown.answered > 0, "the engine answered no query");
    });
}

#[test]
fn prosody_0_12_finds_the_engine_by_libunbound() {
    let test = "prosody_0_12_finds_the_engine_by_libunbound";
    uses(test, Release::Prosody0_12, Some(Library::Unbound));
}

#[test]
fn prosody_13_finds_the_engine_by_libunbound() {
    uses("prosody_13_finds_the_engine_by_libunbound", Release::Prosody13, Some(Library::Unbound));
}

#[test]
fn ejabberd_23_finds_the_engine_by_erlangs_own_resolver() {
    uses("ejabberd_23_finds_the_engine_by_erlangs_own_resolver", Release::Ejabberd23, None);
}

#[test]
fn ejabberd_24_finds_the_engine_by_erlangs_own_resolver() {
    uses("ejabberd_24_finds_the_engine_by_erlangs_own_resolver", Release::Ejabberd24, None);
}

#[test]
fn jabberd2_finds_the_engine_by_udns() {
    uses("jabberd2_finds_the_engine_by_udns", Release::Jabberd2, Some(Library::Udns));
}

/// An engine whose backend is not there.
fn scene(engine: &Path) -> Scene {
    Scene::start(engine, SocketAddr::from((Ipv4Addr::new(127, 0, 70, 3), 5269)), "Minted").unwrap()
}

/// The names that every resolver is asked for: the service of a remote domain with STARTTLS and with Direct TLS, the
/// engine, a name of the ordinary DNS, and one that does not exist.
fn names() -> [String; 5] {
    [
        format!("_xmpp-server._tcp.{REMOTE}"),
        format!("_xmpps-server._tcp.{REMOTE}"),
        ENGINE_NAME.to_owned(),
        ELSEWHERE.0.to_owned(),
        "absent.elsewhere.example".to_owned(),
    ]
}

#[test]
fn libunbound_gets_the_engine_for_remote_domains_and_the_rest_from_the_resolver() {
    let test = "libunbound_gets_the_engine_for_remote_domains_and_the_rest_from_the_resolver";
    inside(test, Some(Part::Server(Debian::Prosody13)), |engine| {
        let scene = scene(engine);
        let home = scene.home("unbound").unwrap();
        let script = format!(
            r#"local context = require "lunbound".new {{ resolvconf = false, hoststxt = false, forward = {{ "{dns}" }},
  options = {{ ["do-not-query-localhost:"] = "no" }} }}
local function ask(name, kind)
  local result = assert(context:resolve(name, kind, 1))
  local data = {{}}
  for index = 1, #result do
    data[index] = result[index]:gsub(".", function (octet) return ("%02x"):format(octet:byte()) end)
  end
  print(result.nxdomain and "absent" or table.concat(data, ","))
end
for _, question in ipairs {{ {{ "{0}", 33 }}, {{ "{1}", 33 }}, {{ "{2}", 1 }}, {{ "{3}", 1 }}, {{ "{4}", 1 }} }} do
  ask(question[1], question[2])
end
"#,
            names()[0],
            names()[1],
            names()[2],
            names()[3],
            names()[4],
            dns = Scene::DNS,
        );
        fs::write(home.join("ask.lua"), script).unwrap();
        let command = ["/usr/bin/lua5.4", "/run/ask.lua"];
        let found = output(Debian::Prosody13, &home, &command, &[]).unwrap();
        let lines: Vec<&str> = found.lines().collect();
        let hex = |octets: &[u8]| {
            octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().concat()
        };
        let target: Vec<String> = ENGINE_NAME
            .split('.')
            .map(|label| format!("{:02x}{}", label.len(), hex(label.as_bytes())))
            .collect();
        let srv = format!("00000000{:04x}{}00", scene.port(), target.concat());
        let engine = hex(&[127, 0, 0, 1]);
        assert_eq!(scene.address(), Ipv4Addr::LOCALHOST);
        let elsewhere = hex(&ELSEWHERE.1.octets());
        assert_eq!(lines, [&*srv, "", &*engine, &*elsewhere, "absent"], "{found}");
        assert!(scene.queries("Forwarded").unwrap() >= 2);
    });
}

#[test]
fn erlangs_resolver_gets_the_engine_for_remote_domains_and_the_rest_from_the_resolver() {
    let test = "erlangs_resolver_gets_the_engine_for_remote_domains_and_the_rest_from_the_resolver";
    inside(test, Some(Part::Server(Debian::Ejabberd13)), |engine| {
        let scene = scene(engine);
        let home = scene.home("erlang").unwrap();
        for (name, content) in harness::launch::ejabberd::resolver(Scene::DNS) {
            fs::write(home.join(name), content).unwrap();
        }
        let root = Part::Server(Debian::Ejabberd13).file(&Paths::from_env().unwrap(), "rootfs");
        let program = harness::launch::ejabberd::program(&root.unwrap(), Vec::new()).unwrap();
        let runtime = &program.command[0];
        let [starttls, direct, engine_name, elsewhere, absent] = names();
        let ask = format!(
            "Ask = fun(N, T) -> io:format(\"~p~n\", [inet_res:lookup(N, in, T)]) end, Ask(\"{starttls}\", srv), Ask(\"{direct}\", srv), Ask(\"{engine_name}\", a), Ask(\"{elsewhere}\", a), Ask(\"{absent}\", a), halt()."
        );
        let command = [runtime, "-noinput", "-noshell", "-eval", &ask];
        let environment: Vec<(&str, &str)> =
            program.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let found = output(Debian::Ejabberd13, &home, &command, &environment).unwrap();
        let lines: Vec<&str> = found.lines().collect();
        let srv = format!("[{{0,0,{},\"{ENGINE_NAME}\"}}]", scene.port());
        assert_eq!(lines, [&*srv, "[]", "[{127,0,0,1}]", "[{198,18,7,7}]", "[]"], "{found}");
    });
}

/// The answer of the C library to a question about SRV records; the machine's own resolver configuration leads to the
/// engine.
fn res_query(name: &str) -> Option<Message> {
    const ASK: &str = "import ctypes, sys
library = ctypes.CDLL('libresolv.so.2')
ask = getattr(library, 'res_query', None) or library.__res_query
buffer = ctypes.create_string_buffer(4096)
length = ask(sys.argv[1].encode(), 1, 33, buffer, len(buffer))
print(buffer.raw[:length].hex() if length > 0 else '')";
    let output = Command::new("/usr/bin/python3").args(["-c", ASK, name]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let text = text.trim();
    let octets: Vec<u8> = (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    (!octets.is_empty()).then(|| Message::from_vec(&octets).unwrap())
}

/// The addresses that the C library finds.
fn getent(name: &str) -> Vec<String> {
    let output = Command::new("getent").args(["hosts", name]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let address = |line: &str| line.split_whitespace().next().map(str::to_owned);
    text.lines().filter_map(address).collect()
}

fn srv(message: &Message) -> Vec<(u16, String)> {
    let record = |record: &hickory_proto::rr::Record| match &record.data {
        RData::SRV(srv) => Some((srv.port, srv.target.to_ascii())),
        _ => None,
    };
    message.answers.iter().filter_map(record).collect()
}

#[test]
fn libc_gets_the_engine_for_remote_domains_and_the_rest_from_the_resolver() {
    let test = "libc_gets_the_engine_for_remote_domains_and_the_rest_from_the_resolver";
    inside(test, None, |engine| {
        let scene = scene(engine);
        let [starttls, direct, engine_name, elsewhere, absent] = names();
        let found = srv(&res_query(&starttls).unwrap());
        assert_eq!(found, [(scene.port(), format!("{ENGINE_NAME}."))]);
        assert!(res_query(&direct).is_none(), "no data is no answer for res_query");
        assert_eq!(getent(&engine_name), ["127.0.0.1"]);
        assert_eq!(getent(&elsewhere), [ELSEWHERE.1.to_string()]);
        assert_eq!(getent(&absent), Vec::<String>::new());
    });
}

/// The answer of a resolver; `None` if none comes soon.
fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Option<Message> {
    let mut query = Message::new(7, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), kind));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket.connect(server).unwrap();
    // Refused while nothing listens there.
    socket.send(&query.to_vec().unwrap()).ok()?;
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    Some(Message::from_vec(&buffer[..length]).unwrap())
}

#[test]
fn systemd_resolved_gets_the_engine_for_remote_domains_and_the_rest_from_the_resolver() {
    let test = "systemd_resolved_gets_the_engine_for_remote_domains_and_the_rest_from_the_resolver";
    inside(test, Some(Part::Server(Debian::Resolved12)), |engine| {
        let scene = scene(engine);
        let _resolved = Resolved::start(&scene).unwrap();
        let ask = |name: &str, kind| ask(Resolved::ADDRESS, name, kind);
        let [starttls, direct, engine_name, elsewhere, absent] = names();
        // It answers with SERVFAIL until it has seen its interfaces.
        let is_ready = || ask(&starttls, RecordType::SRV).is_some_and(|m| !m.answers.is_empty());
        until("systemd-resolved", is_ready).unwrap();
        let found = srv(&ask(&starttls, RecordType::SRV).unwrap());
        assert_eq!(found, [(scene.port(), format!("{ENGINE_NAME}."))]);
        let none = ask(&direct, RecordType::SRV).unwrap();
        assert_eq!((none.metadata.response_code, none.answers.len()), (ResponseCode::NoError, 0));
        let address = |name: &str| {
            let answer = ask(name, RecordType::A).unwrap();
            let of = |record: &hickory_proto::rr::Record| match &record.data {
                RData::A(a) => Some(a.0),
                _ => None,
            };
            answer.answers.iter().filter_map(of).collect::<Vec<_>>()
        };
        assert_eq!(address(&engine_name), [Ipv4Addr::LOCALHOST]);
        assert_eq!(address(&elsewhere), [ELSEWHERE.1]);
        let missing = ask(&absent, RecordType::A).unwrap();
        assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    });
}
