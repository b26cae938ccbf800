//! What the demo puts behind the engine: a server, or a bot as a component.

use crate::backend::{Backend, Release};
use crate::bot;
use crate::client::Client;
use crate::error::Result;
use crate::federation::{self, NAME, NAMESPACE};
use crate::network::Host;
use crate::paths::Paths;
use crate::person::Person;
use crate::public_dns::LOCAL_ZONE;
use crate::scenario::conversation;

/// A server or a bot.
#[derive(Debug)]
pub enum Behind {
    /// An XMPP server with the user cupuser1.
    Server(Backend),
    /// An echo bot.
    Bot,
}

impl Behind {
    /// The server of a release.
    pub fn server(release: Release) -> Self {
        Self::Server(federation::backend(release))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Server(backend) => &backend.name,
            Self::Bot => bot::NAME,
        }
    }

    /// Its user that the partner's user talks to.
    pub fn person(&self) -> Person {
        match self {
            Self::Server(backend) => backend.person.clone(),
            Self::Bot => bot::address(LOCAL_ZONE),
        }
    }

    /// Imports its image into the node.
    pub fn import(&self, paths: &Paths) -> Result<()> {
        match self {
            Self::Server(backend) => backend.release.import(paths),
            Self::Bot => bot::import(paths),
        }
    }

    /// A federation's manifest with this backend instead of the usual one.
    pub fn in_manifest(&self, manifest: &str) -> String {
        match self {
            Self::Server(backend) => federation::with_backend(manifest, backend),
            Self::Bot => bot::instead_of_the_server(manifest),
        }
    }

    /// Creates what the federation refers to.
    pub fn prepare(&self, paths: &Paths) -> Result<()> {
        match self {
            Self::Server(_) => Ok(()),
            Self::Bot => {
                federation::make_namespace(paths)?;
                bot::put_secret(paths, NAMESPACE, "between the bot and the engine")
            }
        }
    }

    /// Applies it. A component needs no DNS server.
    pub fn attach(&self, paths: &Paths, dns_server: &str) -> Result<()> {
        match self {
            Self::Server(backend) => backend.attach(paths, dns_server),
            Self::Bot => bot::attach(paths, NAMESPACE, NAME, LOCAL_ZONE),
        }
    }

    /// The conversation of the demo with the partner's user.
    pub fn converse(
        &self,
        paths: &Paths,
        theirs: &mut Client,
        narrate: &mut dyn FnMut(&str),
    ) -> Result<()> {
        match self {
            Self::Server(backend) => {
                backend.wait(paths)?;
                let server = backend.server(paths)?;
                let mut ours = Client::log_in(paths, Host::Node, &backend.person, &server)?;
                // After both have removed each other, the approval of a new request does not arrive from jabberd2.
                if backend.release == Release::Jabberd2 {
                    return conversation::meet_and_chat(&mut ours, theirs, narrate);
                }
                conversation::both_directions(&mut ours, theirs, narrate)
            }
            Self::Bot => {
                let bot = self.person();
                conversation::befriend(theirs, &bot, narrate)?;
                for body in ["Hello! Does this reach you?", "Grüße!"] {
                    conversation::hear_the_echo(theirs, &bot, body, narrate)?;
                }
                Ok(())
            }
        }
    }
}
