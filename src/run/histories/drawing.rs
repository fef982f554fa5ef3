//! Draws a history from a seed.

mod declaring;
mod ordering;

use std::time::Duration;

use super::faults::{Fault, Outage};
use super::history::{
    Command, Deed, Fate, FileNumber, Habits, History, Label, Machine, Nature, Options, Reference, Row, Step, Weather,
};
use super::rules_file::RulesFile;
use super::truth::{MachineNumber, Wish};
use crate::model::DeviceValue;
use crate::sandbox::DeadNaming;

/// The tags that anything is about.
pub(super) const TAGS: [&str; 3] = ["old", "new", "tier0"];
const VALUES: [DeviceValue; 3] = [DeviceValue::Low, DeviceValue::Normal, DeviceValue::High];
const QUOTAS: [&str; 5] = ["100/1m,1500/1h", "100/1m,1500/1h", "5/10s,30/5m", "3/1m", "20/10s"];
/// The commands that show at the end whether the file can be brought about.
pub(super) const LAST_LABELS: Label = 1000;

/// The history of a seed.
pub(super) fn draw(seed: u64) -> History {
    let random = fastrand::Rng::with_seed(seed);
    let mut drawing = Drawing {
        random,
        machines: Vec::new(),
        files: Default::default(),
        rules: Default::default(),
        runs: Vec::new(),
        label: 0,
        ordered: None,
        mixes_case: false,
        has_odd_machines: false,
        is_stormy: false,
    };
    drawing.history(seed)
}

struct Drawing {
    random: fastrand::Rng,
    machines: Vec<Machine>,
    files: [Vec<Row>; 2],
    rules: [Option<RulesFile>; 2],
    /// Commands that may have begun a run.
    runs: Vec<Label>,
    label: Label,
    /// The last changes that stood on the command line.
    ordered: Option<Deed>,
    mixes_case: bool,
    /// Whether machines are odd.
    has_odd_machines: bool,
    /// Whether calls go wrong.
    is_stormy: bool,
}

