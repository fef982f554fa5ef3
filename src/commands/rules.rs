//! Files of rules on the command line: `apply`, `plan` and `verify` of one, and `tagfleet rules`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::SystemTime;

use super::context::CommandContext;
use super::default_results::results_of_input;
use super::input::{input_name, named_encoding};
use super::orders::{planning_order, run_order};
use super::setup::{CommandSetup, asks, rows_target, run_context, system_clock};
use crate::cli::{
    ApplyOptions, GivenOptions, GuardOptions, InputOptions, NOT_OF_RULES, PlanOptions, RulesOptions, VerifyOptions,
};
use crate::clock;
use crate::clock::Clock as _;
use crate::config::quota;
use crate::exit::{CommandError, ExitStatus};
use crate::input::{KeyKind, List, ListError, ListOptions, MACHINE_BY_ID_WRITTEN};
use crate::model::MachineReference;
use crate::outside::shown;
use crate::plan::guard::Guard;
use crate::quota::{Quota, QuotaScope};
use crate::report::{ExportedColumns, ListBuilder, MACHINE_COLUMNS, ResultsTarget, Screen, causes};
use crate::rules::{Draft, Fault, Lookup, LookupOrder};
use crate::run::{self, ApplyOrder, ExportedList, PlanningOrder, RulesOrder, refuse_faults};
use crate::words::counted;

/// The longest file of rules that is read.
const RULES_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Asks the rules about the tenant, shows the plan, asks, and carries it out.
pub(super) async fn apply(options: ApplyOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    refuse_options(&options.input, &options.guard, options.planning.no_inventory, false)?;
    let target = rows_target("results", options.output.as_deref(), command.general)?;
    let asks = asks(options.changing.limits.yes, options.sandbox, true)?;
    let setup = CommandSetup::to_change(command, options.sandbox, &options.changing, &options.planning)?;
    let default = results_of_input(&options.input.input, options.sandbox);
    let target = target.unwrap_or_else(|| ResultsTarget::file(default));
    target.check(command.reserved, &crate::rules::RULES_HEADER.map(str::to_owned))?;
    let rules = setup.before_the_deadline(read(&options.input.input, &options.guard, command.screen)).await?;
    let order = ApplyOrder {
        target,
        planning: planning(planning_order(&options.planning, Guard::default())),
        run: run_order(asks, options.planning.no_bulk, options.changing),
        joins: !options.fresh,
    };
    let connection = setup.connect_to_company().await?;
    let apply = async |tenant: &_, context: &mut _| Box::pin(run::apply_rules(tenant, &order, rules, context)).await;
    setup.work(connection, apply).await
}

/// Says what `apply` would do, or what the rules say of one machine.
pub(super) async fn plan(options: PlanOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    let takes_list = options.inventory.is_some();
    refuse_options(&options.input, &options.guard, options.planning.no_inventory, takes_list)?;
    let rules = read(&options.input.input, &options.guard, command.screen).await?;
    let planning = planning(planning_order(&options.planning, Guard::default()));
    let (tells_differences, explained) = (options.detailed_exitcode, options.explain.as_deref().map(reference));
    if let Some(path) = &options.inventory {
        let list = exported_list(path, &options.input, &rules, quota(&options.quota), command.screen).await?;
        let context = run_context(command, system_clock()?.boot_time());
        return run::try_rules(list, planning, tells_differences, explained.as_ref(), rules, &context);
    }
    let setup = CommandSetup::new(command, options.sandbox, &options.service, &options.quota, None)?;
    let connection = setup.connect_to_company().await?;
    let plan = async |tenant: &_, context: &mut _| {
        Box::pin(run::plan_rules(tenant, planning, tells_differences, explained.as_ref(), rules, context)).await
    };
    setup.work(connection, plan).await
}

