//! Log level and traces change with the configuration while the engine runs. The real engine program between scripted servers and a
//! collector of traces. Loopback only.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use harness::loopback::{CLOSED, DEADLINE, LOCAL, ORDINARY, World, until};
use harness::program::engine;
use serde_json::{Value, json};

/// The bodies of what a collector at the listener receives.
fn collect(listener: TcpListener) -> Receiver<Vec<u8>> {
    let (tell, received) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if line == "\r\n" {
                    break;
                }
                if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            if tell.send(body).is_err() {
                return;
            }
        }
    });
    received
}

fn reload(world: &mut World, observability: Value) {
    let before = world.engine.log().matches("configuration reloaded").count();
    world.config["observability"] = observability;
    world.ground.write("engine.yaml", &format!("{:#}", world.config)).unwrap();
    // At the level `Error`, the line is not logged.
    if world.config["observability"]["logLevel"] != "Error" {
        until("the reload", || {
            world.engine.log().matches("configuration reloaded").count() > before
        })
        .unwrap();
    }
}

fn has(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn a_failed_outbound_stream_is_a_trace_and_the_level_of_the_log_changes() {
    let mut world = World::start(engine(), ORDINARY).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let collector = listener.local_addr().unwrap().to_string();
    let received = collect(listener);
    assert!(!world.engine.log().contains("DEBUG"), "{}", world.engine.log());
    reload(&mut world, json!({"logLevel": "Debug", "traces": {"collector": collector}}));

    let mut stream = world.stream_from_backend(CLOSED).unwrap();
    let stanza = format!(
        "<message from='juliet@{LOCAL}/b' to='tybalt@{CLOSED}' id='1' type='chat'><body>?</body></message>"
    );
    stream.send(stanza).unwrap();
    until("a failed attempt", || {
        world.count("dials_total", &[("result", "ConnectRefused")]).unwrap() >= 1
    })
    .unwrap();
    until("a line at debug", || world.engine.log().contains("DEBUG")).unwrap();

    // What waits is sent when the export ends.
    reload(&mut world, json!({}));
    let body = received.recv_timeout(DEADLINE).unwrap();
    for text in
        ["federation-engine", "outbound stream", "lookup", "connect", CLOSED, "ConnectRefused"]
    {
        assert!(has(&body, text), "{text} is not in {}", String::from_utf8_lossy(&body));
    }
}
