//! Prints the `CustomResourceDefinition`s as YAML; `--write DIR` writes them there, `--check DIR` fails when one differs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Why the manifest was not written or is not as it should be.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("usage: crdgen [--write DIR | --check DIR]")]
    Usage,
    #[error("a definition cannot be written as YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} differs from the types: run `crdgen --write {}`", path.display(), directory.display())]
    Drift { path: PathBuf, directory: PathBuf },
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("crdgen: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Failure> {
    let manifests = crds::manifest::manifests()?;
    match arguments {
        [] => {
            let all: Vec<&str> = manifests.iter().map(|manifest| manifest.yaml.as_str()).collect();
            std::io::stdout()
                .write_all(all.join("---\n").as_bytes())
                .map_err(|source| Failure::File { path: "stdout".into(), source })
        }
        ["--write", directory] => manifests.iter().try_for_each(|manifest| {
            let path = Path::new(directory).join(&manifest.file_name);
            std::fs::write(&path, &manifest.yaml).map_err(|source| Failure::File { path, source })
        }),
        ["--check", directory] => {
            let directory = PathBuf::from(directory);
            manifests.iter().try_for_each(|manifest| {
                let path = directory.join(&manifest.file_name);
                match std::fs::read_to_string(&path) {
                    Ok(found) if found == manifest.yaml => Ok(()),
                    Ok(_) => Err(Failure::Drift { path, directory: directory.clone() }),
                    Err(source) => Err(Failure::File { path, source }),
                }
            })
        }
        _ => Err(Failure::Usage),
    }
}
