//! OCI images without a container engine: one layer, deterministic to the byte.
//!
//! Layout and media types: OCI image-spec 1.1, image-layout.md, manifest.md, config.md.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

pub mod error;

use error::{Error, Result};

/// The user and the command of a container of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// User and group as numbers, `65532:65532`: `runAsNonRoot` cannot check names.
    pub user: String,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
}

impl Image {
    /// Writes the image with this name (`localhost/name:tag`) and one layer as a tar file that `ctr images import`
    /// reads.
    pub fn write(&self, out: &Path, name: &str, layer: &[u8]) -> Result<()> {
        let names = names(name)?;
        let (manifest, mut blobs) = self.manifest(Architecture::Amd64, layer);
        let listed = annotated(manifest.descriptor(), &names);
        blobs.push(manifest);
        write_layout(out, &listed, &blobs)
    }

    /// Writes an image index with this name and an image of one layer for each architecture, as a tar file that
    /// `ctr images import` and `skopeo copy oci-archive:` read.
    pub fn write_index(
        &self,
        out: &Path,
        name: &str,
        layers: &[(Architecture, Vec<u8>)],
    ) -> Result<()> {
        let names = names(name)?;
        let (mut blobs, mut manifests) = (Vec::new(), Vec::new());
        for (architecture, layer) in layers {
            let (manifest, mut parts) = self.manifest(*architecture, layer);
            let platform = json!({"architecture": architecture.name(), "os": "linux"});
            manifests.push(with_field(manifest.descriptor(), "platform", platform));
            blobs.append(&mut parts);
            blobs.push(manifest);
        }
        let index = Blob::json(
            "application/vnd.oci.image.index.v1+json",
            &json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": manifests,
            }),
        );
        let listed = annotated(index.descriptor(), &names);
        blobs.push(index);
        write_layout(out, &listed, &blobs)
    }

    /// The manifest of an image of one layer, and the blobs that it names.
    fn manifest(&self, architecture: Architecture, layer: &[u8]) -> (Blob, Vec<Blob>) {
        let layer_blob = Blob::new("application/vnd.oci.image.layer.v1.tar", layer.to_vec());
        let config = Blob::json(
            "application/vnd.oci.image.config.v1+json",
            &json!({
                "architecture": architecture.name(),
                "os": "linux",
                "config": {"User": self.user, "Entrypoint": self.entrypoint},
                "rootfs": {"type": "layers", "diff_ids": [layer_blob.digest()]},
            }),
        );
        let manifest = Blob::json(
            "application/vnd.oci.image.manifest.v1+json",
            &json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": config.descriptor(),
                "layers": [layer_blob.descriptor()],
            }),
        );
        (manifest, vec![layer_blob, config])
    }
}

/// The processors that images are made for, by the names of Go, which the image specification uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64.
    Amd64,
    /// `AArch64`.
    Arm64,
}

impl Architecture {
    /// Its name in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The field `e_machine` of its programs.
    const fn machine(self) -> [u8; 2] {
        match self {
            Self::Amd64 => [0x3e, 0],
            Self::Arm64 => [0xb7, 0],
        }
    }

    /// Whether this is the beginning of a 64-bit little-endian ELF program for it.
    pub fn runs(self, program: &[u8]) -> bool {
        program.starts_with(b"\x7fELF\x02\x01") && program.get(18..20) == Some(&self.machine()[..])
    }
}

impl std::str::FromStr for Architecture {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        [Self::Amd64, Self::Arm64]
            .into_iter()
            .find(|known| known.name() == text)
            .ok_or_else(|| format!("{text}: expected amd64 or arm64"))
    }
}

/// The name and the tag of `registry/name:tag`.
fn names(name: &str) -> Result<[&str; 2]> {
    let tag = name.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'));
    tag.map(|tag| [name, tag]).ok_or_else(|| Error::Name(name.to_owned()))
}

fn annotated(descriptor: Value, [name, tag]: &[&str; 2]) -> Value {
    let names = json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag});
    with_field(descriptor, "annotations", names)
}

fn with_field(mut object: Value, name: &str, value: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
    object
}

/// An image layout that lists one descriptor, as a tar file.
fn write_layout(out: &Path, listed: &Value, blobs: &[Blob]) -> Result<()> {
    let index = json!({"schemaVersion": 2, "manifests": [listed]});
    let failed = || Error::io("writing", out);
    let mut archive = Builder::new(BufWriter::new(File::create(out).map_err(failed())?));
    let mut put = |path: String, bytes: &[u8]| {
        let mut header = plain_header(EntryType::Regular, 0o644);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, path, bytes).map_err(failed())
    };
    put("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    put("index.json".into(), index.to_string().as_bytes())?;
    for blob in blobs {
        put(format!("blobs/sha256/{}", blob.sha256), &blob.bytes)?;
    }
    archive.finish().map_err(failed())
}

struct Blob {
    media_type: &'static str,
    sha256: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        let sha256 = HEXLOWER.encode(&Sha256::digest(&bytes));
        Self { media_type, sha256, bytes }
    }

    fn json(media_type: &'static str, value: &Value) -> Self {
        Self::new(media_type, value.to_string().into_bytes())
    }

    fn digest(&self) -> String {
        format!("sha256:{}", self.sha256)
    }

    fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest(), "size": self.bytes.len()})
    }
}

