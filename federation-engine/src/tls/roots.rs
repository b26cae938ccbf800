//! Roots from files and from the system.

use std::path::{Path, PathBuf};

use s2s_proto::certificate::trust::{Trust, TrustError};

/// Why a file of roots cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Its content cannot be used.
    #[error(transparent)]
    Content(#[from] TrustError),
}

/// The roots of the operating system (or of `SSL_CERT_FILE`). Where there are none, as in an image without files, Mozilla's
/// roots as they were when this program was built.
pub fn system() -> Trust {
    let native = Trust::of_certificates(&rustls_native_certs::load_native_certs().certs);
    if native.is_empty() { Trust::of_anchors(webpki_roots::TLS_SERVER_ROOTS) } else { native }
}

/// Reads bundles from PEM files and, if wanted, the system's roots.
///
/// # Errors
/// The first file that cannot be used; see [`RootsError`].
pub fn load<P: AsRef<Path>>(system_roots: bool, bundles: &[P]) -> Result<Trust, RootsError> {
    let mut trust = if system_roots { system() } else { Trust::none() };
    for path in bundles {
        let path = path.as_ref();
        let pem = std::fs::read(path)
            .map_err(|source| RootsError::Unreadable { path: path.to_owned(), source })?;
        trust = trust.and(&Trust::from_pem(&pem, &path.display().to_string())?);
    }
    Ok(trust)
}

#[cfg(test)]
mod tests {
    use super::*;
    use s2s_proto::certificate::testing::Ca;

    #[test]
    fn bundles_are_read_and_what_is_wrong_with_one_is_named_with_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let (one, two) = (Ca::root("One").certificate.pem(), Ca::root("Two").certificate.pem());
        let good = file("good.crt", &format!("# comment\n{one}{two}"));
        assert_eq!(load(false, &[&good, &good]).unwrap().len(), 4);
        let empty = file("empty.crt", "nothing here");
        let broken = file("broken.crt", &format!("{one}{}", two.replace("MIIB", "AAAA")));
        for (path, expected) in [
            (&directory.path().join("absent.crt"), "absent.crt: No such file"),
            (&empty, "empty.crt: contains no certificate"),
            (&broken, "broken.crt: certificate 2 is malformed"),
        ] {
            let error = load(false, &[&good, path]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn there_are_system_roots_even_where_the_system_has_none() {
        assert!(system().len() > 50);
    }
}
