//! Work that takes a while, on a thread of its own: the runtime's threads must not stand still for it.

use std::panic::resume_unwind;

use tokio::task::{JoinError, spawn_blocking};

/// Does the work on a thread that may block, and gives what it gives. A panic in it goes on in whoever waits for it.
pub(crate) async fn on_blocking_thread<Output: Send + 'static>(
    work: impl FnOnce() -> Output + Send + 'static,
) -> Output {
    match spawn_blocking(work).await.map_err(JoinError::try_into_panic) {
        Ok(output) => output,
        Err(Ok(panic)) => resume_unwind(panic),
        // The runtime is going, and this task with it.
        Err(Err(_stopped)) => std::future::pending().await,
    }
}
