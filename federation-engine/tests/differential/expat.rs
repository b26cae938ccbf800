//! libexpat, in a Python process that reads batches of streams.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use s2s_proto::xml::Namespace;
use serde_json::Value;

use super::compare::{Outcome, Verdict};
use super::scanned::{Read, Scanned};

const SCRIPT: &str = include_str!("expat.py");
/// In the order of the script.
const SERVERS: [&str; 2] = ["libexpat as in Prosody", "libexpat as in ejabberd"];

pub(crate) struct Expat {
    child: Child,
    requests: Option<BufWriter<ChildStdin>>,
    answers: BufReader<ChildStdout>,
}

impl Expat {
    pub(crate) fn start() -> Self {
        let mut child = Command::new("python3")
            .args(["-I", "-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is missing: install it, with its module pyexpat");
        let requests = child.stdin.take().map(BufWriter::new);
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, requests, answers }
    }

    /// For each stream, the verdict of each server's use of libexpat.
    pub(crate) fn read(&mut self, streams: &[Scanned]) -> Vec<Vec<Verdict>> {
        self.request(streams).expect("the Python process ended; see its message above");
        streams.iter().map(|_| self.answer()).collect()
    }

    fn request(&mut self, streams: &[Scanned]) -> std::io::Result<()> {
        let requests = self.requests.as_mut().unwrap();
        let number = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
        requests.write_all(&number(streams.len()))?;
        for stream in streams {
            requests.write_all(&number(stream.pieces.len()))?;
            for piece in &stream.pieces {
                requests.write_all(&number(piece.bytes.len()))?;
                requests.write_all(&piece.bytes)?;
            }
        }
        requests.flush()
    }

    fn answer(&mut self) -> Vec<Verdict> {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answer: Vec<Vec<Value>> = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("answer of the Python process: {error}: {line}"));
        SERVERS.iter().zip(answer).map(|(parser, pieces)| verdict(parser, &pieces)).collect()
    }
}

impl Drop for Expat {
    fn drop(&mut self) {
        // The process exits at the end of its input.
        self.requests = None;
        let _ = self.child.wait();
    }
}

fn verdict(parser: &'static str, pieces: &[Value]) -> Verdict {
    let (mut outcomes, mut error) = (Vec::new(), None);
    for piece in pieces {
        if let Some(text) = piece["error"].as_str() {
            error = Some(text.to_owned());
        } else {
            outcomes.push(Outcome {
                early: elements(&piece["early"]),
                late: elements(&piece["late"]),
                closed: piece["closed"] == true,
            });
        }
    }
    Verdict { parser, outcomes, error }
}

fn elements(list: &Value) -> Vec<Read> {
    let read = |element: &Value| Read {
        namespace: Namespace::of(element["namespace"].as_str().unwrap()),
        local: element["local"].as_str().unwrap().to_owned(),
        attributes: std::array::from_fn(|n| element["attributes"][n].as_str().map(str::to_owned)),
    };
    list.as_array().unwrap().iter().map(read).collect()
}
