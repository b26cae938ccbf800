//! Root file systems of other XMPP servers, and of TCP proxies, for interoperability tests. They contain only the
//! unpacked files of Debian's packages and their dependencies.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use mkimage::{Image, layer_of_tree};

use crate::command::Run;
use crate::error::{Error, Result};
use crate::paths::{make_dir, write};
use crate::rootfs::{USER, pack};

/// A server of a Debian release. (Debian 12's Prosody is the lab's own.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Debian {
    /// Prosody of Debian 13.
    Prosody13,
    /// ejabberd of Debian 12.
    Ejabberd12,
    /// ejabberd of Debian 13.
    Ejabberd13,
    /// jabberd2 of Debian 12.
    Jabberd12,
    /// `HAProxy` of Debian 12.
    Haproxy12,
    /// nginx of Debian 12 with its stream module.
    Nginx12,
    /// The library slixmpp of Debian 12, with Python.
    Slixmpp12,
    /// systemd-resolved of Debian 12.
    Resolved12,
    /// biboumi of Debian 12, a gateway to IRC, and the IRC server `InspIRCd`.
    Biboumi12,
}

/// Everything that determines the content of a root file system.
#[derive(Debug)]
struct Recipe {
    name: &'static str,
    version: &'static str,
    suite: &'static str,
    packages: &'static str,
}

/// Increment this when the build method changes, so that old root file systems are not mistaken for new ones.
const WAY: u8 = 1;
/// The same for the images.
const IMAGE_WAY: u8 = 1;
/// Files that no XMPP server reads; a third of the size.
const SUPERFLUOUS: [&str; 14] = [
    "usr/include",
    "usr/share/bash-completion",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl",
    "usr/share/perl5",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/x86_64-linux-gnu/perl",
    "usr/lib/x86_64-linux-gnu/perl-base",
    "var/cache",
    "var/lib/dpkg",
];

impl Debian {
    /// Human-readable name and version.
    pub const fn title(self) -> (&'static str, &'static str) {
        let recipe = self.recipe();
        (recipe.name, recipe.version)
    }

    /// For the cache key.
    pub fn key(self) -> String {
        format!("{:?} {WAY}", self.recipe())
    }

    /// The name of its image on the node.
    pub fn image_name(self) -> String {
        let recipe = self.recipe();
        format!("localhost/{}:{}", recipe.name, recipe.version)
    }

    /// For the cache key of its image.
    pub fn image_key(self) -> String {
        format!("{} image {IMAGE_WAY}", self.key())
    }

    /// Creates `image.tar` in `out` from the root file system.
    pub fn pack(self, root: &Path, out: &Path) -> Result<()> {
        let copy = out.join("rootfs");
        Run::building("cp").arg("-a").arg(root).arg(&copy).ok()?;
        prepare_for_pods(&copy)?;
        let image =
            Image { user: format!("{USER}:{USER}"), entrypoint: vec!["/nonexistent".into()] };
        pack(&image, &out.join("image.tar"), &self.image_name(), layer_of_tree(&copy))?;
        fs::remove_dir_all(&copy).map_err(Error::io("removing", &copy))
    }

    const fn recipe(self) -> Recipe {
        match self {
            Self::Prosody13 => Recipe {
                name: "prosody",
                version: "13.0.1",
                suite: "trixie",
                packages: "prosody,lua-unbound,lua-sec,ca-certificates",
            },
            Self::Ejabberd12 => Recipe {
                name: "ejabberd",
                version: "23.01",
                suite: "bookworm",
                packages: "ejabberd",
            },
            Self::Ejabberd13 => {
                Recipe { name: "ejabberd", version: "24.12", suite: "trixie", packages: "ejabberd" }
            }
            Self::Jabberd12 => Recipe {
                name: "jabberd2",
                version: "2.7.0",
                suite: "bookworm",
                packages: "jabberd2",
            },
            Self::Haproxy12 => Recipe {
                name: "haproxy",
                version: "2.6.12",
                suite: "bookworm",
                packages: "haproxy",
            },
            Self::Nginx12 => Recipe {
                name: "nginx",
                version: "1.22.1",
                suite: "bookworm",
                packages: "nginx,libnginx-mod-stream",
            },
            Self::Slixmpp12 => Recipe {
                name: "python3-slixmpp",
                version: "1.8.3",
                suite: "bookworm",
                packages: "python3-slixmpp",
            },
            Self::Resolved12 => Recipe {
                name: "systemd",
                version: "252.39",
                suite: "bookworm",
                packages: "systemd-resolved",
            },
            Self::Biboumi12 => Recipe {
                name: "biboumi",
                version: "9.0",
                suite: "bookworm",
                packages: "biboumi,inspircd",
            },
        }
    }

