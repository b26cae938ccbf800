//! All flows on the lab's cluster, over servers in pods. The results must be those of the engine alone, which
//! docs/interoperability.md shows.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;
use std::{env, fs, thread};

use flows::cluster::{self, Site};
use flows::error::Result;
use flows::run::run;
use flows::table;
use interop::release::Release;
use lab::scenario::federated::Federated;

/// The servers in pods.
const BACKENDS: [Release; 2] = [Release::Prosody13, Release::Ejabberd24];

/// Runs all flows over one server. Returns what differs from the results with the engine alone.
fn flows_over(site: &Site, begun: Instant) -> Result<String> {
    let software = site.software();
    let report = |what: &str| {
        println!("{:6.1} s  {:<15} {what}", begun.elapsed().as_secs_f64(), software.name());
    };
    let (ours, theirs) = site.start()?;
    report("Ready, and its people can log in");
    let rows = run(&ours, &theirs);
    report("all flows have run");
    for row in &rows {
        println!("{:>6} ms  {:<15} {}", row.took.as_millis(), software.name(), row.flow);
    }
    let mut different = table::failures(software, &rows);
    if !different.is_empty() || env::var_os("XFED_FLOW").is_some() {
        return Ok(different);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("results").join(table::file(software));
    // Without the file, the number of flows differs.
    let expected = fs::read_to_string(file).unwrap_or_default();
    let seen = table::results(software, &rows);
    for (expected, seen) in expected.lines().zip(seen.lines()).filter(|(one, other)| one != other) {
        let _ = writeln!(different, "expected: {expected}\nseen:     {seen}");
    }
    assert_eq!(expected.lines().count(), rows.len(), "as many flows as with the engine alone");
    Ok(different)
}

#[test]
fn flows_over_servers_in_pods() {
    let paths = Federated::stage().unwrap();
    let begun = Instant::now();
    let sites = BACKENDS.map(|release| Site::new(&paths, release));
    cluster::delete(&paths, &sites, true).unwrap();
    for site in &sites {
        site.import().unwrap();
    }
    cluster::start_outside(&paths, &sites).unwrap();
    let failures: Vec<String> = thread::scope(|scope| {
        let running =
            sites.each_ref().map(|site| scope.spawn(move || (site, flows_over(site, begun))));
        let ended = running.into_iter().map(|thread| thread.join().unwrap());
        ended
            .filter_map(|(site, result)| {
                let what = match result {
                    Ok(different) if different.is_empty() => return None,
                    Ok(different) => different,
                    Err(error) => error.to_string(),
                };
                Some(format!("{}\n=== {}\n{what}", site.log(), site.software().name()))
            })
            .collect()
    });
    // The next test does not wait for the end of these namespaces, which have other names and other domains.
    cluster::delete(&paths, &sites, false).unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
