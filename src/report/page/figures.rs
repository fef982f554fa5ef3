//! The numbers of a page, read from the store in one pass over the calls and one over the operations.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::answers::{AnswerFigure, AnswerTimes};
use super::outcomes::{Breakdown, Outcomes, Part};
use super::span::Span;
use super::trouble::Trouble;
use super::window::WindowCount;
use crate::model::{Bucket, Change, TagAction, TagNumber};
use crate::outside::{Outside, shell_word};
use crate::quota::QuotaScope;
use crate::report::course::advice::{is_resuming, still_to_resume, to_resume};
use crate::report::course::summary::error_hint;
use crate::report::results::target::{ResultsError, ResultsTarget};
use crate::report::results::writing::{ErrorKey, Totals, tally};
use crate::store::{CallRecord, KeptLimit, Reader, RunCondition, RunDetails, RunSession, StoreError, StoredRun};

/// The windows that are looked at where no quota was kept.
const USUAL_WINDOWS: [Duration; 2] = [Duration::from_mins(1), Duration::from_hours(1)];
/// What time is called of which nobody noted where it went.
pub(super) const NOT_NOTED: &str = "not_noted";

/// Everything that a page says.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) details: RunDetails,
    pub(super) input_digest: String,
    pub(super) sessions: Vec<RunSession>,
    pub(super) totals: Totals,
    pub(super) span: Span,
    pub(super) calls: CallFigures,
    pub(super) answers: Vec<AnswerFigure>,
    pub(super) outcomes: Outcomes,
    pub(super) changes: Breakdown<String>,
    pub(super) groups: Option<Breakdown<Option<String>>>,
    pub(super) platforms: Option<Breakdown<Option<String>>>,
    /// What to type next, if anything, and what to look at first.
    pub(super) next: Option<String>,
    /// What commands about this run repeat, with a blank before each option.
    pub(super) repeated_options: String,
    /// The server that the state is on, if it is on one.
    pub(super) server: Option<String>,
    pub(super) is_sandbox: bool,
    pub(super) made_at: Timestamp,
}

/// What the calls come to.
#[derive(Clone, Debug)]
pub(super) struct CallFigures {
    pub(super) windows: Vec<WindowCount>,
    pub(super) trouble: Trouble,
    /// Calls of the run by kind, under the names that the ledger has for them.
    pub(super) of_kinds: BTreeMap<String, u64>,
    answers: AnswerTimes,
}

impl CallFigures {
    fn new(sessions: &[RunSession], span: Span) -> Self {
        let limits = |session: &RunSession| session.limits.iter().map(|limit| limit.window).collect::<Vec<_>>();
        let mut windows: BTreeSet<Duration> = sessions.iter().flat_map(limits).collect();
        if windows.is_empty() {
            windows.extend(USUAL_WINDOWS);
        }
        let scope = sessions.last().map_or(QuotaScope::Api, |session| session.quota_scope);
        let buckets: Vec<Vec<Bucket>> = scope.groups().iter().map(|group| group.to_vec()).collect();
        let of_window = |window: Duration| {
            let allowed = move |limit: &&KeptLimit| limit.window == window;
            sessions.iter().map(|session| session.limits.iter().find(allowed).map(|limit| limit.calls)).collect()
        };
        let windows = windows.iter().flat_map(|window| {
            buckets.iter().map(|buckets| WindowCount::new(buckets.clone(), *window, of_window(*window), span))
        });
        Self {
            windows: windows.collect(),
            trouble: Trouble::new(span),
            of_kinds: BTreeMap::new(),
            answers: AnswerTimes::default(),
        }
    }

    fn longest_window(&self) -> Duration {
        self.windows.iter().map(|count| count.window).max().unwrap_or_default()
    }

    fn take(&mut self, call: &CallRecord) {
        self.windows.iter_mut().for_each(|window| window.take(call));
        self.trouble.take(call);
        self.answers.take(call);
        if call.session.is_some() {
            match self.of_kinds.get_mut(&call.kind) {
                Some(calls) => *calls += 1,
                None => drop(self.of_kinds.insert(call.kind.clone(), 1)),
            }
        }
    }

    fn finish(self) -> Self {
        let windows = self.windows.into_iter().map(WindowCount::finish).filter(|count| count.calls > 0).collect();
        Self { windows, trouble: self.trouble.finish(), ..self }
    }
}

