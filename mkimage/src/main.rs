//! Packs files into an OCI image, without a container engine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use mkimage::error::{Error, Result};
use mkimage::{Architecture, Image, layer_of_files, layer_of_tree};

/// Pack files or a root file system into an OCI image of one layer: same input, same bytes.
#[derive(Debug, Parser)]
struct Args {
    /// The tar file to write.
    out: PathBuf,
    /// Name and tag of the image, such as localhost/engine:dev.
    name: String,
    /// User and group as numbers, such as 65532:65532.
    user: String,
    /// The program to run, a path in the image.
    entrypoint: String,
    /// Files, each as FILE=PATH-IN-IMAGE; or one directory that is the whole root file system.
    #[arg(required_unless_present = "program")]
    content: Vec<String>,
    /// Instead of files: the program for one architecture, as amd64=FILE or arm64=FILE. With several, the archive has an
    /// index of images.
    #[arg(long, conflicts_with = "content")]
    program: Vec<String>,
}

fn main() -> ExitCode {
    match pack(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mkimage: {error}");
            ExitCode::FAILURE
        }
    }
}

fn pack(args: Args) -> Result<()> {
    let image = Image { user: args.user, entrypoint: vec![args.entrypoint.clone()] };
    if !args.program.is_empty() {
        let layers = args.program.iter().map(|given| program(given, &args.entrypoint));
        return image.write_index(&args.out, &args.name, &layers.collect::<Result<Vec<_>>>()?);
    }
    let layer = match args.content.as_slice() {
        [root] if !root.contains('=') => layer_of_tree(root.as_ref())?,
        files => layer_of_files(&pairs(files)?)?,
    };
    image.write(&args.out, &args.name, &layer)
}

/// The layer with the program of one architecture.
fn program(given: &str, path: &str) -> Result<(Architecture, Vec<u8>)> {
    let wrong = || Error::Program(given.to_owned());
    let (architecture, file) = given.split_once('=').ok_or_else(wrong)?;
    let architecture: Architecture = architecture.parse().map_err(|_| wrong())?;
    let bytes = std::fs::read(file).map_err(Error::io("reading", file))?;
    if !architecture.runs(&bytes) {
        let architecture = architecture.name();
        return Err(Error::Machine { file: file.to_owned(), architecture });
    }
    Ok((architecture, layer_of_files(&[(file.into(), path.to_owned())])?))
}

fn pairs(files: &[String]) -> Result<Vec<(PathBuf, String)>> {
    files
        .iter()
        .map(|pair| match pair.rsplit_once('=') {
            Some((file, path)) => Ok((file.into(), path.to_owned())),
            None => Err(Error::Content(pair.clone())),
        })
        .collect()
}
