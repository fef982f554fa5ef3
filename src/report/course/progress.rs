//! A run as it goes: a bar on a terminal, a plain line now and then elsewhere.
//!
//! A bar that stands still for 45 minutes is taken for a hang, so while the quota makes everybody wait it says so, with
//! the time of the next call; and the end comes from the quota's schedule, not from the pace so far.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::pace::LinePace;
use crate::api::sign_in::Trouble;
use crate::call::{
    ConnectionTrouble, Excess, Notice, Repeat, RepeatCause, RetryReason, ServiceTrouble, SignInTrouble, WaitCause,
};
use crate::clock;
use crate::dispatch::{EndReason, Event, ExpectedEnd, Observer, Progress};
use crate::model::Status;
use crate::report::output::screen::Screen;
use crate::words::{self, counted, describe_duration, group_digits};

/// Shows a run on the screen.
pub(crate) struct ProgressReport {
    screen: Screen,
    quiet: bool,
    time_zone: TimeZone,
    bar: Option<ProgressBar>,
    pace: LinePace,
}

impl ProgressReport {
    /// A report on this screen; a quiet one shows only what needs attention.
    pub(crate) fn new(screen: Screen, quiet: bool) -> Self {
        Self { screen, quiet, time_zone: TimeZone::system(), bar: None, pace: LinePace::default() }
    }

    fn start_bar(&mut self, progress: &Progress) {
        if self.quiet || !self.screen.is_animated() || progress.operations == 0 {
            return;
        }
        let bar = ProgressBar::new(progress.operations);
        // The template is ours; should the library refuse it, its own look will do.
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent:>3}%\n{msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        self.bar = Some(self.screen.add_bar(bar));
    }

    fn update(&mut self, progress: &Progress) {
        if let Some(bar) = &self.bar {
            bar.set_position(progress.settled());
            let waits = why_it_waits(progress, &self.time_zone).map(|why| format!("\n{why}"));
            let lines = format!("{}{}", standing(progress, &self.time_zone), waits.unwrap_or_default());
            bar.set_message(Screen::fitted_to_bar(lines));
        } else if !self.quiet && progress.operations > 0 && self.pace.is_due(progress.elapsed, progress.waiting) {
            self.screen.remark(&status_line(progress, &self.time_zone));
        }
    }
}

impl Observer for ProgressReport {
    fn observe(&mut self, event: &Event, progress: &Progress) -> io::Result<()> {
        match event {
            Event::Started => {
                self.start_bar(progress);
                self.update(progress);
            }
            Event::Settled(_) => {
                if let Some(bar) = &self.bar {
                    bar.set_position(progress.settled());
                }
            }
            Event::Tick => self.update(progress),
            Event::Notice(notice) => self.screen.warning(&notice_text(*notice)),
            Event::Stopping(reason) => {
                if let Some(text) = stopping_text(reason, progress, &self.time_zone) {
                    self.screen.remark(&text);
                }
            }
            Event::Ended => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
            }
        }
        Ok(())
    }
}

/// One line about why the run waits, if it does, and where it stands.
fn status_line(progress: &Progress, time_zone: &TimeZone) -> String {
    let standing = standing(progress, time_zone);
    why_it_waits(progress, time_zone).map_or_else(|| standing.clone(), |why| format!("{why}; {standing}"))
}

fn why_it_waits(progress: &Progress, time_zone: &TimeZone) -> Option<String> {
    progress.waiting.map(|(cause, until)| waiting_text(cause, until, time_zone))
}

/// What is done, and when the rest is.
fn standing(progress: &Progress, time_zone: &TimeZone) -> String {
    let failed = progress.count(Status::Failed) + progress.count(Status::Unknown);
    let calls: u64 = progress.calls.values().sum();
    let mut line = format!(
        "{} of {}, {} failed, {}",
        group_digits(progress.settled()),
        counted(progress.operations, "operation", "operations"),
        group_digits(failed),
        counted(calls, "call", "calls")
    );
    if let Some(ExpectedEnd { at, is_complete }) = expected_end(progress) {
        let (ends, left) = if is_complete { ("done", "") } else { ("ends", ", with operations left") };
        // Writing into a string cannot fail.
        let _written = write!(line, "; {ends} about {}{left}", clock_time(at, time_zone));
    }
    line
}

