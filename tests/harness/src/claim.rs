//! Ports and loopback networks that one process reserves until it exits. Other processes of the machine that claim
//! ports here do not get them: tests run as parallel processes, also those of two clones.
//!
//! A claim is an abstract Unix socket (unix(7)) with that name. The kernel gives a name to one process of a network
//! namespace. It releases the name when the process exits for any reason. Child processes do not inherit it.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::sync::{Mutex, PoisonError};

/// The range of ports that can be claimed: user ports below the port range of Kubernetes Services (30000 to 32767).
const PORTS: RangeInclusive<u16> = 10_000..=29_999;
/// Second and third byte of networks that can be claimed: 127.64.0.0/24 to 127.127.255.0/24.
const NETWORKS: RangeInclusive<u16> = 0x4000..=0x7fff;
/// The range from which the kernel assigns a port to a socket that requests none.
const EPHEMERAL: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// The sockets that hold the claims of this process.
static CLAIMS: Mutex<Vec<UnixDatagram>> = Mutex::new(Vec::new());

/// A port of 127.0.0.1 on which no process listens. No other claim returns it, for any loopback address. The kernel
/// does not assign it to a socket that requests no port.
pub fn port() -> io::Result<SocketAddr> {
    let ephemeral = ephemeral_ports()?;
    let port = first(PORTS, |port| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(!ephemeral.contains(&port) && claim(&format!("port {port}"))? && is_free(address))
    })?;
    Ok((Ipv4Addr::LOCALHOST, port).into())
}

/// A network of 254 loopback addresses; a test may use all their ports.
#[derive(Debug, Clone, Copy)]
pub struct Network(u16);

impl Network {
    /// Claims a network.
    pub fn claim() -> io::Result<Self> {
        first(NETWORKS, |number| claim(&format!("network {}", Self(number).host(0)))).map(Self)
    }

    /// The address with that last byte.
    pub fn host(self, host: u8) -> Ipv4Addr {
        let [second, third] = self.0.to_be_bytes();
        Ipv4Addr::new(127, second, third, host)
    }
}

/// The first number of the range that is free. Each process starts at a different number, so that few attempts fail.
fn first(
    all: RangeInclusive<u16>,
    mut can_be_had: impl FnMut(u16) -> io::Result<bool>,
) -> io::Result<u16> {
    let (low, count) = (u32::from(*all.start()), u32::from(all.end() - all.start()) + 1);
    // The golden ratio spreads consecutive process ids (Knuth).
    let begin = std::process::id().wrapping_mul(0x9e37_79b9) >> 8;
    for step in 0..count {
        let candidate = low + begin.wrapping_add(step) % count;
        let Ok(candidate) = u16::try_from(candidate) else { continue };
        if can_be_had(candidate)? {
            return Ok(candidate);
        }
    }
    Err(io::Error::other(format!("all of {all:?} are claimed or in use")))
}

/// Claims the name. Returns whether the name was free.
fn claim(name: &str) -> io::Result<bool> {
    let name = UnixAddress::from_abstract_name(format!("xmpp-federation {name}"))?;
    match UnixDatagram::bind_addr(&name) {
        Ok(socket) => {
            CLAIMS.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the port is free of programs that do not use claims.
fn is_free(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
}

fn ephemeral_ports() -> io::Result<RangeInclusive<u16>> {
    let text = fs::read_to_string(EPHEMERAL)?;
    let mut ports = text.split_whitespace().map(str::parse);
    match (ports.next(), ports.next()) {
        // If the range of the kernel covers all our ports, the machine has no better ones.
        (Some(Ok(low)), Some(Ok(high))) if low <= *PORTS.start() && high >= *PORTS.end() => {
            Ok(RangeInclusive::new(1, 0))
        }
        (Some(Ok(low)), Some(Ok(high))) => Ok(low..=high),
        _ => Err(io::Error::other(format!("{EPHEMERAL} has no two ports: {text:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The claims that the child process of the test attempts, in its environment.
    const CHILD: &str = "XFED_TEST_CLAIMS";

    #[test]
    fn what_a_process_has_claimed_no_other_one_gets_before_it_ends() {
        if let Ok(names) = std::env::var(CHILD) {
            let got: Vec<&str> = names.split(',').filter(|name| claim(name).unwrap()).collect();
            println!("claimed {got:?}");
            return;
        }
        let (port, network) = (port().unwrap().port(), Network::claim().unwrap().host(0));
        let free = format!("test {}", std::process::id());
        let name = "claim::tests::what_a_process_has_claimed_no_other_one_gets_before_it_ends";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, format!("port {port},network {network},{free}"))
            .output()
            .unwrap();
        let said = String::from_utf8(child.stdout).unwrap();
        assert!(said.contains(&format!("claimed {:?}", [&free])), "{said}");
        assert!(claim(&free).unwrap(), "it ended, and its claim with it");
        assert!(!claim(&free).unwrap(), "nor twice in one process");
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_given() {
        let taken = port().unwrap();
        assert!(is_free(taken));
        let _listener = TcpListener::bind(taken).unwrap();
        assert!(!is_free(taken));
        assert!(!ephemeral_ports().unwrap().contains(&taken.port()));
    }
}
