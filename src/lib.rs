//! tagfleet retags Microsoft Defender for Endpoint tenants in bulk: rows of `machineId,tag,action,value` in, one answer
//! per row out, inside the API's quotas.
//!
//! # The flow
//! Data goes one way. Each room knows only those above it or to its left:
//!
//! ```text
//! model, clock, words, outside, help    plain types; time as a value; how numbers and texts are written; the manual
//! sandbox                               the simulated API, which shares nothing with what is checked against it
//! filter ──> input                      which rows and machines are meant; bytes to rows
//! inventory, quota ──> plan ──> rules   pure: what is held, what may be sent when, what to change, what is declared
//! api, store ──> call ──> listing       the wire and the state; one call, whole; the machines, read
//! dispatch ──> report                   the loop that owns a run; what is told of it, event by event
//! exit ──> run                          how a command ends; a run from its opening to its last line
//! environment ──> cli ──> config        what surrounds the program, what was typed, and what both come to
//! commands                              settings in, a run, an exit status out
//! ```
//!
//! # The rooms
//! - [`model`], [`clock`], [`words`]: what everybody speaks. No I/O in the first.
//! - [`outside`]: text from outside, exact for comparing, and the ways out for showing it; the secrets of the process.
//! - [`help`]: the manual: topics as Markdown, for the terminal and for `man`.
//! - [`sandbox`]: the simulated API as a value of requests and moments, and its shells: HTTP on loopback, a transport in memory.
//! - [`filter`]: the predicates of KQL, over a row's cells or a machine's fields. Pure.
//! - [`input`]: bytes to rows. Knows no API.
//! - [`inventory`]: the tenant's machines as they were listed, found by id and by name. Pure.
//! - [`quota`]: the window rule and the pacer.
//! - [`plan`]: rows to operations, operations to a finish time. Pure.
//! - [`rules`]: a fleet kept as declared: a file of rules and a list of machines to what is wished of each. Pure.
//! - [`api`]: the wire, sign-in, the clouds. Alone names the HTTP crate; never retries, never waits.
//! - [`store`]: the state database and so the quota's ledger; alone holds SQL.
//! - [`call`]: one call, whole: admit, send, judge, settle, wait, again. Knows no rows.
//! - [`listing`]: the list of machines, read page by page through [`call`], for whatever takes them.
//! - [`dispatch`]: the one loop that owns a run, and the pure dispatcher that decides for it. Emits events, prints nothing.
//! - [`report`]: consumers of events and readers of the store. Changes no run.
//! - [`exit`]: how a command ends: what the errors of the other rooms, and the ends of runs, are as an exit status.
//! - [`run`]: a run from its opening to its last line: reading, planning, recording, joining, claiming, carrying out, undoing.
//!   Over any transport, and without a process around it: what comes from outside comes in as values.
//! - [`environment`]: variables, files of settings and profiles, as they stand there. [`cli`]: what was typed, over these.
//!   [`config`]: what both mean: addresses, credentials, deadlines. [`commands`]: one short file a command.
//! - `fuzzing`: for tests and fuzzers only: whatever reads what comes from outside, as functions of any bytes.
//!
//! # The way of a row
//! What becomes of the row `srv-ber-042,Tier 1,Add,` of a file that `apply` is given:
//!
//! 1. [`cli`] and [`config`] say which file, tenant, quota and limits are meant; `commands/apply.rs` opens them.
//! 2. [`input`] decodes the file and checks every row: this one is a request to add a tag. [`plan`] makes one operation of all
//!    requests for the same, and finds those that contradict each other. A file with a wrong row ends here.
//! 3. [`listing`] reads the tenant's machines, through [`call`] like every other call, into an [`inventory`], which finds the
//!    one of that name.
//! 4. [`plan`] decides from these and our own recent writes whether the operation changes something. The calls and the finish
//!    time follow; the user is asked.
//! 5. [`run`] stores rows and operations in one piece ([`store`]), or joins them to a run that was left, and takes the turn.
//! 6. [`dispatch`] packs the operation with up to 499 others of the same change into a bulk call.
//! 7. [`call`] asks the ledger ([`quota`], [`store`]) for a place in every window, which writes the attempt down; [`api`] sends
//!    it; the answer is judged, stored, and either ends the call or has it repeated.
//! 8. [`dispatch`] takes the call's end: this machine was tagged, or the call was refused and is taken apart, or nobody knows
//!    and it is read back.
//! 9. [`report`] reads rows and outcomes back from the store, writes the results, and says what comes next.
//!
//! `resume` begins at 3, and has the operations that are stored decided about again at 4. `undo` begins at 3 as well, makes a row
//! of each slot that the run has changed (a machine and a tag, or a machine and its value), and plans those like any input.
//!
//! # Where to change what
//! | to change | go to |
//! | --- | --- |
//! | an option, its help | `cli/options.rs`, `cli/commands.rs`; how a run gets it: `commands/orders.rs` (of `undo`: `commands/undo.rs`), of tenant and quota `commands/setup.rs`; whether a command that is suggested repeats it: `cli/repeated.rs`; examples and statuses: `cli/after_help.rs`; what it means with the environment: `config.rs`; its topic in `help/` |
//! | a command | its options, and what others ask of any command: `cli/commands.rs`; its script: a file in `commands/`, called by `commands/command_line.rs`; what it writes: `commands/outputs.rs` |
//! | a message, a hint, a text for people | how it is worded: `words/messages.md`; an error: the `error.rs` of its room, shown by `report/output/problem.rs`; what ends a command: `exit.rs` |
//! | what can be set in a file | every option, unless `cli/settings/keys.rs` excludes it; which goes before which: `cli/settings.rs`; the file: `environment/settings_file.rs` |
//! | a command for several profiles | `commands/several.rs`; whose a row is: `input/choices/tenants.rs` |
//! | what a cell or column may be, the headings of an export | `input/cells/check.rs`, `input/structure/columns.rs`, `input/cells/machine.rs`, `input/oddities/tag_oddity.rs`; what a tag may be at all: `model/tag.rs`; columns of lists: `input/structure/header.rs` |
//! | an operator or function of filters | an operator: `filter/comparison.rs`; a function that is a condition: `filter/grammar.rs`, one that is compared: `filter/operand.rs`, a value such as `ago`: `filter/parser.rs`; what it asks of a cell: `filter/expression.rs`; its name for people: `filter/error.rs` |
//! | what the command line may ask of every row | `input/choices/orders.rs`; which column of ids names the machines: `input/sheet/rivals.rs` |
//! | what `--limit` counts | `plan/holding_back.rs` |
//! | what an unattended run may do at most | `plan/guard.rs`; which removals stay back: `plan/holding_back.rs` |
//! | another source of rows than a file | a `SheetWriter` (`input/sheet/writer.rs`): of each row what results repeat, and what it asks for; `run/undo.rs` and `run/retag.rs` are two |
//! | what a file of rules may say | `rules/draft.rs`; what a rule says of a machine: `rules/judging.rs`; what is taken off: `rules/wishes.rs`; its topic |
//! | the words for a wrong file of rules | where it is found: `rules/draft.rs`, `rules/sections.rs`, `rules/lookup.rs`, `rules/lookup_section.rs`, two values: `rules/tally.rs`; together: `run/rules_report.rs` |
//! | what is masked or escaped where text is shown | `outside/masking.rs`, `outside/escaping.rs`; which texts: `outside/mod.rs`; log lines: `report/output/screen/log_line.rs` |
//! | the words for a wrong row | `input/findings/problem.rs`; for a file, `input/findings/error.rs`; together, as they are told: `run/input_faults.rs` |
//! | how an answer is taken, a retry rule | `call/judge.rs`: a pure table; of bulk calls, first `call/judge/bulk.rs`; how long to wait: `call/backoff.rs`, `call/retry_after.rs`; whether a list that cannot be read is refused: `listing/read.rs`; the hint: `report/course/summary.rs`; its table: `help/failures.md` |
//! | what comes after an attempt | `call/caller/attempts.rs`; where the service, or a sign-in, is in trouble: `call/caller/trouble.rs` |
//! | when an outage is one | `call/outage.rs` |
//! | how many machines a call takes | at most: `BULK_MAXIMUM_MACHINES` in `api/request.rs`; what a run learns of it: `dispatch/bulk.rs`; packing: `dispatch/lane.rs`; how refused ones are searched: `plan/isolation.rs` |
//! | what comes after what in a run | `dispatch/dispatcher.rs`, a table of inputs and actions; which call is next: `dispatch/lanes.rs` |
//! | when a run stops | `dispatch/bounds.rs`, `dispatch/stopping.rs` |
//! | who hears an interrupt, and when | `commands/stop_signals.rs`, `commands/process.rs`; how long a state is waited for: `store/engine/absence.rs`, and its disk: `store/files/silence.rs` |
//! | the window rule | `quota/window.rs`, over several clocks `quota/ages.rs`; its ledger: `store/ledger/` |
//! | what counts together | `quota/scope.rs`; what a refusal changes about it: `call/gate/counting.rs`; which calls go side by side: `dispatch/lane/choosing.rs` |
//! | a table of the database | `store/engine/schema.rs`, with a migration, and its name in `store/upkeep/moving.rs`; its forms, and how they stand in columns: `store/forms/` |
//! | what `state` shows, copies | `store/overview/state.rs`, `store/upkeep/moving.rs`: every table is named there |
//! | what SQL may say, on a file and on a server | `store/engine/sql.rs`; what a server is asked: `store/server/` |
//! | what follows when another server of the state takes over | `store/server/takeovers.rs`; what is stored again then: `store/server/restoring.rs` |
//! | a column of the results | its name: `RESULT_COLUMNS` in `input/structure/columns.rs`, which skips it when results are fed back; what it holds: `report/results/row.rs`; its topic |
//! | the code of a row that was not sent | `model/row_code.rs`; the decision: `plan/decision.rs`; its message: `run/record.rs`, of a name `plan/resolution.rs`, of what others have overtaken `store/slots/overtaken.rs`, `store/runs/`; whether the row is fed back: `report/results/row.rs`; the table in `help/results.md` |
//! | which unfinished run a file resumes, what becomes of its outcomes | `Applying::is_meant` in `run/apply.rs`, `run/join.rs`, `plan/carrying.rs`, `store/runs/resumption/succession.rs`; without a file: `run/resume_stored.rs`, `run/deciding_again.rs`, `plan/redecision.rs` |
//! | when runs are deleted | `store/upkeep/prune.rs`, and whether the clock is believed: `store/upkeep/prune/clock_jumps.rs`; the least that is kept: `run/tenant.rs` |
//! | when two tags differ in nothing but case | `model/tag.rs`; what is made of that: `plan/changes.rs`, `plan/other_forms.rs`, `call/judge/shown.rs`, `call/proof.rs` |
//! | what `undo` leaves alone | `plan/undo.rs`; when an undo is resumed: `plan/redecision.rs`; the words: `run/undo.rs` |
//! | what holds now | the list: `plan/changes.rs`; our own recent writes: `plan/recent.rs`; of a stored operation, all of them together: `run/today.rs`, with `store/slots/overtaken.rs`; all writes to a slot in their order: `store/slots/standing.rs` |
//! | a column of the machines that `inventory` writes | its name and cell: `report/tenant/machines.rs`; what a read shows: `model/machine_record.rs`, `api/answer/machine_record.rs`; how exports of others call it: `report/tenant/foreign_lists.rs`; its topic |
//! | what `runs` and `runs RUN` show | `report/views/runs.rs`; where it comes from: `store/overview/listing.rs` |
//! | the report | its figures: `report/page/figures.rs`; its parts: `report/page/html.rs`, `parts.rs`, `chart.rs`; its colours: `style.css` beside them |
//! | the summary, the JSON object | `report/course/summary.rs`; why a run ended, in words: `report/course/reasons.rs` |
//! | a metric, what a ping says | `report/watching/metrics.rs`, `report/watching/pings.rs`; who is told when: `commands/watching.rs`; its topic |
//! | a sign-in method | its name: `api/sign_in/method.rs`; what it needs, and when it is chosen: `settings.rs`; whom it asks: a file of its own, made by `SignIn::new`; why it failed: `error.rs`, `hints.rs`; its topic |
//! | what the simulated API can do wrong | by chance (`--fault`): `sandbox/faults.rs`, what that does: `sandbox/reaction.rs`; call by call, for tests: `sandbox/script.rs`; in the forms of its answers: `sandbox/settings.rs`; the options: `sandbox/arguments.rs` |
//! | how a state is opened, and who is let in | `store/access/opening.rs`; whether its files are still those: `store/trust/presence.rs`; its password, or a token: `config/state.rs`, `config/state_token.rs` |
//! | what `check` looks at | `commands/check.rs`, `run/check.rs`; the lines: `report/views/preflight.rs` |
//! | a page of the manual | `help/TOPIC.md`; a new one: its entry in `help/topics.rs` and in the README's table; the tests say what it must name |
//!
//! # Tests
//! Tests lie beside what they test; `tests/program/` drives the program from outside, and `tests/program/layout.rs` holds this
//! map. One of them: `cargo test --lib isolation`, or `cargo test --test program undoing`.
//! `TAGFLEET_HISTORIES=2000 cargo test --lib histories::whatever` judges as many histories of commands; a failure prints its seed
//! and a short history, and `TAGFLEET_HISTORY_SEED=n` replays it. What people see is held whole in `tests/program/shown/`;
//! `INSTA_UPDATE=always cargo test --test program shown` takes it anew, to be read before it is committed.
//!
//! `.ci/run` runs all of it, with formatting, clippy with warnings as errors, licences, duplicates and sources of the
//! dependencies (`cargo-deny`), a minute of fuzzing for each kind of bytes that come from outside, the packages, which `lintian`
//! judges, and every command of the front page and of the manual that needs no tenant, as it is written, one after the other.
//! With the tools that it installs, no test is skipped. `tests/fuzz/run 3600 CORPUS` fuzzes for an hour each, and keeps what it
//! learns in the directory `CORPUS`. `cargo bench --bench input` measures how long it takes to check a million rows, beside a
//! bare pass of the `csv` crate over the same file, and `cargo bench --bench throughput` how many calls a second go out when no
//! quota holds them back, with the peak of memory.
//!
//! # Invariants
//! - Every attempt is in the ledger before it is sent, and its outcome is there before anybody is told.
//! - Every row of the input has exactly one outcome; success is only ever the service's own answer.
//! - No call starts before the quota allows it, in this process or beside others, and retries count like any call.
//! - There is one retry layer for calls, in [`call`]; policy ([`call::judge()`]) is a pure and total function.
//! - No secret is written anywhere. What comes from outside is judged and exported as it came, and masked and escaped
//!   only where it is shown or stored for showing.
//! - Only `main` ends the process, and only [`report`] writes to the terminal.

