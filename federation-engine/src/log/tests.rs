use std::io::Write;
use std::sync::Arc;

use super::*;

/// Lines that the tests of this file leave out. The count of the process is read by tests of metrics.
static OMITTED_HERE: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The text that `log` writes to such a log.
fn logged(program: Program, format: LogFormat, colours: bool, log: impl FnOnce()) -> String {
    let federation = Some("im/example".to_owned());
    logged_as(program, Style { format, colours, federation }, filter(program, "").unwrap(), log)
}

fn logged_as<F>(program: Program, style: Style, filter: F, log: impl FnOnce()) -> String
where
    F: Filter<Registry> + Send + Sync + 'static,
{
    let written = Written::default();
    let writer = {
        let written = written.clone();
        move || written.clone()
    };
    let subscriber = lines(program, filter, style, &OMITTED_HERE, writer);
    tracing::subscriber::with_default(subscriber, log);
    let bytes = written.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn colours_are_for_terminals() {
    let one =
        |format, colours| logged(ENGINE, format, colours, || tracing::warn!(number = 1, "a line"));
    assert!(one(LogFormat::Text, true).contains("\u{1b}["));
    let plain = one(LogFormat::Text, false);
    assert!(!plain.contains('\u{1b}') && plain.contains("a line number=1"), "{plain}");
    assert!(!one(LogFormat::Json, true).contains("\\u001b"));

    assert!(has_colours(true, None) && has_colours(true, Some(OsStr::new(""))));
    assert!(!has_colours(true, Some(OsStr::new("1"))) && !has_colours(false, None));
}

#[test]
fn a_program_may_bound_nothing_and_fix_a_part_of_the_filter() {
    let program = Program {
        name: "program",
        default_filter: "info",
        fixed_filter: Some("silent=off"),
        own_target: None,
    };
    let text = logged(program, LogFormat::Json, false, || {
        for number in 0..1000 {
            tracing::warn!(target: "library", number, "a line");
        }
        tracing::error!(target: "silent", "a line");
    });
    assert_eq!(text.lines().count(), 1000);
    assert!(filter(program, "debug").unwrap().to_string().contains("silent=off"));
}

#[test]
fn a_json_line_has_federation_peer_and_reason_as_fields() {
    let text = logged(ENGINE, LogFormat::Json, false, || {
        let pass = tracing::info_span!("pass", federation = "chat/other", reason = "Pending");
        let _pass = pass.enter();
        let (peer, omitted) = ("partner.example", None::<u64>);
        tracing::info!(peer, reason = "ConnectionRefused", attempts = 3, omitted, "no \"stream\"");
    });
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(text.starts_with(r#"{"timestamp":""#) && text.ends_with("}\n"), "{text}");
    let mut line = line.as_object().unwrap().clone();
    line.remove("timestamp").unwrap().as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let expected = serde_json::json!({
        "level": "INFO",
        "message": "no \"stream\"",
        "target": "federation_engine::log::tests",
        "federation": "chat/other",
        "peer": "partner.example",
        "reason": "ConnectionRefused",
        "attempts": 3,
    });
    assert_eq!(serde_json::Value::from(line), expected);
    // Outside of a span, the federation is that of the process.
    let text = logged(ENGINE, LogFormat::Json, false, || tracing::info!("a line"));
    assert!(text.contains(r#""message":"a line","federation":"im/example","target""#), "{text}");
}

#[test]
fn the_filter_changes_while_the_program_runs() {
    let (filter, handle) = reload::Layer::new(filter(ENGINE, "").unwrap());
    let style = Style { format: LogFormat::Text, colours: false, federation: None };
    let text = logged_as(ENGINE, style, filter, || {
        let log = Log {
            program: ENGINE,
            filter: handle,
            is_fixed: false,
            traces: Export::new(Service { name: "test", federation: None }),
        };
        let line = |name| tracing::debug!("{name}");
        line("before");
        let settings = |log_level| Observability { log_level, ..Observability::default() };
        log.adopt(&settings(LogLevel::Debug)).unwrap();
        line("at debug");
        tracing::debug!(target: "hyper", "a library");
        assert!(log.set_filter("loud=loud").is_err());
        line("after a wrong filter");
        log.adopt(&settings(LogLevel::Warn)).unwrap();
        line("at warn");
        tracing::warn!("a warning");
        let fixed = Log { is_fixed: true, ..log };
        fixed.adopt(&settings(LogLevel::Debug)).unwrap();
        line("fixed");
    });
    let messages: Vec<_> = text.lines().map(|line| line.split(": ").last().unwrap()).collect();
    assert_eq!(messages, ["at debug", "after a wrong filter", "a warning"], "{text}");
}

#[test]
fn lines_of_a_library_are_bounded_per_module_and_the_rest_is_counted() {
    let text = logged(ENGINE, LogFormat::Json, false, || {
        for number in 0..1000 {
            tracing::warn!(target: "hickory_proto::dnssec", number, "unrecognized algorithm");
            tracing::info!(target: "federation_engine::dns", number, "our own");
        }
        tracing::warn!(target: "hickory_net::udp", "another module");
        tracing::warn!(target: "hickory_net::dnssec", "off by default");
    });
    let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
    let algorithms = count("unrecognized algorithm");
    assert!((10..=20).contains(&algorithms), "{algorithms}");
    assert_eq!(count("our own"), 1000);
    assert_eq!((count("another module"), count("off by default")), (1, 0));
    assert_eq!(OMITTED_HERE.load(Ordering::Relaxed), u64::try_from(1000 - algorithms).unwrap());
}

#[test]
fn an_empty_filter_is_info_and_a_wrong_one_is_refused() {
    let default = filter(ENGINE, " ").unwrap().to_string();
    let mut parts: Vec<_> = default.split(',').collect();
    parts.sort_unstable();
    assert_eq!(parts, ["hickory_net::dnssec=off", "info"]);
    assert_eq!(
        filter(ENGINE, "federation_engine=debug").unwrap().to_string(),
        "federation_engine=debug"
    );
    let error = filter(ENGINE, "federation_engine=loud").unwrap_err();
    let error = LogError::from(error).to_string();
    assert!(error.starts_with("XFED_LOG: "), "{error}");
}
