//! Which rows of an input hold in the tenant; changes nothing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use super::RunContext;
use super::input::CheckedInput;
use super::planning::{operations, warn_of_tags};
use super::tenant::{MachinesRead, OwnWrites, Tenant};
use crate::api::Transport;
use crate::exit::{CommandError, ExitStatus};
use crate::inventory::Inventory;
use crate::model::{Change, MachineReference, RowNumber};
use crate::outside::shown;
use crate::plan::changes::listed_in_another_case;
use crate::plan::recent::RecentWrites;
use crate::plan::resolution::Resolution;
use crate::plan::verification::{Finding, findings};
use crate::report::{
    Ending, ResultsTarget, RowFinding, Screen, VerificationTotals, joined, row_findings, write_verification_to,
};
use crate::rules::RuleTally;
use crate::words::{counted, selected_rows};

/// Reads the tenant and says which rows hold; each row goes to the target, if there is one.
pub(crate) async fn verify<T: Transport>(
    tenant: &Tenant<T>,
    mut input: CheckedInput,
    target: Option<&ResultsTarget>,
    skip_missing_machines: bool,
    context: &mut RunContext,
) -> Result<ExitStatus, CommandError> {
    tenant.refuse_unknown()?;
    input.note_selection(&context.screen);
    let MachinesRead { inventory, progress: read, began_at } = tenant.read_machines(context).await?;
    let OwnWrites { recent, .. } = tenant.own_writes(began_at).await?;
    let screen = &context.screen;
    warn_of_tags(tenant, &input, &inventory, screen);
    let rows = find(&input, &inventory, &recent, screen)?;
    let undecided_machines = input.rule_tally().map_or(0, |tally| tally.undecided_machines);
    let totals = VerificationTotals { undecided_machines, ..VerificationTotals::of(&rows) };
    if let Some(live_status) = &context.live_status {
        live_status.note_drift(&totals);
    }
    let is_blind = input.rule_tally().is_some_and(RuleTally::is_blind);
    let status = exit_status(&totals, skip_missing_machines, is_blind);
    let output =
        target.map(|target| target.results().map_or("-".to_owned(), |path| path.to_string_lossy().into_owned()));
    if let Some(target) = target {
        write_verification_to(&mut input.sheet, &rows, target, screen)?;
    }
    if context.json {
        let own = totals.json(read.calls, output.as_deref());
        let own = input.rule_tally().map_or_else(|| own.clone(), |tally| joined(own.clone(), tally.json()));
        screen.object(own, &Ending::finished(status.code()))?;
    } else if target == Some(&ResultsTarget::StandardOutput) {
        screen.line(format!("{}:\n{}{}", rows_of(&input), totals.text(), of_rules(&input)).trim_end());
    } else if !(context.quiet && status == ExitStatus::Done) {
        let told = match u64::from(input.sheet.row_count) {
            0 if input.rule_tally().is_some() => format!("{} asks for nothing that could be compared.\n", input.name),
            0 if input.sheet.selected_from.is_none() => {
                format!("{} has no rows, so there is nothing to compare.\n", input.name)
            }
            0 => format!("{}, so there is nothing to compare.\n", rows_of(&input)),
            _ => format!(
                "{}:\n{}{}",
                rows_of(&input),
                totals.text(),
                examples(&input, &inventory, &rows, target.is_some())
            ),
        };
        screen.text(&format!("{told}{}", of_rules(&input)))?;
    }
    Ok(status)
}

/// Which rows are compared.
fn rows_of(input: &CheckedInput) -> String {
    let (rows, all) = (u64::from(input.sheet.row_count), input.sheet.selected_from);
    let rows = selected_rows(rows, all);
    if all.is_some() { format!("{}: {rows}", input.name) } else { format!("{rows} of {}", input.name) }
}

/// What is said of the rules that made the rows.
fn of_rules(input: &CheckedInput) -> String {
    input.rule_tally().map_or_else(String::new, RuleTally::verification_text)
}

