//! A bot as a component (XEP-0114) in a pod of the lab, with an unmodified slixmpp.

use serde_json::json;

use crate::debian::Debian;
use crate::error::Result;
use crate::kubernetes::{apply, kubectl};
use crate::manifest::render_backend;
use crate::node::import_image;
use crate::parts::{self, Part};
use crate::paths::{Paths, read};
use crate::person::Person;

/// The name of its Secret and Deployment.
pub const NAME: &str = "bot";
const DEBIAN: Debian = Debian::Slixmpp12;

/// The bot's address: any user of its domain.
pub fn address(domain: &str) -> Person {
    Person::new("echo", domain)
}

/// A federation's manifest with the bot as its only backend. A component has one connection, so there is one engine pod.
pub fn instead_of_the_server(manifest: &str) -> String {
    manifest.replace(
        "      server: {host: prosody.im.svc}\n",
        "      component: {secretRef: {name: bot}}\n  replicas: 1\n",
    )
}

/// Builds its image if the cache does not have it, and imports it into the node.
pub fn import(paths: &Paths) -> Result<()> {
    parts::build_only(paths, &[Part::Server(DEBIAN), Part::Image(DEBIAN)])?;
    import_image(paths, &Part::Image(DEBIAN).file(paths, "image.tar")?)
}

/// Creates or replaces its Secret.
pub fn put_secret(paths: &Paths, namespace: &str, secret: &str) -> Result<()> {
    let object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME, "namespace": namespace},
        "stringData": {"secret": secret},
    });
    apply(paths, &object.to_string())
}

/// The manifest of its pod.
pub fn manifest(paths: &Paths, namespace: &str, federation: &str, domain: &str) -> Result<String> {
    let program = read(&paths.source.join("clients/bot.py"))?;
    render_backend(
        paths,
        "bot.yaml",
        &[
            ("PROGRAM", program.trim_end()),
            ("NAMESPACE", namespace),
            ("FEDERATION", federation),
            ("DOMAIN", domain),
            ("IMAGE", &DEBIAN.image_name()),
        ],
    )
}

/// Applies its pod.
pub fn attach(paths: &Paths, namespace: &str, federation: &str, domain: &str) -> Result<()> {
    apply(paths, &manifest(paths, namespace, federation, domain)?)
}

/// Changes the number of its pods: 0 or 1.
pub fn scale(paths: &Paths, namespace: &str, replicas: u32) -> Result<()> {
    kubectl(paths)?
        .args(["scale", "deployment", NAME, "-n", namespace])
        .arg(format!("--replicas={replicas}"))
        .ok()
}