/// When the run will be finished, as far as can be told: not before the next call, and at no known time where nobody knows
/// when there will be an answer.
fn expected_end(progress: &Progress) -> Option<ExpectedEnd> {
    let end = progress.expected_end?;
    match progress.waiting {
        Some((
            WaitCause::Outage { .. }
            | WaitCause::State { .. }
            | WaitCause::OtherHosts
            | WaitCause::Answer { .. }
            | WaitCause::Token { .. }
            | WaitCause::Retry(_),
            _,
        )) => None,
        Some((_, Some(next))) => Some(ExpectedEnd { at: end.at.max(next), ..end }),
        _ => Some(end),
    }
}

pub(in crate::report) fn waiting_text(cause: WaitCause, until: Option<Timestamp>, time_zone: &TimeZone) -> String {
    let what = match cause {
        // Too short to be worth a word.
        WaitCause::Pacing => return "spreading calls".to_owned(),
        WaitCause::Window(limit) => format!("waiting for the quota of {limit}"),
        WaitCause::Throttled => "waiting because the service refused a call for quota (429)".to_owned(),
        WaitCause::Answer { since } => return format!("waiting for an answer since {}", clock_time(since, time_zone)),
        WaitCause::Token { since } => {
            return format!("waiting for the sign-in service since {}", clock_time(since, time_zone));
        }
        WaitCause::Retry(repeat) => {
            let next = until.map(|until| format!(", next {}", clock_time(until, time_zone))).unwrap_or_default();
            return format!("{}{next}", repeat_text(repeat));
        }
        WaitCause::State { since } => {
            let until = until.map(|until| format!(", waiting until {}", clock_time(until, time_zone)));
            return format!("{}{}", state_text(since, time_zone), until.unwrap_or_default());
        }
        WaitCause::OtherHosts => {
            "waiting for the other processes, since another server of the state has taken over".to_owned()
        }
        WaitCause::ListLag => "waiting for the service's list to show the latest writes".to_owned(),
        WaitCause::Outage { since, trouble } => {
            let since = clock_time(since, time_zone);
            let next = until.map(|until| format!(", next try {}", clock_time(until, time_zone))).unwrap_or_default();
            return format!("no service since {since} ({}){next}", trouble_text(trouble));
        }
    };
    match until {
        Some(until) => format!("next call {}, {what}", clock_time(until, time_zone)),
        None => what,
    }
}

/// That the state's database does not answer.
pub(super) fn state_text(since: Timestamp, time_zone: &TimeZone) -> String {
    format!("the state's database has not answered since {}", clock_time(since, time_zone))
}

/// What was met, and which try comes next: "503 from the service, try 3 of 10".
fn repeat_text(repeat: Repeat) -> String {
    let met = match repeat.why {
        RepeatCause::SignIn(trouble) => sign_in_text(trouble),
        RepeatCause::Answer(why, http_status) => met_text(why, http_status),
    };
    let of = repeat.most.map(|most| format!(" of {most}")).unwrap_or_default();
    format!("{met}, try {}{of}", repeat.number)
}

/// What an attempt met that is made again.
pub(super) fn met_text(why: RetryReason, http_status: Option<u16>) -> Cow<'static, str> {
    Cow::Borrowed(match (why, http_status) {
        (RetryReason::NotConnected(trouble), _) => return connection_text(trouble),
        (RetryReason::TimedOut, _) => "no answer in time",
        (RetryReason::ConnectionLost, _) => "the connection ended without an answer",
        (RetryReason::Truncated, _) => "an answer was cut off",
        (RetryReason::NotUnderstood, Some(status)) => {
            return Cow::Owned(format!("{status} with an answer that is not the service's"));
        }
        (RetryReason::TooMuch(Excess::Machines), _) => "an answer that lists too many machines",
        (RetryReason::TooMuch(Excess::Tags), _) => "an answer in which a machine has too many tags",
        (RetryReason::TooMuch(Excess::Fields), _) => "an answer in which the machines show too much",
        (RetryReason::TooMuch(Excess::Bytes), _) => "an answer that is too long",
        (RetryReason::OtherMachine, _) => "an answer about another machine",
        (RetryReason::NotApplied | RetryReason::OtherCase, _) => "an answer without the change",
        (RetryReason::TokenRefused, _) => "401 from the service, with a new token",
        (RetryReason::NotFound, _) => "404 from the service",
        (_, Some(status)) => return Cow::Owned(format!("{status} from the service")),
        (_, None) => "no answer",
    })
}