impl Figures {
    /// Reads what there is to say of a run at this moment.
    pub(super) async fn read(
        reader: &Reader,
        run_id: &str,
        repeated_options: &str,
        is_sandbox: bool,
        made_at: Timestamp,
    ) -> Result<Self, ResultsError> {
        let run = reader.run_by_id(run_id).await?;
        let details = reader.run_details(run_id).await?;
        let sessions = reader.sessions(run.key).await?;
        // What was tolerated is not kept with a run; whoever ended well with rows that failed has tolerated them.
        let tolerates_missing =
            sessions.last().and_then(|session| session.end.as_ref()).is_some_and(|(_, end)| end.exit_status == 0);
        let totals = match reader.check_books(&run).await {
            Ok(()) => tally(reader, &run, tolerates_missing).await?,
            // Nothing was sent, and its rows may not all be there.
            Err(StoreError::NeverBegan(_)) => Totals::default(),
            Err(error) => return Err(error.into()),
        };
        let span = span(reader, &run, &sessions).await?;
        let calls = CallFigures::new(&sessions, span);
        let before = calls.longest_window();
        let mut calls = reader.tell_calls(run.key, before, calls, CallFigures::take).await?.finish();
        let answers = std::mem::take(&mut calls.answers).figures();
        let outcomes = reader.tell_operations(run.key, Outcomes::new(span), Outcomes::take).await?;
        let kinds = reader.machine_kinds(run.key).await?;
        let open = reader.open_operations(run.key).await?;
        let is_followed = match run.description.results_path.as_deref().map(|path| ResultsTarget::file(path.into())) {
            Some(ResultsTarget::File { failed, .. }) => {
                reader.is_followed(run.key, failed.to_string_lossy().into_owned()).await?
            }
            _ => false,
        };
        let next = next(&details, sessions.last(), open, is_followed, repeated_options);
        Ok(Self {
            input_digest: run.description.input_digest.clone(),
            changes: named_changes(reader, &run, outcomes.by_change()).await?,
            groups: outcomes.by_kind(&kinds, |kind| kind.group.as_ref()),
            platforms: outcomes.by_kind(&kinds, |kind| kind.platform.as_ref()),
            details,
            sessions,
            totals,
            span,
            calls,
            answers,
            outcomes,
            next,
            repeated_options: repeated_options.to_owned(),
            server: reader.server().map(str::to_owned),
            is_sandbox,
            made_at,
        })
    }

    /// Whether somebody is at it.
    pub(super) const fn is_under_way(&self) -> bool {
        matches!(self.details.entry.condition, RunCondition::Preparing | RunCondition::Running)
    }

    /// What to do about rows that are not done; nothing while their run is under way.
    pub(super) fn hint(&self, key: &ErrorKey) -> Option<&'static str> {
        error_hint(key).filter(|_| !self.is_under_way())
    }

    /// The session that ended last, if it did.
    pub(super) fn last_end(&self) -> Option<&crate::store::RunSessionEnd> {
        self.sessions.last().and_then(|session| session.end.as_ref()).map(|(_, end)| end)
    }

    /// Where the time of all sessions went, most of it first; what nobody noted comes last.
    pub(super) fn time(&self) -> Vec<(String, Duration)> {
        let mut parts: BTreeMap<&str, Duration> = BTreeMap::new();
        let next_begins = self.sessions.iter().skip(1).map(began);
        let until = next_begins.chain([self.details.entry.last_activity_at]);
        for (session, until) in self.sessions.iter().zip(until) {
            if let Some((_, end)) = &session.end {
                end.spent.iter().for_each(|(part, time)| *parts.entry(part).or_default() += *time);
            } else {
                // A process that died, or goes on: its last word is what is known of it.
                let until = until.min(self.details.entry.last_activity_at);
                let time = Duration::try_from(until.duration_since(session.began_at)).unwrap_or_default();
                *parts.entry(NOT_NOTED).or_default() += time;
            }
        }
        let mut parts: Vec<_> = parts.into_iter().filter(|(_, time)| !time.is_zero()).collect();
        parts.sort_by_key(|(part, time)| (*part == NOT_NOTED, std::cmp::Reverse(*time)));
        parts.into_iter().map(|(part, time)| (part.to_owned(), time)).collect()
    }

    /// The processes that were at it, each once, with the last one at the end.
    pub(super) fn processes(&self) -> Vec<(u32, &str)> {
        let last = &self.details.entry.process;
        let last = (last.system_process_id, last.host.as_str());
        let known = self.sessions.iter().filter_map(|session| session.process.as_ref());
        let known = known.map(|(number, host)| (*number, host.as_str()));
        let mut processes = Vec::new();
        for process in known.chain([last]) {
            processes.retain(|earlier| *earlier != process);
            processes.push(process);
        }
        processes
    }

    /// What each session foretold: operations done at moments, from what was done when it began.
    pub(super) fn foretold(&self) -> Vec<Vec<(i64, u64)>> {
        let course = self.outcomes.course();
        let foretold = self.sessions.iter().filter(|session| !session.foretold.is_empty()).map(|session| {
            let began_at = session.began_at.as_microsecond();
            let done = self.span.bin(began_at).checked_sub(1).and_then(|bin| course.get(bin)).copied().unwrap_or(0);
            let later = session.foretold.iter().map(|point| {
                let after = i64::try_from(point.after.as_micros()).unwrap_or(i64::MAX);
                (began_at.saturating_add(after), done + point.done)
            });
            std::iter::once((began_at, done)).chain(later).collect()
        });
        foretold.collect()
    }
}

