//! A person at a real XMPP client on any host. Commands control the client; its events are awaited with deadlines.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::host;
use crate::network::Host;
use crate::paths::Paths;
use crate::person::Person;
use crate::wait::{Wait, slowness};

/// Debian's interpreter, which has Debian's slixmpp.
const PYTHON: &str = "/usr/bin/python3";

/// Maximum time for a server's response to its own user.
const ANSWER: Duration = Duration::from_mins(1);

/// An event that a person's client reports.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// Logged in.
    Online {
        /// The full address.
        jid: String,
    },
    /// The connection has ended.
    Offline {
        /// The reason, if the library reports one.
        reason: String,
    },
    /// It could not connect, log in or understand a command.
    Failed {
        /// The reason.
        reason: String,
    },
    /// Someone requests a subscription to this person's presence.
    Subscribe {
        /// The sender.
        from: String,
    },
    /// Someone approves this person's subscription to their presence.
    Subscribed {
        /// The sender.
        from: String,
    },
    /// Someone cancels or denies this person's subscription to their presence.
    Unsubscribed {
        /// The sender.
        from: String,
    },
    /// A presence.
    Presence {
        /// The sender.
        from: String,
        /// `available`, `away`, `chat`, `dnd`, `xa` or `unavailable`.
        show: String,
        /// The human-readable status text.
        status: String,
    },
    /// A message.
    Message {
        /// The sender.
        from: String,
        /// The body.
        body: String,
        /// The id.
        id: String,
    },
    /// An error response to a sent stanza.
    Error {
        /// The recipient of the sent stanza.
        from: String,
        /// `message`, `presence` or `ping`.
        of: String,
        /// The id of the sent stanza; empty for a presence.
        #[serde(default)]
        id: String,
        /// The defined condition (RFC 6120 section 8.3.3).
        condition: String,
        /// The server's text.
        text: String,
    },
    /// A response to a ping.
    Pong {
        /// The sender.
        from: String,
    },
    /// A contact was removed from the roster.
    Removed {
        /// The contact.
        from: String,
    },
    /// The roster.
    Roster {
        /// Bare address and subscription: `none`, `to`, `from`, `both`.
        contacts: std::collections::BTreeMap<String, String>,
    },
}

/// The server that a client connects to.
#[derive(Debug, Clone)]
pub struct Server {
    /// Address of the server's client port.
    pub address: IpAddr,
    /// The authority that must have issued its certificate.
    pub authority: PathBuf,
}

/// A person with a running client.
#[derive(Debug)]
pub struct Client {
    /// The person.
    pub person: Person,
    child: Child,
    commands: ChildStdin,
    events: Receiver<Event>,
    seen: Vec<Event>,
    log: PathBuf,
    sent: u32,
}

