//! C: memory and work that unauthenticated servers and peers can cause. The checks measure the target's process.

use std::fmt::Write as _;

use s2s_peer::namespace::DIALBACK;
use s2s_peer::stream::Stream;

use super::measured::within;
use super::{Case, Proof};
use crate::ending::{Ending, rest};
use crate::header::Header;
use crate::outcome::{Finding, ensure};
use crate::target::Target;

/// Bytes of a large hostile input.
const LARGE: usize = 8 * 1024 * 1024;
/// Number of elements, attributes or levels in one input.
const MANY: usize = 100_000;
/// Number of consecutive streams of unauthenticated servers.
const STREAMS: usize = 500;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "C1",
        sentence: "a header with an attribute of 1 MB is refused at little cost",
        proof: Proof::Check(large_attribute),
    },
    Case {
        name: "C2",
        sentence: "10 000 attributes are refused at little cost",
        proof: Proof::Check(many_attributes),
    },
    Case {
        name: "C3",
        sentence: "100 000 levels are refused at little cost",
        proof: Proof::Check(deep),
    },
    Case {
        name: "C4",
        sentence: "100 000 children have little cost, refused or not",
        proof: Proof::Check(many_children),
    },
    Case {
        name: "C5",
        sentence: "a tag name of 8 MB is refused at little cost",
        proof: Proof::Check(long_name),
    },
    Case {
        name: "C6",
        sentence: "8 MB of text from an unauthenticated peer are refused at little cost",
        proof: Proof::Check(long_text),
    },
    Case {
        name: "C7",
        sentence: "8 MB of white space from an unauthenticated peer close its stream at little cost",
        proof: Proof::Check(white_space),
    },
    Case {
        name: "C8",
        sentence: "silent peers and peers that send single bytes are closed at the negotiation timeout",
        proof: Proof::Check(silence),
    },
    Case {
        name: "C9",
        sentence: "silent connections do not block other peers",
        proof: Proof::Test("tests/attack/tests/engine_attacks.rs", "silent_connections"),
    },
    Case {
        name: "C10",
        sentence: "50 dialback requests on a stream are answered or refused at little cost",
        proof: Proof::Check(many_requests),
    },
    Case {
        name: "C11",
        sentence: "10 000 namespace declarations are refused at little cost",
        proof: Proof::Check(many_declarations),
    },
    Case {
        name: "C12",
        sentence: "1 000 000 character references from an unauthenticated peer are refused at little cost",
        proof: Proof::Check(many_references),
    },
    Case {
        name: "C13",
        sentence: "an element of exactly the limit is accepted, and one byte more is not",
        proof: Proof::Test(
            "federation-engine/proto/src/xml/tests/bounds.rs",
            "rfc6120_13_12_an_element_of_exactly_the_limit_passes_and_one_byte_more_does_not",
        ),
    },
    Case {
        name: "C14",
        sentence: "a receiver that never reads delays only its own senders",
        proof: Proof::Test(
            "tests/attack/tests/engine_attacks.rs",
            "white_space_between_stanzas_for_a_slow_receiver",
        ),
    },
    Case {
        name: "C15",
        sentence: "an attempt at a server that accepts connections and never answers times out",
        proof: Proof::Test(
            "federation-engine/proto/src/stream/tests/initiating.rs",
            "a_peer_that_stops_answering_is_given_up_where_it_stopped",
        ),
    },
    Case {
        name: "C16",
        sentence: "stanzas that wait for a slow backend are counted at their real size",
        proof: Proof::Test(
            "tests/engine/tests/engine_budget.rs",
            "small_stanzas_that_wait_do_not_hold_the_buffers_they_came_in",
        ),
    },
    Case {
        name: "C17",
        sentence: "reconnections have random delays",
        proof: Proof::Test(
            "federation-engine/src/dial/backoff.rs",
            "the_delay_is_drawn_from_the_whole_range",
        ),
    },
    Case {
        name: "C18",
        sentence: "hostile DNS records cause no connection to an internal address and few queries",
        proof: Proof::Test(
            "federation-engine/src/dial/dialler/tests.rs",
            "records_of_a_stranger_cost_other_zones_a_few_questions_at_most",
        ),
    },
    Case {
        name: "C19",
        sentence: "a stream error is not answered with an error, and nothing is read after the end of the stream",
        proof: Proof::Check(error_for_error),
    },
    Case {
        name: "C20",
        sentence: "an error is never answered with an error",
        proof: Proof::Statement(59),
    },
    Case {
        name: "C21",
        sentence: "closed streams of unauthenticated peers hold no memory",
        proof: Proof::Check(nothing_is_left),
    },
];

/// Sends bytes that the target may refuse midway, and reads to the end of the stream.
fn flood(stream: &mut Stream, bytes: &str) -> Finding<Ending> {
    // The target may close the connection before everything is written.
    let _ = stream.send(bytes);
    Ending::of(stream)
}

/// Sends an element from an unauthenticated server: the target must close the stream, with or without an error.
fn is_refused(target: &Target, element: &str) -> Finding {
    within(target, || {
        let mut stream = target.encrypted(&target.header(), None)?.stream;
        let ending = flood(&mut stream, element)?;
        ensure(ending.elements.is_empty(), || format!("it was answered: {}", ending.seen()))
    })
}