/// When a session began, before it waited for others: what it noted of its time may be more than its calls took.
fn began(session: &RunSession) -> Timestamp {
    let noted = session.end.as_ref().map(|(ended_at, end)| (ended_at, end.spent.iter().map(|(_, time)| *time).sum()));
    let begun = noted.and_then(|(ended_at, spent): (_, Duration)| ended_at.checked_sub(spent).ok());
    begun.map_or(session.began_at, |begun| begun.min(session.began_at))
}

/// From the first call, or the beginning of the run, to the last that was heard of it.
async fn span(reader: &Reader, run: &StoredRun, sessions: &[RunSession]) -> Result<Span, StoreError> {
    let calls = reader.call_span(run.key).await?;
    let ends = sessions.iter().filter_map(|session| session.end.as_ref()).map(|(ended_at, _)| *ended_at);
    let from = calls.map_or(run.created_at, |(first, _)| first.min(run.created_at));
    let to = ends.chain(calls.map(|(_, last)| last)).fold(run.last_activity_at, Timestamp::max);
    Ok(Span::new(from, to))
}

/// What to do next about a run that nobody is at: it is resumed, or what it said itself in the end is to be done. Where
/// another run has followed it, its files are not its own any more, or what was in them was fed back.
fn next(
    details: &RunDetails,
    last: Option<&RunSession>,
    open: u32,
    is_followed: bool,
    repeated_options: &str,
) -> Option<String> {
    match details.entry.condition {
        RunCondition::Preparing | RunCondition::Running | RunCondition::NeverBegan => None,
        _ => {
            let run_id = &details.entry.run_id;
            let said = last.and_then(|session| session.end.as_ref()).and_then(|(_, end)| end.next.clone());
            if open > 0 {
                let said = still_to_resume(said.as_deref(), repeated_options).map(str::to_owned);
                return Some(said.unwrap_or_else(|| to_resume(run_id, repeated_options).stored()));
            }
            // What was open when it ended, a later run may have done otherwise since.
            let said = said.filter(|said| !is_resuming(said));
            let again = || format!("Next:\ntagfleet results {}{repeated_options}", shell_word(run_id));
            said.map(|said| if is_followed { again() } else { said })
        }
    }
}

/// The changes in words; the tags are those of the run.
async fn named_changes(
    reader: &Reader,
    run: &StoredRun,
    breakdown: Breakdown<Change<TagNumber>>,
) -> Result<Breakdown<String>, StoreError> {
    let tag_of = |change: &Change<TagNumber>| match change {
        Change::Tag(_, tag) => Some(*tag),
        Change::DeviceValue(_) => None,
    };
    let numbers: Vec<TagNumber> = breakdown.parts.iter().filter_map(|part| tag_of(&part.name)).collect();
    let mut tags = reader.tags_of(run.key, numbers).await?.into_iter();
    let mut words = |change: Change<TagNumber>| match change {
        Change::Tag(action, _) => {
            let verb = if action == TagAction::Add { "Add" } else { "Remove" };
            format!("{verb} {}", Outside::new(tags.next().unwrap_or_default()).line())
        }
        Change::DeviceValue(value) => format!("Device value {value}"),
    };
    let parts = breakdown.parts.into_iter().map(|part| Part { name: words(part.name), counts: part.counts });
    Ok(Breakdown { parts: parts.collect(), others: breakdown.others })
}
