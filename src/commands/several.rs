//! A command for several profiles: one process of this program for each, one after the other or side by side.
//!
//! A process for each, and not a task: the log, the screen, the panics, the interrupts and the secrets that are masked belong
//! to a process, and so no tenant's secret is ever in the memory of another one's run, and no run that dies takes others with
//! it. A process is started with the same words and the name of its profile; secrets reach it as they reach this one, by
//! variables and by files, and never as an argument.
//!
//! What surprises: each has a process group of its own. A terminal sends an interrupt to the whole group that it watches, and
//! this process passes each on once, so that nobody hears it twice, which would mean "at once".

mod child;
pub(super) mod naming;

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use self::child::{Child, Ended};
use super::stop_signals;
use crate::cli::{Cli, Command, TagsCommand, exit_statuses};
use crate::dispatch::StopRequest;
use crate::exit::{CommandError, ExitStatus};
use crate::outside::shown;
use crate::report::{Ending, OutputError, Screen, is_stream};

/// How long a reader has to take what was printed before it is told how the profiles ended.
const DELIVERING: Duration = Duration::from_secs(5);

/// Carries the command out for each of its profiles.
pub(super) async fn several(cli: &Cli, screen: &Screen) -> Result<ExitStatus, CommandError> {
    refuse_what_is_for_one(&cli.command)?;
    let mut interrupts = stop_signals::listen();
    let (stops, stop) = watch::channel(0);
    let mut show = Showing::new(cli, screen);
    let mut waiting = cli.several.iter().cloned().enumerate();
    let mut running = JoinSet::new();
    loop {
        while running.len() < usize::from(cli.general.jobs) && *stop.borrow() == 0 {
            let Some((position, profile)) = waiting.next() else { break };
            let child = Child { profile, stop: stop.clone(), screen: screen.clone() };
            running.spawn(async move { (position, child.run().await) });
        }
        tokio::select! {
            ended = running.join_next() => match ended {
                Some(Ok((position, ended))) => show.take(position, ended),
                Some(Err(error)) => return Err(CommandError::new(ExitStatus::Bug, error, None)),
                None => break,
            },
            Some(request) = interrupts.recv() => {
                let count = if request == StopRequest::Halt { 2 } else { 1 };
                stops.send_modify(|stops| *stops = count.max(*stops));
            }
        }
    }
    for (position, _) in waiting {
        show.take(position, Ended::never_began());
    }
    show.finish().await
}

/// What comes of the profiles, shown in their order.
struct Showing<'a> {
    cli: &'a Cli,
    screen: &'a Screen,
    ended: Vec<Option<Ended>>,
    /// Whose output has been shown.
    shown: usize,
    /// What is to be shown: a reader who stops, or a disk that is full, holds up no profile.
    data: mpsc::UnboundedSender<String>,
    delivering: JoinHandle<Result<(), OutputError>>,
}

impl<'a> Showing<'a> {
    fn new(cli: &'a Cli, screen: &'a Screen) -> Self {
        let (data, mut texts) = mpsc::unbounded_channel::<String>();
        let to = screen.clone();
        let deliver = move || {
            let mut delivered = Ok(());
            while let Some(text) = texts.blocking_recv() {
                delivered = delivered.and_then(|()| to.data(&text));
            }
            delivered
        };
        let delivering = tokio::task::spawn_blocking(deliver);
        Self { cli, screen, ended: cli.several.iter().map(|_| None).collect(), shown: 0, data, delivering }
    }

    fn take(&mut self, position: usize, ended: Ended) {
        if let Some(place) = self.ended.get_mut(position) {
            *place = Some(ended);
        }
        while let Some(Some(ended)) = self.ended.get(self.shown) {
            if !self.cli.general.json && !ended.output.is_empty() {
                let profile = self.cli.several.get(self.shown).map_or("", String::as_str);
                let text = format!("{profile}:\n{}", String::from_utf8_lossy(&ended.output));
                // Who delivers takes all until this is dropped.
                let _taken = self.data.send(text);
            }
            self.shown += 1;
        }
    }

