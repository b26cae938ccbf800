//! The program as a prober, and an engine that it reaches.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test states its expectations so")]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use federation_engine::prober::message::{OutsideMode, OutsideOutcome, ProbeAnswer, ProbeRequest};
use federation_engine::prober::signature::{HEADER, Kind, Token};
use harness::claim;
use harness::loopback::{BACKEND_ADDRESS, DEADLINE, Ground, LOCAL, serve, until};
use harness::program::engine;
use rustls::{ClientConnection, StreamOwned};
use s2s_peer::acceptor::Proof;
use s2s_peer::{tls, unverified};

const TOKEN: &str = "the token of this test";

/// The program, killed when dropped.
struct Prober(Child, SocketAddr);

impl Drop for Prober {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn prober(ground: &Ground, networks: &[&str]) -> Prober {
    let listen = claim::port().unwrap();
    ground.write("prober-token", TOKEN).unwrap();
    let mut command = Command::new(engine());
    command.args(["probe", "--listen", &listen.to_string(), "--token-file"]);
    command.arg(ground.path("prober-token"));
    for network in networks {
        command.args(["--allow-network", network]);
    }
    let child = command.stderr(Stdio::null()).spawn().unwrap();
    let prober = Prober(child, listen);
    until("the prober listens", || TcpStream::connect(listen).is_ok()).unwrap();
    prober
}

/// Status line and answer of a request that is signed with this token.
fn ask(prober: &Prober, token: &str, request: &ProbeRequest) -> (String, Option<ProbeAnswer>) {
    let config = unverified::client(None).unwrap();
    let session =
        ClientConnection::new(config, tls::server_name("prober.invalid").unwrap()).unwrap();
    let tcp = TcpStream::connect(prober.1).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut connection = StreamOwned::new(session, tcp);
    let body = serde_json::to_string(request).unwrap();
    let signature = Token::new(token.as_bytes()).unwrap().sign(Kind::Request, body.as_bytes());
    write!(
        connection,
        "POST /v1/probe HTTP/1.1\r\nHost: prober\r\n{HEADER}: {signature}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.lines().next().unwrap().to_owned();
    if !status.contains(" 200 ") {
        return (status, None);
    }
    let signature = head.lines().find_map(|line| line.strip_prefix(&format!("{HEADER}: ")));
    let token = Token::new(TOKEN.as_bytes()).unwrap();
    assert!(token.verify(Kind::Answer, body.as_bytes(), signature.unwrap().as_bytes()));
    (status, Some(serde_json::from_str(body).unwrap()))
}

#[test]
fn a_prober_reaches_an_engine_and_refuses_strangers_and_private_networks() {
    let ground = Ground::new().unwrap();
    let backend = serve(BACKEND_ADDRESS, LOCAL, Proof::Certificate, &ground.backend_ca).unwrap();
    let config = ground.config(backend.address(), claim::port().unwrap());
    let _engine =
        harness::engine::Engine::start(engine(), ground.directory(), &config, ground.admin)
            .unwrap();
    let request = ProbeRequest {
        nonce: "n1".to_owned(),
        domains: vec![LOCAL.parse().unwrap(), "other.example".parse().unwrap()],
        addresses: vec![ground.outer.ip()],
        host: "xmpp.local.example".parse().unwrap(),
        s2s: ground.outer.port(),
        s2s_tls: Some(ground.outer.port()),
    };
    let allowed = prober(&ground, &["127.0.0.0/8"]);
    let (_, answer) = ask(&allowed, TOKEN, &request);
    let answer = answer.unwrap();
    assert_eq!((answer.nonce.as_str(), answer.results.len()), ("n1", 4));
    for result in &answer.results {
        assert_eq!(result.address, Some(ground.outer));
        let is_ours = result.domain.as_str() == LOCAL;
        match &result.outcome {
            OutsideOutcome::Reached { names, .. } => {
                assert!(is_ours && names.contains(&LOCAL.to_owned()), "{result:?}");
            }
            OutsideOutcome::StreamError { condition, .. } => {
                assert!(!is_ours && condition.as_str() == "host-unknown", "{result:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(answer.results.iter().any(|result| result.mode == OutsideMode::DirectTls));
    let (status, _) = ask(&allowed, "the token of somebody else", &request);
    assert!(status.contains(" 401 "), "{status}");

    let strict = prober(&ground, &[]);
    let (_, answer) = ask(
        &strict,
        TOKEN,
        &ProbeRequest { addresses: vec![IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))], ..request },
    );
    let outcome = &answer.unwrap().results[0].outcome;
    assert!(matches!(outcome, OutsideOutcome::NotAllowed { .. }), "{outcome:?}");
}
