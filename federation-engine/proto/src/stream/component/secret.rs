//! The handshake of a component (XEP-0114 §3).

use std::fmt;

use data_encoding::HEXLOWER;
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

/// Length of a handshake: SHA-1 in hexadecimal.
const HANDSHAKE_BYTES: usize = 40;

/// The secret that the components of a backend share with the engine. Never printed.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// The secret as configured. None: it is empty.
    pub fn new(secret: &[u8]) -> Option<Self> {
        (!secret.is_empty()).then(|| Self(secret.into()))
    }

    /// Whether the handshake is the lower-case hexadecimal SHA-1 of the stream ID and the secret. Upper-case digits are
    /// accepted, as servers do. Compares in constant time.
    pub fn confirms(&self, id: &str, handshake: &str) -> bool {
        let digest = Sha1::new().chain_update(id.as_bytes()).chain_update(&self.0).finalize();
        let mut expected = [0; HANDSHAKE_BYTES];
        HEXLOWER.encode_mut(&digest, &mut expected);
        handshake.len() == HANDSHAKE_BYTES
            && bool::from(expected.ct_eq(handshake.to_ascii_lowercase().as_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stream ID of the example; the secret that leads to its handshake is not given there, so this one was computed
    /// by another implementation: `printf 3BF96D32test | sha1sum`.
    #[test]
    fn xep0114_3_the_handshake_is_the_digest_of_the_id_and_the_secret() {
        let secret = Secret::new(b"test").unwrap();
        let handshake = HANDSHAKE;
        assert!(secret.confirms("3BF96D32", handshake));
        assert!(secret.confirms("3BF96D32", &handshake.to_uppercase()));
        for wrong in ["", "x", &handshake[1..], &format!("{handshake}0"), &"0".repeat(40)] {
            assert!(!secret.confirms("3BF96D32", wrong), "{wrong}");
        }
        assert!(!secret.confirms("3BF96D33", handshake));
        assert!(!Secret::new(b"Test").unwrap().confirms("3BF96D32", handshake));
    }

    #[test]
    fn a_secret_is_never_printed_and_never_empty() {
        assert_eq!(format!("{:?}", Secret::new(b"test").unwrap()), "Secret(..)");
        assert!(Secret::new(b"").is_none());
    }

    const HANDSHAKE: &str = "aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e";
}
