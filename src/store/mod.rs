//! The state database: runs, their operations, and every attempt with its times. The attempts table *is* the quota ledger.
//!
//! `SQLite` in write-ahead mode with full synchronisation, shared by every process of one state directory. Whatever is
//! shown has been committed here before; whatever is sent was announced here before. This room alone holds SQL, and it
//! knows nothing of HTTP. What surprises: a process counts as dead when the lock on its own file is free, never by its
//! process id, and all writing goes through one connection whose transactions many callers share ([`connection`]). Whoever
//! only reads has a [`Reader`] on a connection of its own: it takes no lock, notes no process, makes nothing that is not
//! there, and can still read when nothing can be written any more.
//!
//! # Where what is
//! - *Runs*: written by [`runs`], told of by [`listing`], [`rows`], [`accounts`] and [`run_notes`], gone on with by [`work`]
//!   and [`resumption`], kept from each other by [`locks`], forgotten by [`prune`]. What they wrote, slot by slot: [`slots`].
//! - *The quota's ledger*: an attempt is announced in [`ledger`] and closed in [`settlement`]; ages over several clocks are
//!   [`timelines`]; calls that may have been lost are [`unknown_calls`] and [`losses`].
//! - *Processes*: who is alive ([`liveness`], on a server `server::heartbeats`), and what the dead leave ([`process`]).
//! - *Whether the state can be believed*: the files are safe ([`directory`]), intact ([`soundness`]), those that were left
//!   ([`custody`], by the [`witness`]), still the same in the middle of a run ([`presence`], [`journal`]), with times that make sense
//!   ([`plausible`]). A server that is away: [`absence`].
//! - *Engines*: [`sql`] speaks to both, [`schema`] has the tables, [`server`] is `PostgreSQL`; [`opening`] and [`reader`] are
//!   the ways in. The types that go in and out are in [`forms`], and how they stand in columns in [`encoding`].

mod absence;
mod accounts;
mod attempt;
mod commits;
mod connection;
mod copying;
#[cfg(test)]
mod crashes;
mod custody;
mod database_failure;
mod database_file;
mod declarations;
mod directory;
mod encoding;
mod error;
mod file_names;
mod file_schema;
mod forms;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod handle;
mod identity;
mod job;
mod journal;
mod ledger;
mod listing;
mod liveness;
mod locks;
mod losses;
mod mistrust;
mod moving;
mod opening;
mod overview;
mod password;
mod place;
mod plausible;
mod presence;
mod process;
mod prune;
mod reader;
mod resumption;
mod room;
mod rows;
mod run_copy;
mod run_notes;
mod runs;
mod schema;
mod server;
mod settlement;
mod silence;
mod slot_write;
mod slots;
mod soundness;
mod sql;
mod tag_calls;
mod tallies;
mod timelines;
mod unknown_calls;
mod waiting;
mod witness;
mod work;
mod work_item;

pub(crate) use absence::{Absence, Patience};
pub(crate) use accounts::{CallRecord, NO_KIND, OperationRecord};
pub(crate) use attempt::{
    Admission, AttemptEnd, AttemptKey, AttemptRequest, AttemptTicket, OperationEffect, Refusal, Settlement,
};
pub(crate) use declarations::{DeclarationInForce, Declared};
pub(crate) use directory::{default_directory, is_private, lock_directory, state_files};
pub(crate) use error::StoreError;
pub(crate) use forms::{
    AccountKey, InputChunk, NewOperation, NewRun, OperationState, RunKey, RunKind, RunState, SettledOperation,
    StoredChunk, StoredOperation, StoredRun, name_of_undo,
};
pub(crate) use handle::Store;
#[cfg(test)]
pub(crate) use listing::RunProcess;
pub(crate) use listing::{RunCondition, RunDetails, RunEntry};
pub(crate) use losses::UnknownCalls;
pub(crate) use run_notes::{ForetoldPoint, KeptLimit, MachineKind, NewRunSession, RunSession, RunSessionEnd};
pub(crate) use slot_write::{RunSlot, SlotWrite};
pub(crate) use slots::RecentSlotWrites;
pub(crate) use work_item::{
    Doubt, Guards, RemovesWithoutAdds, UnknownOperations, WorkCount, WorkItem, WorkKind, WorkPlace,
};

pub(crate) use locks::{Claim, Holder};
pub(crate) use overview::{AtWork, Overview};
pub(crate) use password::{PasswordGiver, PasswordRefusal, PasswordToCome};
pub(crate) use place::StatePlace;
pub(crate) use presence::lose_shared_memory;
pub(crate) use prune::KeptInDoubt;
pub(crate) use reader::Reader;
pub(crate) use resumption::{CarriedOperation, DecidedAnew, KnownOperation, UnfinishedRun};
pub(crate) use room::free_bytes;
pub(crate) use server::{AddressError, PasswordSource, ServerAddress};
pub(crate) use tallies::CallTally;
