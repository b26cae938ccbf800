//! The operator and a prober of the engine's crate, over loopback.

use std::net::{IpAddr, Ipv4Addr};

use federation_engine::prober::message::OutsideMode;
use federation_engine::prober::serve::{Settings, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::fixtures::{smallest, validated};

const TOKEN: &str = "the token of this test";

fn loopback() -> IpNet {
    "127.0.0.0/8".parse().unwrap()
}

/// A prober, and what stops it.
async fn prober() -> (SocketAddr, tokio_util::sync::DropGuard) {
    let listen = free_port().await;
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, TOKEN).unwrap();
    let shutdown = CancellationToken::new();
    let guard = Guard { allow_networks: vec![loopback()], own: Vec::new() };
    let settings = Settings { listen, token_file, certificate: None, guard };
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let _folder = folder;
        serve(settings, stop).await.unwrap();
    });
    while TcpStream::connect(listen).await.is_err() {
        tokio::task::yield_now().await;
    }
    (listen, shutdown.drop_guard())
}

async fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    listener.local_addr().unwrap()
}

fn wanted(prober: SocketAddr, token: &str, port: u16, allowed: Vec<IpNet>) -> Wanted {
    let mut spec = smallest();
    spec["service"] = serde_json::json!({"directTls": false});
    let federation = validated(&spec);
    let token = Token::new(token.as_bytes()).unwrap();
    let known = KnownProber { url: format!("https://{prober}"), token };
    let address = Address::Ips(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    let mut wanted = Wanted::of(&federation, Some(&address), &[known]).unwrap();
    wanted.request.s2s = port;
    wanted.allow_networks = allowed;
    wanted
}

#[tokio::test]
async fn a_prober_reports_what_it_sees_and_since_when() {
    let (prober, _stop) = prober().await;
    let rounds = ProberRounds::default();
    let closed = free_port().await.port();
    let first = rounds.gather(wanted(prober, TOKEN, closed, vec![loopback()])).await;
    let [report] = first.reports.as_slice() else { panic!("{first:?}") };
    let results = report.found.as_ref().unwrap();
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].outcome, OutsideOutcome::Refused);
    assert_eq!(results[0].mode, OutsideMode::StartTls);
    assert_eq!(results[0].address, Some((Ipv4Addr::LOCALHOST, closed).into()));
    assert_eq!(report.prober, prober.to_string());
    // The same failure again is no news, and began with the first one.
    let second = rounds.gather(wanted(prober, TOKEN, closed, vec![loopback()])).await;
    assert!(ProberRounds::same(&first, &second));
    assert_eq!(second.reports[0].since, report.at);
    assert!(second.reports[0].at > report.at);
}

#[tokio::test]
async fn a_service_that_is_no_xmpp_server_and_one_that_hangs_up_are_told_apart() {
    let (prober, _stop) = prober().await;
    for (greeting, is_right) in [
        ("SSH-2.0-x\r\n", (|o| matches!(o, OutsideOutcome::NotXmpp { .. })) as fn(&_) -> bool),
        ("", |o| matches!(o, OutsideOutcome::Reset { .. })),
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut header = [0; 1024];
            let _ = stream.read(&mut header).await;
            stream.write_all(greeting.as_bytes()).await.unwrap();
        });
        let rounds = ProberRounds::default();
        let found = rounds.gather(wanted(prober, TOKEN, port, vec![loopback()])).await;
        let results = found.reports[0].found.as_ref().unwrap();
        assert!(is_right(&results[0].outcome), "{greeting:?} {results:?}");
    }
}

#[tokio::test]
async fn a_prober_that_cannot_be_used_is_no_evidence() {
    let (prober, _stop) = prober().await;
    let rounds = ProberRounds::default();
    for (wanted, words) in [
        (wanted(prober, "the token of others", 5269, vec![loopback()]), "it has another token"),
        (wanted(prober, TOKEN, 5269, Vec::new()), "127.0.0.1 is a loopback address"),
        (wanted(free_port().await, TOKEN, 5269, vec![loopback()]), "cannot connect to 127.0.0.1"),
    ] {
        let found = rounds.gather(wanted).await;
        let why = found.reports[0].found.as_ref().unwrap_err();
        assert!(why.starts_with(words), "{why}");
    }
}