mod api;
mod call;
mod cli;
mod clock;
mod commands;
mod config;
mod dispatch;
mod environment;
mod exit;
mod filter;
#[doc(hidden)]
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod help;
mod input;
mod inventory;
mod listing;
mod model;
mod outside;
mod plan;
mod quota;
mod report;
mod rules;
mod run;
pub mod sandbox;
mod store;
mod words;

pub use commands::{execute, spare_address_space};

/// What the benchmarks measure. Nothing else is reached for from outside, but for the sandbox by the tests of the program.
#[doc(hidden)]
pub mod measured {
    pub use super::filter::{BoundFilter, Cell, Filter, Row, Unread};
    pub use super::input::{Accepted, HeaderColumns, InputOptions, Orders, read, read_selected};
    pub use super::plan::operations::Operations;
    pub use super::plan::resolution::Resolution;
}

/// The system's own takes and returns pages for each large list, which is a sixth of the time in which a million rows are
/// checked; and that of musl is slow wherever threads share it. Fuzzers bring their own, which finds faults.
#[cfg(not(fuzzing))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Has memory come in small pages. Where the system gives huge ones to whoever may want them, each thread takes megabytes for
/// its first bytes, and a million rows are checked no faster. What this process starts inherits it.
pub fn prefer_small_pages() {
    #[cfg(target_os = "linux")]
    // A system that has none refuses.
    let _none_there = rustix::thread::disable_transparent_huge_pages(true);
}

/// Keeps secrets in memory from being written to disk when the process dies.
pub fn forbid_core_dumps() {
    #[cfg(unix)]
    {
        let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
        // Where it is not allowed, the system's own rules for core dumps hold.
        let _refused = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    }
}
