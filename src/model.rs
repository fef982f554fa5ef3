//! The plain types that every room speaks: machines, tags, device values, what a row asks for and what became of it.
//!
//! Nothing here does I/O or reads a clock. What surprises: a [`MachineId`] of 40 hexadecimal digits is held as 20 bytes,
//! because a plan holds a million of them; it is shown and sent in lower case, as the service writes it.

mod change;
mod device_value;
mod held;
pub(crate) mod identity;
mod machine;
mod machine_record;
mod outcome;
mod requests;
pub(crate) mod row_code;
mod tag;

pub(crate) use change::{Change, ChangeKind, Operation, OperationId, TagAction, TagNumber};
pub(crate) use device_value::DeviceValue;
pub(crate) use held::{Age, Held, MayHold, Slot};
pub(crate) use machine::{EntraDeviceId, MachineId, MachineReference};
pub(crate) use machine_record::MachineRecord;
pub(crate) use outcome::{
    AnswerFacts, Bucket, Outcome, RowNumber, SANDBOX_RUN_PREFIX, Status, is_sandbox_run, says_machine_is_gone,
};
pub(crate) use requests::{ReferenceNumber, Request, Requests};
pub(crate) use tag::{RETAGGING_PREFIX, RETAGGING_WHERE, Tag, TagError, case_key, is_never_added, is_retagging_of_all};
