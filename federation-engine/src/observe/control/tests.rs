use std::net::SocketAddr;

use crds::engine_file::ControlFiles;
use crds::word::Word;
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio_rustls::TlsConnector;

use super::*;
use crate::observe::evidence::{EngineEvidence, InboundRefusal, LoadError};
use crate::observe::testing::{deadline, exchange};
use crate::tls::issue::self_signed;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

struct Server {
    address: SocketAddr,
    journal: Arc<Journal>,
    credentials: watch::Sender<Option<Arc<Credentials>>>,
    probes: mpsc::Receiver<Domain>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    connector: TlsConnector,
    files: ControlFiles,
    directory: tempfile::TempDir,
}

fn connector(root: &[u8]) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root).unwrap()).unwrap();
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::clone(crate::tls::config::provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn start() -> Server {
    let directory = tempfile::tempdir().unwrap();
    let name = Domain::parse("control.example").unwrap();
    let lifetime = Duration::from_hours(24);
    let pair = self_signed(&[name], lifetime, rustls_pki_types::UnixTime::now()).unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let files = ControlFiles {
        address: "127.0.0.1:0".parse().unwrap(),
        certificate_file: write("tls.crt", &pair.certificate),
        private_key_file: write("tls.key", &pair.private_key),
        token_file: write("token", &format!("{TOKEN}\n")),
    };
    let listener = TcpListener::bind(files.address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let journal = Arc::new(Journal::new("0.0.0"));
    let (credentials, receiver) =
        watch::channel(Some(Arc::new(Credentials::load(&files).unwrap())));
    let (sender, probes) = mpsc::channel(1);
    let state = ControlState::new(Arc::clone(&journal), receiver, sender).unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(serve(listener, Arc::new(state), shutdown.clone()));
    let connector = connector(pair.certificate.as_bytes());
    Server { address, journal, credentials, probes, shutdown, task, connector, files, directory }
}

impl Server {
    async fn send(&self, request: &str, token: &str, more: &str) -> String {
        deadline(async {
            let tcp = TcpStream::connect(self.address).await.unwrap();
            let name = ServerName::try_from("control.example").unwrap();
            let tls = self.connector.connect(name, tcp).await.unwrap();
            let head = format!(
                "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
            );
            exchange(tls, &format!("{head}{more}")).await
        })
        .await
    }

    async fn get(&self, path: &str, more: &str) -> String {
        self.send(&format!("GET {path}"), TOKEN, &format!("{more}\r\n")).await
    }

    async fn post(&self, body: &str) -> String {
        let more = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        self.send("POST /v1/probe", TOKEN, &more).await
    }

    fn news(&self, place: &str) {
        let problem =
            LoadError { place: place.to_owned(), message: "missing".to_owned(), unusable: true };
        self.journal.problems(vec![problem], Timestamp::now());
    }
}

fn etag(answer: &str) -> String {
    let line = answer.lines().find_map(|line| line.strip_prefix("etag: "));
    line.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn body(answer: &str) -> EngineEvidence {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn evidence_comes_with_an_etag_and_waits_for_news() {
    let server = start().await;
    let first = server.get("/v1/evidence", "").await;
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    assert_eq!(body(&first).version, "0.0.0");
    let known = format!("If-None-Match: {}\r\n", etag(&first));

    let unchanged = server.get("/v1/evidence", &known).await;
    assert!(unchanged.starts_with("HTTP/1.1 304"), "{unchanged}");
    assert_eq!(etag(&unchanged), etag(&first));
    let waited = server.get("/v1/evidence?wait=1", &known).await;
    assert!(waited.starts_with("HTTP/1.1 304"), "{waited}");

    let (held, ()) = tokio::join!(server.get("/v1/evidence?wait=50", &known), async {
        // Whichever comes first, the request or the change: the answer has the change.
        server.news("tls.crt");
    });
    assert!(held.starts_with("HTTP/1.1 200"), "{held}");
    assert_eq!(body(&held).problems[0].place, "tls.crt");
    assert_ne!(etag(&held), etag(&first));
}

#[tokio::test]
async fn news_that_waits_answers_a_request_that_was_held_to_its_end() {
    let server = start().await;
    server.news("tls.crt");
    let known = format!("If-None-Match: {}\r\n", etag(&server.get("/v1/evidence", "").await));
    server.journal.refused(InboundRefusal {
        peer: None,
        local: None,
        source: std::net::Ipv4Addr::LOCALHOST.into(),
        reason: Word::NotWellFormed,
        message: "not XML".to_owned(),
        count: 1,
        at: Timestamp::now(),
    });
    let held = server.get("/v1/evidence?wait=1", &known).await;
    assert!(held.starts_with("HTTP/1.1 200"), "{held}");
    assert_eq!(body(&held).refusals[0].message, "not XML");
}

#[tokio::test]
async fn news_while_the_request_is_held_answer_it() {
    let server = start().await;
    let known = format!("If-None-Match: {}\r\n", etag(&server.get("/v1/evidence", "").await));
    let receivers = server.journal.subscribers();
    let held = server.get("/v1/evidence?wait=50", &known);
    let news = async {
        deadline(async {
            while server.journal.subscribers() == receivers {
                tokio::task::yield_now().await;
            }
        })
        .await;
        server.news("late");
    };
    let (held, ()) = tokio::join!(held, news);
    assert_eq!(body(&held).problems[0].place, "late");
}

#[tokio::test]
async fn without_the_token_there_is_nothing() {
    let server = start().await;
    for token in ["", "0123456789abcdef0123456789abcdeF", &TOKEN[1..], &format!("{TOKEN}0")] {
        let answer = server.send("GET /v1/evidence", token, "\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{token:?} {answer}");
        assert!(!answer.contains("configHash"));
    }
}

#[tokio::test]
async fn a_rotated_token_and_certificate_are_in_force_at_once() {
    let mut server = start().await;
    let name = [Domain::parse("control.example").unwrap()];
    let now = rustls_pki_types::UnixTime::now();
    let pair = self_signed(&name, Duration::from_hours(24), now).unwrap();
    std::fs::write(&server.files.certificate_file, &pair.certificate).unwrap();
    std::fs::write(&server.files.private_key_file, &pair.private_key).unwrap();
    assert!(server.directory.path().exists());
    std::fs::write(&server.files.token_file, "another token, another token").unwrap();
    server.credentials.send_replace(Some(Arc::new(Credentials::load(&server.files).unwrap())));
    server.connector = connector(pair.certificate.as_bytes());
    assert!(server.get("/v1/evidence", "").await.starts_with("HTTP/1.1 401"));
    let answer = server.send("GET /v1/evidence", "another token, another token", "\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_probe_names_a_domain_and_is_refused_when_too_many_wait() {
    let mut server = start().await;
    let answer = server.post(r#"{"peer": "Partner.example."}"#).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert!(server.post(r#"{"peer": "b.example"}"#).await.starts_with("HTTP/1.1 429"));
    assert_eq!(server.probes.recv().await.unwrap().as_str(), "partner.example");
    for (request, status) in [
        (r#"{"peer": "192.0.2.1"}"#.to_owned(), 400),
        (r#"{"peer": "b.example", "x": 1}"#.to_owned(), 400),
        ("no json".to_owned(), 400),
        (format!(r#"{{"peer": "{}"}}"#, "a".repeat(5000)), 413),
    ] {
        let answer = server.post(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    server.probes.close();
    assert!(server.post(r#"{"peer": "b.example"}"#).await.starts_with("HTTP/1.1 503"));
}

#[tokio::test]
async fn paths_methods_and_queries_that_do_not_exist_are_refused() {
    let server = start().await;
    assert!(server.get("/", "").await.starts_with("HTTP/1.1 404"));
    assert!(server.get("/v1/probe", "").await.starts_with("HTTP/1.1 405"));
    assert!(server.get("/v1/evidence?wait=long", "").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn without_credentials_connections_are_closed() {
    let server = start().await;
    server.credentials.send_replace(None);
    let tcp = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(deadline(exchange(tcp, "")).await, "");
}

#[tokio::test]
async fn the_shutdown_answers_held_requests_and_ends() {
    let server = start().await;
    let known = format!("If-None-Match: {}\r\n", etag(&server.get("/v1/evidence", "").await));
    let receivers = server.journal.subscribers();
    let held = server.get("/v1/evidence?wait=50", &known);
    let stop = async {
        deadline(async {
            while server.journal.subscribers() == receivers {
                tokio::task::yield_now().await;
            }
        })
        .await;
        server.shutdown.cancel();
    };
    let (held, ()) = tokio::join!(held, stop);
    assert!(held.starts_with("HTTP/1.1 304"), "{held}");
    deadline(server.task).await.unwrap();
}

#[test]
fn bad_files_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let files = ControlFiles {
        address: "127.0.0.1:0".parse().unwrap(),
        certificate_file: at("tls.crt"),
        private_key_file: at("tls.key"),
        token_file: at("token"),
    };
    let error = || Credentials::load(&files).unwrap_err().to_string();
    assert!(error().contains("tls.crt"), "{}", error());
    let name = [Domain::parse("control.example").unwrap()];
    let now = rustls_pki_types::UnixTime::now();
    let pair = self_signed(&name, Duration::from_hours(24), now).unwrap();
    std::fs::write(&files.certificate_file, &pair.certificate).unwrap();
    std::fs::write(&files.private_key_file, "no key").unwrap();
    assert!(error().contains("tls.key: contains no usable PEM block"), "{}", error());
    std::fs::write(&files.private_key_file, &pair.private_key).unwrap();
    std::fs::write(&files.token_file, "short").unwrap();
    assert!(error().ends_with("token: the token has fewer than 16 bytes"), "{}", error());
}
