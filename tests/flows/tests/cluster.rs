//! All flows on the lab's cluster, over every server in a pod and over a component. The results must be those of the
//! engine alone, which docs/interoperability.md shows.

#![allow(clippy::unwrap_used, reason = "a test states its expectations so")]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;
use std::{env, fs, thread};

use flows::cluster::{self, Site};
use flows::error::Result;
use flows::run::run;
use flows::side::Software;
use flows::table;
use lab::scenario::federated::Federated;

/// How many of them run at the same time: flows mostly wait, but a server that starts does not.
const AT_ONCE: usize = 3;

/// Runs all flows over one of them. Returns what differs from the results with the engine alone.
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

/// The flows over every site, some at the same time. Returns what failed.
fn run_all(sites: &[Site]) -> Vec<String> {
    let begun = Instant::now();
    let (left, failures) = (Mutex::new(sites.iter()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let next = left.lock().unwrap().next();
            let Some(site) = next else { return };
            let what = match flows_over(site, begun) {
                Ok(different) if different.is_empty() => continue,
                Ok(different) => different,
                Err(error) => error.to_string(),
            };
            // What failed comes first, because a report of the run shows only the first lines.
            let name = site.software().name();
            let failure = format!("=== {name}\n{what}\n=== {name}: logs\n{}", site.log());
            failures.lock().unwrap().push(failure);
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    failures.into_inner().unwrap()
}

#[test]
fn flows_over_every_backend_in_the_cluster() {
    let paths = Federated::stage().unwrap();
    let sites = Software::BACKENDS.map(|software| Site::new(&paths, software));
    cluster::delete(&paths, &sites, true).unwrap();
    for site in &sites {
        site.import().unwrap();
    }
    cluster::start_outside(&paths, &sites).unwrap();
    let failures = run_all(&sites);
    // The next test does not wait for the end of these namespaces, which have other names and other domains.
    cluster::delete(&paths, &sites, false).unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