/// Says which of what the rules ask for the tenant holds.
pub(super) async fn verify(options: VerifyOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    let no_guard = GuardOptions::default();
    refuse_options(&options.input, &no_guard, false, false)?;
    let target = rows_target("the rows", options.output.as_deref(), command.general)?;
    let setup = CommandSetup::new(command, options.sandbox, &options.service, &options.quota, None)?;
    if let Some(target) = &target {
        target.check_for_verification(command.reserved)?;
    }
    let rules = read(&options.input.input, &no_guard, command.screen).await?;
    let connection = setup.connect_to_company().await?;
    let skip = options.skip_missing_machines;
    let verify = async |tenant: &_, context: &mut _| {
        Box::pin(run::verify_rules(tenant, rules, target.as_ref(), skip, context)).await
    };
    setup.work(connection, verify).await
}

/// Writes a first file of rules, or gives back what one owns.
pub(super) async fn rules(options: RulesOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    let RulesOptions { dump: _, prefix, name, release, service, quota } = options;
    let setup = CommandSetup::new(command, false, &service, &quota, None)?;
    let connection = setup.connect(&[]).await?;
    let work = async |tenant: &_, context: &mut _| match release {
        Some(released) => run::release_rules(tenant, &released, context).await,
        None => run::dump_rules(tenant, &name, &prefix, context).await,
    };
    setup.work(connection, work).await
}

/// Every machine is in the list, whatever else is planned.
fn planning(options: PlanningOrder) -> PlanningOrder {
    PlanningOrder { inventory: true, ..options }
}

/// What a machine is named by.
fn reference(named: &str) -> MachineReference {
    MachineReference::parse(named.trim())
}

/// Refuses what says how rows of a file are read, and what a file of rules says itself. How a list is read on which the rules
/// are tried may be said.
fn refuse_options(
    input: &InputOptions,
    guard: &GuardOptions,
    no_inventory: bool,
    takes_list: bool,
) -> Result<(), CommandError> {
    let given = GivenOptions { input, guard, no_inventory };
    match NOT_OF_RULES.iter().find(|option| option.is_useless(takes_list) && (option.is_given)(&given)) {
        None => Ok(()),
        Some(option) => Err(CommandError::text(
            ExitStatus::Usage,
            format!("--{} is for change files, and this is a file of rules", option.name),
            Some("leave it out; what a file of rules is about and may do stands in the file (tagfleet help rules)"),
        )),
    }
}

/// Reads a file of rules and its lookups; whatever is wrong is shown with its line.
async fn read(path: &Path, guard: &GuardOptions, screen: &Screen) -> Result<RulesOrder, CommandError> {
    let (path, screen) = (path.to_owned(), screen.clone());
    let ceilings = (guard.allow_removals, guard.allow_changes);
    let reading = tokio::task::spawn_blocking(move || read_blocking(&path, ceilings, &screen));
    reading.await.map_err(|error| CommandError::new(ExitStatus::Bug, error, None))?
}

fn read_blocking(
    path: &Path,
    ceilings: (Option<u32>, Option<u32>),
    screen: &Screen,
) -> Result<RulesOrder, CommandError> {
    let name = shown(path);
    let unreadable = |error: io::Error| {
        let hint = format!("a file of rules is a file of text in UTF-8 that can be read, and {name} is none");
        CommandError::new(ExitStatus::InputRefused, error, Some(hint))
    };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(RULES_FILE_BYTES).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 == RULES_FILE_BYTES {
        return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
    }
    let refused =
        |faults: Vec<Fault>| refuse_faults(&name, &faults, screen).err().unwrap_or_else(CommandError::cancelled);
    let draft = Draft::read(text.trim_start_matches('\u{feff}'), clock::now()).map_err(refused)?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let (mut lookups, mut faults) = (Vec::new(), Vec::new());
    for order in draft.lookups() {
        match lookup(order, directory) {
            Ok(lookup) => {
                lookup.notes().for_each(|note| screen.note(&note));
                lookups.push(lookup);
            }
            Err(found) => faults.extend(found),
        }
    }
    refuse_faults(&name, &faults, screen)?;
    let declaration = draft.bind(&MACHINE_COLUMNS, lookups).map_err(refused)?;
    Ok(RulesOrder { path: input_name(path), name, declaration, ceilings })
}

