//! The interoperability matrix: the engine alone against real servers, every cell in both directions. The expected
//! outcome of a cell is computed from its settings (`interop::expect`).

use std::fmt::Write as _;
use std::path::Path;

use harness::program;
use interop::error::InteropError;
use interop::release::Release;
use interop::{errors, extended, matrix, sandbox};
use lab::parts;
use lab::paths::Paths;

/// Runs the matrix with that server. Outside, it builds the parts and enters the namespaces; inside, it runs the
/// matrix.
fn federates(test: &str, release: Release) -> Result<(), InteropError> {
    let Some(engine) = sandbox::engine() else {
        parts::build_only(&Paths::from_env()?, &[release.part()])?;
        let passed = sandbox::enter(test, program::engine())?;
        assert!(passed, "see the table above");
        return Ok(());
    };
    let mut table = String::new();
    let mut logs = String::new();
    for (cell, result) in matrix::run(release, &engine) {
        let _ = writeln!(table, "{release:?}: {}", cell.name);
        match result {
            Ok(result) => {
                for (direction, (expected, seen)) in
                    [("outbound", &result.outbound), ("inbound", &result.inbound)]
                {
                    let mark = if seen.agrees_with(*expected) { "ok   " } else { "WRONG" };
                    let _ =
                        writeln!(table, "  {mark} {direction:<8} expected {expected}, seen {seen}");
                }
                let _ = writeln!(table, "        {:?}", result.took);
                if !result.agrees() {
                    let _ = writeln!(logs, "=== {release:?}: {}\n{}", cell.name, result.log);
                }
            }
            Err(error) => {
                let _ = writeln!(table, "  WRONG no result");
                let _ = writeln!(logs, "=== {release:?}: {}\n{error}", cell.name);
            }
        }
    }
    eprint!("{table}{logs}");
    assert!(logs.is_empty(), "see above");
    Ok(())
}

/// Runs one scene with that server.
fn inside(
    test: &str,
    release: Release,
    scene: impl FnOnce(Release, &Path) -> Result<(), InteropError>,
) -> Result<(), InteropError> {
    let Some(engine) = sandbox::engine() else {
        parts::build_only(&Paths::from_env()?, &[release.part()])?;
        let passed = sandbox::enter(test, program::engine())?;
        assert!(passed, "see above");
        return Ok(());
    };
    scene(release, &engine)
}

/// Sends stanzas in both directions, over one stream if that server supports it.
fn goes_both_ways(test: &str, release: Release) -> Result<(), InteropError> {
    inside(test, release, extended::run)
}

#[test]
fn ejabberd_23_sends_errors_on_the_stream_of_the_stanza() {
    let test = "ejabberd_23_sends_errors_on_the_stream_of_the_stanza";
    inside(test, Release::Ejabberd23, errors::of_a_peer).unwrap();
}

#[test]
fn ejabberd_24_sends_errors_on_the_stream_of_the_stanza() {
    let test = "ejabberd_24_sends_errors_on_the_stream_of_the_stanza";
    inside(test, Release::Ejabberd24, errors::of_a_peer).unwrap();
}

#[test]
fn ejabberd_23_as_a_backend_sends_errors_on_the_stream_of_the_stanza() {
    let test = "ejabberd_23_as_a_backend_sends_errors_on_the_stream_of_the_stanza";
    inside(test, Release::Ejabberd23, errors::of_a_backend).unwrap();
}

#[test]
fn ejabberd_24_as_a_backend_sends_errors_on_the_stream_of_the_stanza() {
    let test = "ejabberd_24_as_a_backend_sends_errors_on_the_stream_of_the_stanza";
    inside(test, Release::Ejabberd24, errors::of_a_backend).unwrap();
}

#[test]
fn prosody_0_12_both_ways_and_acknowledged() {
    goes_both_ways("prosody_0_12_both_ways_and_acknowledged", Release::Prosody0_12).unwrap();
}

#[test]
fn prosody_13_both_ways_and_acknowledged() {
    goes_both_ways("prosody_13_both_ways_and_acknowledged", Release::Prosody13).unwrap();
}

#[test]
fn ejabberd_24_offers_both_ways_in_another_namespace_and_federates() {
    let test = "ejabberd_24_offers_both_ways_in_another_namespace_and_federates";
    goes_both_ways(test, Release::Ejabberd24).unwrap();
}

#[test]
fn prosody_0_12() {
    federates("prosody_0_12", Release::Prosody0_12).unwrap();
}

#[test]
fn prosody_13() {
    federates("prosody_13", Release::Prosody13).unwrap();
}

#[test]
fn ejabberd_23() {
    federates("ejabberd_23", Release::Ejabberd23).unwrap();
}

#[test]
fn ejabberd_24() {
    federates("ejabberd_24", Release::Ejabberd24).unwrap();
}

#[test]
fn jabberd2() {
    federates("jabberd2", Release::Jabberd2).unwrap();
}
