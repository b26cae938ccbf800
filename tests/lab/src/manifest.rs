//! The lab's manifests: files with `${NAME}` for values that the lab fills in.

use crate::edge;
use crate::error::{Error, Result};
use crate::family::Family;
use crate::network::{Host, PRIVATE_CIDR};
use crate::parts::{COREDNS_IMAGE, PAUSE_IMAGE, PROSODY_IMAGE};
use crate::paths::{Paths, read};

/// Reads `manifests/FILE` and fills in the addresses and images of the lab, and the additional values from the caller.
pub fn render(paths: &Paths, file: &str, more: &[(&str, &str)]) -> Result<String> {
    let family = Family::of(paths);
    let known = [
        ("PUBLIC_DNS", family.address(Host::Dns).to_string()),
        ("CLUSTER_DNS", family.cluster_dns().to_string()),
        // In a list of strings in quotes.
        ("LOAD_BALANCER_CIDR", family.load_balancer_cidrs().join("', '")),
        ("PRIVATE_CIDR", PRIVATE_CIDR.to_owned()),
        ("PRIVATE_ADDRESS", edge::PRIVATE.to_string()),
        ("PUBLIC_ADDRESS", edge::PUBLIC.to_string()),
        ("COREDNS_IMAGE", COREDNS_IMAGE.to_owned()),
        ("PROSODY_IMAGE", PROSODY_IMAGE.to_owned()),
        ("PAUSE_IMAGE", PAUSE_IMAGE.to_owned()),
    ];
    let mut text = read(&paths.source.join("manifests").join(file))?;
    for (name, value) in known.iter().map(|(name, value)| (*name, value.as_str())) {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    for (name, value) in more {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    match text.split_once("${").and_then(|(_, rest)| rest.split_once('}')) {
        None => Ok(text),
        Some((name, _)) => {
            Err(Error::State(format!("manifests/{file} asks for ${{{name}}}, which nobody gave")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_has_all_of_its_names_filled_in() {
        let paths = Paths::from_env().unwrap();
        let given = [("BACKEND_DNS", "a"), ("USER", "b"), ("DOMAIN", "c"), ("PASSWORD", "d")];
        for entry in std::fs::read_dir(paths.source.join("manifests")).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            assert!(!render(&paths, &file, &given).unwrap().contains("${"), "{file}");
        }
    }

    #[test]
    fn a_name_that_nobody_gives_is_an_error() {
        let paths = Paths::from_env().unwrap();
        let error = render(&paths, "backend.yaml", &[]).unwrap_err();
        assert!(error.to_string().contains("which nobody gave"), "{error}");
    }
}
