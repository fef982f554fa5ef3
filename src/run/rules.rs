//! Runs whose rows come from a file of rules: planned, carried out, compared.
//!
//! The list is read first, then the rules are asked about every machine, and from there on it is a run like any other. What
//! surprises: everything that the rules give is a row, also what is so already, so that a run of the file answers for the
//! fleet and one that was left is found again. What such a run has taken off is no longer in the list, and becomes a row
//! again by what it has stored.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::RunContext;
use super::apply::{ApplyOrder, Applying};
use super::input::{CheckedInput, RulesOfInput};
use super::join::{candidates, is_of_file};
use super::ownership::overlaps;
use super::plan::show;
use super::planning::{Planned, PlanningOrder, plan_over, warn_of_tags};
use super::rules_report::{refuse_faults, refuse_short_list};
use super::rules_unsettled::count_unsettled;
use super::tenant::{MachinesRead, OwnWrites, Tenant};
use super::undo::not_kept;
use super::verify::verify;
use crate::api::Transport;
use crate::call::on_blocking_thread;
use crate::exit::{CommandError, ExitStatus};
use crate::input::{InputError, Sheet, SheetWriter};
use crate::inventory::Inventory;
use crate::listing::ReadProgress;
use crate::model::{Change, MachineId, MachineReference, TagAction};
use crate::outside::{Outside, shown};
use crate::plan::changes::{Plan, PlanSettings};
use crate::plan::guard::Guard;
use crate::plan::recent::RecentWrites;
use crate::plan::resolution::Resolution;
use crate::plan::undo::row_words;
use crate::report::{Ending, Fields, ListBuilder, ListedFields, ResultsTarget};
use crate::rules::{Declaration, Explanation, Fault, Fleet, MOST_TAGS, Owned, RULES_HEADER, RuleTally, Wish, wishes};
use crate::store::{DeclarationInForce, Declared, KnownOperation};
use crate::words::{counted, group_digits};

/// A file of rules, read with its lookups.
pub(crate) struct RulesOrder {
    /// The file in messages.
    pub(crate) name: String,
    /// The file in the database.
    pub(crate) path: String,
    /// What it says.
    pub(crate) declaration: Declaration,
    /// Ceilings of this run, in the place of its guards: removals and changes.
    pub(crate) ceilings: (Option<u32>, Option<u32>),
}

/// The list, asked by the rules.
pub(super) struct JudgedList {
    pub(super) declaration: Declaration,
    pub(super) machines: MachinesRead,
    pub(super) fields: Fields,
    pub(super) own: OwnWrites,
    sheet: Result<Sheet, InputError>,
    tally: RuleTally,
}

/// Plans, asks, sends, and answers for everything that the rules give or take off.
pub(crate) async fn apply_rules<T: Transport>(
    tenant: &Tenant<T>,
    order: &ApplyOrder,
    mut rules: RulesOrder,
    context: &mut RunContext,
) -> Result<ExitStatus, CommandError> {
    tenant.refuse_unknown()?;
    tenant.prune(order.run.keep_runs, context).await?;
    let mut calls = ReadProgress::default();
    loop {
        let taken_off = if order.joins { taken_off(tenant, &rules.path).await? } else { Vec::new() };
        let prepared = prepare(tenant, rules, taken_off, false, context).await?;
        let mut order = order.clone();
        order.planning.settings.guard = prepared.guard;
        let (today, input, planned) = prepared.plan(tenant, order.planning.settings, context)?;
        rules = today;
        if let (false, Some(tally)) = (order.run.asks, input.rule_tally()) {
            context.say(tally.text().trim_end());
        }
        warn_of_new_tags(tenant, &input, &planned, context);
        let mut applying = Applying::new(tenant, &order, input, calls)?;
        match applying.begin(planned, context).await? {
            Some(begun) => return applying.carry_out(begun, context).await,
            None => calls = applying.calls,
        }
    }
}

