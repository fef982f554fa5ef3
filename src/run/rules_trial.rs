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
use crate::api::most_machines;
use crate::clock::BootTime;
use crate::exit::{CommandError, ExitStatus};
use crate::model::MachineReference;
use crate::plan::changes::Plan;
use crate::plan::recent::RecentWrites;
use crate::plan::resolution::Resolution;
use crate::plan::schedule::{ASSUMED_ROUND_TRIP, BucketCalls, finish_time};
use crate::quota::{Quota, QuotaScope, side_by_side};
use crate::report::{ListBuilder, ListedFields, PlanReport};
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
    let (sheet, account) = made_rows(&declaration, fleet, &BTreeMap::new(), &[]);
    refuse_faults(&name, &account.conflicts(), &context.screen)?;
    planning.settings.guard = guard(&declaration, ceilings, account.in_scope);
    let mut input = CheckedInput::made_again(path, sheet.map_err(not_kept)?);
    input.name.clone_from(&name);
    input.rules = Some(Box::new(RulesOfInput { account, declared: Declared::default() }));
    tell_new_tags(&input, &inventory, &context.screen);
    let machines = Resolution::of(&input.sheet.requests, Some(&inventory));
    let plan = Plan::of(Arc::clone(&input.operations), machines, Some(&inventory), &recent, planning.settings);
    count_unsettled(&mut input, &declaration, &plan, (&inventory, &fields), &recent);
    let mut calls = plan.calls(most_machines(planning.bulk));
    let (quota, scope) = list.quota;
    let counts_apart = planning.bulk && scope.counts_bulk_apart();
    if counts_apart {
        (calls.tags, calls.bulk) = side_by_side(&quota, calls.tags, calls.bulk);
    }
    let of_buckets = BucketCalls { machines: 0, tags: calls.tags, bulk: calls.bulk, value: calls.value };
    let start = BootTime::from_microseconds(0);
    let end = finish_time(&quota, scope, start, of_buckets, ASSUMED_ROUND_TRIP, |_| Vec::new());
    let made_at = start;
    let planned =
        Planned { plan, inventory: Some(inventory), read: None, read_from: None, own: OwnWrites::default(), made_at };
    let report = PlanReport {
        input: &name,
        destination: &list.name,
        rows: input.sheet.row_count,
        selected_from: None,
        invalid_rows: 0,
        plan: &planned.plan,
        inventory: planned.inventory.as_ref(),
        list_calls: 0,
        calls,
        duration: end.since(start),
        left_until_deadline: None,
        has_quota: !quota.is_off(),
        tags_side_by_side: counts_apart && calls.tags > 0 && calls.bulk > 0,
        rules: input.account(),
    };
    tell(&report, &planned, planning, tells_differences, context)
}
