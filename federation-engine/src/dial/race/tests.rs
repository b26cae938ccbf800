//! The race with paused time and a scripted network; TCP options on loopback.

use std::net::Ipv4Addr;
use std::sync::Mutex;

use tokio::time::Instant;

use super::*;

/// What a scripted address does after so many milliseconds.
#[derive(Clone, Copy)]
enum Fate {
    Connects(u64),
    Refuses(u64),
    Silent,
}

struct Network {
    fates: Vec<Fate>,
    start: Instant,
    /// When each address was started, in milliseconds.
    started: Mutex<Vec<(u16, u128)>>,
}

impl Connect for Network {
    type Stream = u16;

    async fn connect(&self, address: SocketAddr) -> Result<u16, ConnectReason> {
        let port = address.port();
        self.started.lock().unwrap().push((port, self.start.elapsed().as_millis()));
        match self.fates[usize::from(port)] {
            Fate::Connects(ms) => {
                sleep(Duration::from_millis(ms)).await;
                Ok(port)
            }
            Fate::Refuses(ms) => {
                sleep(Duration::from_millis(ms)).await;
                Err(ConnectReason::Refused)
            }
            Fate::Silent => std::future::pending().await,
        }
    }
}

struct Outcome {
    result: Result<u16, Vec<(u16, ConnectReason)>>,
    started: Vec<(u16, u128)>,
    took: u128,
}

async fn run(fates: &[Fate]) -> Outcome {
    let start = Instant::now();
    let network = Network { fates: fates.to_vec(), start, started: Mutex::default() };
    let addresses: Vec<SocketAddr> = (0..u16::try_from(fates.len()).unwrap())
        .map(|port| (Ipv4Addr::LOCALHOST, port).into())
        .collect();
    let result = race(&network, &addresses, Duration::from_secs(10)).await;
    Outcome {
        result: result
            .map(|(stream, address)| {
                assert_eq!(stream, address.port());
                stream
            })
            .map_err(|failed| failed.into_iter().map(|(a, reason)| (a.port(), reason)).collect()),
        started: network.started.into_inner().unwrap(),
        took: start.elapsed().as_millis(),
    }
}

#[tokio::test(start_paused = true)]
async fn rfc8305_5_the_next_address_starts_after_the_delay_and_the_first_connection_wins() {
    let outcome = run(&[Fate::Silent, Fate::Connects(1000), Fate::Connects(30)]).await;
    assert_eq!(outcome.result, Ok(2));
    assert_eq!(outcome.started, [(0, 0), (1, 250), (2, 500)]);
    assert_eq!(outcome.took, 530);
}

#[tokio::test(start_paused = true)]
async fn a_fast_first_address_is_never_rivalled() {
    let outcome = run(&[Fate::Connects(200), Fate::Connects(0)]).await;
    assert_eq!(outcome.result, Ok(0));
    assert_eq!(outcome.started, [(0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_address_lets_the_next_one_start_at_once() {
    let outcome = run(&[Fate::Refuses(10), Fate::Refuses(10), Fate::Connects(10)]).await;
    assert_eq!(outcome.result, Ok(2));
    assert_eq!(outcome.started, [(0, 0), (1, 10), (2, 20)]);
}

#[tokio::test(start_paused = true)]
async fn all_failures_are_listed_in_order_and_time_is_bounded() {
    let outcome = run(&[Fate::Silent, Fate::Refuses(5), Fate::Silent]).await;
    let Err(failed) = outcome.result else { panic!() };
    assert_eq!(
        failed,
        [(0, ConnectReason::TimedOut), (1, ConnectReason::Refused), (2, ConnectReason::TimedOut)]
    );
    assert_eq!(outcome.took, 10_255);
}

#[tokio::test(start_paused = true)]
async fn without_addresses_there_is_nothing_to_wait_for() {
    assert_eq!(run(&[]).await.result, Err(vec![]));
}

#[tokio::test]
async fn a_tcp_connection_has_its_options_and_a_closed_port_its_reason() {
    let tcp = Tcp { keepalive: Duration::from_secs(15), user_timeout: Duration::from_mins(1) };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stream = tcp.connect(address).await.unwrap();
    let socket = SockRef::from(&stream);
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(15));
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_mins(1)));
    drop(listener);
    assert_eq!(tcp.connect(address).await.map(|_| ()), Err(ConnectReason::Refused));
}
