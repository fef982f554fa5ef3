//! What must be so after every command, whatever happened. It knows the service's own log and what a person was told, and
//! shares no code with the program.
//!
//! # When a program could know
//! A row speaks of what is so in the tenant. It is a lie unless the program can be excused, and it is excused only by what
//! nobody in its place could have known:
//! - Somebody else's change, if it came after what the program saw last: after the moment that the list which it read
//!   showed, or after its own write took effect. What a row says was already set is decided by the list that was read before
//!   the first call; readings that are about calls decide nothing else. A list may show the tenant as it was up to [`LAG`] ago. Where the program
//!   itself wrote to the slot within that time before it began to read, it has to believe its own write and not the list.
//! - A call of its own that was still on the way, since its process had died or its time was over, and that took effect
//!   when it should have been long gone.
//!
//! So an undo may go back to what an own write of another run had left shortly before, though somebody had changed it since.
//!
//! What another command of ours has written before this one began is no excuse: the program keeps books of that. Nor is a
//! change that a list would have shown which the program did not read when it went on with a run.

mod calls;
mod choosing;
mod endings;
mod guarding;
mod layers;
mod rows;
mod ruling;
#[cfg(test)]
mod tale;
#[cfg(test)]
mod tests;
mod undoing;

pub(in crate::run::histories) use endings::cells;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::history::{Deed, Habits, History, Label, Row, Step};
use super::telling::{End, ResultRow, Told};
use super::truth::{Asked, CallNumber, CommandNumber, Content, Event, Log, MachineNumber, Moment, Reply, Slot, Wish};

/// How long the list may lie behind, as far as the program has to reckon with it.
const LAG: Duration = Duration::from_mins(15);
/// What the program may round to its own favour when it reckons with that.
const SLACK: Duration = Duration::from_mins(1);
/// Things that happen within this time happen at once: the runtime's timer has no finer steps.
const AT_ONCE: Duration = Duration::from_millis(5);

/// The kinds of what can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::run::histories) enum Kind {
    /// A row says that something is so, and it is not.
    NotSo,
    /// A row says that nothing was done, and it was.
    DoneAfterAll,
    /// A row says that nobody knows, and nothing was ever sent.
    UnknownWithoutCall,
    /// A row carries another machine's error.
    AnothersError,
    /// A machine that takes everything is said to have failed.
    WellMachineFailed,
    /// A row is missing, or not the file's.
    RowsDiffer,
    /// The exit status does not fit the rows, or nothing explains it.
    ExitStatus,
    /// Something was changed by a command that had to change nothing.
    WroteAlthough,
    /// An undo did not bring back what was there.
    NotUndone,
    /// An undo took away what somebody else had made since.
    UndidOthers,
    /// An undo left what nobody else had changed.
    LeftWithoutReason,
    /// An undo left something and did not say which.
    LeftUnsaid,
    /// A run that can be undone was refused.
    UndoRefused,
    /// What was done was sent again.
    SentAgain,
    /// A machine was changed that was not meant, or one was left out that was.
    MeantOthers,
    /// A guard let through more than it allows, or withheld a part, or what it allows.
    GuardPassed,
    /// A tag was taken before the other was there.
    BreakBeforeMake,
    /// More calls than the quota allows, or calls during a wait.
    Trespass,
    /// An app that may do nothing went on asking.
    AskedOnAndOn,
    /// It did not end, or panicked.
    NoEnd,
    /// When everything is well again, the file cannot be brought about.
    NoProgress,
}

/// Something that is wrong.
#[derive(Clone, Debug)]
pub(in crate::run::histories) struct Violation {
    pub(in crate::run::histories) kind: Kind,
    pub(in crate::run::histories) label: Label,
    pub(in crate::run::histories) text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}, command {}: {}", self.kind, self.label, self.text)
    }
}

/// A history that is over.
pub(in crate::run::histories) struct Case<'a> {
    pub(in crate::run::histories) log: &'a Log,
    pub(in crate::run::histories) told: &'a [Told],
    pub(in crate::run::histories) history: &'a History,
}

/// A call, whole.
struct CallStory<'a> {
    number: CallNumber,
    command: CommandNumber,
    sent: usize,
    sent_at: Moment,
    wish: &'a Wish,
    machines: &'a [MachineNumber],
    is_bulk: bool,
    answered: Option<(usize, Moment, &'a Reply)>,
}

/// What a read showed.
struct Sight {
    /// Its place in the log.
    index: usize,
    at: Moment,
    /// It shows what the first so many events had left.
    as_of: usize,
    command: CommandNumber,
    content: Content,
}

impl<'a> Case<'a> {
    /// The commands that have said what the run of this one is about.
    fn sayings<'t>(&'t self, told: &'t Told) -> impl Iterator<Item = &'t Told> {
        self.told.iter().filter(move |other| {
            other.number <= told.number
                && (other.number == told.number || (other.run.is_some() && other.run == told.run))
                && !matches!(other.deed, Deed::Resume(_))
        })
    }

    /// Everything that is wrong, the earliest command first.
    pub(in crate::run::histories) fn violations(&self) -> Vec<Violation> {
        let writes = self.writes();
        let mut violations = Vec::new();
        for told in self.told {
            let mut note = |kind, text: String| violations.push(Violation { kind, label: told.label, text });
            endings::judge(self, told, &mut note);
            rows::judge(self, told, &writes, &mut note);
            undoing::judge(self, told, &writes, &mut note);
            calls::judge(self, told, &writes, &mut note);
            choosing::judge(self, told, &writes, &mut note);
            ruling::judge(self, told, &writes, &mut note);
            guarding::judge(self, told, &writes, &mut note);
        }
        violations.sort_by_key(|violation| violation.label);
        violations
    }