fn find(
    input: &CheckedInput,
    inventory: &Inventory,
    recent: &RecentWrites,
    screen: &Screen,
) -> Result<Vec<RowFinding>, CommandError> {
    let machines = Resolution::of(&input.sheet.requests, Some(inventory));
    let operations = operations(input, &machines, screen)?;
    let found = findings(&operations, &machines, inventory, recent);
    let invalid: HashMap<RowNumber, &str> =
        input.invalid.iter().map(|invalid| (invalid.row, invalid.message.as_str())).collect();
    Ok(row_findings(
        &input.sheet,
        &operations.of_request,
        &found,
        |operation, held| {
            let asked = operations.operations.get(operation.0 as usize).filter(|_| held.as_str().is_none());
            let other = asked.and_then(|asked| listed_in_another_case(&machines, asked, inventory));
            match other {
                Some(other) => format!("present as {other}").into(),
                None => held.as_str().map_or(Cow::Borrowed(""), Cow::Borrowed),
            }
        },
        |named| match machines.failure(named) {
            Some(_) => machines.describe_failure(named, Some(inventory)).1,
            None => "the tenant's list does not have this machine".to_owned(),
        },
        |row| invalid.get(&row).copied().unwrap_or_default().to_owned(),
    ))
}

fn exit_status(totals: &VerificationTotals, skip_missing_machines: bool, is_blind: bool) -> ExitStatus {
    let missing = if skip_missing_machines { 0 } else { totals.count(Finding::UnknownMachine) };
    let differs = is_blind || totals.count(Finding::Differs) + totals.count(Finding::NotShown) + missing > 0;
    let differences = if differs { ExitStatus::Differences } else { ExitStatus::Done };
    let invalid = if totals.invalid > 0 { ExitStatus::RowsFailed } else { ExitStatus::Done };
    differences.and(invalid)
}

/// The machine of a row, where the number of the row says nothing to people.
fn machine_of(input: &CheckedInput, inventory: &Inventory, row: RowNumber) -> Option<String> {
    if input.has_numbered_rows() {
        return None;
    }
    let requests = &input.sheet.requests;
    let machine = requests.machine(requests.of_row(row).next()?.machine)?;
    let listed = match machine {
        MachineReference::Id(id) => inventory.look_up(id),
        _ => None,
    };
    Some(listed.and_then(|listed| listed.name().map(shown)).unwrap_or_else(|| machine.to_string()))
}

/// What of a row is otherwise in the tenant, and how it should be, for people.
fn differences(input: &CheckedInput, row: &RowFinding) -> String {
    let requests = &input.sheet.requests;
    let wanted: Vec<_> = requests.of_row(row.row).filter_map(|request| requests.change(request.change)).collect();
    let found: Vec<&str> = if wanted.len() == 1 { vec![&row.found] } else { row.found.split("; ").collect() };
    if wanted.len() != found.len() {
        return format!("found: {}", shown(&row.found));
    }
    let pairs = wanted.into_iter().zip(found).filter_map(|(change, found)| {
        let wanted = change.leaves();
        let wanted = wanted.as_str().filter(|wanted| *wanted != found)?;
        let found = if found.is_empty() { "not shown" } else { found };
        Some(match change {
            Change::Tag(_, tag) => format!("tag \"{tag}\": {found}, should be {wanted}"),
            Change::DeviceValue(_) => format!("device value: {found}, should be {wanted}"),
        })
    });
    shown(&pairs.collect::<Vec<_>>().join("; "))
}

/// The first rows that do not hold, for people.
fn examples(input: &CheckedInput, inventory: &Inventory, rows: &[RowFinding], listed_elsewhere: bool) -> String {
    const SHOWN: usize = 10;
    let is_bad =
        |row: &&RowFinding| matches!(row.finding, Some(Finding::Differs | Finding::NotShown | Finding::UnknownMachine));
    let bad: Vec<&RowFinding> = rows.iter().filter(is_bad).collect();
    let mut text = String::new();
    for row in bad.iter().take(SHOWN) {
        let what = match row.finding {
            Some(Finding::UnknownMachine) => row.message.clone(),
            Some(Finding::NotShown) => "the service does not show it".to_owned(),
            _ => differences(input, row),
        };
        // Writing into a string cannot fail.
        let _written = match machine_of(input, inventory, row.row) {
            Some(machine) => writeln!(text, "  {machine}: {what}"),
            None => writeln!(text, "  row {}: {what}", row.row),
        };
    }
    if bad.len() > SHOWN {
        let hint = if listed_elsewhere { "" } else { "; -o FILE.csv lists all" };
        let more = counted((bad.len() - SHOWN) as u64, "more row", "more rows");
        let _written = writeln!(text, "  and {more}{hint}");
    }
    text
}
