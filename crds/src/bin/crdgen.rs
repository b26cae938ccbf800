//! Prints the `CustomResourceDefinition` as YAML; `--write DIR` writes it there, `--check DIR` fails when it differs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Why the manifest was not written or is not as it should be.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("usage: crdgen [--write DIR | --check DIR]")]
    Usage,
    #[error("the definition cannot be written as YAML: {0}")]
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
    let yaml = crds::manifest::yaml()?;
    match arguments {
        [] => std::io::stdout()
            .write_all(yaml.as_bytes())
            .map_err(|source| Failure::File { path: "stdout".into(), source }),
        ["--write", directory] => {
            let path = Path::new(directory).join(crds::manifest::FILE_NAME);
            std::fs::write(&path, yaml).map_err(|source| Failure::File { path, source })
        }
        ["--check", directory] => {
            let directory = PathBuf::from(directory);
            let path = directory.join(crds::manifest::FILE_NAME);
            match std::fs::read_to_string(&path) {
                Ok(found) if found == yaml => Ok(()),
                Ok(_) => Err(Failure::Drift { path, directory }),
                Err(source) => Err(Failure::File { path, source }),
            }
        }
        _ => Err(Failure::Usage),
    }
}
