//! Keys at which every chain of signatures must begin (RFC 4033 §2, trust anchor).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hickory_proto::dnssec::TrustAnchors;

/// Maximum size of the file: some hundred keys.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// Keys of the root of the DNS. Cheap to clone; equal when they were read from the same text.
#[derive(Clone)]
pub struct Anchors {
    /// `None`: those of the public DNS.
    text: Option<Arc<str>>,
    keys: Arc<TrustAnchors>,
}

/// Why the keys cannot be loaded. `Display` begins with the file.
#[derive(Debug, thiserror::Error)]
pub enum AnchorsError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// More than any set of keys needs.
    #[error("{}: the file is larger than {MAX_FILE_BYTES} bytes; check that it is the right file", .0.display())]
    TooLarge(PathBuf),
    /// No records, or none of the root.
    #[error(
        "{}: {detail}; expected DNSKEY records of the root, such as `. 3600 IN DNSKEY 257 3 13 <Base64>`",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The error of the parser.
        detail: String,
    },
}

impl Default for Anchors {
    /// The keys of the public DNS.
    fn default() -> Self {
        Self { text: None, keys: Arc::new(TrustAnchors::default()) }
    }
}

impl PartialEq for Anchors {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl std::fmt::Debug for Anchors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Anchors").field("text", &self.text).finish_non_exhaustive()
    }
}

impl Anchors {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`AnchorsError`].
    pub fn load(file: &Path) -> Result<Self, AnchorsError> {
        let path = || file.to_owned();
        let mut text = String::new();
        File::open(file)
            .and_then(|opened| opened.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
            .map_err(|source| AnchorsError::Unreadable { path: path(), source })?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(AnchorsError::TooLarge(path()));
        }
        Self::parse(&text).map_err(|detail| AnchorsError::Malformed { path: path(), detail })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let keys: TrustAnchors =
            text.parse().map_err(|error| format!("cannot parse it: {error}"))?;
        // With a key below the root only, all other zones would be bogus, as no signature shows that they are unsigned.
        if keys.is_empty() {
            return Err("it contains no key of the root".to_owned());
        }
        Ok(Self { text: Some(text.into()), keys: Arc::new(keys) })
    }

    pub(super) fn keys(&self) -> Arc<TrustAnchors> {
        Arc::clone(&self.keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = ". 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=\n";

    #[test]
    fn keys_of_the_root_are_read_and_equal_by_their_text() {
        let anchors = Anchors::parse(ROOT).unwrap();
        assert_eq!(anchors.keys().len(), 1);
        assert_eq!(anchors, Anchors::parse(ROOT).unwrap());
        assert_ne!(anchors, Anchors::default());
        assert_eq!(Anchors::default().keys().len(), 2);
    }

    #[test]
    fn what_has_no_key_of_the_root_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("root.key");
        let below = ROOT.replacen(". ", "example. ", 1);
        for text in ["", below.as_str(), "no records"] {
            std::fs::write(&file, text).unwrap();
            let error = Anchors::load(&file).unwrap_err().to_string();
            assert!(error.starts_with(&file.display().to_string()), "{error}");
            assert!(error.contains("DNSKEY records of the root"), "{error}");
        }
        std::fs::write(&file, " ".repeat(70_000)).unwrap();
        assert!(matches!(Anchors::load(&file), Err(AnchorsError::TooLarge(_))));
        let missing = Anchors::load(Path::new("/nowhere/root.key")).unwrap_err();
        assert!(missing.to_string().starts_with("/nowhere/root.key: "), "{missing}");
    }
}
