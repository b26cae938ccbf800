//! What `make release` writes: the structure of each artefact. Stand-ins replace the programs, because one machine does not build for
//! both architectures in the time of a test; mkimage refuses a program of the wrong one.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use harness::program;
use lab::command::Run;
use lab::parts::Part;
use lab::paths::Paths;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The programs of the images.
const PROGRAMS: [&str; 2] = ["federation-engine", "xmpp-federation-operator"];
/// What users put into their `PATH`.
const PLUGIN: &str = "kubectl-xfed";
/// `e_machine` of ELF.
const MACHINES: [(&str, u8); 2] = [("amd64", 0x3e), ("arm64", 0xb7)];

/// The header of an ELF program, and its name.
fn stand_in(machine: u8, name: &str) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(18, 0);
    bytes.extend([machine, 0]);
    bytes.extend(name.as_bytes());
    bytes
}

fn stand_ins(below: &Path, machines: [(&str, u8); 2]) {
    for (architecture, machine) in machines {
        let folder = below.join(architecture);
        fs::create_dir_all(&folder).unwrap();
        for name in PROGRAMS.into_iter().chain([PLUGIN]) {
            fs::write(folder.join(name), stand_in(machine, name)).unwrap();
        }
    }
}

fn release(paths: &Paths, programs: &Path) -> Run {
    let helm = Part::Helm.file(paths, "helm").unwrap();
    let mkimage = program::build("mkimage", "mkimage").unwrap();
    let inherited = |name: &str| std::env::var_os(name).unwrap_or_default();
    Run::new(paths.tree().join("scripts/release"))
        .env("XFED_RELEASE_PROGRAMS", programs)
        .env("XFED_BINARIES", mkimage.parent().unwrap())
        .env("HELM", helm)
        .env("HOME", inherited("HOME"))
        .env("PATH", inherited("PATH"))
        .env("CARGO_HOME", inherited("CARGO_HOME"))
}

fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// The files of an OCI image layout. Each blob has the name of its digest.
fn layout(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let listing = Run::new("tar").args(["-tf"]).arg(file).stdout().unwrap();
    let folder = tempfile::tempdir().unwrap();
    Run::new("tar").arg("-xf").arg(file).arg("-C").arg(folder.path()).ok().unwrap();
    let files: BTreeMap<String, Vec<u8>> = listing
        .lines()
        .map(|name| {
            let mut bytes = Vec::new();
            File::open(folder.path().join(name)).unwrap().read_to_end(&mut bytes).unwrap();
            (name.to_owned(), bytes)
        })
        .collect();
    for (name, bytes) in &files {
        if let Some(named) = name.strip_prefix("blobs/sha256/") {
            assert_eq!(digest(bytes), named);
        }
    }
    assert_eq!(json(&files["oci-layout"])["imageLayoutVersion"], "1.0.0");
    files
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// The blob of a descriptor.
fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> &'a [u8] {
    let name = descriptor["digest"].as_str().unwrap().replace(':', "/");
    let bytes = &files[&format!("blobs/{name}")];
    assert_eq!(descriptor["size"], bytes.len());
    bytes
}

