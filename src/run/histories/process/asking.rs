//! What a command is asked for, as the program takes it: its input, its orders, its options.

use super::*;
use crate::input::{Accepted, InputOptions, MachineFilter, Orders};
use crate::model::{RETAGGING_PREFIX, RETAGGING_WHERE};
use crate::plan::changes::{PlanSettings, UnlistedPolicy};
use crate::plan::guard::{Bound, Guard};
use crate::plan::tag_change::TagChange;
use crate::quota::QuotaScope;
use crate::report::MACHINE_COLUMNS;
use crate::rules::Draft;
use crate::run::{CallOptions, InputSource, NamedFilter, PlanningOrder, RunOrder, TENANT_INPUT, refuse_faults};

impl Process {
    pub(super) fn options(&self) -> &Options {
        &self.command.options
    }

    /// The input that the command names, if it does.
    pub(super) fn input(&self) -> Result<Option<InputOrder>, CommandError> {
        let orders = match self.command.deed {
            Deed::Order(order) => Some(orders(order)),
            _ => None,
        };
        let (name, path, source) = match &self.file {
            None if orders.is_none() => return Ok(None),
            None => (TENANT_INPUT.to_owned(), TENANT_INPUT.to_owned(), InputSource::Tenant),
            Some((number, rows)) => {
                let text = file_text(rows, orders.is_some());
                let open =
                    move || -> std::io::Result<Box<dyn std::io::Read>> { Ok(Box::new(std::io::Cursor::new(text))) };
                let name = format!("file{number}.csv");
                (name.clone(), format!("/files/{name}"), InputSource::Bytes(Box::new(open)))
            }
        };
        Ok(Some(InputOrder {
            name,
            path,
            is_file: self.file.is_some(),
            source,
            filter: self.filter()?,
            // Tags in every case are meant here.
            options: InputOptions { accepted: Accepted::ALL, orders, ..InputOptions::default() },
            skip_invalid: self.options().skip_invalid,
            allow_empty: true,
            names_allowed: !self.options().no_inventory || matches!(self.command.deed, Deed::Verify(_)),
        }))
    }

    fn filter(&self) -> Result<Option<NamedFilter>, CommandError> {
        let now = self.clock.wall_time();
        let filter = self.options().choice.map(|choice| NamedFilter::parse("--where".to_owned(), &choice.text(), now));
        filter.transpose()
    }

    /// The change of a tag, as it was typed.
    pub(super) fn retagging(&self, Retag { old, new }: Retag) -> Result<Retagging, CommandError> {
        let change = match new {
            Some(new) => TagChange::rename(old, new, Accepted::ALL),
            None => TagChange::remove(old),
        };
        let filter = self.filter()?.map(|named| MachineFilter::new(named.filter, &MACHINE_COLUMNS));
        let choice = self.options().choice.map(|choice| format!("{RETAGGING_WHERE}{choice:?}"));
        let typed = format!("{RETAGGING_PREFIX}{old} {new:?}{}", choice.unwrap_or_default());
        let filter = filter.transpose().expect("fields of the list");
        Ok(Retagging { change: change.expect("tags of ours"), typed, filter })
    }

    pub(super) fn calls(&self) -> CallOptions {
        let habits = &self.service.habits;
        CallOptions {
            quota: habits.quota.parse().expect("a quota"),
            scope: if habits.finds_out_scope { QuotaScope::Auto } else { QuotaScope::Api },
            concurrency: 4,
            deadline: self.options().deadline.map(|after| self.clock.boot_time().plus(after)),
            maximum_outage: MAXIMUM_OUTAGE,
        }
    }

    /// The guards of the command line; whoever resumes a run has none.
    fn guard(&self) -> Guard {
        let share =
            |bound: crate::run::histories::history::Bound| Bound::Share { percent: bound.percent, count: bound.count };
        let Options { guard_removals, guard_changes, .. } = self.options();
        // To make room for another tag is no removal.
        let makes_room = matches!(self.command.deed, Deed::Retag(Retag { new: Some(_), .. }));
        match self.command.deed {
            Deed::Resume(_) | Deed::Undo(_) => Guard::default(),
            _ => Guard {
                removals: guard_removals.filter(|_| !makes_room).map(share),
                changes: guard_changes.map(share),
                scope: None,
            },
        }
    }

    pub(super) fn planning(&self) -> PlanningOrder {
        let options = self.options();
        let unlisted = if options.unlisted_fail { UnlistedPolicy::Fail } else { UnlistedPolicy::Try };
        PlanningOrder {
            settings: PlanSettings { unlisted, limit: options.limit, guard: self.guard() },
            inventory: !options.no_inventory,
            bulk: !options.no_bulk,
            max_changes: options.max_changes,
        }
    }

    fn run_order(&self) -> RunOrder {
        let options = self.options();
        RunOrder {
            asks: options.answered_after.is_some(),
            bulk: !options.no_bulk,
            maximum_errors: MaximumErrors::Percent(50),
            lock_wait: options.lock_wait,
            note: None,
            keep_runs: Duration::from_hours(24 * 90),
            report: None,
            skip_missing_machines: false,
        }
    }

    pub(super) fn apply_order(&self) -> ApplyOrder {
        ApplyOrder {
            target: ResultsTarget::StandardOutput,
            planning: self.planning(),
            run: self.run_order(),
            joins: !self.options().fresh,
        }
    }

    pub(super) fn undo_order(&self) -> UndoOrder {
        UndoOrder {
            run_id: self.run.clone().unwrap_or_default(),
            target: ResultsTarget::StandardOutput,
            max_changes: self.options().max_changes,
            run: self.run_order(),
        }
    }

    pub(super) fn resume_order(&self) -> ResumeOrder {
        ResumeOrder {
            run_id: self.run.clone(),
            target: Some(ResultsTarget::StandardOutput),
            reserved: Reserved::default(),
            planning: self.planning(),
            run: self.run_order(),
        }
    }

    /// The file of rules that the command names, if it does.
    pub(super) fn rules(&self, screen: &Screen) -> Result<Option<RulesOrder>, CommandError> {
        let Some(rules) = &self.rules else { return Ok(None) };
        let name = format!("{}.toml", rules.name);
        let draft = Draft::read(&rules.text(), self.clock.wall_time());
        let declaration = draft
            .and_then(|draft| draft.bind(&MACHINE_COLUMNS, Vec::new()))
            .map_err(|faults| refuse_faults(&name, &faults, screen).err().unwrap_or_else(CommandError::cancelled))?;
        Ok(Some(RulesOrder { path: format!("/files/{name}"), name, declaration, ceilings: (None, None) }))
    }
}

/// A file as it stands on the disk; where the command line says what is asked for, no column does.
fn file_text(rows: &[Row], is_ordered: bool) -> String {
    let columns = if is_ordered { 1 } else { COLUMNS.len() };
    let mut text = COLUMNS[..columns].join(",") + ",team\n";
    for row in rows {
        let team = if row.machine % 2 == 1 { "odd" } else { "even" };
        text += &(cells(row)[..columns].join(",") + "," + team + "\n");
    }
    text
}

fn orders(Order { add, remove, value, .. }: Order) -> Orders {
    let [add, remove] = [add, remove].map(|tag| tag.map(str::to_owned));
    Orders::new(add.as_slice(), remove.as_slice(), value, Accepted::ALL).expect("orders that make sense")
}