fn large_attribute(target: &Target) -> Finding {
    within(target, || {
        let extra = format!(" x='{}'", "a".repeat(1024 * 1024));
        let mut stream = target.connect()?;
        let header = Header { extra: &extra, ..target.header() }.to_string();
        let ending = flood(&mut stream, &header)?;
        let features = ending.elements.iter().any(|element| element.name == "features");
        ensure(!features, || "the header was accepted".to_owned())
    })
}

fn many_attributes(target: &Target) -> Finding {
    let attributes = numbered(10_000, |text, number| write!(text, " a{number}=''"));
    is_refused(target, &format!("<x xmlns='urn:example:x'{attributes}/>"))
}

fn deep(target: &Target) -> Finding {
    is_refused(target, &format!("<x xmlns='urn:example:x'>{}", "<a>".repeat(MANY)))?;
    // An authenticated server may send more at once.
    within(target, || {
        let mut stream = target.authenticated()?;
        let (peer, domain) = (&target.peer, &target.domain);
        let bytes = format!(
            "<message from='x@{peer}' to='y@{domain}'>{}{}</message>",
            "<a>".repeat(MANY / 2),
            "</a>".repeat(MANY / 2)
        );
        let ending = flood(&mut stream, &bytes)?;
        ensure(ending.error.is_some(), || format!("50 000 levels: {}", ending.seen()))
    })
}

fn many_children(target: &Target) -> Finding {
    within(target, || {
        let mut stream = target.authenticated()?;
        let (peer, domain) = (&target.peer, &target.domain);
        let children = "<a/>".repeat(MANY);
        let bytes = format!(
            "<message from='x@{peer}' to='y@{domain}' id='c4'>{children}</message></stream:stream>"
        );
        flood(&mut stream, &bytes).map(drop)
    })
}

fn long_name(target: &Target) -> Finding {
    is_refused(target, &format!("<{}", "a".repeat(LARGE)))
}

fn long_text(target: &Target) -> Finding {
    is_refused(target, &format!("<x xmlns='urn:example:x'>{}", "a".repeat(LARGE)))
}

fn white_space(target: &Target) -> Finding {
    is_refused(target, &" ".repeat(LARGE))
}

fn silence(target: &Target) -> Finding {
    let header = target.header().to_string();
    let (half, _) = header.split_at_checked(header.len() / 2).unwrap_or_default();
    let mut waiting = Vec::new();
    for begun in ["", "<", half] {
        let mut stream = target.connect()?;
        stream.send(begun)?;
        waiting.push(stream);
    }
    waiting.push(target.encrypted(&target.header(), None)?.stream);
    for mut stream in waiting {
        rest(&mut stream)?;
    }
    Ok(())
}

fn many_requests(target: &Target) -> Finding {
    within(target, || {
        let mut stream = target.encrypted(&target.header(), None)?.stream;
        let domain = &target.domain;
        let requests = numbered(50, |text, number| {
            let from = format!("c10-{number}.{}", target.below("nowhere"));
            write!(text, "<db:result from='{from}' to='{domain}'>0123</db:result>")
        });
        stream.send(requests)?;
        let mut answered = 0;
        while answered < 50 {
            match stream.element("answers to dialback requests") {
                Ok(answer) if answer.is(DIALBACK, "result") => {
                    let valid = answer.attribute("type") == Some("valid");
                    ensure(!valid, || answer.to_string())?;
                    answered += 1;
                }
                Ok(other) => return ensure(false, || other.to_string()),
                // The target refuses the rest by closing the stream.
                Err(s2s_peer::error::PeerError::Deadline { .. }) => {
                    return ensure(false, || {
                        format!("{answered} of 50 requests were answered, then no more")
                    });
                }
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    })
}

fn many_declarations(target: &Target) -> Finding {
    let declarations =
        numbered(10_000, |text, number| write!(text, " xmlns:p{number}='urn:example:{number}'"));
    is_refused(target, &format!("<x xmlns='urn:example:x'{declarations}/>"))?;
    within(target, || {
        let mut stream = target.connect()?;
        let header = Header { extra: &declarations, ..target.header() }.to_string();
        flood(&mut stream, &header).map(drop)
    })
}

fn many_references(target: &Target) -> Finding {
    is_refused(target, &format!("<x xmlns='urn:example:x'>{}", "&#x41;".repeat(1_000_000)))
}

fn error_for_error(target: &Target) -> Finding {
    let (peer, domain) = (&target.peer, &target.domain);
    let mut stream = target.authenticated()?;
    stream.send(format!(
        "<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>\
         </stream:stream><message from='x@{peer}' to='y@{domain}' id='c19'/>"
    ))?;
    let ending = Ending::of(&mut stream)?;
    ensure(ending.error.is_none(), || format!("a stream error was answered: {}", ending.seen()))
}

fn nothing_is_left(target: &Target) -> Finding {
    let garbage = || -> Finding {
        let mut stream = target.connect()?;
        stream.send("<stream:stream xmlns:stream='garbage' to='")?;
        stream.send("x".repeat(2_000))?;
        stream.send("'>")?;
        Ending::of(&mut stream).map(drop)
    };
    // The first streams fill buffers and caches that the process retains.
    for _ in 0..STREAMS {
        garbage()?;
    }
    within(target, || (0..STREAMS).try_for_each(|_| garbage()))
}

fn numbered(count: usize, mut one: impl FnMut(&mut String, usize) -> std::fmt::Result) -> String {
    let mut text = String::new();
    for number in 0..count {
        // A write to a string cannot fail.
        let _ = one(&mut text, number);
    }
    text
}
