//! From a file to a [`Config`], or to the one error that names file, line, column and field.

use std::fs::File as FsFile;
use std::io::Read;
use std::path::{Path, PathBuf};

use crds::engine_file::EngineFile;
use data_encoding::HEXLOWER;
use serde::Deserialize as _;
use sha2::{Digest, Sha256};

use crate::config::error::{ConfigError, ConfigErrorKind};
use crate::config::locate::{locate, position};
use crate::config::{Config, parse};

/// Largest configuration file: what fits into one Kubernetes object.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads and parses a configuration file.
///
/// # Errors
/// The first error; see [`ConfigError`].
pub fn load(file: &Path) -> Result<Config, ConfigError> {
    let whole = |kind| ConfigError {
        file: file.to_owned(),
        position: None,
        field: String::new(),
        kind: Box::new(kind),
    };
    let mut bytes = Vec::new();
    FsFile::open(file)
        .and_then(|opened| opened.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| whole(ConfigErrorKind::Unreadable(error)))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(whole(ConfigErrorKind::FileTooLarge { limit: MAX_FILE_BYTES }));
    }
    let text = String::from_utf8(bytes).map_err(|_| whole(ConfigErrorKind::NotText))?;
    parse_text(&text).map_err(|error| ConfigError { file: file.to_owned(), ..error })
}

/// Parses the text of a configuration file. The error has an empty file name.
///
/// # Errors
/// As [`load`].
pub fn parse_text(text: &str) -> Result<Config, ConfigError> {
    let raw = deserialize(text)?;
    let hash = HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
    parse::parse(raw, hash).map_err(|(field, kind)| ConfigError {
        file: PathBuf::new(),
        position: locate(text, &field),
        field,
        kind: Box::new(kind),
    })
}

fn deserialize(text: &str) -> Result<EngineFile, ConfigError> {
    let mut unknown = None;
    let mut track = serde_path_to_error::Track::new();
    let parsed = serde_saphyr::with_deserializer_from_str(text, |yaml| {
        let tracked = serde_path_to_error::Deserializer::new(yaml, &mut track);
        // The types shared with the resource tolerate unknown fields, because the API server prunes them; here a
        // misspelt one would go unnoticed.
        let mut ignored = |path: serde_ignored::Path<'_>| {
            unknown.get_or_insert_with(|| field_path(&path));
        };
        EngineFile::deserialize(serde_ignored::Deserializer::new(tracked, &mut ignored))
    });
    match (parsed, unknown) {
        (Ok(file), None) => Ok(file),
        (Ok(_), Some(field)) => Err(ConfigError {
            file: PathBuf::new(),
            position: locate(text, &field),
            field,
            kind: Box::new(ConfigErrorKind::UnknownField),
        }),
        (Err(error), _) => {
            let path = track.path().to_string();
            Err(ConfigError {
                file: PathBuf::new(),
                position: error.location().and_then(position),
                // "." is the document, "?" a place without a name.
                field: if matches!(path.as_str(), "." | "?") { String::new() } else { path },
                kind: Box::new(ConfigErrorKind::Malformed(sentence(&error))),
            })
        }
    }
}

/// The parser's message without the position, which [`ConfigError`] names already.
fn sentence(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let Some(location) = error.location() else { return text };
    let suffix = format!(" at line {}, column {}", location.line(), location.column());
    text.strip_suffix(&suffix).map(str::to_owned).unwrap_or(text)
}

fn field_path(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", field_path(parent)),
        Path::Map { parent, key } => {
            let parent = field_path(parent);
            if parent.is_empty() { key.clone() } else { format!("{parent}.{key}") }
        }
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => field_path(parent),
    }
}

#[cfg(test)]
mod tests;