impl Drawing {
    fn one_in(&mut self, count: u32) -> bool {
        self.random.u32(0..count) == 0
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.random.usize(0..choices.len())].clone()
    }

    fn seconds(&mut self, at_most: u64) -> Duration {
        Duration::from_millis(self.random.u64(0..at_most * 1000))
    }

    fn history(&mut self, seed: u64) -> History {
        self.mixes_case = self.one_in(6);
        // What lies between commands shows best where nothing else is wrong.
        self.has_odd_machines = self.one_in(3);
        self.is_stormy = self.one_in(2);
        let habits = self.habits();
        let count = self.random.usize(2..8);
        self.machines = (0..count).map(|_| self.machine()).collect();
        // A list that shows nobody is a matter of its own.
        self.machines[0].is_listed = true;
        let mut steps = Vec::new();
        let rows = self.rows();
        steps.push(self.write(0, rows));
        let first = self.command(Deed::Apply(0));
        steps.push(Step::Command(first));
        for _ in 0..self.random.usize(1..9) {
            self.step(&mut steps);
        }
        let last = steps.iter().rev().find_map(|step| match step {
            Step::Write { file, .. } => Some((Deed::Apply(*file), Deed::Verify(*file))),
            Step::Declare { file, .. } => Some((Deed::ApplyRules(*file), Deed::VerifyRules(*file))),
            _ => None,
        });
        let (apply, verify) = last.unwrap_or((Deed::Apply(0), Deed::Verify(0)));
        steps.push(Step::Wait(Duration::from_mins(20)));
        let deeds = [apply, apply, verify];
        for (label, deed) in (LAST_LABELS..).zip(deeds) {
            steps.push(Step::Command(Command::plain(label, deed, seed ^ u64::from(label))));
        }
        History { seed, habits, machines: std::mem::take(&mut self.machines), steps }
    }

    fn habits(&mut self) -> Habits {
        let lag = [0, 0, 2, 10, 15][self.random.usize(0..5)];
        Habits {
            quota: self.of(&QUOTAS),
            list_lag: Duration::from_mins(lag),
            page_machines: self.of(&[100, 100, 3, 2]),
            batch_limit: self.of(&[500, 500, 500, 3]),
            naming: self.of(&[DeadNaming::All, DeadNaming::One, DeadNaming::Absent, DeadNaming::Everybody]),
            tells_case_apart: self.random.bool(),
            forbids_bulk: self.one_in(15),
            counts_bulk_apart: self.random.bool(),
            finds_out_scope: self.one_in(4),
            latency: Duration::from_millis(self.of(&[0, 50, 400, 3000])),
        }
    }

    fn machine(&mut self) -> Machine {
        let oddity = if self.has_odd_machines { 14 } else { 1000 };
        let nature = match self.random.u32(0..oddity) {
            0 => Nature::Gone,
            1 => Nature::Protected,
            2 => Nature::Broken,
            3 => Nature::Stubborn,
            _ => Nature::Well,
        };
        let tags = TAGS.iter().filter(|_| self.random.u32(0..3) == 0).map(|tag| (*tag).to_owned()).collect();
        Machine { is_listed: !self.one_in(20), nature, tags, value: self.of(&VALUES) }
    }

    fn tag(&mut self) -> String {
        let tag = self.of(&TAGS);
        if self.mixes_case && self.one_in(3) { tag.to_uppercase() } else { tag.to_owned() }
    }

    fn wish(&mut self) -> Wish {
        match self.random.u32(0..5) {
            0 | 1 => Wish::Add(self.tag()),
            2 => Wish::Remove(self.tag()),
            _ => Wish::Set(self.of(&VALUES)),
        }
    }

    fn row(&mut self, machine: MachineNumber, wishes: Vec<Wish>) -> Row {
        let reference = match self.random.u32(0..12) {
            0 => Reference::IdInUpperCase,
            1 => Reference::Name,
            2 => Reference::ShortName,
            _ => Reference::Id,
        };
        Row { machine, reference, wishes }
    }

    /// A file: machines that get one tag for another, or what comes.
    fn rows(&mut self) -> Vec<Row> {
        let mut rows = Vec::new();
        let swaps = self.random.bool();
        for machine in 0..self.machines.len() {
            if self.one_in(5) {
                continue;
            }
            if swaps {
                let add = Wish::Add("new".into());
                let row = self.row(machine, vec![add]);
                rows.push(row);
                let remove = Wish::Remove("old".into());
                let row = self.row(machine, vec![remove]);
                rows.push(row);
            }
            let wish = self.wish();
            let wishes = match &wish {
                Wish::Add(_) | Wish::Remove(_) if self.one_in(5) => vec![wish, Wish::Set(self.of(&VALUES))],
                _ => vec![wish],
            };
            let row = self.row(machine, wishes);
            rows.push(row);
        }
        if self.one_in(12) {
            let machine = self.random.usize(0..self.machines.len());
            let row = self.row(machine, Vec::new());
            rows.push(row);
        }
        if self.random.bool() {
            self.random.shuffle(&mut rows);
        }
        self.without_conflicts(rows)
    }

    /// Two rows that contradict each other make a file that is refused, which is seldom of interest.
    fn without_conflicts(&mut self, mut rows: Vec<Row>) -> Vec<Row> {
        if self.one_in(40) {
            return rows;
        }
        let mut taken: Vec<(super::truth::Slot, Wish)> = Vec::new();
        rows.retain(|row| {
            let of_row: Vec<_> = row.wishes.iter().map(|wish| (wish.slot(row.machine), wish.clone())).collect();
            let conflicts = of_row.iter().any(|(slot, wish)| {
                taken.iter().any(|(other_slot, other)| {
                    slot == other_slot && std::mem::discriminant(wish) != std::mem::discriminant(other)
                        || slot == other_slot && matches!(wish, Wish::Set(_)) && wish != other
                })
            });
            taken.extend(of_row);
            !conflicts
        });
        rows
    }

    fn write(&mut self, file: FileNumber, rows: Vec<Row>) -> Step {
        self.files[file].clone_from(&rows);
        Step::Write { file, rows }
    }

    /// The file as somebody has edited it.
    fn edited(&mut self, file: FileNumber) -> Vec<Row> {
        let mut rows = self.files[file].clone();
        for _ in 0..self.random.usize(1..4) {
            if rows.is_empty() {
                break;
            }
            let place = self.random.usize(0..rows.len());
            match self.random.u32(0..10) {
                0..6 => {
                    for wish in &mut rows[place].wishes {
                        *wish = self.opposite(wish);
                    }
                }
                6 => drop(rows.remove(place)),
                7 => {
                    let machine = self.random.usize(0..self.machines.len());
                    let wish = self.wish();
                    let row = self.row(machine, vec![wish]);
                    rows.insert(place, row);
                }
                8 => rows[place] = self.row(rows[place].machine, rows[place].wishes.clone()),
                _ => self.random.shuffle(&mut rows),
            }
        }
        self.without_conflicts(rows)
    }

    fn step(&mut self, steps: &mut Vec<Step>) {
        let file = usize::from(self.one_in(6));
        let machine = self.random.usize(0..self.machines.len());
        match self.random.u32(0..146) {
            126.. => self.declare(steps),
            100..126 => {
                let deed = self.order();
                let command = self.command(deed);
                steps.push(Step::Command(command));
            }
            0..26 => {
                let rows = if self.files[file].is_empty() { self.rows() } else { self.edited(file) };
                let written = self.write(file, rows);
                steps.push(written);
                let command = self.command(Deed::Apply(file));
                steps.push(Step::Command(command));
            }
            26..36 => {
                let command = self.command(Deed::Apply(0));
                steps.push(Step::Command(command));
            }
            36..48 => {
                let run = self.run();
                let command = self.command(Deed::Resume(run));
                steps.push(Step::Command(command));
            }
            48..62 => {
                let run = self.run();
                let command = self.command(Deed::Undo(run));
                steps.push(Step::Command(command));
            }
            62..66 => {
                let deed = if self.random.bool() { Deed::Verify(0) } else { Deed::Plan(0) };
                let command = self.command(deed);
                steps.push(Step::Command(command));
            }
            66..74 => {
                let wish = self.wish();
                steps.push(Step::Others(machine, wish));
            }
            74..85 => steps.push(Step::Wait(match self.random.u32(0..4) {
                0 => self.seconds(120),
                1 => self.seconds(20 * 60),
                2 => Duration::from_mins(16) + self.seconds(3600),
                _ => self.seconds(30 * 3600),
            })),
            85..88 => steps.push(Step::Restart),
            88..90 => steps.push(Step::SetClock { seconds: self.random.i64(-12 * 3600..12 * 3600) }),
            90..92 => steps.push(Step::List(machine.max(1), self.random.bool())),
            92..96 => self.chain(steps),
            96.. => {
                let deeds = [self.deed(), self.deed()];
                let [first, second] = deeds.map(|deed| self.command(deed));
                let after = self.seconds(90);
                steps.push(Step::Together(first, second, after));
            }
        }
    }

    /// Runs that lie on each other, and their undos in any order.
    fn chain(&mut self, steps: &mut Vec<Step>) {
        let is_calm = self.random.bool();
        let mut labels = Vec::new();
        for _ in 0..self.random.usize(2..4) {
            let rows = self.flipped();
            let written = self.write(0, rows);
            steps.push(written);
            let deed = if self.one_in(4) { self.order() } else { Deed::Apply(0) };
            let command = self.link(deed, is_calm);
            labels.push(command.label);
            steps.push(Step::Command(command));
            self.pause(steps);
        }
        labels.reverse();
        if self.one_in(3) {
            self.random.shuffle(&mut labels);
        }
        let mut undos = Vec::new();
        for label in labels.clone() {
            let command = self.link(Deed::Undo(label), is_calm);
            undos.push(command.label);
            steps.push(Step::Command(command));
            self.pause(steps);
        }
        labels.extend(undos);
        for _ in 0..self.random.usize(0..3) {
            let label = self.of(&labels);
            let deed = if self.one_in(4) { Deed::Resume(label) } else { Deed::Undo(label) };
            let command = self.link(deed, is_calm);
            steps.push(Step::Command(command));
        }
    }

    /// A command of a chain: nothing disturbs it, or whatever does.
    fn link(&mut self, deed: Deed, is_calm: bool) -> Command {
        let command = self.command(deed);
        if is_calm { Command::plain(command.label, deed, command.seed) } else { command }
    }

    fn pause(&mut self, steps: &mut Vec<Step>) {
        if self.one_in(3) {
            steps.push(Step::Wait(Duration::from_mins(16)));
        }
    }

    /// The first file, asking for the opposite in every row.
    fn flipped(&mut self) -> Vec<Row> {
        let mut rows = self.files[0].clone();
        for wish in rows.iter_mut().flat_map(|row| &mut row.wishes) {
            *wish = self.opposite(wish);
        }
        self.without_conflicts(rows)
    }

    fn opposite(&mut self, wish: &Wish) -> Wish {
        match wish.clone() {
            Wish::Add(tag) => Wish::Remove(tag),
            Wish::Remove(tag) => Wish::Add(tag),
            Wish::Set(_) => Wish::Set(self.of(&VALUES)),
        }
    }

    fn deed(&mut self) -> Deed {
        match self.random.u32(0..7) {
            0 => Deed::Resume(self.run()),
            1 => Deed::Undo(self.run()),
            2 => Deed::Apply(1),
            3 => self.order(),
            4 if self.rules[0].is_some() => Deed::ApplyRules(0),
            _ => Deed::Apply(0),
        }
    }

    /// A command whose run may be resumed or taken back; mostly one of the latest.
    fn run(&mut self) -> Label {
        let back = self.random.usize(0..self.runs.len().min(3));
        self.runs[self.runs.len() - 1 - back]
    }

    fn command(&mut self, deed: Deed) -> Command {
        self.label += 1;
        if !deed.only_looks() {
            self.runs.push(self.label);
        }
        let meanwhile = if self.one_in(5) { self.random.usize(1..4) } else { 0 };
        let meanwhile = (0..meanwhile).map(|_| (self.seconds(60), self.meanwhile())).collect();
        Command {
            label: self.label,
            deed,
            options: self.options(deed),
            fate: self.fate(),
            weather: self.weather(),
            meanwhile,
            seed: self.random.u64(..),
        }
    }

    fn meanwhile(&mut self) -> Step {
        let machine = self.random.usize(0..self.machines.len());
        if self.one_in(4) { Step::List(machine.max(1), self.random.bool()) } else { Step::Others(machine, self.wish()) }
    }

    fn fate(&mut self) -> Fate {
        match self.random.u32(0..20) {
            0..7 => Fate::Undisturbed,
            7..14 => Fate::KilledAtCommit(self.random.usize(0..40)),
            14..16 => Fate::KilledAfter(self.seconds(90)),
            16 => Fate::KilledAfter(self.seconds(4)),
            17 | 18 => Fate::Interrupted(self.seconds(60)),
            _ => Fate::InterruptedTwice(self.seconds(20), self.seconds(20)),
        }
    }

    fn weather(&mut self) -> Weather {
        if !self.is_stormy || self.random.u32(0..10) < 3 {
            return Weather::default();
        }
        let faults = self.random.usize(1..4);
        let faults = (0..faults).map(|_| (self.of(&Fault::ALL), self.of(&[30, 100, 300, 600]))).collect();
        let outages = self.one_in(7).then(|| {
            let from = self.seconds(30);
            let to = from + self.seconds(2 * 3600);
            Outage { from, to, fault: self.of(&Fault::OUTAGES) }
        });
        Weather { faults, outages: outages.into_iter().collect() }
    }
}

impl Command {
    /// A command that nothing and nobody disturbs.
    pub(super) fn plain(label: Label, deed: Deed, seed: u64) -> Self {
        let options = Options { skip_invalid: true, ..Options::default() };
        Self { label, deed, options, fate: Fate::Undisturbed, weather: Weather::default(), meanwhile: Vec::new(), seed }
    }
}