fn connection_text(trouble: ConnectionTrouble) -> Cow<'static, str> {
    Cow::Borrowed(match trouble {
        ConnectionTrouble::UnknownHost => "no host of that name found",
        ConnectionTrouble::Refused => "connection refused",
        ConnectionTrouble::Proxy(None) => "the proxy does not connect",
        ConnectionTrouble::Proxy(Some(status)) => {
            return Cow::Owned(format!("the proxy does not connect: it answers {status}"));
        }
        ConnectionTrouble::NotTls => "the port does not speak TLS",
        ConnectionTrouble::Other => "no connection",
    })
}

/// Why there is no token to be had for now.
pub(super) fn sign_in_text(trouble: SignInTrouble) -> Cow<'static, str> {
    Cow::Owned(match trouble {
        SignInTrouble::NotConnected(trouble) => {
            format!("cannot reach the sign-in service ({})", connection_text(trouble))
        }
        SignInTrouble::Other(Trouble::Status(status)) => format!("{status} from the sign-in service"),
        SignInTrouble::Other(trouble) => format!("the sign-in service {trouble}"),
    })
}

/// How a service shows that it is in trouble, in a few words.
pub(super) fn trouble_text(trouble: ServiceTrouble) -> Cow<'static, str> {
    Cow::Borrowed(match trouble {
        ServiceTrouble::NotConnected(trouble) => return connection_text(trouble),
        ServiceTrouble::TimedOut => "no answer in time",
        ServiceTrouble::ConnectionLost => "connections end without an answer",
        ServiceTrouble::SignIn(trouble) => return sign_in_text(trouble),
        ServiceTrouble::Status(status) => return Cow::Owned(format!("HTTP {status}")),
    })
}

/// A time of day for people.
pub(super) fn clock_time(time: Timestamp, time_zone: &TimeZone) -> String {
    words::clock_time(time, clock::now(), time_zone)
}

pub(in crate::report) fn notice_text(notice: Notice) -> Cow<'static, str> {
    Cow::Borrowed(match notice {
        Notice::UnexplainedThrottling => {
            "the service refused a call for quota (429) although this program's own count had room; from now on all \
             calls count together and are spread evenly. Likely causes: another program uses the same app (see \
             --quota-share), the quota of this tenant is lower (see --quota), or calls were too expensive for the \
             service"
        }
        Notice::TagCallsCountTogether => {
            "the service refused a tag call for quota (429) although single and bulk calls each had room; from now on they \
             count together, and for the next 30 days --quota-scope auto counts like api for this app"
        }
        Notice::TagCaseDiffers => {
            "the service shows a tag in another case than asked for; where it still does when asked again, it is taken for \
             the same tag"
        }
        Notice::OtherCaseStays => {
            "a tag that was removed still stands on a machine in another case; it is taken for another tag"
        }
        Notice::BulkAnswersShowNothing => {
            "the service accepted bulk calls without showing the machines; they are read in the end to see what is done"
        }
        Notice::BulkForbidden => {
            "the service does not allow this app to tag many machines in one call (403), so each machine gets a call of \
             its own, which takes longer"
        }
        Notice::BulkLimitLowered(limit) => {
            return Cow::Owned(format!(
                "the service allows only {} in one call at present, so more calls are needed",
                counted(limit as u64, "machine", "machines")
            ));
        }
    })
}

/// That no new calls are made and why, and how long those are awaited that cannot be taken back.
fn stopping_text(reason: &EndReason, progress: &Progress, time_zone: &TimeZone) -> Option<String> {
    let why = match reason {
        EndReason::Interrupted => "Interrupted".to_owned(),
        EndReason::Deadline => match progress.in_the_way {
            // The state is awaited for so long, and not until then.
            Some((cause, Some(next))) if !matches!(cause, WaitCause::State { .. }) => {
                format!("The next call is permitted at {}, after the deadline", clock_time(next, time_zone))
            }
            _ => "The deadline leaves no time for another call".to_owned(),
        },
        EndReason::TooManyErrors => "Too many errors".to_owned(),
        EndReason::Outage { .. } => "The service has been in trouble for too long".to_owned(),
        EndReason::Forbidden { .. } | EndReason::Aborted(_) | EndReason::NoInventory { .. } => {
            "The run cannot continue".to_owned()
        }
        EndReason::Finished | EndReason::Halted | EndReason::StoreFailed(_) => return None,
    };
    let awaited = match progress.awaited {
        0 => String::new(),
        calls => format!(", {}", counted(calls, "call in flight is awaited", "calls in flight are awaited")),
    };
    let until = progress.awaited_until.map(|until| format!(" until {} at the latest", clock_time(until, time_zone)));
    let until = until.unwrap_or_default();
    let at_once = match reason {
        _ if progress.awaited == 0 => "",
        EndReason::Interrupted => " Interrupt again to stop at once.",
        _ => " Interrupt to stop at once.",
    };
    Some(format!("{why}: no new calls{awaited}{until}.{at_once}"))
}

