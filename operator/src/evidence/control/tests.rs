//! Against the engine's own control listener: the two ends of one contract.

use crds::engine_file::ControlFiles;
use federation_engine::observe::control::{ControlState, Credentials, serve};
use federation_engine::observe::evidence::LoadError;
use federation_engine::observe::journal::Journal;
use federation_engine::tls::issue::{PemPair, self_signed};
use jiff::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::evidence::pinned;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

struct Engine {
    address: SocketAddr,
    journal: Arc<Journal>,
    certificate: CertificateDer<'static>,
    shutdown: CancellationToken,
    _credentials: watch::Sender<Option<Arc<Credentials>>>,
    _files: tempfile::TempDir,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn pair() -> PemPair {
    let name = "example.im.svc".parse().unwrap();
    self_signed(&[name], Duration::from_hours(24), UnixTime::now()).unwrap()
}

fn der(pair: &PemPair) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()
}

async fn engine() -> Engine {
    let pair = pair();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let files = ControlFiles {
        address: "127.0.0.1:0".parse().unwrap(),
        certificate_file: file("tls.crt", &pair.certificate),
        private_key_file: file("tls.key", &pair.private_key),
        token_file: file("token", TOKEN),
    };
    let listener = TcpListener::bind(files.address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let journal = Arc::new(Journal::new("1"));
    let (sender, credentials) = watch::channel(Some(Arc::new(Credentials::load(&files).unwrap())));
    let (probes, _) = mpsc::channel(1);
    let state = ControlState::new(Arc::clone(&journal), credentials, probes).unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn(serve(listener, Arc::new(state), shutdown.clone()));
    Engine {
        address,
        journal,
        certificate: der(&pair),
        shutdown,
        _credentials: sender,
        _files: directory,
    }
}

async fn open(
    address: SocketAddr,
    pin: CertificateDer<'static>,
    token: &str,
) -> Result<Control, ControlError> {
    let tls = Arc::new(pinned::client_config(pin).unwrap());
    let authorization = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    Control::open(address, tls, authorization).await
}

#[tokio::test]
async fn evidence_comes_at_once_and_then_when_it_changes() {
    let engine = engine().await;
    let mut control = open(engine.address, engine.certificate.clone(), TOKEN).await.unwrap();
    let first = control.next().await.unwrap().expect("evidence without waiting");
    assert_eq!((first.version.as_str(), first.problems.len()), ("1", 0));

    let journal = Arc::clone(&engine.journal);
    let (later, ()) = tokio::join!(control.next(), async {
        let place = "engine.yaml".to_owned();
        journal.problems(
            vec![LoadError { place, message: "bad".into(), unusable: true }],
            Timestamp::now(),
        );
    });
    let later = later.unwrap().expect("evidence as soon as it changed");
    assert_eq!(later.problems[0].message, "bad");
}

#[tokio::test]
async fn another_certificate_than_the_pinned_one_is_refused() {
    let engine = engine().await;
    let error = open(engine.address, der(&pair()), TOKEN).await.unwrap_err();
    assert!(matches!(error, ControlError::Tls { .. }), "{error}");
}

#[tokio::test]
async fn a_token_that_the_engine_does_not_know_is_named_as_the_cause() {
    let engine = engine().await;
    let mut control = open(engine.address, engine.certificate.clone(), "other").await.unwrap();
    let error = control.next().await.unwrap_err();
    assert!(matches!(error, ControlError::Refused), "{error}");
}

#[tokio::test]
async fn nobody_on_the_port_is_named_as_the_cause() {
    // Bound, so that no other process has it, and not listening.
    let port = TcpSocket::new_v4().unwrap();
    port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let error = open(port.local_addr().unwrap(), der(&pair()), TOKEN).await.unwrap_err();
    assert!(matches!(error, ControlError::Connect { .. }), "{error}");
}
