//! A program that runs clients, controlled by lines of JSON. Each line is about one client, named by a number.
//!
//! Commands: `{"do": "login", "client": N, "jid": …, "password": …, "host": …, "port": …, "ca": FILE}`, `{"do": "send",
//! "client": N, "xml": …}` and `{"do": "logout", "client": N}`. Events: `online` with `jid`, `stanza` with `xml`, `failed`
//! with `reason`, `offline`. The program reports every stanza that a client receives, whether or not its library responds.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{FlowError, Result};

/// A report about a client.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event {
    /// It has logged in.
    Online {
        /// Its full address.
        jid: String,
    },
    /// It has received a stanza.
    Stanza {
        /// The stanza.
        xml: String,
    },
    /// It could not connect or log in.
    Failed {
        /// The report of the library.
        reason: String,
    },
    /// Its connection has ended.
    Offline,
}

#[derive(Debug, Deserialize)]
struct Line {
    client: u64,
    #[serde(flatten)]
    event: Event,
}

type Clients = Arc<Mutex<HashMap<u64, Sender<Event>>>>;

/// A running program, stopped when dropped.
#[derive(Debug)]
pub(crate) struct Driver {
    child: Child,
    commands: Mutex<(ChildStdin, u64)>,
    clients: Clients,
}

impl Driver {
    /// Starts the program. Its errors go to that file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let errors = File::create(log).map_err(FlowError::io("creating", log))?;
        let program = command.get_program().to_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(FlowError::io("starting", Path::new(&program)))?;
        let (Some(commands), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            let reason = "the program has no standard input or output".to_owned();
            return Err(FlowError::Client { who: "everyone".to_owned(), reason });
        };
        let clients = Clients::default();
        let known = Arc::clone(&clients);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                let Ok(Line { client, event }) = serde_json::from_str(&line) else {
                    eprintln!("the clients' program wrote {line:?}");
                    continue;
                };
                let known = known.lock().unwrap_or_else(PoisonError::into_inner);
                // A client that nobody uses any more may still receive.
                let _ = known.get(&client).map(|client| client.send(event));
            }
            // Everyone who waits learns at once that nothing comes any more.
            known.lock().unwrap_or_else(PoisonError::into_inner).clear();
        });
        Ok(Self { child, commands: Mutex::new((commands, 0)), clients })
    }

    /// A number for a client, and its events.
    pub(crate) fn client(&self) -> (u64, Receiver<Event>) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.1 += 1;
        let (sender, events) = channel();
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(commands.1, sender);
        (commands.1, events)
    }

    /// Writes a command.
    pub(crate) fn tell(&self, command: &Value) -> Result<()> {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(commands.0, "{command}")
            .map_err(FlowError::io("writing a command to", "the clients"))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
