use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span as ReceivedSpan;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tracing_subscriber::layer::SubscriberExt;

use super::*;

/// Time until a test fails that waits for a batch.
const DEADLINE: Duration = Duration::from_mins(1);

fn service() -> Service {
    Service { name: "federation-engine", federation: Some("im/example".to_owned()) }
}

async fn collector() -> (TcpListener, Traces) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let collector = listener.local_addr().unwrap().to_string().parse().unwrap();
    (listener, Traces { collector, sample_percent: 100 })
}

/// Receives one batch, and answers with the status.
async fn receive(listener: &TcpListener, status: &str) -> (String, ExportTraceServiceRequest) {
    let received = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (head, body) = read(&mut stream).await;
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        (head, ExportTraceServiceRequest::decode(body.as_slice()).unwrap())
    };
    tokio::time::timeout(DEADLINE, received).await.unwrap()
}

async fn read(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let end = loop {
        stream.read_buf(&mut bytes).await.unwrap();
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let length: usize = length.parse().unwrap();
    while bytes.len() < end + length {
        stream.read_buf(&mut bytes).await.unwrap();
    }
    (head, bytes[end..].to_vec())
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

fn spans(request: &ExportTraceServiceRequest) -> Vec<&ReceivedSpan> {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans).collect()
}

fn subscribed(export: &Arc<Export>) -> tracing::subscriber::DefaultGuard {
    tracing::subscriber::set_default(tracing_subscriber::registry().with(export.layer()))
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_arrive_at_a_collector_with_parents_attributes_and_resource() {
    let (listener, traces) = collector().await;
    let export = Export::new(service());
    let guard = subscribed(&export);
    tracing::debug_span!("while it is off").in_scope(|| {});
    export.set(Some(&traces)).unwrap();
    let outer = tracing::debug_span!(
        "outbound stream",
        peer = "partner.example",
        reason = tracing::field::Empty,
        otel.status_code = tracing::field::Empty
    );
    outer.in_scope(|| {
        tracing::debug_span!("lookup").in_scope(|| tracing::info!("a line is no part of a trace"));
        tracing::debug_span!(target: "hyper", "of a library").in_scope(|| {});
        tracing::trace_span!("too small").in_scope(|| {});
    });
    outer.record("reason", "ConnectionRefused").record("otel.status_code", "ERROR");
    drop(outer);
    drop(guard);
    let ended = tokio::task::spawn_blocking({
        let export = Arc::clone(&export);
        move || export.end()
    });
    let (head, request) = receive(&listener, "200 OK").await;
    ended.await.unwrap();

    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    assert!(head.contains(&format!("host: {}", traces.collector)), "{head}");
    let resource = request.resource_spans[0].resource.as_ref().unwrap();
    assert_eq!(text(&resource.attributes, "service.name").unwrap(), "federation-engine");
    assert_eq!(text(&resource.attributes, "xmpp.federation").unwrap(), "im/example");
    let spans = spans(&request);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["lookup", "outbound stream"]);
    assert_eq!(spans[0].parent_span_id, spans[1].span_id);
    assert!(spans[0].events.is_empty());
    assert_eq!(text(&spans[1].attributes, "peer").unwrap(), "partner.example");
    assert_eq!(text(&spans[1].attributes, "reason").unwrap(), "ConnectionRefused");
    // STATUS_CODE_ERROR
    assert_eq!(spans[1].status.as_ref().unwrap().code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_delays_no_span_and_its_queue_is_bounded() {
    let (listener, traces) = collector().await;
    let export = Export::new(service());
    let _guard = subscribed(&export);
    export.set(Some(&traces)).unwrap();
    // More than the queue has room for, and nobody takes one: each is recorded or dropped, and none waits.
    for number in 0..100_000 {
        tracing::debug_span!("span", number).in_scope(|| {});
    }
    let (mut stream, _) = tokio::time::timeout(DEADLINE, listener.accept()).await.unwrap().unwrap();
    let (_, body) = read(&mut stream).await;
    let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    assert!(spans(&request).len() <= 512, "{}", spans(&request).len());
    drop((stream, listener));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_can_be_replaced_and_switched_off_while_the_program_runs() {
    let (first, first_traces) = collector().await;
    let (second, second_traces) = collector().await;
    let export = Export::new(service());
    let guard = subscribed(&export);
    export.set(Some(&first_traces)).unwrap();
    tracing::debug_span!("to the first").in_scope(|| {});
    export.set(Some(&second_traces)).unwrap();
    tracing::debug_span!("to the second").in_scope(|| {});
    let (_, request) = receive(&first, "200 OK").await;
    assert_eq!(spans(&request)[0].name, "to the first");
    export.set(None).unwrap();
    tracing::debug_span!("to none").in_scope(|| {});
    let (_, request) = receive(&second, "200 OK").await;
    assert_eq!(spans(&request).len(), 1);
    assert_eq!(spans(&request)[0].name, "to the second");
    drop(guard);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_share_of_sampled_traces_is_that_of_the_setting() {
    let (listener, traces) = collector().await;
    let export = Export::new(service());
    let guard = subscribed(&export);
    export.set(Some(&Traces { sample_percent: 5, ..traces })).unwrap();
    // Less than the queue has room for.
    for _ in 0..2000 {
        tracing::debug_span!("root").in_scope(|| tracing::debug_span!("child").in_scope(|| {}));
    }
    export.set(None).unwrap();
    let (_, request) = receive(&listener, "200 OK").await;
    let (roots, children): (Vec<_>, Vec<_>) =
        spans(&request).into_iter().partition(|span| span.name == "root");
    // 100 are expected, with a standard deviation of 10; a batch has room for 512 spans.
    assert!((40..200).contains(&roots.len()), "{}", roots.len());
    assert_eq!(roots.len(), children.len());
    drop(guard);
}
