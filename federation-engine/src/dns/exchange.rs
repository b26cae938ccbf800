//! Sends one DNS message to one server and receives its answer, over UDP (RFC 1035 §4.2.1) or TCP (§4.2.2, RFC 7766).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Largest answer over UDP. Clients offer 1232 to 4096; larger ones do not cross networks reliably.
const MAX_UDP: usize = 4096;
/// Octets of the header (RFC 1035 §4.1.1).
pub(super) const HEADER: usize = 12;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// No answer in time.
    #[error("{0} did not answer within {1:?}")]
    TimedOut(SocketAddr, Duration),
    /// An error of the operating system.
    #[error("{0}: {1}")]
    Io(SocketAddr, io::Error),
    /// Bytes that are not a DNS answer to the query.
    #[error("{0} sent an invalid DNS answer")]
    Malformed(SocketAddr),
}

/// Queries over UDP, and over TCP if the answer is truncated. The query's ID is replaced by an unpredictable one (RFC
/// 5452 §9.2); the answer carries the caller's ID again.
pub(super) async fn ask(
    server: SocketAddr,
    query: &[u8],
    limit: Duration,
) -> Result<Vec<u8>, ExchangeError> {
    let answer = udp(server, query, limit).await?;
    if is_truncated(&answer) { tcp(server, query, limit).await } else { Ok(answer) }
}

/// Queries over UDP only; the answer may be truncated.
pub(super) async fn udp(
    server: SocketAddr,
    query: &[u8],
    limit: Duration,
) -> Result<Vec<u8>, ExchangeError> {
    let failed = |error| ExchangeError::Io(server, error);
    let (sent, id) = with_fresh_id(query).ok_or(ExchangeError::Malformed(server))?;
    let any: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let exchange = async {
        // A socket for each question: the kernel picks an unpredictable source port, and `connect` drops other senders.
        let socket = UdpSocket::bind(any).await.map_err(failed)?;
        socket.connect(server).await.map_err(failed)?;
        socket.send(&sent).await.map_err(failed)?;
        // One octet more, to see that an answer was cut.
        let mut buffer = vec![0; MAX_UDP + 1];
        loop {
            let length = socket.recv(&mut buffer).await.map_err(failed)?;
            let answer = buffer.get(..length).unwrap_or_default();
            // Data that does not match is forged or late: keep waiting for the real answer.
            if answers(answer, &sent) {
                let answer = with_id(answer, id);
                return Ok(if length > MAX_UDP { truncated(&answer) } else { answer });
            }
        }
    };
    timeout(limit, exchange).await.map_err(|_| ExchangeError::TimedOut(server, limit))?
}

/// Queries over TCP.
pub(super) async fn tcp(
    server: SocketAddr,
    query: &[u8],
    limit: Duration,
) -> Result<Vec<u8>, ExchangeError> {
    let failed = |error| ExchangeError::Io(server, error);
    let (sent, id) = with_fresh_id(query).ok_or(ExchangeError::Malformed(server))?;
    let exchange = async {
        let mut stream = TcpStream::connect(server).await.map_err(failed)?;
        write_framed(&mut stream, &sent).await.map_err(failed)?;
        let length = stream.read_u16().await.map_err(failed)?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await.map_err(failed)?;
        if answers(&answer, &sent) {
            Ok(with_id(&answer, id))
        } else {
            Err(ExchangeError::Malformed(server))
        }
    };
    timeout(limit, exchange).await.map_err(|_| ExchangeError::TimedOut(server, limit))?
}

/// Writes length and message in one segment (RFC 7766 §8).
pub(super) async fn write_framed(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &[u8],
) -> io::Result<()> {
    let length = u16::try_from(message.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "DNS message too long"))?;
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

/// TC in the header.
pub(super) fn is_truncated(message: &[u8]) -> bool {
    message.get(2).is_some_and(|flags| flags & 0b10 != 0)
}

