//! Server Dialback (XEP-0220), as scripted servers use it.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::element::Element;
use super::error::{PeerError, Result};
use super::namespace::DIALBACK;
use super::stream::Stream;

/// The dialback secret of a server, and the form of its keys.
#[derive(Debug, Clone)]
pub struct Secret {
    text: String,
    digits: usize,
}

impl Secret {
    /// Accepts any text as the secret. The keys are those of XEP-0185: 64 hexadecimal digits.
    pub fn new(secret: impl Into<String>) -> Self {
        Self { text: secret.into(), digits: 64 }
    }

    /// Sets the number of digits of the keys. Only the server that generates keys can distinguish them from others:
    /// XEP-0220 §2.1.1 leaves their form to that server.
    #[must_use]
    pub fn of_digits(self, digits: usize) -> Self {
        Self { digits, ..self }
    }

    /// The key for a stream with that id (XEP-0185 §3), cut to the key length of this server.
    pub fn key(&self, receiving: &str, originating: &str, id: &str) -> String {
        let digest = HEXLOWER.encode(&Sha256::digest(self.text.as_bytes()));
        // HMAC accepts keys of any length.
        let mut key = Hmac::<Sha256>::new_from_slice(digest.as_bytes()).map_or_else(
            |_| String::new(),
            |mut mac| {
                mac.update(format!("{receiving} {originating} {id}").as_bytes());
                HEXLOWER.encode(&mac.finalize().into_bytes())
            },
        );
        key.truncate(self.digits);
        key
    }
}

/// As initiating server: offers the key for (`from`, `to`) on a stream with that id and waits for the result (steps 1
/// and 4).
pub fn authenticate(
    stream: &mut Stream,
    secret: &Secret,
    from: &str,
    to: &str,
    id: &str,
) -> Result<()> {
    let key = secret.key(to, from, id);
    stream.send(format!("<db:result from='{from}' to='{to}'>{key}</db:result>"))?;
    let answer = stream.expect(DIALBACK, "result", "the answer to a dialback key")?;
    match answer.attribute("type") {
        Some("valid") => Ok(()),
        _ => Err(PeerError::Refused { answer: answer.to_string() }),
    }
}

/// As receiving server: queries the authoritative server whether it generated that key (steps 2 and 3).
pub fn verify(stream: &mut Stream, request: &Element, id: &str) -> Result<bool> {
    let (receiving, originating) = pair(request, "to", "from")?;
    let key = &request.text;
    stream.send(format!(
        "<db:verify from='{receiving}' to='{originating}' id='{id}'>{key}</db:verify>"
    ))?;
    let answer = stream.expect(DIALBACK, "verify", "the verification of a dialback key")?;
    Ok(answer.attribute("type") == Some("valid") && answer.attribute("id") == Some(id))
}

/// As authoritative server: answers a request to verify a key (step 3). Returns whether the key was ours.
pub fn answer_verify(stream: &mut Stream, secret: &Secret, request: &Element) -> Result<bool> {
    let (receiving, originating) = pair(request, "from", "to")?;
    let id = request.attribute("id").unwrap_or_default();
    let valid = secret.key(receiving, originating, id) == request.text.trim();
    let verdict = if valid { "valid" } else { "invalid" };
    stream.send(format!(
        "<db:verify from='{originating}' to='{receiving}' id='{id}' type='{verdict}'/>"
    ))?;
    Ok(valid)
}

/// As receiving server: sends the result (step 4).
pub fn answer_result(stream: &mut Stream, request: &Element, valid: bool) -> Result<()> {
    let (from, to) = pair(request, "from", "to")?;
    let verdict = if valid { "valid" } else { "invalid" };
    stream.send(format!("<db:result from='{to}' to='{from}' type='{verdict}'/>"))
}

fn pair<'a>(request: &'a Element, first: &str, second: &str) -> Result<(&'a str, &'a str)> {
    match (request.attribute(first), request.attribute(second)) {
        (Some(first), Some(second)) => Ok((first, second)),
        _ => Err(PeerError::unexpected("a dialback request with from and to", request)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xep0185_example_1_key() {
        let secret = Secret::new("s3cr3tf0rd14lb4ck");
        assert_eq!(
            secret.key("xmpp.example.com", "example.org", "D60000229F"),
            "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643"
        );
    }

    #[test]
    fn shorter_keys_are_still_bound_to_secret_pair_and_stream() {
        let secret = |text: &str| Secret::new(text).of_digits(40);
        let key = secret("s3cr3tf0rd14lb4ck").key("a.example", "b.example", "1");
        assert_eq!(key.len(), 40);
        for other in [
            secret("another").key("a.example", "b.example", "1"),
            secret("s3cr3tf0rd14lb4ck").key("c.example", "b.example", "1"),
            secret("s3cr3tf0rd14lb4ck").key("a.example", "c.example", "1"),
            secret("s3cr3tf0rd14lb4ck").key("a.example", "b.example", "2"),
        ] {
            assert_ne!(key, other);
        }
    }
}