impl Client {
    /// Starts a client on a host and logs in.
    pub fn log_in(paths: &Paths, host: Host, person: &Person, server: &Server) -> Result<Self> {
        let log = paths.daemons().log(&format!("client-{}", person.user));
        let errors = File::create(&log).map_err(Error::io("opening", &log))?;
        let script = paths.source.join("clients/person.py");
        // Isolated from the user's Python settings and the user's own packages.
        let mut child = host::on(paths, host, PYTHON)?
            .arg("-I")
            .arg(script)
            .into_command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|source| Error::Io { doing: format!("starting {PYTHON}"), source })?;
        let (Some(commands), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::State("the client has no standard input or output".into()));
        };
        let (tell, events) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { return };
                let event = serde_json::from_str(&line).unwrap_or_else(|error| Event::Failed {
                    reason: format!("the client wrote {line:?}: {error}"),
                });
                if tell.send(event).is_err() {
                    return;
                }
            }
        });
        let mut client = Self {
            person: person.clone(),
            child,
            commands,
            events,
            seen: Vec::new(),
            log,
            sent: 0,
        };
        client.tell(&json!({
            "do": "connect",
            "jid": person.address(),
            "password": person.password,
            "host": server.address.to_string(),
            "port": 5222,
            "ca": server.authority,
        }))?;
        client.expect("to be online", Duration::from_mins(1), |event| {
            matches!(event, Event::Online { .. })
        })?;
        Ok(client)
    }

    /// Adds a person to the contacts and requests a subscription to their presence.
    pub fn subscribe(&mut self, to: &Person) -> Result<()> {
        self.tell(&json!({"do": "subscribe", "to": to.address()}))
    }

    /// Approves a person's subscription to this person's presence.
    pub fn approve(&mut self, to: &Person) -> Result<()> {
        self.tell(&json!({"do": "approve", "to": to.address()}))
    }

    /// Removes a person from the contacts; subscriptions end in both directions.
    pub fn remove(&mut self, to: &Person) -> Result<()> {
        let address = to.address();
        self.tell(&json!({"do": "remove", "to": address}))?;
        self.expect(
            &format!("to have {address} off its contacts"),
            ANSWER,
            |event| matches!(event, Event::Removed { from } if *from == address),
        )
        .map(drop)
    }

    /// Sends this person's presence; an empty `show` means plainly available.
    pub fn show(&mut self, show: &str, status: &str) -> Result<()> {
        self.tell(&json!({"do": "presence", "show": show, "status": status}))
    }

    /// Sends a chat message and returns its id.
    pub fn message(&mut self, to: &Person, body: &str) -> Result<String> {
        let id = self.next_id();
        self.tell(&json!({"do": "message", "to": to.address(), "body": body, "id": id}))?;
        Ok(id)
    }

    /// Pings an address (XEP-0199).
    pub fn ping(&mut self, to: &str) -> Result<()> {
        let id = self.next_id();
        self.tell(&json!({"do": "ping", "to": to, "id": id}))
    }

    /// Requests the roster from the server.
    pub fn roster(&mut self) -> Result<std::collections::BTreeMap<String, String>> {
        self.tell(&json!({"do": "roster"}))?;
        let event =
            self.expect("its contacts", ANSWER, |event| matches!(event, Event::Roster { .. }))?;
        match event {
            Event::Roster { contacts } => Ok(contacts),
            other => Err(Error::State(format!("asked for contacts, got {other:?}"))),
        }
    }

    /// Waits for an event. Earlier events are skipped and kept for the error. A failed client ends the wait at once.
    pub fn expect(
        &mut self,
        what: &str,
        within: Duration,
        mut is_it: impl FnMut(&Event) -> bool,
    ) -> Result<Event> {
        let begun = Instant::now();
        let within = within * slowness();
        self.seen.clear();
        loop {
            let left = within.saturating_sub(begun.elapsed());
            match self.events.recv_timeout(left) {
                Ok(event) if is_it(&event) => return Ok(event),
                Ok(event @ Event::Failed { .. }) => {
                    self.seen.push(event);
                    return Err(self.in_vain(what, begun.elapsed()));
                }
                Ok(event) => self.seen.push(event),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(self.in_vain(what, begun.elapsed()));
                }
            }
        }
    }

    /// The events that have arrived since the last call or wait.
    pub fn events(&self) -> Vec<Event> {
        self.events.try_iter().collect()
    }

    /// The log of the client's library.
    pub fn log(&self) -> &Path {
        &self.log
    }

    fn in_vain(&self, what: &str, waited: Duration) -> Error {
        Wait::new(format!("{} {what}", self.person.address()), waited)
            .log(&self.log)
            .expired(waited, format!("{:?}", self.seen))
    }

    fn next_id(&mut self) -> String {
        self.sent += 1;
        format!("{}-{}", self.person.user, self.sent)
    }

    fn tell(&mut self, command: &Value) -> Result<()> {
        writeln!(self.commands, "{command}").map_err(|source| Error::Io {
            doing: format!("telling {}'s client what to do", self.person.user),
            source,
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The client's own process is a child of nsenter(1). It ends when its standard input is closed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
