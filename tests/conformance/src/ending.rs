//! The end of a stream that the target closes.

use std::io::{self, Read as _};

use s2s_peer::element::Element;
use s2s_peer::error::PeerError;
use s2s_peer::namespace::{STREAM_ERRORS, STREAMS};
use s2s_peer::stream::{Item, Stream};

use super::outcome::{Finding, ensure, violated};

/// Everything up to the end of a stream.
#[derive(Debug, Default)]
pub struct Ending {
    /// The elements before the end.
    pub elements: Vec<Element>,
    /// The condition of the stream error, if one was received.
    pub error: Option<String>,
}

impl Ending {
    /// Reads to the end of the stream.
    pub fn of(stream: &mut Stream) -> Finding<Self> {
        let mut ending = Self::default();
        loop {
            match stream.receive("the end of the stream") {
                Ok(Item::Element(element)) if element.is(STREAMS, "error") => {
                    let defined =
                        |child: &&Element| child.namespace == STREAM_ERRORS && child.name != "text";
                    let condition = element.children.iter().find(defined);
                    ending.error =
                        Some(condition.map_or_else(String::new, |child| child.name.clone()));
                }
                Ok(Item::Header(element) | Item::Element(element)) => ending.elements.push(element),
                Ok(Item::End) => return Ok(ending),
                Err(error) if is_disconnection(&error) => return Ok(ending),
                Err(error) => {
                    return violated(format!(
                        "{error}; {} elements were received",
                        ending.elements.len()
                    ));
                }
            }
        }
    }

    /// A description for error messages.
    pub fn seen(&self) -> String {
        let elements: String = self.elements.iter().map(ToString::to_string).collect();
        let text = match &self.error {
            Some(condition) => format!("{elements} closed with {condition}"),
            None => format!("{elements} closed without an error"),
        };
        text.trim_start().to_owned()
    }
}

/// A broken connection without further data also ends the stream.
fn is_disconnection(error: &PeerError) -> bool {
    let of_io = |kind| {
        matches!(
            kind,
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
        )
    };
    matches!(error, PeerError::Io { source, .. } if of_io(source.kind()))
}

/// The stream must end with one of these errors.
pub fn expect_error(stream: &mut Stream, conditions: &[&str]) -> Finding {
    let ending = Ending::of(stream)?;
    let matches = ending.error.as_deref().is_some_and(|error| conditions.contains(&error));
    ensure(matches, || format!("expected {}, got: {}", conditions.join(" or "), ending.seen()))
}

/// The bytes up to the end of the connection, and whether TLS (if used) was closed cleanly.
pub fn rest(stream: &mut Stream) -> Finding<(String, bool)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let orderly = loop {
        stream.transport().begin();
        match stream.transport().read(&mut buffer) {
            Ok(0) => break true,
            Ok(count) => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return violated("the target did not close the connection");
            }
            Err(_) => break false,
        }
    };
    Ok((String::from_utf8_lossy(&bytes).into_owned(), orderly))
}
