//! The forms in which runs are stored and read: types of their own, so that code elsewhere may change without the file
//! noticing.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use crate::model::row_code::BEYOND_LIMIT;
use crate::model::{AnswerFacts, Change, Held, MachineId, OperationId, Status, TagNumber};

/// The number of a tenant and app in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountKey(pub(crate) i64);

/// The number of a run in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RunKey(pub(crate) i64);

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    /// Its rows are being written; nothing was sent.
    Preparing,
    /// Calls are made, or were when its process died.
    Running,
    /// It stopped in order before its end.
    Stopped,
    /// Every operation has its outcome.
    Finished,
    /// It had finished, and a process looks whether something of it is left to do, or takes it back; nothing was sent. If
    /// that process dies, it is finished.
    Revisited,
    /// It is being deleted, a piece at a time; nobody finds it any more.
    Removing,
}

impl RunState {
    const ALL: [Self; 6] =
        [Self::Preparing, Self::Running, Self::Stopped, Self::Finished, Self::Revisited, Self::Removing];

    /// The name in the database and in listings.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Revisited => "revisited",
            Self::Removing => "removing",
        }
    }

    pub(in crate::store) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether it is in the hands of a process, if that lives.
    pub(in crate::store) const fn is_taken(self) -> bool {
        matches!(self, Self::Preparing | Self::Running | Self::Revisited)
    }
}

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OperationState {
    /// To be sent.
    Pending,
    /// The service answered that it is so now.
    Succeeded,
    /// It was already set.
    Unchanged,
    /// Refused for good.
    Failed,
    /// Sent, and never answered.
    Unknown,
    /// Left out on purpose.
    NotAttempted,
    /// Refused for a reason that lies outside it; a resumed run sends it again.
    Refused,
}

impl OperationState {
    /// Every state.
    pub(crate) const ALL: [Self; 7] = [
        Self::Pending,
        Self::Succeeded,
        Self::Unchanged,
        Self::Failed,
        Self::Unknown,
        Self::NotAttempted,
        Self::Refused,
    ];

    /// The name in listings.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::NotAttempted => "not_attempted",
            Self::Refused => "refused",
        }
    }

    /// Whether a resumed run sends it.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Refused | Self::Unknown)
    }

    /// What it means to the reader of results.
    ///
    /// Whatever may have taken effect without an answer that says so is unknown until an answer or a reading settles it,
    /// although a later attempt was refused, or none was made any more. What is still to be sent was not attempted.
    pub(crate) const fn status(self, may_have_taken_effect: bool) -> Status {
        match self {
            Self::Succeeded => Status::Succeeded,
            Self::Unchanged => Status::Unchanged,
            Self::Unknown => Status::Unknown,
            _ if may_have_taken_effect => Status::Unknown,
            Self::Pending | Self::NotAttempted => Status::NotAttempted,
            Self::Failed | Self::Refused => Status::Failed,
        }
    }

    /// The state under which it is counted for people.
    pub(in crate::store) const fn counted_as(self, may_have_taken_effect: bool) -> Self {
        match self.status(may_have_taken_effect) {
            Status::Unknown => Self::Unknown,
            _ => self,
        }
    }

    /// The state under which it is counted once nobody sends it any more.
    pub(in crate::store) const fn once_over(self) -> Self {
        match self {
            Self::Pending => Self::NotAttempted,
            Self::Refused => Self::Failed,
            _ => self,
        }
    }

    /// The number in the database.
    pub(in crate::store) const fn number(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Succeeded => 1,
            Self::Unchanged => 2,
            Self::Failed => 3,
            Self::Unknown => 4,
            Self::NotAttempted => 5,
            Self::Refused => 6,
        }
    }

    pub(in crate::store) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
}

/// What a run does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RunKind {
    /// It makes the tenant match a file.
    #[default]
    Apply,
    /// It takes back what another run changed.
    Undo,
}

/// What the input of a run is called that takes another back, before the name of that one.
pub(in crate::store) const UNDO_PREFIX: &str = "undo of ";

/// What a run that takes this one back has for its input.
pub(crate) fn name_of_undo(run_id: &str) -> String {
    format!("{UNDO_PREFIX}{run_id}")
}

/// The name of the run that this one takes back, if it does.
pub(crate) fn taken_back_by(run: &NewRun) -> Option<&str> {
    run.input_path.strip_prefix(UNDO_PREFIX).filter(|_| run.kind == RunKind::Undo)
}

