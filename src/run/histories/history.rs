//! A history: a tenant, a service with its habits, and what people do one after the other. All of it is drawn before it
//! begins, so that any part can be left out and the rest stays what it is.

use std::time::Duration;

use super::faults::{Fault, Outage};
use super::rules_file::RulesFile;
use super::truth::{MachineNumber, Wish};
use crate::model::DeviceValue;
use crate::sandbox::DeadNaming;

#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) seed: u64,
    pub(super) habits: Habits,
    pub(super) machines: Vec<Machine>,
    pub(super) steps: Vec<Step>,
}

/// How the service does things.
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
#[derive(Clone, Debug)]
pub(super) struct Habits {
    pub(super) quota: &'static str,
    /// Whether single and bulk tag calls count apart.
    pub(super) counts_bulk_apart: bool,
    /// Whether the program finds out by itself whether they do; otherwise it counts them together.
    pub(super) finds_out_scope: bool,
    /// How far the list lies behind at the most.
    pub(super) list_lag: Duration,
    /// Machines on a page at the most.
    pub(super) page_machines: usize,
    /// Machines in a bulk call at the most.
    pub(super) batch_limit: usize,
    /// Whom a refused bulk call names.
    pub(super) naming: DeadNaming,
    pub(super) tells_case_apart: bool,
    /// Whether bulk calls are refused with 403 while single ones work.
    pub(super) forbids_bulk: bool,
    pub(super) latency: Duration,
}

/// A machine at the beginning.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) is_listed: bool,
    pub(super) nature: Nature,
    pub(super) tags: Vec<String>,
    pub(super) value: DeviceValue,
}

/// How a machine takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    Well,
    /// 404 whenever it is asked for.
    Gone,
    /// 403 `DisallowedOperation`.
    Protected,
    /// 500.
    Broken,
    /// 200, and nothing happens.
    Stubborn,
}

/// How a row names its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    Id,
    IdInUpperCase,
    Name,
    ShortName,
}

/// A row of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) machine: MachineNumber,
    pub(super) reference: Reference,
    /// One or two wishes; none is a row in error.
    pub(super) wishes: Vec<Wish>,
}

/// One of the files.
pub(super) type FileNumber = usize;
/// What a command is called, whatever is left out before it.
pub(super) type Label = u32;

/// What is done next.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a history has a dozen steps")]
pub(super) enum Step {
    /// Writes a file anew.
    Write {
        file: FileNumber,
        rows: Vec<Row>,
    },
    /// Writes a file of rules anew.
    Declare {
        file: FileNumber,
        rules: RulesFile,
    },
    Command(Command),
    /// The second begins while the first is under way.
    Together(Command, Command, Duration),
    Wait(Duration),
    /// The machine that the program runs on starts again.
    Restart,
    /// Somebody sets its clock.
    SetClock {
        seconds: i64,
    },
    /// Other people.
    Others(MachineNumber, Wish),
    /// The list begins or ceases to show a machine.
    List(MachineNumber, bool),
}

/// A command and its circumstances.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) label: Label,
    pub(super) deed: Deed,
    pub(super) options: Options,
    pub(super) fate: Fate,
    pub(super) weather: Weather,
    /// What other people do meanwhile, after so long a time.
    pub(super) meanwhile: Vec<(Duration, Step)>,
    /// For all that is left to chance.
    pub(super) seed: u64,
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Apply(FileNumber),
    Plan(FileNumber),
    Verify(FileNumber),
    /// Goes on with the run of that command.
    Resume(Label),
    /// Takes the run of that command back.
    Undo(Label),
    /// Takes a tag off wherever it is, or puts another in its place.
    Retag(Retag),
    /// Does what the command line asks for to the machines of a file or of the tenant's list.
    Order(Order),
    /// Makes the tenant match a file of rules.
    ApplyRules(FileNumber),
    VerifyRules(FileNumber),
}

/// What becomes of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retag {
    pub(super) old: &'static str,
    pub(super) new: Option<&'static str>,
}

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// The machines of this file; those of the tenant's list if there is none.
    pub(super) file: Option<FileNumber>,
    pub(super) add: Option<&'static str>,
    pub(super) remove: Option<&'static str>,
    pub(super) value: Option<DeviceValue>,
}

