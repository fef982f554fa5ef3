//! Why the engine itself failed.

use std::io;

use tokio::task::JoinError;

use crate::store::StoreError;

/// Why the engine itself failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DispatchError {
    /// The state could not be kept; calls were stopped at once.
    #[error("calls were stopped, since their outcomes cannot be stored")]
    Store(#[from] StoreError),
    /// Whoever shows the run cannot go on; the run was stopped in order.
    #[error("the run cannot be shown any longer")]
    Observer(#[source] io::Error),
    /// A task of the program ended in a way that it never should.
    #[error("a call ended in a way that it never should")]
    Task(#[source] JoinError),
}