/// The end of a run in words, for the summary.
pub(super) fn elapsed_text(progress: &Progress) -> String {
    describe_duration(progress.elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::CallKind;
    use crate::quota::Quota;

    #[test]
    fn a_deadline_says_when_the_next_call_would_have_been_permitted_if_that_is_known() {
        let next: Timestamp = "2020-05-01T14:05:10Z".parse().expect("a time");
        let text = |in_the_way| {
            let progress = Progress { in_the_way, ..Progress::default() };
            stopping_text(&EndReason::Deadline, &progress, &TimeZone::UTC).expect("a text")
        };
        let unknown = "The deadline leaves no time for another call: no new calls.";
        for (in_the_way, expected) in [
            (
                Some((WaitCause::Throttled, Some(next))),
                "The next call is permitted at 2020-05-01 14:05 UTC, after the deadline: no new calls.",
            ),
            (Some((WaitCause::Throttled, None)), unknown),
            // The state is waited for until then, and may be back at any moment.
            (Some((WaitCause::State { since: next }, Some(next))), unknown),
            (None, unknown),
        ] {
            assert_eq!(text(in_the_way), expected, "{in_the_way:?}");
        }
    }

    #[test]
    fn every_wait_to_try_again_says_why_and_which_try_comes_when() {
        let next: Timestamp = "2020-05-01T14:05:10Z".parse().expect("a time");
        let line = |why, number, most| {
            waiting_text(WaitCause::Retry(Repeat { why, number, most }), Some(next), &TimeZone::UTC)
        };
        let answer = |why, status| RepeatCause::Answer(why, status);
        let not_connected = |trouble| RepeatCause::Answer(RetryReason::NotConnected(trouble), None);
        let all = [
            line(answer(RetryReason::ServiceFailed, Some(503)), 3, Some(10)),
            line(answer(RetryReason::Busy, Some(423)), 2, Some(10)),
            line(answer(RetryReason::NotUnderstood, Some(200)), 2, Some(10)),
            line(answer(RetryReason::TooMuch(Excess::Tags), Some(200)), 2, Some(2)),
            line(answer(RetryReason::NotFound, Some(404)), 2, Some(10)),
            line(answer(RetryReason::TokenRefused, Some(401)), 3, Some(5)),
            line(answer(RetryReason::TimedOut, None), 4, Some(10)),
            line(answer(RetryReason::ConnectionLost, None), 2, Some(10)),
            line(not_connected(ConnectionTrouble::UnknownHost), 2, None),
            line(not_connected(ConnectionTrouble::Refused), 2, None),
            line(not_connected(ConnectionTrouble::Proxy(None)), 2, None),
            line(not_connected(ConnectionTrouble::Proxy(Some(502))), 2, None),
            line(not_connected(ConnectionTrouble::NotTls), 2, None),
            line(RepeatCause::SignIn(SignInTrouble::NotConnected(ConnectionTrouble::Refused)), 2, Some(8)),
            line(RepeatCause::SignIn(SignInTrouble::Other(Trouble::Status(503))), 2, Some(8)),
            line(RepeatCause::SignIn(SignInTrouble::Other(Trouble::TimedOut)), 2, Some(8)),
            line(RepeatCause::SignIn(SignInTrouble::Other(Trouble::Unreadable)), 2, Some(8)),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        503 from the service, try 3 of 10, next 2020-05-01 14:05 UTC
        423 from the service, try 2 of 10, next 2020-05-01 14:05 UTC
        200 with an answer that is not the service's, try 2 of 10, next 2020-05-01 14:05 UTC
        an answer in which a machine has too many tags, try 2 of 2, next 2020-05-01 14:05 UTC
        404 from the service, try 2 of 10, next 2020-05-01 14:05 UTC
        401 from the service, with a new token, try 3 of 5, next 2020-05-01 14:05 UTC
        no answer in time, try 4 of 10, next 2020-05-01 14:05 UTC
        the connection ended without an answer, try 2 of 10, next 2020-05-01 14:05 UTC
        no host of that name found, try 2, next 2020-05-01 14:05 UTC
        connection refused, try 2, next 2020-05-01 14:05 UTC
        the proxy does not connect, try 2, next 2020-05-01 14:05 UTC
        the proxy does not connect: it answers 502, try 2, next 2020-05-01 14:05 UTC
        the port does not speak TLS, try 2, next 2020-05-01 14:05 UTC
        cannot reach the sign-in service (connection refused), try 2 of 8, next 2020-05-01 14:05 UTC
        503 from the sign-in service, try 2 of 8, next 2020-05-01 14:05 UTC
        the sign-in service did not answer in time, try 2 of 8, next 2020-05-01 14:05 UTC
        the sign-in service answered with something that is not a token, try 2 of 8, next 2020-05-01 14:05 UTC
        ");
    }

    #[test]
    fn a_line_says_what_is_done_what_is_awaited_and_when_it_ends() {
        let quota: Quota = "100/1m,1500/1h".parse().expect("a quota");
        let far: Timestamp = "2020-05-01T14:05:10Z".parse().expect("a time");
        let mut progress = Progress {
            operations: 12_000,
            outcomes: [(Status::Succeeded, 1490), (Status::Failed, 7), (Status::Unknown, 3)].into(),
            calls: [(CallKind::Tags, 1512)].into(),
            ..Progress::default()
        };
        let line = |progress: &Progress| status_line(progress, &TimeZone::UTC);
        insta::assert_snapshot!(line(&progress), @"1,500 of 12,000 operations, 10 failed, 1,512 calls");
        progress.waiting = Some((WaitCause::Window(quota.limits()[1]), Some(far)));
        let done = |at| Some(ExpectedEnd { at, is_complete: true });
        progress.expected_end = done(far);
        insta::assert_snapshot!(line(&progress), @"next call 2020-05-01 14:05 UTC, waiting for the quota of 1,500 calls in 1 h; 1,500 of 12,000 operations, 10 failed, 1,512 calls; done about 2020-05-01 14:05 UTC");
        progress.expected_end = done("2020-05-01T14:04:10Z".parse().expect("a time"));
        let end_of = |progress: &Progress| line(progress).split_once("done about ").map(|(_, end)| end.to_owned());
        assert_eq!(end_of(&progress).as_deref(), Some("2020-05-01 14:05 UTC"), "not before the next call");
        progress.expected_end = Some(ExpectedEnd { at: far, is_complete: false });
        insta::assert_snapshot!(line(&progress), @"next call 2020-05-01 14:05 UTC, waiting for the quota of 1,500 calls in 1 h; 1,500 of 12,000 operations, 10 failed, 1,512 calls; ends about 2020-05-01 14:05 UTC, with operations left");
        progress.expected_end = done(far);
        let hangs = RepeatCause::Answer(RetryReason::TimedOut, None);
        for cause in
            [WaitCause::Answer { since: far }, WaitCause::Retry(Repeat { why: hangs, number: 2, most: Some(10) })]
        {
            progress.waiting = Some((cause, None));
            assert_eq!(end_of(&progress), None, "nobody knows when there will be an answer");
        }
        insta::assert_snapshot!(line(&progress), @"no answer in time, try 2 of 10; 1,500 of 12,000 operations, 10 failed, 1,512 calls");
        progress.waiting = Some((WaitCause::State { since: far }, Some(far)));
        insta::assert_snapshot!(line(&progress), @"the state's database has not answered since 2020-05-01 14:05 UTC, waiting until 2020-05-01 14:05 UTC; 1,500 of 12,000 operations, 10 failed, 1,512 calls");
        progress.waiting = Some((WaitCause::Throttled, None));
        insta::assert_snapshot!(line(&progress), @"waiting because the service refused a call for quota (429); 1,500 of 12,000 operations, 10 failed, 1,512 calls; done about 2020-05-01 14:05 UTC");
    }
}
