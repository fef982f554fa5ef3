//! Rules tried over an exported list, without a tenant: what they would do to the machines that stand there.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::RunContext;
use super::input::{CheckedInput, RulesOfInput};
use super::plan::tell;
use super::planning::{Planned, PlanningOrder, tell_new_tags};
use super::rules::{RulesOrder, explain, guard, made_rows};
use super::rules_report::refuse_faults;
use super::rules_unsettled::count_unsettled;
use super::tenant::OwnWrites;
use super::undo::not_kept;
use crate::clock::BootTime;
use crate::exit::{CommandError, ExitStatus};
use crate::model::MachineReference;
use crate::plan::changes::Plan;
use crate::plan::recent::RecentWrites;
use crate::plan::resolution::Resolution;
use crate::plan::schedule::{ASSUMED_ROUND_TRIP, finish_time};
use crate::quota::{Quota, QuotaScope};
use crate::report::{ListBuilder, ListedFields};
use crate::rules::Fleet;
use crate::store::Declared;

/// A list that stands in a file.
pub(crate) struct ExportedList {
    /// The file in messages.
    pub(crate) name: String,
    pub(crate) machines: ListBuilder,
    /// When it is taken to have been read.
    pub(crate) read_at: Timestamp,
    /// The quota under which the finish time is told.
    pub(crate) quota: (Quota, QuotaScope),
}

/// Plans for the machines of a list and says what is planned, or what the rules say of one of them.
pub(crate) fn try_rules(
    list: ExportedList,
    mut planning: PlanningOrder,
    tells_differences: bool,
    explained: Option<&MachineReference>,
    rules: RulesOrder,
    context: &RunContext,
) -> Result<ExitStatus, CommandError> {
    let RulesOrder { name, path, mut declaration, ceilings } = rules;
    let (builder, fields) = list.machines.into_parts();
    let inventory = builder.finish(list.read_at, list.read_at);
    let faults: Vec<_> = declaration.lookups.iter_mut().filter_map(|lookup| lookup.join(&inventory).err()).collect();
    refuse_faults(&name, &faults, &context.screen)?;
    let listed = ListedFields { inventory: &inventory, fields: &fields };
    let recent = RecentWrites::default();
    let fleet = Fleet { inventory: &inventory, fields: &listed, recent: &recent };
    if let Some(machine) = explained {
        return explain(&declaration, fleet, machine, context);
    }
    let (sheet, tally) = made_rows(&declaration, fleet, &BTreeMap::new(), &[]);
    refuse_faults(&name, &tally.conflicts(), &context.screen)?;
    planning.settings.guard = guard(&declaration, ceilings, tally.in_scope);
    let mut input = CheckedInput::made_again(path, sheet.map_err(not_kept)?);
    input.name.clone_from(&name);
    input.rules = Some(Box::new(RulesOfInput { tally, declared: Declared::default() }));
    tell_new_tags(&input, &inventory, &context.screen);
    let machines = Resolution::of(&input.sheet.requests, Some(&inventory));
    let plan = Plan::of(Arc::clone(&input.operations), machines, Some(&inventory), &recent, planning.settings.unlisted)
        .held_back(planning.settings, Some(&inventory));
    count_unsettled(&mut input, &declaration, &plan, (&inventory, &fields), &recent);
    let start = BootTime::from_microseconds(0);
    let own = OwnWrites::default();
    let planned = Planned { plan, inventory: Some(inventory), read: None, read_from: None, own, made_at: start };
    let (quota, scope) = list.quota;
    let (mut report, calls) = planned.report_without_time(&list.name, &input, planning.bulk, (&quota, scope));
    let end = finish_time(&quota, scope, start, calls, ASSUMED_ROUND_TRIP, |_| Vec::new());
    report.duration = end.since(start);
    tell(&report, &planned, planning, tells_differences, context)
}
