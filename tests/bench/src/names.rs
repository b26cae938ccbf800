//! The experiment: how many queries of a backend the engine's DNS server answers per second of its processor time. Each
//! query is for the service of another remote domain, over UDP.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use harness::usage;

use super::error::{BenchError, Result};
use super::relay::Relay;

/// Number of queries: one or two seconds of processor time.
const QUERIES: u32 = 200_000;
/// Queries without an answer at a time, far below the socket buffers, so that none is lost.
const WINDOW: u32 = 64;
/// Maximum silence of the server.
const MAX_SILENCE: Duration = Duration::from_secs(30);

/// Answers per second of the engine's processor time.
pub fn measure(relay: &Relay) -> Result<f64> {
    let pid = relay.engine.pid();
    let socket = client(relay.dns)?;
    // The first ones are not measured: the engine allocates its buffers.
    exchange(&socket, 0, 2_000)?;
    let before = usage::cpu(pid)?;
    exchange(&socket, 2_000, QUERIES)?;
    let used = usage::cpu(pid)?.saturating_sub(before).as_secs_f64();
    Ok(f64::from(QUERIES) / used.max(f64::EPSILON))
}

fn client(server: SocketAddr) -> Result<UdpSocket> {
    let failed = || BenchError::io("opening", "a DNS client");
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed())?;
    socket.set_read_timeout(Some(MAX_SILENCE)).map_err(failed())?;
    socket.connect(server).map_err(failed())?;
    Ok(socket)
}

fn exchange(socket: &UdpSocket, first: u32, count: u32) -> Result<()> {
    let mut buffer = [0; 512];
    let (mut sent, mut received) = (0, 0);
    while received < count {
        while sent < count && sent - received < WINDOW {
            let query = query(first + sent);
            socket.send(&query).map_err(BenchError::io("sending", "a DNS query"))?;
            sent += 1;
        }
        let length =
            socket.recv(&mut buffer).map_err(BenchError::io("receiving", "a DNS answer"))?;
        // NOERROR with recursion available, and one answer.
        let answers = buffer.get(..length).and_then(|answer| answer.get(3..8));
        match answers {
            Some(&[0x80, _, _, 0, 1]) => received += 1,
            other => return Err(BenchError::State(format!("a DNS answer begins with {other:?}"))),
        }
    }
    Ok(())
}

/// A query for the SRV record of a domain of that number, with EDNS.
fn query(number: u32) -> Vec<u8> {
    let [.., high, low] = number.to_be_bytes();
    let mut query = vec![high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    let domain = format!("d{number}");
    for label in ["_xmpp-server", "_tcp", &domain, "example"] {
        query.push(u8::try_from(label.len()).unwrap_or_default());
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 33, 0, 1]);
    query.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    query
}