/// Plans and says what is planned, or what the rules say of one machine; changes nothing.
pub(crate) async fn plan_rules<T: Transport>(
    tenant: &Tenant<T>,
    mut planning: PlanningOrder,
    tells_differences: bool,
    explained: Option<&MachineReference>,
    rules: RulesOrder,
    context: &mut RunContext,
) -> Result<ExitStatus, CommandError> {
    tenant.refuse_unknown()?;
    let prepared = prepare(tenant, rules, Vec::new(), false, context).await?;
    if let Some(machine) = explained {
        let inventory = &prepared.machines.inventory;
        let fleet = Fleet { inventory, fields: &prepared.listed(), recent: &prepared.own.recent };
        return explain(&prepared.rules.declaration, fleet, machine, context);
    }
    planning.settings.guard = prepared.guard;
    let (_, input, planned) = prepared.plan(tenant, planning.settings, context)?;
    warn_of_new_tags(tenant, &input, &planned, context);
    show(tenant, planning, tells_differences, &input, &planned, context).await
}

/// Reads the tenant and says what of the rules holds. Our own writes of late are no excuse: what they are to have made is
/// pending until the list shows it.
pub(crate) async fn verify_rules<T: Transport>(
    tenant: &Tenant<T>,
    rules: RulesOrder,
    target: Option<&ResultsTarget>,
    skip_missing_machines: bool,
    context: &mut RunContext,
) -> Result<ExitStatus, CommandError> {
    tenant.refuse_unknown()?;
    let prepared = prepare(tenant, rules, Vec::new(), true, context).await?;
    let Prepared { rules, mut input, machines, fields, guard, .. } = prepared;
    let (resolution, recent) =
        (Resolution::of(&input.sheet.requests, Some(&machines.inventory)), RecentWrites::default());
    let settings = PlanSettings { guard, ..PlanSettings::default() };
    let plan =
        Plan::of(Arc::clone(&input.operations), resolution, Some(&machines.inventory), &recent, settings.unlisted)
            .held_back(settings, Some(&machines.inventory));
    count_unsettled(&mut input, &rules.declaration, &plan, (&machines.inventory, &fields), &recent);
    tenant.keep_read(machines);
    verify(tenant, input, target, skip_missing_machines, context).await
}

/// Rows of rules, ready to be planned.
struct Prepared {
    rules: RulesOrder,
    input: CheckedInput,
    machines: MachinesRead,
    fields: Fields,
    own: OwnWrites,
    guard: Guard,
}

impl Prepared {
    fn listed(&self) -> ListedFields<'_> {
        ListedFields { inventory: &self.machines.inventory, fields: &self.fields }
    }

    /// Plans, and counts the rules that would change their minds once that is done.
    fn plan<T: Transport>(
        self,
        tenant: &Tenant<T>,
        settings: PlanSettings,
        context: &RunContext,
    ) -> Result<(RulesOrder, CheckedInput, Planned), CommandError> {
        let Self { rules, mut input, machines, fields, own, .. } = self;
        let planned = plan_over(tenant, &input, Some(machines), own, settings, &context.screen)?;
        if let Some(inventory) = &planned.inventory {
            let recent = &planned.own.recent;
            count_unsettled(&mut input, &rules.declaration, &planned.plan, (inventory, &fields), recent);
        }
        Ok((rules, input, planned))
    }
}

fn warn_of_new_tags<T>(tenant: &Tenant<T>, input: &CheckedInput, planned: &Planned, context: &RunContext) {
    if let Some(inventory) = &planned.inventory {
        warn_of_tags(tenant, input, inventory, &context.screen);
    }
}