    /// Creates `rootfs` in `out`.
    pub fn build(self, out: &Path) -> Result<()> {
        let recipe = self.recipe();
        let root = out.join("rootfs");
        Run::building("mmdebstrap")
            .args(["--quiet", "--variant=extract", "--format=directory"])
            .arg(format!("--include={}", recipe.packages))
            .arg(recipe.suite)
            .arg(&root)
            .ok()?;
        let changelog = format!("usr/share/doc/{}/changelog.Debian.gz", recipe.name);
        check_version(&recipe, &Run::new("zcat").arg(root.join(changelog)).stdout()?)?;
        for path in SUPERFLUOUS.map(|path| root.join(path)).into_iter().filter(|path| path.exists())
        {
            fs::remove_dir_all(&path).map_err(Error::io("removing", &path))?;
        }
        furnish(&root)
    }
}

/// An update within a release keeps the upstream version; another version may behave differently. The first line of the
/// changelog contains the source package and the version (Debian policy 4.4).
fn check_version(recipe: &Recipe, changelog: &str) -> Result<()> {
    let found = changelog
        .split_once(" (")
        .filter(|(source, _)| recipe.name.ends_with(source))
        .and_then(|(_, rest)| rest.split_once(')'))
        .map_or("unknown", |(version, _)| version);
    if found.strip_prefix(recipe.version).is_some_and(|rest| rest.starts_with('-')) {
        return Ok(());
    }
    Err(Error::State(format!(
        "{} of {} is {found} and the tests were written for {}: see that they pass, then change the version in tests/lab/src/debian.rs",
        recipe.name, recipe.suite, recipe.version
    )))
}

/// Creates the files that maintainer scripts would create, because unpacking does not run the scripts. The server's own
/// directory is mounted at `/run`.
fn furnish(root: &Path) -> Result<()> {
    for directory in ["lib", "lib64", "bin", "sbin"] {
        let link = root.join(directory);
        if !link.exists() {
            symlink(format!("usr/{directory}"), &link).map_err(Error::io("linking", &link))?;
        }
    }
    for directory in ["dev", "etc/ssl/certs", "proc", "run", "tmp"] {
        make_dir(&root.join(directory))?;
    }
    for (file, content) in [
        ("etc/passwd", "root:x:0:0::/run:/\n"),
        ("etc/group", "root:x:0:\n"),
        ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ] {
        write(&root.join(file), content)?;
    }
    for file in ["hosts", "resolv.conf"] {
        let link = root.join("etc").join(file);
        // mmdebstrap leaves the machine's own file there.
        match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("removing", &link)(error));
            }
            _ => {}
        }
        symlink(format!("/run/{file}"), &link).map_err(Error::io("linking", &link))?;
    }
    Ok(())
}

/// Changes what a pod has differently: the kubelet mounts its own `hosts` and `resolv.conf`, and the server's user is not
/// root. The path of Erlang's runtime does not contain its version.
fn prepare_for_pods(root: &Path) -> Result<()> {
    for file in ["etc/hosts", "etc/resolv.conf"] {
        let file = root.join(file);
        fs::remove_file(&file).map_err(Error::io("removing", &file))?;
    }
    for (file, content) in [
        ("etc/passwd", format!("root:x:0:0::/:/\nxmpp:x:{USER}:{USER}::/tmp:/\n")),
        ("etc/group", format!("root:x:0:\nxmpp:x:{USER}:\n")),
    ] {
        write(&root.join(file), content)?;
    }
    let erlang = root.join("usr/lib/erlang");
    let runtime = fs::read_dir(&erlang).into_iter().flatten().flatten().find_map(|entry| {
        entry.file_name().into_string().ok().filter(|name| name.starts_with("erts-"))
    });
    if let Some(runtime) = runtime {
        let link = erlang.join("erts");
        symlink(runtime, &link).map_err(Error::io("linking", &link))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_within_the_release_is_the_same_version_and_another_one_is_not() {
        let recipe = Debian::Ejabberd13.recipe();
        let changelog = |version: &str| {
            format!("ejabberd ({version}) trixie; urgency=high\n\nejabberd (23.01-1) unstable\n")
        };
        assert!(check_version(&recipe, &changelog("24.12-3+deb13u2")).is_ok());
        assert!(check_version(&recipe, &changelog("24.12.1-1")).is_err());
        assert!(check_version(&recipe, &changelog("25.03-1")).is_err());
        assert!(check_version(&recipe, "").is_err());
    }
}