#[test]
fn a_release_has_images_plugin_chart_sboms_provenance_and_checksums() {
    let paths = Paths::from_env().unwrap();
    let programs = tempfile::tempdir().unwrap();
    stand_ins(programs.path(), MACHINES);
    release(&paths, programs.path()).ok().unwrap();
    let out = paths.tree().join("dist/release");
    let version = env!("CARGO_PKG_VERSION");

    for name in PROGRAMS {
        let files = layout(&out.join(format!("{name}-{version}.oci.tar")));
        let listed = &json(&files["index.json"])["manifests"][0];
        assert_eq!(listed["annotations"]["org.opencontainers.image.ref.name"], version);
        let index = json(blob(&files, listed));
        for (number, (architecture, machine)) in MACHINES.iter().enumerate() {
            let image = &index["manifests"][number];
            assert_eq!(image["platform"]["architecture"], *architecture);
            let manifest = json(blob(&files, image));
            let config = json(blob(&files, &manifest["config"]));
            assert_eq!(config["architecture"], *architecture);
            assert_eq!(config["config"]["User"], "65532:65532");
            let layer = blob(&files, &manifest["layers"][0]);
            let program = stand_in(*machine, name);
            assert!(layer.windows(program.len()).any(|part| part == program), "{architecture}");
        }
    }

    for (architecture, machine) in MACHINES {
        let plugin = out.join(format!("{PLUGIN}-{version}-linux-{architecture}"));
        assert_eq!(fs::read(&plugin).unwrap(), stand_in(machine, PLUGIN));
        assert_eq!(fs::metadata(&plugin).unwrap().permissions().mode() & 0o777, 0o755);
    }

    let package = fs::read(out.join(format!("xmpp-federation-operator-{version}.tgz"))).unwrap();
    let files = layout(&out.join(format!("xmpp-federation-operator-chart-{version}.oci.tar")));
    let manifest = json(blob(&files, &json(&files["index.json"])["manifests"][0]));
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.cncf.helm.config.v1+json");
    assert_eq!(json(blob(&files, &manifest["config"]))["version"], version);
    assert_eq!(blob(&files, &manifest["layers"][0]), package);

    for name in PROGRAMS {
        let sbom = json(&fs::read(out.join(format!("{name}-{version}.cdx.json"))).unwrap());
        assert_eq!(
            (&sbom["bomFormat"], &sbom["specVersion"]),
            (&"CycloneDX".into(), &"1.6".into())
        );
        assert_eq!(sbom["metadata"]["component"]["name"], name);
        let components = sbom["components"].as_array().unwrap();
        let rustls = components.iter().find(|found| found["name"] == "rustls").unwrap();
        assert!(rustls["purl"].as_str().unwrap().starts_with("pkg:cargo/rustls@"));
        assert!(rustls["hashes"][0]["content"].is_string() && rustls["licenses"][0].is_object());
        // Only tests use it.
        assert!(components.iter().all(|found| found["name"] != "proptest"));
        let refs: Vec<_> = components.iter().map(|found| &found["bom-ref"]).collect();
        for dependency in sbom["dependencies"].as_array().unwrap() {
            for used in dependency["dependsOn"].as_array().unwrap() {
                assert!(refs.contains(&used), "{used}");
            }
        }
    }

    let statement = json(&fs::read(out.join("provenance.intoto.json")).unwrap());
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let subjects = statement["subject"].as_array().unwrap();
    for subject in subjects {
        let bytes = fs::read(out.join(subject["name"].as_str().unwrap())).unwrap();
        assert_eq!(subject["digest"]["sha256"], digest(&bytes));
    }
    let sums = fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    let mut listed: Vec<PathBuf> = Vec::new();
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        assert_eq!(digest(&fs::read(out.join(name)).unwrap()), sum, "{name}");
        listed.push(out.join(name));
    }
    let mut found: Vec<_> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|file| !file.ends_with("SHA256SUMS"));
    found.sort();
    listed.sort();
    assert_eq!(listed, found);
    // All but the checksums and the statement itself.
    assert_eq!(subjects.len(), found.len() - 1);
}

#[test]
fn a_program_of_the_wrong_architecture_is_in_no_image() {
    let programs = tempfile::tempdir().unwrap();
    let file = programs.path().join("program");
    fs::write(&file, stand_in(0x3e, "x")).unwrap();
    let mkimage = program::build("mkimage", "mkimage").unwrap();
    let made = Run::new(mkimage)
        .arg(programs.path().join("out.tar"))
        .args(["x:1", "65532:65532", "/x", "--program"])
        .arg(format!("arm64={}", file.display()))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(error.contains("is no 64-bit ELF program for arm64"), "{error}");
}