/// Reads the list and asks the rules about it. Whatever makes the list or a lookup doubtful ends here.
async fn prepare<T: Transport>(
    tenant: &Tenant<T>,
    rules: RulesOrder,
    taken_off: Vec<(MachineId, Change)>,
    as_listed: bool,
    context: &mut RunContext,
) -> Result<Prepared, CommandError> {
    tenant.refuse_person()?;
    let RulesOrder { name, path, declaration, ceilings } = rules;
    let in_force = tenant.store.declarations(tenant.account, &tenant.host).await?;
    let before = in_force.iter().find(|one| one.declared.name == declaration.name);
    if let Some(before) = before.filter(|before| before.path != path) {
        // It may be about to take off another file's tags, which no quiet hides.
        context.screen.line(&format!("warning: {}", another_path(&name, before)));
    }
    let last = before.map(|one| &one.declared);
    refuse_faults(&name, &overlaps(&declaration, &in_force), &context.screen)?;
    refuse_faults(&name, &shrunk(&declaration, last), &context.screen)?;
    let (machines, fields) = tenant.read_list(ListBuilder::keeping(declaration.fields()), context).await?;
    let listed = machines.inventory.len() as u64;
    if let Some(last) = last.filter(|last| declaration.guards.is_too_short(listed, last.machines)) {
        return Err(refuse_short_list(listed, last.machines, &declaration));
    }
    let own = tenant.own_writes(machines.began_at).await?;
    let given_last = last.map(|last| last.given.clone()).unwrap_or_default();
    let (asked, given_last) = on_blocking_thread(move || {
        let asked = ask(declaration, machines, fields, own, &given_last, &taken_off, as_listed);
        (asked, given_last)
    })
    .await;
    let asked = match asked {
        Ok(asked) => *asked,
        Err(fault) => {
            return Err(refuse_faults(&name, &[fault], &context.screen).err().unwrap_or_else(CommandError::cancelled));
        }
    };
    refuse_faults(&name, &asked.tally.conflicts(), &context.screen)?;
    let JudgedList { declaration, machines, fields, own, sheet, tally } = asked;
    let declared = declared(&declaration, &machines.inventory, &tally, given_last);
    let guard = guard(&declaration, ceilings, tally.in_scope);
    let mut input = CheckedInput::made_again(path.clone(), sheet.map_err(not_kept)?);
    input.name.clone_from(&name);
    input.rules = Some(Box::new(RulesOfInput { tally, declared }));
    let rules = RulesOrder { name, path, declaration, ceilings };
    Ok(Prepared { rules, input, machines, fields, own, guard })
}

/// Joins the lookups to the list, and asks the rules about every machine.
fn ask(
    mut declaration: Declaration,
    machines: MachinesRead,
    fields: Fields,
    own: OwnWrites,
    given_last: &BTreeMap<String, String>,
    taken_off: &[(MachineId, Change)],
    as_listed: bool,
) -> Result<Box<JudgedList>, Fault> {
    let inventory = &machines.inventory;
    for lookup in &mut declaration.lookups {
        lookup.join(inventory)?;
    }
    let nothing = RecentWrites::default();
    let recent = if as_listed { &nothing } else { &own.recent };
    let listed = ListedFields { inventory, fields: &fields };
    let (sheet, tally) = made_rows(&declaration, Fleet { inventory, fields: &listed, recent }, given_last, taken_off);
    Ok(Box::new(JudgedList { declaration, machines, fields, own, sheet, tally }))
}

/// A row for everything that the rules give or take off.
pub(super) fn made_rows(
    declaration: &Declaration,
    fleet: Fleet<'_>,
    given_last: &BTreeMap<String, String>,
    taken_off: &[(MachineId, Change)],
) -> (Result<Sheet, InputError>, RuleTally) {
    let mut sheet = SheetWriter::new(&RULES_HEADER, None);
    let mut asked: HashSet<(MachineId, String)> = HashSet::new();
    let mut failed = None;
    let tally = wishes(declaration, fleet, given_last, |wish| {
        let Some(machine) = fleet.inventory.machine(wish.position) else { return };
        if !taken_off.is_empty() {
            asked.extend(wish.change.tag().map(|tag| (machine.id().clone(), tag.case_key())));
        }
        let added = add_row(&mut sheet, machine.id(), machine.name().unwrap_or_default(), &wish);
        failed = failed.take().or(added.err());
    });
    for (machine, change) in taken_off {
        let Some((tag, listed)) = change.tag().zip(fleet.inventory.look_up(machine)) else { continue };
        let is_asked = asked.contains(&(machine.clone(), tag.case_key()));
        if is_asked || listed.has_tag(tag.as_str()) == Some(true) {
            continue;
        }
        let rule = given_last.get(tag.as_str()).map_or(Wish::OWN, String::as_str);
        let wish = Wish { position: listed.position(), change: change.clone(), rule, is_swap: true };
        let added = add_row(&mut sheet, machine, listed.name().unwrap_or_default(), &wish);
        failed = failed.take().or(added.err());
    }
    (failed.map_or_else(|| sheet.finish(), Err), tally)
}