/// Header and question alone, with TC set: the client comes again over TCP (RFC 2181 §9).
fn truncated(answer: &[u8]) -> Vec<u8> {
    let length = HEADER + question(answer).map_or(0, <[u8]>::len);
    let mut out = answer.get(..length).unwrap_or(answer).to_vec();
    if let Some([_, _, flags, _, _, _, counts @ ..]) = out.first_chunk_mut::<HEADER>() {
        *flags |= 0b10;
        counts.fill(0);
    }
    out
}

/// A copy of the query with a random id, and the id that it had.
fn with_fresh_id(query: &[u8]) -> Option<(Vec<u8>, [u8; 2])> {
    let (id, rest) = query.split_first_chunk::<2>()?;
    let mut sent = Vec::with_capacity(query.len());
    sent.extend_from_slice(&rand::random::<[u8; 2]>());
    sent.extend_from_slice(rest);
    Some((sent, *id))
}

fn with_id(message: &[u8], id: [u8; 2]) -> Vec<u8> {
    let mut out = message.to_vec();
    if let Some(place) = out.first_chunk_mut::<2>() {
        *place = id;
    }
    out
}

/// Whether `answer` is a response with the query's id and its question, octet for octet but for case (RFC 5452 §9.1).
/// Servers that fail early may leave the question out.
fn answers(answer: &[u8], query: &[u8]) -> bool {
    let (Some(header), Some(asked)) = (answer.first_chunk::<HEADER>(), question(query)) else {
        return false;
    };
    let [id_high, id_low, flags, _, count_high, count_low, ..] = *header;
    let is_response = flags & 0x80 != 0;
    let same_id = query.first_chunk::<2>() == Some(&[id_high, id_low]);
    let echoed = match (count_high, count_low) {
        (0, 0) => answer.len() == HEADER,
        _ => question(answer).is_some_and(|echo| echo.eq_ignore_ascii_case(asked)),
    };
    is_response && same_id && echoed
}

/// The first question: name, type and class.
pub(super) fn question(message: &[u8]) -> Option<&[u8]> {
    let start = message.get(HEADER..)?;
    let mut end = 0;
    loop {
        let length = usize::from(*start.get(end)?);
        match length {
            0 => return start.get(..end + 5),
            // No compression in a question: there is no earlier name to point to.
            1..=63 => end += length + 1,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u16, response: bool, name: &[u8]) -> Vec<u8> {
        let mut out = id.to_be_bytes().to_vec();
        out.extend([u8::from(response) << 7, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        out.extend(name);
        out.extend([0, 33, 0, 1]);
        out
    }

    #[test]
    fn rfc2181_9_an_answer_that_was_cut_becomes_a_truncated_one() {
        let mut answer = message(7, true, b"\x01a\x07example\0");
        let whole = answer.clone();
        answer[7] = 200;
        answer.extend([0; 5000]);
        let cut = truncated(&answer);
        assert!(is_truncated(&cut) && !is_truncated(&whole));
        assert_eq!((cut.len(), &cut[4..]), (whole.len(), &whole[4..]), "no answers are counted");
    }

    #[test]
    fn rfc5452_9_1_an_answer_has_the_id_and_the_question_of_the_query() {
        let query = message(7, false, b"\x01a\x07example\0");
        assert!(answers(&message(7, true, b"\x01a\x07example\0"), &query));
        assert!(
            answers(&message(7, true, b"\x01A\x07EXAMPLE\0"), &query),
            "case is not kept by all"
        );
        assert!(!answers(&message(8, true, b"\x01a\x07example\0"), &query), "id");
        assert!(!answers(&message(7, false, b"\x01a\x07example\0"), &query), "no response");
        assert!(!answers(&message(7, true, b"\x01b\x07example\0"), &query), "question");
        let mut failure = message(7, true, b"")[..HEADER].to_vec();
        failure[5] = 0;
        assert!(answers(&failure, &query), "an early failure without question");
        for cut in 0..query.len() {
            assert!(!answers(&message(7, true, b"\x01a\x07example\0")[..cut], &query));
        }
        assert!(!answers(&message(7, true, b"\xc0\x0c"), &message(7, false, b"\xc0\x0c")));
    }
}
