//! Packs files into an OCI image, without a container engine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use mkimage::error::{Error, Result};
use mkimage::{Image, layer_of_files, layer_of_tree};

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
    #[arg(required = true)]
    content: Vec<String>,
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
    let layer = match args.content.as_slice() {
        [root] if !root.contains('=') => layer_of_tree(root.as_ref())?,
        files => layer_of_files(&pairs(files)?)?,
    };
    let image = Image { user: args.user, entrypoint: vec![args.entrypoint] };
    image.write(&args.out, &args.name, &layer)
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
