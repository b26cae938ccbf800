//! The filter of the log, as a file says while the operator runs, and the export of traces.

use std::io;
use std::path::{Path, PathBuf};

use crds::observability::Traces;
use federation_engine::config::watch::FileWatch;
use federation_engine::log::{self, Log, LogError};
use tokio::task::JoinSet;

use crate::args::Args;

/// Largest filter that is read, in bytes.
const MAX_FILTER: usize = 64 * 1024;

/// Why log or traces cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The file cannot be read.
    #[error("cannot read the filter of the log {path}: {source}")]
    Read {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not a filter.
    #[error(
        "the filter of the log {path} is not valid: {source}; correct the chart's value log.filter"
    )]
    Invalid {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: LogError,
    },
    /// Traces cannot be exported.
    #[error(transparent)]
    Traces(#[from] federation_engine::traces::TracesError),
}

/// Exports traces as `args` say, and filters the log as the file says, now and after each change: the task that is
/// returned. Does nothing if the process has another log.
///
/// # Errors
/// See [`LoggingError`]. After the start, a file that cannot be used is reported, and the last filter stays.
pub fn start(args: &Args) -> Result<JoinSet<()>, LoggingError> {
    let mut tasks = JoinSet::new();
    let Some(log) = log::current() else { return Ok(tasks) };
    log.traces.set(traces(args).as_ref())?;
    if let Some(path) = args.log_filter_file.clone() {
        let mut watch = FileWatch::new();
        watch.set([&path]);
        adopt(log, &path)?;
        tasks.spawn(follow(log, path, watch));
    }
    Ok(tasks)
}

fn traces(args: &Args) -> Option<Traces> {
    let collector = args.traces_collector.clone()?;
    Some(Traces { collector, sample_percent: args.traces_sample_percent })
}

async fn follow(log: &'static Log, path: PathBuf, mut watch: FileWatch) {
    loop {
        watch.changed().await;
        match adopt(log, &path) {
            Ok(filter) => tracing::info!(filter, "the filter of the log has changed"),
            Err(error) => tracing::error!("{error}. The last filter stays in effect"),
        }
    }
}

fn adopt(log: &Log, path: &Path) -> Result<String, LoggingError> {
    let text = read(path).map_err(|source| LoggingError::Read { path: path.to_owned(), source })?;
    log.set_filter(&text)
        .map_err(|source| LoggingError::Invalid { path: path.to_owned(), source })?;
    Ok(text)
}

/// The filter, on one line: a file may end in a line break.
fn read(path: &Path) -> io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    if text.len() > MAX_FILTER {
        return Err(io::Error::other(format!("it is larger than {MAX_FILTER} bytes")));
    }
    Ok(text.trim().to_owned())
}
