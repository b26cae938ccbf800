//! Signatures of requests and answers: HMAC-SHA256 (RFC 2104) with the token as key.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header with the signature of the body, in hexadecimal.
pub const HEADER: &str = "xfed-signature";
/// Shortest token in bytes.
pub const MIN_TOKEN: usize = 16;

/// What is signed. A signature of one kind is none of the other, so nobody can send a request back as its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// From the operator.
    Request,
    /// From the prober.
    Answer,
}

impl Kind {
    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Request => b"xfed-probe-request\n",
            Self::Answer => b"xfed-probe-answer\n",
        }
    }
}

/// The secret that operator and prober share. Never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Token(Vec<u8>);

impl Token {
    /// Without white space at its ends, which editors add to files. `None` if it is too short to be secret.
    pub fn new(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        (text.len() >= MIN_TOKEN).then(|| Self(text.to_vec()))
    }

    /// The signature of a body.
    pub fn sign(&self, kind: Kind, body: &[u8]) -> String {
        self.mac(kind, body)
            .map_or_else(String::new, |mac| HEXLOWER.encode(&mac.finalize().into_bytes()))
    }

    /// Whether the signature is that of the body, in constant time.
    pub fn verify(&self, kind: Kind, body: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = HEXLOWER.decode(signature) else { return false };
        self.mac(kind, body).is_some_and(|mac| mac.verify_slice(&signature).is_ok())
    }

    /// `None` never happens, because HMAC takes keys of every length.
    fn mac(&self, kind: Kind, body: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(kind.prefix());
        mac.update(body);
        Some(mac)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_kind_and_body_verify() {
        let token = Token::new(b"0123456789abcdef\n").unwrap();
        let signature = token.sign(Kind::Request, b"body");
        let verifies = |token: &Token, kind, body: &[u8], signature: &str| {
            token.verify(kind, body, signature.as_bytes())
        };
        assert!(verifies(&token, Kind::Request, b"body", &signature));
        assert!(!verifies(&token, Kind::Answer, b"body", &signature));
        assert!(!verifies(&token, Kind::Request, b"other", &signature));
        assert!(!verifies(&token, Kind::Request, b"body", ""));
        let other = Token::new(b"0123456789abcdeF").unwrap();
        assert!(!verifies(&other, Kind::Request, b"body", &signature));
        assert!(Token::new(b"  short  \n").is_none());
    }
}
