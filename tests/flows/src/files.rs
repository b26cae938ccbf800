//! Files: an upload to the own server, and a link that the other side follows (XEP-0363, XEP-0066). Only the link passes the
//! engine.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;

use s2s_peer::element::Element;
use s2s_peer::namespace::{CLIENT, STANZA_ERRORS};
use s2s_peer::stream;

use crate::client::DEADLINE;
use crate::error::{FlowError, Result, same, same_content};
use crate::features::DISCO_INFO;
use crate::flow::{Flow, Outcome};
use crate::people::available;
use crate::room::text;
use crate::side::Side;

/// The flows.
pub const FLOWS: &[Flow] = &[
    Flow { name: "file: upload, link, download", run: share },
    Flow { name: "file: a stranger's request for an upload", run: stranger },
];

/// The feature of an upload service, and the namespace of its requests.
const UPLOAD: &str = "urn:xmpp:http:upload:0";
/// A link (XEP-0066).
const OOB: &str = "jabber:x:oob";
/// The content of the file.
const CONTENT: &str = "Ein Gruß & ein <Kuss> aus der Ferne ✉\n";

/// A request for a place to upload to.
fn request(name: &str) -> String {
    let size = CONTENT.len();
    format!("<request xmlns='{UPLOAD}' filename='{name}' size='{size}' content-type='text/plain'/>")
}

/// A file goes to the sender's own server. Its link arrives unchanged at the other side, which follows it.
fn share(senders: &mut Side, receivers: &mut Side) -> Result<Outcome> {
    let service = match senders.service(UPLOAD) {
        Ok(service) => service.to_owned(),
        Err(outcome) => return Ok(outcome),
    };
    let mut sender = available(senders, "uploader")?;
    let mut receiver = available(receivers, "downloader")?;
    let answer = sender.request(&service, "get", &request("Gruß.txt"))?;
    let slot = answer.child(UPLOAD, "slot");
    let part = |name: &str| {
        let part = slot.and_then(|slot| slot.child(UPLOAD, name));
        part.ok_or_else(|| FlowError::differs("the answer to a request for a slot", &name, &answer))
    };
    let link = part("get")?.attribute("url").unwrap_or_default().to_owned();
    let status = put(senders, part("put")?)?;
    same("the answer to the upload", &"201", &status.as_str())?;

    let to = receiver.address().to_owned();
    let oob = format!("<x xmlns='{OOB}'><url>{link}</url><desc>Gruß &amp; Kuss</desc></x>");
    sender.send(&format!(
        "<message type='chat' id='link' to='{to}'><body>{link}</body>{oob}</message>"
    ))?;
    let from = sender.address().to_owned();
    let message = receiver.expect("the link", |stanza| {
        stanza.is(CLIENT, "message") && stanza.attribute("from") == Some(&from)
    })?;
    same("the id", &Some("link"), &message.attribute("id"))?;
    same("the body", &Some(link.as_str()), &text(&message, "body"))?;
    let seen: Vec<Element> = message.child(OOB, "x").into_iter().cloned().collect();
    same_content("the link", &[stream::parse(&oob)?], &seen)?;

    let (address, path) = place(&link)?;
    let answer = exchange(
        receivers,
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"),
    )
    .map_err(FlowError::io("downloading", &link))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    same("the answer to the download", &Some("200"), &head.split(' ').nth(1))?;
    same("the file", &CONTENT, &body)?;
    Ok(Outcome::Passed)
}

/// The service says to a stranger what it says to its own people, and refuses uploads of strangers.
fn stranger(strangers: &mut Side, home: &mut Side) -> Result<Outcome> {
    let service = match home.service(UPLOAD) {
        Ok(service) => service.to_owned(),
        Err(outcome) => return Ok(outcome),
    };
    let mut witness = available(home, "files-witness")?;
    let mut stranger = available(strangers, "files-stranger")?;
    let query = format!("<query xmlns='{DISCO_INFO}'/>");
    let at_witness = witness.request(&service, "get", &query)?;
    let at_stranger = stranger.request(&service, "get", &query)?;
    same_content("the service", &at_witness.children, &at_stranger.children)?;
    let refused = stranger.request(&service, "get", &request("no.txt"))?;
    let error = refused.child(CLIENT, "error");
    let condition = error
        .and_then(|error| error.children.iter().find(|child| child.namespace == STANZA_ERRORS))
        .map(|condition| condition.name.as_str());
    // Servers differ in the word: forbidden, not-allowed.
    if !matches!(condition, Some("forbidden" | "not-allowed")) {
        return Err(FlowError::differs("the answer to a stranger", &"a refusal", &refused));
    }
    same("who refuses", &Some(service.as_str()), &refused.attribute("from"))?;
    Ok(Outcome::Passed)
}

/// The address and the path of a link; its host is an address.
fn place(url: &str) -> Result<(SocketAddr, &str)> {
    let unusual = || FlowError::differs("a link", &"http://ADDRESS:PORT/", &url);
    let rest = url.strip_prefix("http://").ok_or_else(unusual)?;
    let slash = rest.find('/').ok_or_else(unusual)?;
    let (host, path) = rest.split_at(slash);
    Ok((host.parse().map_err(|_| unusual())?, path))
}

/// Uploads the file; returns the status.
fn put(from: &Side, slot: &Element) -> Result<String> {
    let url = slot.attribute("url").unwrap_or_default();
    let (address, path) = place(url)?;
    let length = CONTENT.len();
    let own: String = slot
        .children
        .iter()
        .filter_map(|header| Some(format!("{}: {}\r\n", header.attribute("name")?, header.text)))
        .collect();
    let request = format!(
        "PUT {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n{own}\r\n{CONTENT}"
    );
    let answer = exchange(from, address, &request).map_err(FlowError::io("uploading to", url))?;
    Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
}

/// Sends a request of HTTP from where the people of a side are; returns the answer.
fn exchange(from: &Side, to: SocketAddr, request: &str) -> io::Result<String> {
    let mut tcp = (from.connect)(to)?;
    tcp.set_read_timeout(Some(DEADLINE))?;
    tcp.write_all(request.as_bytes())?;
    let mut answer = String::new();
    tcp.read_to_string(&mut answer)?;
    Ok(answer)
}