    fn habits(&self) -> &Habits {
        &self.history.habits
    }

    /// Every write that was sent.
    fn writes(&self) -> Vec<CallStory<'a>> {
        let mut stories: BTreeMap<CallNumber, CallStory<'a>> = BTreeMap::new();
        for (index, (at, event)) in self.log.events.iter().enumerate() {
            match event {
                Event::Sent { call, command, asked: Asked::Write { wish, machines, is_bulk } } => {
                    let (number, command, is_bulk) = (*call, *command, *is_bulk);
                    let (sent, sent_at) = (index, *at);
                    let story = CallStory { number, command, sent, sent_at, wish, machines, is_bulk, answered: None };
                    stories.insert(number, story);
                }
                Event::Answered { call, reply } => {
                    if let Some(story) = stories.get_mut(call) {
                        story.answered = Some((index, *at, reply));
                    }
                }
                _ => {}
            }
        }
        stories.into_values().collect()
    }

    fn told_of_call(&self, call: CallNumber) -> Option<&'a Told> {
        let command = *self.log.commands.get(call)?;
        self.told_of(command)
    }

    fn told_of(&self, command: CommandNumber) -> Option<&'a Told> {
        self.told.iter().find(|told| told.number == command)
    }

    /// Whether nobody can tell what became of a write: it was not answered as it should, or its process died before the
    /// answer could be stored.
    fn is_in_doubt(&self, write: &CallStory<'_>) -> bool {
        let Some((_, answered_at, Reply::Shown(_) | Reply::Refused(_) | Reply::Throttled(_))) = write.answered else {
            return true;
        };
        self.told_of(write.command)
            .is_some_and(|told| told.end == End::Killed && answered_at + AT_ONCE >= told.ended_at)
    }

    /// Whether the command worked on the run.
    fn is_of_run(&self, command: CommandNumber, run: &str) -> bool {
        self.told_of(command).is_some_and(|told| told.run.as_deref() == Some(run))
    }

    /// What reads have shown of a slot, as far as the log goes to that place.
    fn sights(&self, slot: &Slot, until: usize) -> Vec<Sight> {
        let events = self.log.events.iter().enumerate().take(until);
        let displayed = events.filter_map(|(index, (at, event))| match event {
            Event::Displayed { call, machine, as_of } if *machine == slot.machine => Some(Sight {
                index,
                at: *at,
                as_of: *as_of,
                command: self.log.commands[*call],
                content: self.log.content_before(slot, *as_of),
            }),
            _ => None,
        });
        displayed.collect()
    }

    /// When the reading began to which the sight belongs. To the program it is one act, which may take minutes; a command's
    /// first begins with it, a later one with its first call.
    fn reading_began_at(&self, sight: &Sight) -> Moment {
        let Some(told) = self.told_of(sight.command) else { return sight.at };
        let (mut began_at, mut asked_at) = (told.began_at, told.began_at);
        let (mut first_shown, mut has_written): (Option<MachineNumber>, _) = (None, false);
        for (at, event) in &self.log.events[told.began..=sight.index] {
            match event {
                Event::Sent { command, asked: Asked::Write { .. }, .. } if *command == told.number => {
                    has_written = true;
                }
                Event::Sent { command, asked: Asked::Read, .. } if *command == told.number => {
                    asked_at = *at;
                    if has_written {
                        (began_at, first_shown, has_written) = (asked_at, None, false);
                    }
                }
                Event::Displayed { call, machine, .. } if self.log.commands[*call] == told.number => {
                    // The list is read from its beginning again.
                    if first_shown.is_some_and(|first| *machine <= first) {
                        began_at = asked_at;
                    }
                    first_shown = first_shown.min(Some(*machine)).or(Some(*machine));
                }
                _ => {}
            }
        }
        began_at
    }

    /// Whether the command read anything before that place.
    fn has_read(&self, told: &Told) -> bool {
        self.log.events[told.began..told.ended].iter().any(|(_, event)| match event {
            Event::Displayed { call, .. } => self.log.commands[*call] == told.number,
            _ => false,
        })
    }

    /// Whether every list shows the machine, from the beginning to the end.
    fn is_always_listed(&self, machine: MachineNumber) -> bool {
        let takes_off = |step: &Step| matches!(step, Step::List(of, _) if *of == machine);
        let steps = &self.history.steps;
        let mut meanwhile = steps.iter().flat_map(Step::commands).flat_map(|command| &command.meanwhile);
        let is_listed = self.history.machines.get(machine).is_some_and(|machine| machine.is_listed);
        is_listed && !steps.iter().any(takes_off) && !meanwhile.any(|(_, step)| takes_off(step))
    }

    /// The first command of a run.
    fn beginning_of(&self, run: &str) -> Option<&'a Told> {
        self.told.iter().find(|told| told.run.as_deref() == Some(run))
    }
}

/// Whether two contents come to the same for everybody who takes upper and lower case for one.
fn alike(one: &Content, other: &Content) -> bool {
    match (one, other) {
        (Content::Tag(one), Content::Tag(other)) => one.is_empty() == other.is_empty(),
        (one, other) => one == other,
    }
}