fn add_row(sheet: &mut SheetWriter, machine: &MachineId, name: &str, wish: &Wish<'_>) -> Result<(), InputError> {
    let (tag, action, value) = row_words(&wish.change);
    let (name, rule) = (Outside::new(name), Outside::new(wish.rule));
    sheet.begin_row(&[&machine.to_string(), &name.data_cell(), tag, action, value, &rule.data_cell()])?;
    let reference = MachineReference::Id(machine.clone());
    if wish.is_swap {
        sheet.ask_in_exchange(reference, &wish.change);
    } else {
        sheet.ask(reference, &wish.change);
    }
    Ok(())
}

/// What an unfinished run of the file has taken off, or may have.
async fn taken_off<T: Transport>(tenant: &Tenant<T>, path: &str) -> Result<Vec<(MachineId, Change)>, CommandError> {
    let candidates = candidates(tenant).await?;
    let Some(unfinished) = candidates.iter().find(|candidate| is_of_file(candidate, path)) else {
        return Ok(Vec::new());
    };
    let mut taken_off = Vec::new();
    let mut pages = tenant.store.operations_of(unfinished.run.key);
    while let Some(known) = pages.next().await? {
        let done = known.into_iter().filter(KnownOperation::may_be_done).map(|known| known.operation);
        let removed = done.filter(|operation| matches!(operation.change, Change::Tag(TagAction::Remove, _)));
        taken_off.extend(removed.map(|operation| (operation.machine, operation.change)));
    }
    Ok(taken_off)
}

/// Says that the name of a file is that of another one, whose tags it takes over.
fn another_path(file: &str, before: &DeclarationInForce) -> String {
    let (name, path, since) = (shown(&before.declared.name), shown(&before.path), before.since.strftime("%Y-%m-%d"));
    format!(
        "{file}: the rules \"{name}\" were those of {path} (since {since}), and what these own and no longer give is taken off; \
         if that file is still in use, give this one another name"
    )
}

/// Lookups that have shrunk since the last finished run.
fn shrunk(declaration: &Declaration, last: Option<&Declared>) -> Vec<Fault> {
    let lookups = declaration.lookups.iter().filter_map(|lookup| {
        let before = last?.lookups.get(lookup.name())?;
        lookup.order().check_rows(lookup.len(), *before).err()
    });
    lookups.collect()
}

/// What later runs of the file need to know of this one.
fn declared(
    declaration: &Declaration,
    inventory: &Inventory,
    tally: &RuleTally,
    given_last: BTreeMap<String, String>,
) -> Declared {
    let counts = inventory.tag_counts();
    let still_there = |tag: &String| declaration.own.holds(tag) && counts.of(tag) > 0;
    let mut given = given_last;
    given.retain(|tag, _| still_there(tag));
    given.extend(tally.given.clone());
    let (mut prefixes, mut tags) = (Vec::new(), Vec::new());
    for own in declaration.own.all() {
        match &own.value {
            Owned::Prefix(prefix) => prefixes.push(prefix.clone()),
            Owned::Tag(tag) => tags.push(tag.clone()),
        }
    }
    let lookups = declaration.lookups.iter().map(|lookup| (lookup.name().to_owned(), lookup.len()));
    Declared {
        name: declaration.name.clone(),
        prefixes,
        tags,
        machines: inventory.len() as u64,
        lookups: lookups.collect(),
        given,
    }
}

