//! Faults that `BackendReady` names: a bot or gateway that connects to the engine (XEP-0114).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use s2s_peer::component::Component;
use s2s_peer::stream::Stream;
use serde_json::{Value, json};

use super::fault::{Fault, kept, lost};
use super::fixture::Fixture;
use super::stage::Stage;
use crate::bot;
use crate::error::{Error, Result};
use crate::host;
use crate::network::Host;
use crate::wait::{Seen, Wait};

/// The secret that the engine knows.
const SECRET: &str = "between the component and the engine";
/// The port of the Service for components.
const PORT: u16 = 5347;
/// Time limit for each answer of the engine.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the engine to read its new configuration.
const CONNECT: Duration = Duration::from_mins(2);

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the component is not connected",
        fixture: Fixture::Backed,
        inject: expect_component,
        expected: lost(
            "BackendReady",
            "ComponentNotConnected",
            "Backend im for <domain>",
            "Connect the component to example-backend\\.<namespace>\\.svc, port 5347, with key secret of Secret bot",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "the component has another secret",
        fixture: Fixture::Backed,
        inject: |stage| {
            expect_component(stage)?;
            stage.wait_for_rollout()?;
            refuse(stage, "another secret", "not-authorized")
        },
        expected: lost(
            "BackendReady",
            "ComponentNotConnected",
            "Backend im for <domain>: .*secret",
            "with key secret of Secret bot",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "the component is connected and answers nothing",
        fixture: Fixture::Backed,
        inject: |stage| {
            expect_component(stage)?;
            stage.wait_for_rollout()?;
            connect(stage, None)
        },
        expected: lost(
            "BackendReady",
            "ComponentDoesNotAnswer",
            "Backend im for <domain>: a component is connected .* did not answer a ping",
            "Check its log, and restart it if it hangs",
        ),
        consequences: &[],
        repair: disconnect,
    },
    Fault {
        name: "two components with one secret want one domain",
        fixture: Fixture::Backed,
        inject: |stage| {
            expect_component(stage)?;
            stage.wait_for_rollout()?;
            let greeting =
                format!("<message from='bot@{}' to='jdoe1@partner.example'/>", stage.domain);
            connect(stage, Some(greeting))?;
            refuse(stage, SECRET, "conflict")
        },
        expected: kept(
            "BackendReady",
            "ComponentConflict",
            "the component at [0-9.]+ is connected for <domain>; another one at [0-9.]+ .* was refused with conflict",
            "run at most as many instances as engine pods \\(1\\)\\. Give a different component .*Secret bot",
        ),
        consequences: &[],
        repair: disconnect,
    },
];

/// The connected components, by the namespace of their stage.
static CONNECTED: Mutex<BTreeMap<String, Stream>> = Mutex::new(BTreeMap::new());

fn connected() -> MutexGuard<'static, BTreeMap<String, Stream>> {
    CONNECTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The domain is a component's.
fn expect_component(stage: &Stage) -> Result<()> {
    bot::put_secret(&stage.paths, &stage.namespace, SECRET)?;
    stage.respec(&json!({"backends": [{
        "name": "im", "component": {"secretRef": {"name": bot::NAME}},
    }]}))
}

/// Connects with that secret until the engine expects the component and refuses it with that condition.
fn refuse(stage: &Stage, secret: &'static str, condition: &'static str) -> Result<()> {
    on_node(stage, secret, move |component| {
        Wait::new("a refused component", CONNECT).until(|| {
            let refusal = component.refusal().unwrap_or_else(|error| error.to_string());
            Ok(Seen::done_if(refusal == condition, refusal))
        })
    })
}

/// Connects a component, which stays connected until the repair. It answers no ping. Like a library that drops requests
/// that it does not know, it may send a stanza of its own.
fn connect(stage: &Stage, stanza: Option<String>) -> Result<()> {
    let stream = on_node(stage, SECRET, move |component| {
        let mut connected = None;
        Wait::new("a connected component", CONNECT).until(|| {
            let attempt = component.connect();
            let seen = attempt.as_ref().err().map(ToString::to_string).unwrap_or_default();
            connected = attempt.ok();
            Ok(Seen::done_if(connected.is_some(), seen))
        })?;
        let mut stream =
            connected.ok_or_else(|| Error::State("no component is connected".into()))?;
        if let Some(stanza) = stanza {
            stream.send(stanza).map_err(|error| Error::State(error.to_string()))?;
        }
        Ok(stream)
    })?;
    connected().insert(stage.namespace.clone(), stream);
    Ok(())
}

/// Gives the domain back to the server, and ends the component's stream after that.
fn disconnect(stage: &Stage) -> Result<()> {
    stage.restore_spec()?;
    stage.wait_for_rollout()?;
    connected().remove(&stage.namespace);
    Ok(())
}

/// Runs a component for the domain on the node.
fn on_node<T: Send + 'static>(
    stage: &Stage,
    secret: &'static str,
    run: impl FnOnce(&Component<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let service = stage.get("service", "example-backend")?;
    let address = service.pointer("/spec/clusterIP").and_then(Value::as_str);
    let address: Option<IpAddr> = address.and_then(|address| address.parse().ok());
    let address = address.ok_or_else(|| Error::State("the backend Service has no IP".into()))?;
    let domain = stage.domain.clone();
    let ran = host::in_thread_on(Host::Node, move || {
        run(&Component {
            address: SocketAddr::new(address, PORT),
            domain: &domain,
            secret,
            tls: None,
            timeout: TIMEOUT,
        })
    });
    ran.map_err(|source| Error::Io { doing: "connecting a component".into(), source })?
}