/// A layer of single files: each path on this machine, and its path in the image. All files are executable and belong
/// to root.
pub fn layer_of_files(files: &[(PathBuf, String)]) -> Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::new());
    for (source, path) in files {
        let bytes = fs::read(source).map_err(Error::io("reading", source))?;
        let mut header = plain_header(EntryType::Regular, 0o755);
        header.set_size(bytes.len() as u64);
        layer
            .append_data(&mut header, path.trim_start_matches('/'), bytes.as_slice())
            .map_err(Error::io("packing", source))?;
    }
    layer.into_inner().map_err(Error::io("packing", "a layer"))
}

/// A layer of a whole root file system, in the order of its paths. All files belong to root and have no timestamps.
pub fn layer_of_tree(root: &Path) -> Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::new());
    let mut paths = Vec::new();
    collect(root, Path::new(""), &mut paths)?;
    for path in paths {
        append(&mut layer, root, &path)?;
    }
    layer.into_inner().map_err(Error::io("packing", root))
}

fn collect(root: &Path, below: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let dir = root.join(below);
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).map_err(Error::io("listing", &dir))? {
        names.push(entry.map_err(Error::io("listing", &dir))?);
    }
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in names {
        let path = below.join(entry.file_name());
        let kind = entry.file_type().map_err(Error::io("looking at", entry.path()))?;
        paths.push(path.clone());
        if kind.is_dir() {
            collect(root, &path, paths)?;
        }
    }
    Ok(())
}

fn append(layer: &mut Builder<Vec<u8>>, root: &Path, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let source = root.join(path);
    let failed = || Error::io("packing", &source);
    let metadata = fs::symlink_metadata(&source).map_err(failed())?;
    let mode = metadata.permissions().mode() & 0o1777;
    if metadata.is_symlink() {
        let target = fs::read_link(&source).map_err(failed())?;
        let mut header = plain_header(EntryType::Symlink, 0o777);
        header.set_size(0);
        return layer.append_link(&mut header, path, target).map_err(failed());
    }
    if metadata.is_dir() {
        let mut header = plain_header(EntryType::Directory, mode);
        header.set_size(0);
        return layer.append_data(&mut header, path, std::io::empty()).map_err(failed());
    }
    // Devices, sockets and pipes belong to a running system, not to an image.
    if !metadata.is_file() {
        return Ok(());
    }
    let mut header = plain_header(EntryType::Regular, mode);
    header.set_size(metadata.len());
    layer.append_data(&mut header, path, File::open(&source).map_err(failed())?).map_err(failed())
}

fn plain_header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        Image { user: "65532:65532".into(), entrypoint: vec!["/program".into()] }
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b"), "two").unwrap();
        fs::write(dir.path().join("a"), "one").unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("c")).unwrap();
        let write = |name: &str| {
            let out = tempfile::NamedTempFile::new().unwrap();
            let layer = layer_of_tree(dir.path()).unwrap();
            image().write(out.path(), name, &layer).unwrap();
            fs::read(out.path()).unwrap()
        };
        assert_eq!(write("localhost/x:1"), write("localhost/x:1"));
        assert_ne!(write("localhost/x:1"), write("localhost/x:2"));
    }

    #[test]
    fn every_blob_is_named_by_its_digest() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "program").unwrap();
        let layer = layer_of_files(&[(file.path().into(), "/program".into())]).unwrap();
        let out = tempfile::NamedTempFile::new().unwrap();
        image().write(out.path(), "localhost/x:1", &layer).unwrap();
        let mut archive = tar::Archive::new(File::open(out.path()).unwrap());
        let mut blobs = 0;
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let Some(name) = path.strip_prefix("blobs/sha256/") else { continue };
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            assert_eq!(Blob::new("", bytes).sha256, name);
            blobs += 1;
        }
        assert_eq!(blobs, 3);
    }

    #[test]
    fn an_index_has_an_image_for_each_architecture() {
        let out = tempfile::NamedTempFile::new().unwrap();
        let layers =
            [(Architecture::Amd64, b"one".to_vec()), (Architecture::Arm64, b"two".to_vec())];
        image().write_index(out.path(), "localhost/x:1", &layers).unwrap();
        let mut files = std::collections::BTreeMap::new();
        for entry in tar::Archive::new(File::open(out.path()).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            files.insert(path, bytes);
        }
        let json = |path: &str| serde_json::from_slice::<Value>(&files[path]).unwrap();
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap().replace(':', "/");
            let path = format!("blobs/{digest}");
            assert_eq!(descriptor["size"], files[&path].len());
            path
        };
        let index = json(&blob(&json("index.json")["manifests"][0]));
        for (number, (architecture, layer)) in layers.iter().enumerate() {
            let listed = &index["manifests"][number];
            assert_eq!(listed["platform"]["architecture"], architecture.name());
            let manifest = json(&blob(listed));
            assert_eq!(json(&blob(&manifest["config"]))["architecture"], architecture.name());
            assert_eq!(files[&blob(&manifest["layers"][0])], *layer);
        }
    }

    #[test]
    fn a_program_runs_on_the_machine_of_its_header() {
        let mut program = b"\x7fELF\x02\x01\x01".to_vec();
        program.resize(18, 0);
        program.extend([0xb7, 0]);
        assert!(Architecture::Arm64.runs(&program) && !Architecture::Amd64.runs(&program));
        assert!(!Architecture::Arm64.runs(b"#!/bin/sh"));
        assert!("riscv64".parse::<Architecture>().is_err());
    }

    #[test]
    fn a_name_without_a_tag_is_refused() {
        let out = tempfile::NamedTempFile::new().unwrap();
        let error = image().write(out.path(), "localhost:5000/x", &[]).unwrap_err();
        assert!(error.to_string().contains("has no tag"), "{error}");
    }
}