impl Deed {
    /// What the command line asks for of every machine, if it does.
    pub(super) fn orders(&self) -> Option<Vec<Wish>> {
        let add = |tag: &str| Wish::Add(tag.to_owned());
        let remove = |tag: &str| Wish::Remove(tag.to_owned());
        match self {
            Self::Retag(Retag { old, new }) => Some(new.map(add).into_iter().chain([remove(old)]).collect()),
            Self::Order(order) => {
                let tags = order.add.map(add).into_iter().chain(order.remove.map(remove));
                Some(tags.chain(order.value.map(Wish::Set)).collect())
            }
            _ => None,
        }
    }

    /// The file that it is about.
    pub(super) const fn file(&self) -> Option<FileNumber> {
        match self {
            Self::Apply(file) | Self::Plan(file) | Self::Verify(file) => Some(*file),
            Self::Order(order) => order.file,
            _ => None,
        }
    }

    /// The file of rules that it is about.
    pub(super) const fn rules(&self) -> Option<FileNumber> {
        match self {
            Self::ApplyRules(file) | Self::VerifyRules(file) => Some(*file),
            _ => None,
        }
    }

    /// Whether it leaves the tenant as it is.
    pub(super) const fn only_looks(&self) -> bool {
        matches!(self, Self::Plan(_) | Self::Verify(_) | Self::VerifyRules(_))
    }
}

/// Which rows or machines are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Machines that the list shows with this tag.
    Tagged(&'static str),
    /// Those that it shows without it.
    Untagged(&'static str),
    Valued(DeviceValue),
    /// Rows whose machine has an odd number: the file says so itself.
    Odd,
}

impl Choice {
    /// As it is typed.
    pub(super) fn text(self) -> String {
        match self {
            Self::Tagged(tag) => format!("set_has_element(machine.machineTags, '{tag}')"),
            Self::Untagged(tag) => format!("not(set_has_element(machine.machineTags, '{tag}'))"),
            Self::Valued(value) => format!("machine.currentDeviceValue == '{value}'"),
            Self::Odd => "team == 'odd'".to_owned(),
        }
    }
}

/// A share of the listed machines and a number: what exceeds both is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) percent: u8,
    pub(super) count: u32,
}

/// Options as they are typed.
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) fresh: bool,
    pub(super) limit: Option<u32>,
    pub(super) unlisted_fail: bool,
    pub(super) no_bulk: bool,
    pub(super) no_inventory: bool,
    pub(super) max_changes: Option<u32>,
    pub(super) deadline: Option<Duration>,
    pub(super) skip_invalid: bool,
    pub(super) lock_wait: Option<Duration>,
    /// Somebody is asked, and says yes after that time.
    pub(super) answered_after: Option<Duration>,
    /// Which rows or machines are meant; all without it.
    pub(super) choice: Option<Choice>,
    pub(super) guard_removals: Option<Bound>,
    pub(super) guard_changes: Option<Bound>,
}

/// How a command comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Undisturbed,
    /// Killed when it has stored something so many times.
    KilledAtCommit(usize),
    KilledAfter(Duration),
    Interrupted(Duration),
    /// Interrupted, and once more after that time.
    InterruptedTwice(Duration, Duration),
}

/// What goes wrong, each with how often in a thousand calls, and when everything does.
#[derive(Clone, Debug, Default)]
pub(super) struct Weather {
    pub(super) faults: Vec<(Fault, u32)>,
    pub(super) outages: Vec<Outage>,
}

impl Weather {
    pub(super) fn is_fair(&self) -> bool {
        self.faults.is_empty() && self.outages.is_empty()
    }
}

impl Step {
    /// The commands of a step.
    pub(super) fn commands(&self) -> Vec<&Command> {
        match self {
            Self::Command(command) => vec![command],
            Self::Together(first, second, _) => vec![first, second],
            _ => Vec::new(),
        }
    }

    pub(super) fn commands_mut(&mut self) -> Vec<&mut Command> {
        match self {
            Self::Command(command) => vec![command],
            Self::Together(first, second, _) => vec![first, second],
            _ => Vec::new(),
        }
    }
}
