//! The state database: runs, their operations, and every attempt with its times. The attempts table *is* the quota ledger.
//!
//! `SQLite` in write-ahead mode with full synchronisation, shared by every process of one state directory. Whatever is
//! shown has been committed here before; whatever is sent was announced here before. This room alone holds SQL, and it
//! knows nothing of HTTP. What surprises: a process counts as dead when the lock on its own file is free, never by its
//! process id, and all writing goes through one connection whose transactions many callers share ([`access`]). Whoever
//! only reads has a [`Reader`] on a connection of its own: it takes no lock, notes no process, makes nothing that is not
//! there, and can still read when nothing can be written any more.
//!
//! # The rooms
//! Each knows only those below it:
//!
//! - [`overview`]: what the state tells whoever looks at it. [`upkeep`]: what is done to it as a whole.
//! - [`ledger`]: the quota's ledger, every attempt announced before it is sent, and closed.
//! - [`runs`]: what is to be done and what became of it. [`slots`]: what that wrote, slot by slot.
//! - [`access`]: the ways in, [`Store`] and [`Reader`], and the connections below them.
//! - [`server`]: a state on `PostgreSQL`.
//! - [`trust`]: whether the state can be believed: intact, the one that was left, and with times that make sense.
//! - [`files`]: a state in a directory: whether that is safe, and who is alive.
//! - [`forms`]: the types that go in and out, and how they stand in columns.
//! - [`engine`]: SQL and the tables, whatever the database, and what it says when it fails.

mod access;
#[cfg(test)]
mod cases;
mod engine;
mod files;
mod forms;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod ledger;
mod overview;
mod runs;
mod server;
mod slots;
mod trust;
mod upkeep;

pub(crate) use access::handle::Store;
pub(crate) use access::place::StatePlace;
pub(crate) use access::reader::Reader;
pub(crate) use engine::absence::{Absence, Patience};
pub(crate) use engine::error::StoreError;
pub(crate) use engine::password::{PasswordGiver, PasswordRefusal, PasswordToCome};
pub(crate) use files::directory::{default_directory, free_bytes, is_private, lock_directory, state_files};
pub(crate) use forms::attempt::{
    Admission, AttemptEnd, AttemptKey, AttemptRequest, AttemptTicket, OperationEffect, Refusal, Settlement,
};
pub(crate) use forms::run::{
    AccountKey, InputChunk, NewOperation, NewRun, OperationState, RunKey, RunKind, RunState, SettledOperation,
    StoredChunk, StoredOperation, StoredRun, name_of_undo, taken_back_by,
};
pub(crate) use forms::slot_write::{RunSlot, SlotWrite};
pub(crate) use forms::work_item::{
    AddsInDoubt, RemovesWithoutAdds, SentBefore, Swaps, UnknownOperations, WorkCount, WorkItem, WorkKind, WorkPlace,
};
pub(crate) use ledger::losses::UnknownCalls;
pub(crate) use overview::accounts::{CallRecord, NO_KIND, OperationRecord};
#[cfg(test)]
pub(crate) use overview::listing::RunProcess;
pub(crate) use overview::listing::{RunCondition, RunDetails, RunEntry};
pub(crate) use overview::state::{AtWork, Overview};
pub(crate) use overview::tallies::CallTally;
pub(crate) use runs::declarations::{DeclarationInForce, Declared};
pub(crate) use runs::locks::{Claim, Holder};
pub(crate) use runs::notes::{ForetoldPoint, KeptLimit, MachineKind, NewRunSession, RunSession, RunSessionEnd};
pub(crate) use runs::resumption::{CarriedOperation, DecidedAnew, KnownOperation, OPERATIONS_AT_ONCE, UnfinishedRun};
#[cfg(test)]
pub(crate) use server::tests::cluster::InPlace;
pub(crate) use server::{AddressError, PasswordSource, ServerAddress};
pub(crate) use slots::RecentSlotWrites;
pub(crate) use trust::presence::lose_shared_memory;
pub(crate) use upkeep::prune::KeptInDoubt;
