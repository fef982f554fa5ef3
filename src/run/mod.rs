//! A run from its opening to its last line: the tenant, the plan, the record, the turn, the calls, the results.
//!
//! Here is what the commands have in common, and here it runs without a process around it. Whatever comes from outside is
//! a value: the service is a [`Transport`](crate::api::Transport) in a [`Tenant`], with the store and the clock; screen,
//! consent, interrupts and chance are the [`RunContext`]; the input is bytes that have a name ([`InputOrder`]). Nothing here asks
//! the system for the time, for chance, for the environment or for an answer.
//!
//! # How to drive it
//! One command is:
//!
//! ```text
//! let input = check_input(InputOrder { .. }, &context.screen).await?;           // apply, plan, verify
//! let tenant = Tenant::open(service, identity, store, clock, calls, &mut context).await?;
//! let status = apply(&tenant, &order, input, &mut context).await?;              // or any other entry
//! ```
//!
//! A simulation gives each process a [`Store`](crate::store::Store) and a clock of its own, and each command a context:
//! [`Screen::over`](crate::report::Screen::over) streams in memory takes what is said and, with
//! [`ResultsTarget::StandardOutput`](crate::report::ResultsTarget), the results; [`Consent`] answers, waits or refuses; the
//! sender of `stop_requests` interrupts. Dropping the future of a command, and its store, is the death of its process:
//! everything that holds is in the store. An error is shown, as the program does it, by `screen.problem(&error.problem)`.

// What a command asks for.
mod apply;
mod check;
mod inventory;
mod plan;
mod resume;
mod retag;
mod rules;
mod rules_trial;
mod tags;
mod undo;
mod verify;

// What these have in common.
mod beginning;
mod carrying_out;
mod claim;
mod context;
mod deciding_again;
mod foretelling;
mod input;
mod input_faults;
mod join;
mod lock_wait;
mod order_digest;
mod ownership;
mod planning;
mod record;
mod resume_stored;
mod rules_report;
mod rules_unsettled;
mod tenant;
mod today;

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;

pub(crate) use apply::{ApplyOrder, apply};
pub(crate) use carrying_out::RunOrder;
pub(crate) use check::{BucketLeft, QuotaLeft};
pub(crate) use context::{Consent, RunContext};
pub(crate) use input::{
    CheckedInput, InputOrder, InputSource, NamedFilter, TENANT_INPUT, check_input, check_input_with_machines,
    choose_machine_column,
};
pub(crate) use inventory::inventory;
pub(crate) use plan::plan;
pub(crate) use planning::PlanningOrder;
pub(crate) use resume::{ResumeOrder, resume};
pub(crate) use retag::{RETAG_HEADER, Retagging, plan_retagging, retag};
pub(crate) use rules::{RulesOrder, apply_rules, dump_rules, plan_rules, release_rules, verify_rules};
pub(crate) use rules_report::refuse_faults;
pub(crate) use rules_trial::{ExportedList, try_rules};
pub(crate) use tags::tags;
pub(crate) use tenant::{CallOptions, Identity, Service, Tenant, unknown_calls_text};
pub(crate) use undo::{UNDO_HEADER, UndoOrder, undo};
pub(crate) use verify::verify;
