//! A cluster that has no address left for Services, on a real API server: what its federations ask of it, and how soon they notice
//! that there are addresses again.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use lab::apiserver::{ApiServer, Program, Timed};
use lab::installed::{Release, federation, install_with, start_operator};
use lab::wait::{Seen, Wait};
use serde_json::{Value, json};

/// 30 addresses for Services.
const FEW: &str = "198.18.64.0/27";
/// The Services of somebody else, more than there are addresses.
const FILLERS: usize = 40;
/// Federations, each with two Services.
const FEDERATIONS: usize = 12;
/// Maximum time for one change on a busy machine.
const LIMIT: Duration = Duration::from_mins(2);
/// Time for which requests are counted.
const COUNTED: Duration = Duration::from_mins(1);
/// Requests about Services within that time of a federation that waits: for each Service one that reads it and one that creates
/// it, at most twice.
const WAITING: usize = 8;
/// A federation that waits does so for a minute or more. Whoever gets its Service before that was woken; this usually takes less
/// than 10 s.
const WOKEN: Duration = Duration::from_secs(45);

fn filler(number: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": format!("filler{number}"), "namespace": "default", "labels": {"filler": ""}},
        "spec": {"ports": [{"port": 1}]}
    })
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// Waits until `Accepted` of each federation has this reason.
fn until_all(server: &ApiServer, operator: &mut Program, reason: &str) -> Vec<String> {
    let list = ["get", "xfed", "-n", "im", "-o", "json"];
    Wait::new(format!("{FEDERATIONS} federations with {reason}"), LIMIT)
        .log(operator.log())
        .until(|| {
            operator.must_run()?;
            let all: Value = server.kubectl().args(list).json()?;
            let conditions = all["items"].as_array().into_iter().flatten().filter_map(|one| {
                let all = one["status"]["conditions"].as_array()?;
                all.iter().find(|condition| condition["type"] == "Accepted").cloned()
            });
            let messages: Vec<String> = conditions
                .filter(|condition| condition["reason"] == reason)
                .map(|condition| condition["message"].to_string())
                .collect();
            Ok(match messages.len() {
                FEDERATIONS => Seen::Done(messages),
                some => Seen::NotYet(format!("{some} have it")),
            })
        })
        .unwrap()
}

/// The operator's requests about Services of federations since then.
fn requests(server: &ApiServer, since: Timestamp) -> Vec<Timed> {
    let own = Release::usual(&[]).account();
    let mut all = server.timed_requests().unwrap();
    all.retain(|one| {
        let request = &one.request;
        one.user == own
            && one.at >= since
            && (request.resource.as_str(), request.namespace.as_str()) == ("services", "im")
            && !one.name.is_empty()
    });
    all
}

#[test]
fn one_federation_asks_for_an_address_and_all_notice_when_there_are_some() {
    let server = install_with(&[], FEW).unwrap();
    let fillers: Vec<Value> = (0..FILLERS).map(filler).collect();
    let create = server.kubectl().args(["create", "-f", "-"]).input(list(&fillers));
    let refused = create.output().unwrap();
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.contains("range is full"), "{refused}");
    let mut operator = start_operator(&server).unwrap();
    let federations: Vec<Value> = (0..FEDERATIONS)
        .map(|number| federation("im", &format!("fed{number}"), &format!("d{number}.example.com")))
        .collect();
    server.apply(&list(&federations)).unwrap();
    for message in until_all(&server, &mut operator, "ApplyFailed") {
        println!("{message}");
        assert!(message.contains("range is full"), "{message}");
        assert!(message.contains("Delete Services that are no longer needed"), "{message}");
    }

    let begun = Timestamp::now();
    thread::sleep(COUNTED);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for one in requests(&server, begun) {
        *counts.entry(one.name.trim_end_matches("-backend").to_owned()).or_default() += 1;
    }
    println!("requests about Services in {COUNTED:?}: {counts:?}");
    let busy: Vec<_> = counts.iter().filter(|(_, count)| **count > WAITING).collect();
    assert_eq!(busy.len(), 1, "{counts:?}");

    let delete = ["delete", "services", "-n", "default", "-l", "filler", "--wait=false"];
    server.kubectl().args(delete).ok().unwrap();
    let freed = Timestamp::now();
    until_all(&server, &mut operator, "Accepted");
    let mut made: BTreeMap<String, Timestamp> = BTreeMap::new();
    for one in requests(&server, begun) {
        if one.request.verb == "patch" && one.request.code < 300 {
            made.entry(one.name).or_insert(one.at);
        }
    }
    let names: BTreeSet<_> = made.keys().collect();
    assert_eq!(names.len(), 2 * FEDERATIONS, "{names:?}");
    let last = made.values().max().unwrap().duration_since(freed);
    println!("the last Service was created {last:#} after addresses were free");
    let last = Duration::try_from(last).unwrap_or_default();
    assert!(last < WOKEN, "{made:?}");
}
