//! Tells a history that nobody has performed: what was sent, what it did, what a person was told.

use std::time::Duration;

use super::*;
use crate::model::DeviceValue;
use crate::run::histories::history::{Machine, Nature, Options, Reference};
use crate::run::histories::telling::End;
use crate::sandbox::DeadNaming;

/// A history that is told, not performed.
pub(super) struct Tale {
    pub(super) log: Log,
    pub(super) told: Vec<Told>,
    pub(super) history: History,
    pub(super) now: Moment,
}

impl Tale {
    pub(super) fn new() -> Self {
        let machine =
            || Machine { is_listed: true, nature: Nature::Well, tags: Vec::new(), value: DeviceValue::Normal };
        let habits = Habits {
            quota: "off",
            list_lag: Duration::ZERO,
            page_machines: 100,
            batch_limit: 500,
            naming: DeadNaming::All,
            tells_case_apart: true,
            forbids_bulk: false,
            counts_bulk_apart: false,
            finds_out_scope: false,
            latency: Duration::ZERO,
        };
        let machines = vec![machine(), machine()];
        let history = History { seed: 0, habits, machines, steps: Vec::new() };
        Self { log: Log::default(), told: Vec::new(), history, now: Duration::ZERO }
    }

    pub(super) fn wait(&mut self, minutes: u64) {
        self.now += Duration::from_mins(minutes);
    }

    pub(super) fn note(&mut self, event: Event) {
        self.now += Duration::from_secs(1);
        self.log.note(self.now, event);
    }

    /// A command begins, on this run; it lives until [`Self::end`].
    pub(super) fn begin(&mut self, deed: Deed, run: &str) {
        let number = self.told.len();
        let label = u32::try_from(number).expect("few");
        self.now += Duration::from_secs(1);
        self.told.push(Told {
            number,
            label,
            deed,
            options: Options::default(),
            was_calm: true,
            had_company: false,
            run: Some(run.to_owned()),
            began: self.log.events.len(),
            began_at: self.now,
            ended: usize::MAX,
            ended_at: self.now,
            end: End::Killed,
            file: None,
            rules: None,
            results: None,
            text: String::new(),
        });
    }

    pub(super) fn end(&mut self, end: End, rows: &[(&str, MachineNumber, Wish)]) {
        self.now += Duration::from_secs(1);
        let (ended, now) = (self.log.events.len(), self.now);
        let told = self.told.last_mut().expect("a command");
        (told.ended, told.ended_at, told.end) = (ended, now, end);
        let row = |(number, (status, machine, wish)): (usize, &(&str, MachineNumber, Wish))| {
            let (status, code) = status.split_once(' ').unwrap_or((status, ""));
            let file = Row { machine: *machine, reference: Reference::Id, wishes: vec![wish.clone()] };
            ResultRow {
                machine: Some(*machine),
                cells: cells(&file),
                wishes: vec![wish.clone()],
                number,
                status: status.into(),
                code: code.into(),
                run: told.run.clone().unwrap_or_default(),
                ..ResultRow::default()
            }
        };
        told.results = Some((1..).zip(rows).map(row).collect());
        if let Deed::Apply(file) = told.deed {
            let row = |(_, machine, wish): &(&str, MachineNumber, Wish)| Row {
                machine: *machine,
                reference: Reference::Id,
                wishes: vec![wish.clone()],
            };
            told.file.get_or_insert_with(|| (file, rows.iter().map(row).collect()));
        }
    }

    pub(super) fn send(&mut self, wish: &Wish, machine: MachineNumber) -> CallNumber {
        let (call, command) = (self.log.next_call(), self.told.len() - 1);
        self.note(Event::Sent {
            call,
            command,
            asked: Asked::Write { wish: wish.clone(), machines: vec![machine], is_bulk: false },
        });
        call
    }

    pub(super) fn carry_out(&mut self, wish: &Wish, machine: MachineNumber, call: Option<CallNumber>) {
        let slot = wish.slot(machine);
        let before = self.log.content(&slot);
        let after = wish.carried_out(&before, true);
        self.note(Event::Applied { slot, before, after, call });
    }

    pub(super) fn answer(&mut self, call: CallNumber, reply: Reply) {
        self.note(Event::Answered { call, reply });
    }

    /// A call that does what it says.
    pub(super) fn change(&mut self, wish: &Wish, machine: MachineNumber) {
        let call = self.send(wish, machine);
        self.carry_out(wish, machine, Some(call));
        self.answer(call, Reply::Shown(vec![machine]));
    }

    /// A call that is refused.
    pub(super) fn refused(&mut self, wish: &Wish, machine: MachineNumber, status: u16) {
        let call = self.send(wish, machine);
        self.answer(call, Reply::Refused(status));
    }

    pub(super) fn others(&mut self, wish: &Wish, machine: MachineNumber) {
        self.carry_out(wish, machine, None);
    }

    /// The list is read, and shows all machines as they are.
    pub(super) fn look(&mut self) {
        self.show(0..self.history.machines.len());
    }

    /// A read shows these machines as they are.
    pub(super) fn show(&mut self, machines: impl IntoIterator<Item = MachineNumber>) {
        let (call, command) = (self.log.next_call(), self.told.len() - 1);
        self.note(Event::Sent { call, command, asked: Asked::Read });
        let as_of = self.log.events.len();
        for machine in machines {
            self.note(Event::Displayed { call, machine, as_of });
        }
        self.answer(call, Reply::Read);
    }

    #[track_caller]
    pub(super) fn comes_to(&self, expected: &[Kind]) {
        let case = Case { log: &self.log, told: &self.told, history: &self.history };
        let violations = case.violations();
        let kinds: Vec<Kind> = violations.iter().map(|violation| violation.kind).collect();
        assert_eq!(kinds, expected, "{violations:?}");
    }
}
