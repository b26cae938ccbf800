//! Dialback keys (XEP-0185 §2, the method recommended by XEP-0220 §2.1.1).

use std::fmt;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Domain;

/// The secret that all replicas share, in the form in which XEP-0185 uses it: the lower-case hexadecimal text of its
/// SHA-256. Never printed.
#[derive(Clone)]
pub struct Secret([u8; 64]);

/// A dialback key: lower-case hexadecimal text. Not comparable by `==`, whose running time would show an attacker how
/// much of a guess is right; see [`Key::matches`].
#[derive(Clone)]
pub struct Key([u8; 64]);

impl Secret {
    /// Derives it from the secret as configured.
    pub fn new(secret: &[u8]) -> Self {
        Self(hex(&Sha256::digest(secret).into()))
    }

    /// `HMAC-SHA256(hex(SHA256(secret)), "receiving originating stream-id")`.
    ///
    /// `id` is the stream ID of the receiving server's response header after the last restart.
    pub fn key(&self, receiving: &Domain, originating: &Domain, id: &str) -> Key {
        self.key_of_text(receiving.as_str(), originating.as_str(), id)
    }

    fn key_of_text(&self, receiving: &str, originating: &str, id: &str) -> Key {
        // HMAC takes keys of every length, so this branch never runs; an all-zero key would match nothing we issued.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return Key([b'0'; 64]);
        };
        mac.update(receiving.as_bytes());
        mac.update(b" ");
        mac.update(originating.as_bytes());
        mac.update(b" ");
        mac.update(id.as_bytes());
        Key(hex(&mac.finalize().into_bytes().into()))
    }
}

impl Key {
    /// The text to send.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Compares in constant time with a key that a peer sent.
    pub fn matches(&self, presented: &str) -> bool {
        self.0.ct_eq(presented.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    let mut out = [0; 64];
    HEXLOWER.encode_mut(bytes, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xep0185_2_known_keys() {
        for (secret, receiving, originating, id, key) in [
            (
                "s3cr3tf0rd14lb4ck",
                "xmpp.example.com",
                "example.org",
                "D60000229F",
                "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643",
            ),
            (
                "s3cr3tf0rd14lb4ck",
                "montague.example",
                "capulet.example",
                "D60000229F",
                "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3",
            ),
            (
                "d14lb4ck43v3r",
                "capulet.example",
                "montague.example",
                "417GAF25",
                "225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d",
            ),
        ] {
            let made = Secret::new(secret.as_bytes()).key_of_text(receiving, originating, id);
            assert_eq!(made.as_str(), key);
            assert!(made.matches(key));
        }
    }

    #[test]
    fn xep0220_1_2_a_key_is_worth_nothing_for_another_pair_or_stream() {
        let [a, b, c] = ["a.example", "b.example", "c.example"].map(|d| Domain::parse(d).unwrap());
        let secret = Secret::new(b"secret");
        let key = secret.key(&a, &b, "id1");
        for other in
            [secret.key(&b, &a, "id1"), secret.key(&a, &c, "id1"), secret.key(&a, &b, "id2")]
        {
            assert!(!other.matches(key.as_str()));
        }
        assert!(!key.matches(""));
        assert!(!key.matches(&key.as_str()[..63]));
        assert!(!key.matches(&key.as_str().to_uppercase()));
    }

    #[test]
    fn keys_and_secrets_are_not_printed() {
        let secret = Secret::new(b"secret");
        let a = Domain::parse("a.example").unwrap();
        let key = secret.key(&a, &a, "id");
        assert_eq!(format!("{secret:?} {key:?}"), "Secret(..) Key(..)");
    }
}