    /// The end of all of them: a line for each, one object, and the gravest status.
    async fn finish(self) -> Result<ExitStatus, CommandError> {
        drop(self.data);
        let mut delivering = self.delivering;
        // What became of each is told all the same where nobody reads.
        let delivered = tokio::time::timeout(DELIVERING, &mut delivering).await;
        let all: Vec<(&String, Ended)> = self.cli.several.iter().zip(self.ended.into_iter().flatten()).collect();
        let status = all.iter().fold(ExitStatus::Done, |status, (_, ended)| status.and(ended.status));
        for (profile, ended) in &all {
            if !self.cli.general.quiet || ended.status != ExitStatus::Done {
                self.screen.line(&format!("{profile}: {}", ended.text()));
            }
        }
        if self.cli.general.json {
            let gravest = all.iter().find(|(_, ended)| ended.status == status);
            let said = |field: &str| {
                let object = gravest.and_then(|(_, ended)| ended.object())?;
                object.get(field).and_then(Value::as_str).map(str::to_owned)
            };
            let reason = gravest
                .filter(|_| !status.is_end())
                .map(|(profile, ended)| format!("{profile}: {}", said("reason").unwrap_or_else(|| ended.text())));
            let objects: Map<String, Value> =
                all.iter().map(|(profile, ended)| ((*profile).clone(), ended.object().unwrap_or_default())).collect();
            let ended = if status.is_end() { "finished" } else { status.word() };
            let hint = reason.as_ref().and_then(|_| said("hint"));
            let ending = Ending { exit_status: status.code(), ended, reason, hint, causes: Vec::new() };
            self.screen.object(json!({"profiles": objects}), &ending)?;
        }
        let delivered = match delivered {
            Ok(delivered) => delivered,
            Err(_late) => delivering.await,
        };
        delivered.map_err(|error| CommandError::new(ExitStatus::Bug, error, None))??;
        Ok(status)
    }
}

/// Refuses what can be done for one profile only.
fn refuse_what_is_for_one(command: &Command) -> Result<(), CommandError> {
    let refused = |message: &str, hint: &str| Err(CommandError::text(ExitStatus::Usage, message, Some(hint)));
    let (input, output, asks, run) = match command {
        Command::Apply(it) => (Some(&it.input.input), it.output.as_ref(), !it.sandbox && !it.changing.limits.yes, None),
        Command::Plan(it) => (Some(&it.input.input), None, false, None),
        Command::Verify(it) => (Some(&it.input.input), it.output.as_ref(), false, None),
        Command::Resume(it) => (None, it.output.as_ref(), !it.sandbox && !it.changing.limits.yes, it.run.as_ref()),
        Command::Undo(it) => (None, it.output.as_ref(), false, Some(&it.run)),
        Command::Runs(it) => (None, None, false, it.run.as_ref()),
        Command::Results(it) => (None, it.output.as_ref(), false, Some(&it.run)),
        Command::Report(it) => (None, it.output.as_ref(), false, Some(&it.run)),
        Command::Inventory(it) => {
            if it.output.is_none() {
                return refused(
                    "the machines of several profiles cannot all go to standard output",
                    "name a file with -o",
                );
            }
            (None, it.output.as_ref(), false, None)
        }
        Command::Tags(it) => match it.command.as_ref().map(TagsCommand::options) {
            Some(retag) => (None, retag.output.as_ref(), !retag.plan_only && !retag.changing.limits.yes, None),
            None => (None, None, false, None),
        },
        _ => (None, None, false, None),
    };
    if run.is_some() {
        return refused("a run is of one tenant, so it is named for one profile", "name that profile alone");
    }
    if input.is_some_and(|input| input == Path::new("-")) {
        return refused("standard input can be read for one profile only", "write the rows into a file, and name that");
    }
    if output.is_some_and(|output| output == Path::new("-")) {
        return refused("the rows of several profiles cannot all go to standard output", "name a file with -o");
    }
    if let Some(stream) = output.filter(|output| is_stream(output) && *output != Path::new("/dev/null")) {
        let message = format!("the rows of several profiles cannot all go to {}", shown(stream));
        return refused(&message, "name a file with -o");
    }
    if asks {
        let hint = "look at what would change with 'tagfleet plan', then add --yes, or name one profile";
        return refused("cannot ask for confirmation for several profiles", hint);
    }
    Ok(())
}
