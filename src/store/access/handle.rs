//! The state, open for writing: what every part of this room adds its questions and answers to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{connection, identity, run_copy};
use crate::clock::SharedClock;
use crate::store::engine::absence;
use crate::store::{Absence, Patience, Reader, StoreError};

/// The state of one directory, open for writing. Clones share it; it is closed when the last one is gone. Whatever a
/// [`Reader`] can tell, a store can, too.
#[derive(Clone)]
pub(crate) struct Store {
    pub(in crate::store) reader: Reader,
    pub(in crate::store) writer: connection::SharedConnection,
    pub(in crate::store) clock: SharedClock,
    pub(in crate::store) identity: Arc<identity::ProcessIdentity>,
    /// How long its database is waited for.
    pub(in crate::store) patience: Patience,
    /// What is lost, if this opening was the first to find that out.
    pub(super) loss: Option<StoreError>,
    /// A copy of the run under way; in simulations there is none.
    pub(in crate::store) run_copy: Option<run_copy::SharedRunCopy>,
}

impl std::ops::Deref for Store {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Store {
    /// Whether the state is on a server, where other hosts may be at work with it.
    pub(crate) fn is_on_server(&self) -> bool {
        self.identity.is_on_server()
    }

    /// The connection that whoever only looks uses. On a server he would keep others from writing, and wait for a disk; with a
    /// file there is no way that could be spared.
    pub(in crate::store) fn looking(&self) -> &connection::SharedConnection {
        if self.is_on_server() { &self.reader.connection } else { &self.writer }
    }

    /// For how long the database has not answered, if that is long: it cannot be reached, or somebody keeps it locked.
    pub(crate) fn silent_for(&self) -> Option<Duration> {
        let connections = [&self.writer, &self.reader.connection];
        let waits = connections.into_iter().filter_map(connection::SharedConnection::waiting_for);
        waits.max().filter(|waiting| *waiting >= absence::SILENT_AFTER)
    }

    /// What is lost of the state, if this opening was the first to find that out. What is left can be worked with: from now
    /// on the loss is in the books.
    pub(crate) const fn loss(&self) -> Option<&StoreError> {
        self.loss.as_ref()
    }

    /// Waits for a database that is away for as long as this in the middle of work, and not beyond `ends`; until then it is
    /// asked for as long as at the beginning. A file is never waited for longer than that.
    pub(crate) fn bear_absences(&self, longest: Duration, ends: Option<Instant>) {
        self.patience.set(longest, ends);
    }

    /// How long a database that is away is waited for, to be shortened by whoever wants to go.
    pub(crate) fn patience(&self) -> Patience {
        self.patience.clone()
    }

    /// Tells when the database goes away, and when it is back.
    pub(crate) fn absences(&self) -> watch::Receiver<Option<Absence>> {
        self.patience.absences()
    }

    /// Tells when something was stored again that a server lacked which has taken over.
    pub(crate) fn restorations(&self) -> watch::Receiver<u32> {
        self.patience.restorations()
    }

    /// Since when the database is away, and until when it is waited for, if it is.
    pub(crate) fn absence(&self) -> Option<Absence> {
        *self.absences().borrow()
    }
}
