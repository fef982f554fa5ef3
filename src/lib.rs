//! tagfleet retags Microsoft Defender for Endpoint tenants in bulk: rows of `machineId,tag,action,value` in, one answer
//! per row out, inside the API's quotas.
//!
//! # The flow
//! Data goes one way. Each room knows only those above it or to its left:
//!
//! ```text
//! model, clock, words                plain types; time and randomness as values; how numbers and times are written
//! input ──> plan (pure) ──> dispatch ──> events ──> report
//!             ^ inventory       │
//!               └──────────> call ──> quota ──> store
//!                              └────> api
//! run: a run from its opening to its last line, over all of these; exit: how a command ends
//! commands: settings and environment in, a run, an exit status out; cli and config say what the user wants
//! sandbox: the simulated API, which shares nothing with what is checked against it
//! ```
//!
//! # The rooms
//! - [`model`], [`clock`], [`words`]: what everybody speaks. No I/O in the first.
//! - [`input`]: bytes to rows. Knows no API.
//! - [`plan`]: rows to operations, operations to a finish time. Pure.
//! - [`api`]: the wire, sign-in, the clouds. Alone names the HTTP and Azure crates; never retries, never waits.
//! - [`quota`]: the window rule and the pacer. [`store`]: the state database and so the quota's ledger; alone holds SQL.
//! - [`call`]: one call, whole: admit, send, judge, settle, wait, again. Knows no rows.
//! - [`inventory`]: the tenant's machines, read through [`call`], found by id and by name.
//! - [`dispatch`]: the one loop that owns a run. Emits events, prints nothing.
//! - [`report`]: consumers of events and readers of the store. Changes no run.
//! - [`exit`]: how a command ends; alone turns the errors of the other rooms into an exit status.
//! - [`run`]: a run from its opening to its last line: reading, planning, recording, joining, claiming, carrying out, undoing.
//!   Over any transport, and without a process around it: what comes from outside comes in as values.
//! - [`cli`], [`config`]: what was typed, and what it means once the environment is read. [`commands`]: one short file a
//!   command.
//! - [`sandbox`]: the simulated API on loopback.
//! - `fuzzing`: for tests and fuzzers only: whatever reads what comes from outside, as functions of any bytes.
//!
//! # Invariants
//! - Every attempt is in the ledger before it is sent, and its outcome is there before anybody is told.
//! - Every row of the input has exactly one outcome; success is only ever the service's own answer.
//! - No call starts before the quota allows it, in this process or beside others, and retries count like any call.
//! - There is one retry layer, in [`call`]; policy ([`call::judge()`]) is a pure and total function.
//! - No secret is written anywhere; whatever comes from outside is masked and escaped before it is shown.
//! - Only `main` ends the process, and only [`report`] writes to the terminal.

pub mod api;
pub mod call;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod dispatch;
pub mod exit;
#[doc(hidden)]
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod input;
pub mod inventory;
pub mod model;
pub mod plan;
pub mod quota;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod store;
pub mod words;

/// Keeps secrets in memory from being written to disk when the process dies.
pub fn forbid_core_dumps() {
    #[cfg(unix)]
    {
        let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
        // Where it is not allowed, the system's own rules for core dumps hold.
        let _refused = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    }
}