/// The guards of the file, of the machines in scope, under the ceilings of this run.
pub(super) fn guard(
    declaration: &Declaration,
    (removals, changes): (Option<u32>, Option<u32>),
    in_scope: u64,
) -> Guard {
    let guards = declaration.guards;
    let guard = Guard {
        removals: Some(guards.removals),
        changes: Some(guards.changes),
        scope: Some(u32::try_from(in_scope).unwrap_or(u32::MAX)),
    };
    guard.with_ceilings(removals, changes)
}

/// Says what every rule says of one machine.
pub(super) fn explain(
    declaration: &Declaration,
    fleet: Fleet<'_>,
    machine: &MachineReference,
    context: &RunContext,
) -> Result<ExitStatus, CommandError> {
    let explanation = Explanation::of(declaration, fleet, machine).map_err(|why| {
        CommandError::text(ExitStatus::InputRefused, why, Some("name the machine by its id, or by its name in full"))
    })?;
    if context.json {
        context.screen.object(explanation.json(), &Ending::finished(ExitStatus::Done.code()))?;
    } else {
        context.screen.data(&explanation.text())?;
    }
    Ok(ExitStatus::Done)
}

/// Gives back what the rules of a name own in the tenant.
pub(crate) async fn release_rules<T: Transport>(
    tenant: &Tenant<T>,
    name: &str,
    context: &RunContext,
) -> Result<ExitStatus, CommandError> {
    tenant.refuse_unknown()?;
    let in_force = tenant.store.declarations(tenant.account, &tenant.host).await?;
    if !tenant.store.release(tenant.account, &tenant.host, name).await? {
        let names: Vec<String> = in_force.iter().map(|one| format!("\"{}\"", shown(&one.declared.name))).collect();
        let known = match names.as_slice() {
            [] => "no file of rules owns anything in this tenant".to_owned(),
            names => format!("what is owned, is owned by {}", names.join(", ")),
        };
        let message = format!("no rules called \"{}\" own anything in this tenant", shown(name));
        return Err(CommandError::text(ExitStatus::Usage, message, Some(&known)));
    }
    let released = in_force.iter().find(|one| one.declared.name == name).map(|one| &one.declared);
    let own: Vec<&String> = released.iter().flat_map(|own| own.prefixes.iter().chain(&own.tags)).collect();
    if context.json {
        let own = serde_json::json!({"declaration": name, "released": own});
        context.screen.object(own, &Ending::finished(ExitStatus::Done.code()))?;
    } else {
        let entries = counted(own.len() as u64, "entry of [own] is", "entries of [own] are");
        let mut text = format!("The rules \"{}\" own nothing any more; {entries} free", shown(name));
        for (number, entry) in own.iter().enumerate() {
            // Writing into a string cannot fail.
            let _written = write!(text, "{} \"{}\"", if number == 0 { ":" } else { "," }, shown(entry.as_str()));
        }
        context.say(&format!("{text}."));
    }
    Ok(ExitStatus::Done)
}

/// Writes a first file of rules for the tags that begin so.
pub(crate) async fn dump_rules<T: Transport>(
    tenant: &Tenant<T>,
    name: &str,
    prefixes: &[String],
    context: &mut RunContext,
) -> Result<ExitStatus, CommandError> {
    tenant.refuse_unknown()?;
    tenant.refuse_person()?;
    let MachinesRead { inventory, .. } = tenant.read_machines(context).await?;
    let text = crate::rules::dump(&inventory, name, prefixes).map_err(|tags| {
        let begins = prefixes.iter().map(|prefix| format!("\"{}\"", shown(prefix))).collect::<Vec<_>>().join(" or ");
        let message = if tags == 0 {
            format!("no machine has a tag that begins with {begins}, so there is no file to write")
        } else {
            let (tags, most) = (group_digits(tags as u64), group_digits(MOST_TAGS as u64));
            format!("{tags} tags begin with {begins}, and a file with a rule for each may have {most}")
        };
        CommandError::text(ExitStatus::InputRefused, message, Some("tagfleet tags lists the tags"))
    })?;
    if context.json {
        context.screen.object(serde_json::json!({"rules": text}), &Ending::finished(ExitStatus::Done.code()))?;
    } else {
        context.screen.data(&text)?;
    }
    Ok(ExitStatus::Done)
}
