//! Prosody's root file system: only the unpacked files of Debian 12's packages and their dependencies.

use std::fs;
use std::path::Path;

use mkimage::{Image, layer_of_tree};

use crate::command::Run;
use crate::error::{Error, Result};
use crate::parts::{PROSODY, PROSODY_IMAGE};
use crate::paths::make_dir;

/// Part of the cache key: everything in this file that determines the content of the root file system.
pub(crate) const RECIPE: &str = "bookworm: prosody lua-unbound lua-sec ca-certificates; extract; 1";

const PACKAGES: &str = "prosody,lua-unbound,lua-sec,ca-certificates";
/// The user that Prosody runs as in pods. A maintainer script creates Debian's own user, but unpacking does not run it.
pub(crate) const USER: u32 = 5222;
/// Files that no XMPP server reads; half of the size.
const SUPERFLUOUS: [&str; 9] = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/perl",
    "usr/share/perl5",
    "usr/share/info",
    "usr/share/lintian",
    "usr/lib/x86_64-linux-gnu/perl",
    "usr/lib/x86_64-linux-gnu/perl-base",
];

/// Creates `rootfs` and `prosody.tar` in `out`.
pub(crate) fn prosody(out: &Path) -> Result<()> {
    let root = out.join("rootfs");
    Run::building("mmdebstrap")
        .args(["--quiet", "--variant=extract", "--format=directory"])
        .arg(format!("--include={PACKAGES}"))
        .arg("bookworm")
        .arg(&root)
        .ok()?;
    let found = fs::read_to_string(root.join("usr/lib/prosody/prosody.version"))
        .map_err(Error::io("reading", root.join("usr/lib/prosody/prosody.version")))?;
    if found.trim() != PROSODY {
        return Err(Error::State(format!(
            "Debian's Prosody is {found:?} and the lab was written for {PROSODY}: see that the scenarios pass, then change PROSODY in tests/lab/src/parts.rs"
        )));
    }
    for path in SUPERFLUOUS.map(|path| root.join(path)).into_iter().filter(|path| path.exists()) {
        fs::remove_dir_all(&path).map_err(Error::io("removing", &path))?;
    }
    // LuaSec uses this directory by default and requires it to exist. A maintainer script creates the certificates in
    // it.
    for dir in ["etc/ssl/certs", "etc/prosody", "var/lib/prosody", "run/prosody", "proc", "tmp"] {
        make_dir(&root.join(dir))?;
    }
    for (file, content) in [
        ("etc/passwd", format!("root:x:0:0::/:/\nprosody:x:{USER}:{USER}::/var/lib/prosody:/\n")),
        ("etc/group", format!("root:x:0:\nprosody:x:{USER}:\n")),
        ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
    ] {
        crate::paths::write(&root.join(file), content)?;
    }
    let image = Image {
        user: format!("{USER}:{USER}"),
        entrypoint: ["/usr/bin/lua5.4", "/usr/bin/prosody", "-F"].map(Into::into).to_vec(),
    };
    pack(&image, &out.join("prosody.tar"), PROSODY_IMAGE, layer_of_tree(&root))
}

/// Writes an image of that layer.
pub(crate) fn pack(
    image: &Image,
    out: &Path,
    name: &str,
    layer: mkimage::error::Result<Vec<u8>>,
) -> Result<()> {
    layer
        .and_then(|layer| image.write(out, name, &layer))
        .map_err(|error| Error::State(error.to_string()))
}
