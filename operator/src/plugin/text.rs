//! What the plugin prints. Pure.

use federation_engine::prober::message::{OutsideOutcome, OutsideResult, ProbeRequest};

/// Announces a probe: the federation, its domains, addresses and ports.
pub fn begin(federation: &str, request: &ProbeRequest) -> String {
    let domains: Vec<String> = request.domains.iter().map(ToString::to_string).collect();
    let addresses: Vec<String> = request.addresses.iter().map(ToString::to_string).collect();
    let at = if addresses.is_empty() { request.host.to_string() } else { addresses.join(", ") };
    let direct = request.s2s_tls.map_or_else(String::new, |port| format!(" and TCP {port}"));
    format!(
        "Probing federation {federation} for {} at {at}, TCP {}{direct}.",
        domains.join(", "),
        request.s2s
    )
}

/// One stream.
pub fn line(result: &OutsideResult) -> String {
    let address = result.address.map(|address| format!("{address}, ")).unwrap_or_default();
    format!("{address}{} for {}: {}.", result.mode.label(), result.domain, outcome(&result.outcome))
}

fn outcome(outcome: &OutsideOutcome) -> String {
    let plain = |text: &str| text.replace(char::is_control, " ").trim_end_matches('.').to_owned();
    match outcome {
        OutsideOutcome::Reached { tls, names, .. } => {
            let names =
                if names.is_empty() { "no domain".to_owned() } else { plain(&names.join(", ")) };
            format!("the stream is open; {tls}, certificate for {names}")
        }
        OutsideOutcome::Refused => "connection refused".to_owned(),
        OutsideOutcome::TimedOut => "connection timed out".to_owned(),
        OutsideOutcome::NoRoute => "this machine has no route to the address".to_owned(),
        OutsideOutcome::NoAddress { detail } => {
            format!("the host has no address here: {}", plain(detail))
        }
        OutsideOutcome::NotAllowed { detail } => {
            format!(
                "not tried, because {}; --allow-network permits it",
                plain(&detail.replace('`', ""))
            )
        }
        OutsideOutcome::ConnectFailed { detail } => format!("cannot connect: {}", plain(detail)),
        OutsideOutcome::Reset { detail } => {
            format!("the connection was reset or closed while {}", plain(detail))
        }
        OutsideOutcome::Stalled { detail } => format!("the stream stalled while {}", plain(detail)),
        OutsideOutcome::NotXmpp { detail } => {
            format!("the server does not speak XMPP: {}", plain(detail))
        }
        OutsideOutcome::StartTlsNotOffered => "the server does not offer STARTTLS".to_owned(),
        OutsideOutcome::HandshakeFailed { detail } => {
            format!("the TLS handshake failed: {}", plain(detail))
        }
        OutsideOutcome::StreamError { condition, text } if text.is_empty() => {
            format!("the server closed the stream with {condition}")
        }
        OutsideOutcome::StreamError { condition, text } => {
            format!("the server closed the stream with {condition} ({:?})", plain(text))
        }
    }
}

/// Whether the stream was opened.
pub const fn is_reached(result: &OutsideResult) -> bool {
    matches!(result.outcome, OutsideOutcome::Reached { .. })
}

/// Confirms a report, and names the condition with the verdict.
pub fn reported(name: &str, reporter: &str, federation: &str, namespace: &str) -> String {
    format!(
        "Reported as XmppProbeReport {name} by user {reporter}. The operator's verdict is the condition InboundReachable: kubectl describe xfed {federation} -n {namespace}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use federation_engine::prober::message::OutsideMode;

    fn printed(outcome: OutsideOutcome) -> String {
        line(&OutsideResult {
            address: Some("192.0.2.7:5269".parse().unwrap()),
            domain: "example.com".parse().unwrap(),
            mode: OutsideMode::StartTls,
            outcome,
        })
    }

    #[test]
    fn each_stream_is_one_sentence_and_no_server_writes_lines_of_its_own() {
        let hostile = || "a\nb\u{1b}[2J.".to_owned();
        for (outcome, end) in [
            (
                OutsideOutcome::Reached {
                    tls: "TLSv1.3".to_owned(),
                    certificate: "aa".to_owned(),
                    names: vec!["example.com".to_owned()],
                },
                "the stream is open; TLSv1.3, certificate for example.com.",
            ),
            (OutsideOutcome::Refused, "connection refused."),
            (OutsideOutcome::NotXmpp { detail: hostile() }, "does not speak XMPP: a b [2J."),
            (
                OutsideOutcome::StreamError { condition: "host-unknown".into(), text: hostile() },
                "closed the stream with host-unknown (\"a b [2J\").",
            ),
            (
                OutsideOutcome::NotAllowed { detail: "192.0.2.7 is a `test` address".to_owned() },
                "not tried, because 192.0.2.7 is a test address; --allow-network permits it.",
            ),
        ] {
            let printed = printed(outcome);
            assert!(printed.starts_with("192.0.2.7:5269, STARTTLS for example.com: "), "{printed}");
            assert!(printed.ends_with(end), "{printed}");
            assert!(!printed.contains(char::is_control), "{printed:?}");
        }
    }
}
