//! Helpers for the tests of the two listeners.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longer than any step takes on a busy machine, shorter than the tests let a request be held.
const DEADLINE: Duration = Duration::from_secs(45);

/// Fails the test when the future takes longer than any machine needs.
pub(super) async fn deadline<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.unwrap()
}

/// Sends a request and reads until the server closes.
pub(super) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut io: S,
    request: &str,
) -> String {
    // A server that refuses early may close while the rest is still being sent.
    let _ = io.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = io.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}