impl RunKind {
    /// The name in the database and in listings.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Undo => "undo",
        }
    }

    pub(in crate::store) fn from_name(name: &str) -> Option<Self> {
        [Self::Apply, Self::Undo].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A run that is about to be stored.
#[derive(Clone, Debug)]
pub(crate) struct NewRun {
    /// The name that people use.
    pub run_id: String,
    pub kind: RunKind,
    /// Equal for inputs with the same header and rows in the same order.
    pub input_digest: String,
    /// Equal for inputs that ask for the same operations, in whatever order.
    pub operations_digest: String,
    /// The tenant and app.
    pub account: AccountKey,
    pub host: String,
    /// The input as it was named.
    pub input_path: String,
    /// Where its results were to be written first; `None` for standard output.
    pub results_path: Option<String>,
    /// A change number or remark.
    pub note: Option<String>,
    pub delimiter: u8,
    /// Whether the input began with a byte order mark.
    pub byte_order_mark: bool,
    /// The input's header, exactly as decoded.
    pub header: Vec<String>,
    /// How many rows the input has.
    pub row_count: u32,
}

#[cfg(any(test, fuzzing))]
impl NewRun {
    /// A run of this account that tests begin, without rows, notes and places.
    pub(crate) fn sample(account: AccountKey) -> Self {
        Self {
            run_id: "run".to_owned(),
            kind: RunKind::Apply,
            input_digest: String::new(),
            operations_digest: String::new(),
            account,
            host: "host".to_owned(),
            input_path: "input".to_owned(),
            results_path: None,
            note: None,
            delimiter: b',',
            byte_order_mark: false,
            header: Vec::new(),
            row_count: 0,
        }
    }
}

/// A run as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredRun {
    pub key: RunKey,
    /// How far it is.
    pub state: RunState,
    /// When it began.
    pub created_at: Timestamp,
    /// When an outcome was stored last, or the run moved on.
    pub last_activity_at: Timestamp,
    /// What it was begun with.
    pub description: NewRun,
}

/// A piece of the input: whole records, and the operations that answer each of its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InputChunk {
    /// The place of its first row among those of the run, from 1.
    pub first_row: u32,
    /// The numbers that its rows have in the file, where some of that are no rows of the run; none where they are their
    /// places.
    pub numbers: Vec<u32>,
    /// The records as decoded text, with the input's delimiter.
    pub records: Vec<u8>,
    /// For each row the operations that answer it: none for an invalid one, else one or two, tag first.
    pub operations: Vec<Vec<OperationId>>,
}

impl InputChunk {
    /// The number in the file of the row at this place of the run.
    pub(crate) fn number(&self, place: u32) -> u32 {
        let position = place.checked_sub(self.first_row).map(|position| position as usize);
        position.and_then(|position| self.numbers.get(position)).copied().unwrap_or(place)
    }
}

/// An operation that is about to be stored.
#[derive(Clone, Debug)]
pub(crate) struct NewOperation {
    /// Its number in the run.
    pub operation: OperationId,
    pub machine: MachineId,
    /// What to make of it, with the tag as a number among the run's tags.
    pub change: Change<TagNumber>,
    /// The number of its machine, if that machine has tags added as well as removed: then the removes wait. The column is called `guard`.
    pub swap: Option<u32>,
    /// Whether the inventory lacks the machine.
    pub unlisted: bool,
    pub before: Held,
    /// Its outcome, if it is not to be sent.
    pub settled: Option<SettledOperation>,
}

/// The outcome of an operation that is settled without a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SettledOperation {
    /// How it is.
    pub state: OperationState,
    /// Code and message, unless it is as it should be.
    pub reason: Option<(&'static str, Box<str>)>,
}

impl SettledOperation {
    /// Whether the limit leaves it out.
    pub(in crate::store) fn is_beyond_limit(&self) -> bool {
        matches!(self.reason, Some((BEYOND_LIMIT, _)))
    }
}

/// An operation and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct StoredOperation {
    /// How far it is.
    pub state: OperationState,
    /// Whether an attempt may have taken effect without an answer that says so.
    pub ambiguous: bool,
    /// Attempts that count.
    pub attempts: u32,
    /// What the last answer said of itself.
    pub answer: AnswerFacts,
    pub before: Held,
    /// What holds now.
    pub after: Held,
    /// When its outcome was stored.
    pub finished_at: Option<Timestamp>,
}

impl StoredOperation {
    /// What it means to the reader of results.
    pub(crate) const fn status(&self) -> Status {
        self.state.status(self.ambiguous)
    }
}

/// A piece of the input with everything that answers it.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoredChunk {
    pub input: InputChunk,
    /// The operations that they name.
    pub operations: HashMap<OperationId, StoredOperation>,
    /// Code and message of the rows that are in error.
    pub problems: BTreeMap<u32, (String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_taken_effect_is_unknown_unless_an_answer_settled_it() {
        use OperationState::{Failed, NotAttempted, Pending, Refused, Succeeded, Unchanged, Unknown};
        let table = [
            (Pending, Status::NotAttempted, Status::Unknown),
            (Succeeded, Status::Succeeded, Status::Succeeded),
            (Unchanged, Status::Unchanged, Status::Unchanged),
            (Failed, Status::Failed, Status::Unknown),
            (Unknown, Status::Unknown, Status::Unknown),
            (NotAttempted, Status::NotAttempted, Status::Unknown),
            (Refused, Status::Failed, Status::Unknown),
        ];
        for (state, surely, perhaps) in table {
            assert_eq!([state.status(false), state.status(true)], [surely, perhaps], "{state:?}");
            assert_eq!(state.counted_as(false), state);
        }
        assert_eq!([Pending.counted_as(true), Failed.counted_as(true)], [Unknown; 2]);
    }

    #[test]
    fn rows_that_were_selected_keep_their_numbers() {
        let chunk = InputChunk { first_row: 11, numbers: vec![13, 20], ..InputChunk::default() };
        assert_eq!([11, 12].map(|place| chunk.number(place)), [13, 20]);
        assert_eq!(InputChunk { numbers: vec![], ..chunk }.number(12), 12);
    }
}
