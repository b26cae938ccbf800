//! Pinned keys (RFC 7469 §2.4).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// SHA-256 of a `SubjectPublicKeyInfo`, written `sha256/<Base64>`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Pin([u8; 32]);

/// The text is not a pin.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a pin must be `sha256/` followed by the Base64 SHA-256 (44 characters) of the key's SubjectPublicKeyInfo"
)]
pub struct PinError;

impl Pin {
    /// Pin of a key, from the DER of its `SubjectPublicKeyInfo`.
    pub fn of_spki(spki: &[u8]) -> Self {
        Self(Sha256::digest(spki).into())
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let encoded = text.strip_prefix("sha256/").ok_or(PinError)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| PinError)?;
        Ok(Self(bytes.try_into().map_err(|_| PinError)?))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256/{}", STANDARD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7469_2_4_a_pin_is_read_and_written_in_one_form_only() {
        let pin = Pin::of_spki(b"key");
        assert_eq!(pin.to_string().parse(), Ok(pin));
        for text in ["", "sha256/", "sha1/AAAA", "sha256/AAAA", "AAAA"] {
            assert_eq!(text.parse::<Pin>(), Err(PinError), "{text}");
        }
        let other_padding_bits = format!("sha256/{}B=", "A".repeat(42));
        assert_eq!(other_padding_bits.parse::<Pin>(), Err(PinError));
    }
}