/// Reads a lookup, which is named from where the file of rules is.
fn lookup(order: &LookupOrder, directory: &Path) -> Result<Lookup, Vec<Fault>> {
    let unusable = |why: &dyn std::error::Error| vec![order.unusable(&causes(why))];
    let file = File::open(directory.join(&order.file)).map_err(|error| unusable(&error))?;
    let written = file.metadata().and_then(|metadata| metadata.modified()).map_err(|error| unusable(&error))?;
    order.check_age(written, SystemTime::now()).map_err(|fault| vec![fault])?;
    Lookup::read(order, |options| List::read(file, options)).map_err(|error| order.faults(&error, &causes(&error)))
}

/// Reads a list of machines that was exported.
async fn exported_list(
    path: &Path,
    input: &InputOptions,
    rules: &RulesOrder,
    quota: (Quota, QuotaScope),
    screen: &Screen,
) -> Result<ExportedList, CommandError> {
    let (path, fields) = (path.to_owned(), rules.declaration.fields().collect::<Vec<_>>());
    let texts = rules.declaration.texts.clone();
    let (sheet, accepted) = (input.sheet.clone(), input.accept.iter().copied().collect());
    let (encoding, screen) = (named_encoding(input)?, screen.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let name = shown(&path);
        let options = ListOptions {
            key_columns: &MACHINE_BY_ID_WRITTEN,
            key: KeyKind::Id,
            has_tags: true,
            sheet: sheet.as_deref(),
            encoding,
            accepted,
        };
        let file = File::open(&path).map_err(|error| unusable_list(&name, &error))?;
        let list = List::read(file, &options).map_err(|error| refused_list(&name, &error, &screen))?;
        for note in list.notes() {
            screen.note(&format!("{name}: {note}"));
        }
        let columns = ExportedColumns::find(list.header());
        let mut of_texts = texts.iter().filter_map(|field| columns.position(field));
        if let Some(why) = of_texts.find_map(|position| list.shown_otherwise(position)) {
            let message = format!("{name} cannot be used as a list of machines: {why}");
            return Err(CommandError::text(ExitStatus::InputRefused, message, None));
        }
        let lacking = columns.lacking(fields.iter().copied());
        if !lacking.is_empty() {
            let lacking = lacking.join(", ");
            screen.note(&format!("{name} has no column for {lacking}; what the rules ask of that is undecided"));
        }
        let mut machines = ListBuilder::keeping(fields);
        for row in list.rows() {
            let id = row.machine.to_string();
            machines
                .add_exported(&id, &columns, |position| row.cell(position))
                .map_err(|error| unusable_list(&name, &error))?;
        }
        Ok(ExportedList { name, machines, read_at: clock::now(), quota })
    });
    reading.await.map_err(|error| CommandError::new(ExitStatus::Bug, error, None))?
}

fn unusable_list(name: &str, why: &dyn std::error::Error) -> CommandError {
    let message = unusable_as_list(name, why);
    let hint = "name an export that has a column of ids (machineId, Device ID), or write one with: \
                tagfleet inventory -o MACHINES.csv";
    CommandError::text(ExitStatus::InputRefused, message, Some(hint))
}

fn unusable_as_list(name: &str, why: &dyn std::error::Error) -> String {
    format!("{name} cannot be used as a list of machines: {}", causes(why))
}

/// A list that cannot be read, or of which rows are in error; then all of them are shown.
fn refused_list(name: &str, error: &ListError, screen: &Screen) -> CommandError {
    let findings = error.findings();
    if findings.is_empty() {
        return match error.remedy() {
            // What to do stands in the message.
            Some(_) => CommandError::text(ExitStatus::InputRefused, unusable_as_list(name, error), None),
            None => unusable_list(name, error),
        };
    }
    for finding in &findings {
        screen.line(&format!("error: {name}: {finding}"));
    }
    let rows = findings.iter().map(|finding| finding.rows).sum();
    let message = format!("{name} has {}, so nothing was planned", counted(rows, "finding", "findings"));
    let mut refused = CommandError::text(ExitStatus::InputRefused, message, Some("fix these rows in the list"));
    refused.findings = findings.iter().filter_map(|finding| serde_json::to_value(finding).ok()).collect();
    refused
}
