//! Those who watch a command from afar: the file of its metrics, and the service that is pinged.
//!
//! They go beside the command and never before it: whatever they meet costs a warning. What they are told goes through a
//! [`LiveStatus`]; a command that nobody watches has none. What is wrong with their options is found before anything else.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::input::{STANDARD_INPUT, input_name, input_path, says_more};
use super::pinging::{LONGEST_END, Pings, about_pings, new_mark};
use super::{outputs, stop_signals};
use crate::api::PingClient;
use crate::cli::{Cli, Command, MonitoringOptions};
use crate::clock::{self, SystemClock};
use crate::config::{ConfigError, ping_address, state_place};
use crate::dispatch::StopRequest;
use crate::environment::Profile;
use crate::exit::{CommandError, ExitStatus};
use crate::model::is_sandbox_run;
use crate::outside::shown;
use crate::report::{LiveStatus, MetricsFile, Reserved, Screen};
use crate::store::{Reader, RunCondition, RunKind};

/// How often the metrics are written while a command goes on.
const PAGE_EVERY: Duration = Duration::from_mins(1);
/// How long a disk that does not answer may hold up the beginning or the end.
const LONGEST_WRITING: Duration = Duration::from_secs(5);
/// How long a state that is away may hold up the beginning: whoever works with it waits for it himself.
const LONGEST_LOOK: Duration = Duration::from_secs(10);
/// How long a ping may still take once somebody wants the process to end: a service that listens has heard it by then.
const LONGEST_AFTER_INTERRUPT: Duration = Duration::from_secs(1);
/// What begins the name of a rehearsal's job, as it begins the names of its runs.
const SANDBOX_JOB_PREFIX: &str = "sandbox-";
/// The job of whoever takes runs back, unless it is named: none of those that it takes back.
const UNDO_JOB: &str = "undo";
/// The job of whoever resumes a run that nobody knows.
const RESUME_JOB: &str = "resume";

/// A command that can be watched.
struct Subject<'a> {
    options: &'a MonitoringOptions,
    command: &'static str,
    is_sandbox: bool,
}

impl<'a> Subject<'a> {
    fn of(command: &'a Command) -> Option<Self> {
        let options = command.monitoring()?;
        let (name, is_sandbox) = match command {
            Command::Apply(_) => ("apply", command.is_rehearsal()),
            Command::Verify(_) => ("verify", command.is_rehearsal()),
            Command::Undo(_) => ("undo", false),
            Command::Tags(_) => ("tags", false),
            Command::Resume(resumed) => {
                ("resume", resumed.sandbox || resumed.run.as_deref().is_some_and(is_sandbox_run))
            }
            _ => return None,
        };
        Some(Self { options, command: name, is_sandbox })
    }
}

/// What a command has of those who watch it.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    live_status: LiveStatus,
    /// Interrupts that its work left unheard, and those that come; `None` before it began to work.
    interrupts: Arc<Mutex<Option<mpsc::Receiver<StopRequest>>>>,
}

impl Watched {
    /// Where it says how it stands.
    pub(super) fn live_status(&self) -> LiveStatus {
        self.live_status.clone()
    }

    /// The work is done: the books are looked at for the last time, and whoever interrupts from now on wants to go.
    pub(super) async fn end_work(&self, interrupts: mpsc::Receiver<StopRequest>) {
        self.live_status.close_books().await;
        *self.interrupts.lock().unwrap_or_else(PoisonError::into_inner) = Some(interrupts);
    }

    fn take_interrupts(&self) -> Option<mpsc::Receiver<StopRequest>> {
        self.interrupts.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Whoever watches a command.
pub(super) struct Watch {
    watched: Watched,
    metrics: Option<Metrics>,
    /// Where the address cannot be used, the command ends before it begins.
    pings: Result<Option<Pings>, CommandError>,
}

impl Watch {
    /// Whoever watches this command; nobody, as a rule.
    ///
    /// # Errors
    /// [`CommandError`] when the metrics must not be written where they are to go.
    pub(super) async fn of(cli: &Cli, reserved: &Reserved, screen: &Screen) -> Result<Option<Self>, CommandError> {
        let Some(subject) = Subject::of(&cli.command) else { return Ok(None) };
        let watched = Watched::default();
        let live_status = watched.live_status();
        let metrics = match &subject.options.metrics_file {
            Some(path) => Metrics::new(path, &subject, cli, reserved, &live_status, screen).await?,
            None => None,
        };
        let pings = pings(&subject, cli.general.ca_file.as_ref(), &live_status, screen);
        let is_wanted = metrics.is_some() || !matches!(pings, Ok(None));
        Ok(is_wanted.then_some(Self { watched, metrics, pings }))
    }

    /// What the command has of it.
    pub(super) fn watched(&self) -> Watched {
        self.watched.clone()
    }

    /// Watches the command to its end; `show` shows why it could not do its work, before anybody else is told.
    pub(super) async fn over(
        self,
        command: impl Future<Output = Result<ExitStatus, CommandError>>,
        show: impl FnOnce(CommandError),
    ) -> ExitStatus {
        let Self { watched, metrics, pings } = self;
        let (pings, refusal) = pings.map_or_else(|error| (None, Some(error)), |pings| (pings, None));
        let (ends, end) = watch::channel(None);
        let mut telling = pin!(async {
            if let Some(pings) = &pings {
                pings.tell(end).await;
            }
        });
        let beside = async {
            telling.as_mut().await;
            std::future::pending().await
        };
        // Whoever is to read what the command says of its end may take his time.
        let done = async {
            if let Ok(status) = watched.live_status.ended().wait_for(Option::is_some).await.map(|status| *status) {
                let _told = ends.send(status);
                if let Some(metrics) = &metrics {
                    metrics.write(status).await;
                }
            }
            std::future::pending().await
        };
        let command = async {
            let _panics = metrics.as_ref().map(EndOfPanics);
            if let Some(metrics) = &metrics {
                metrics.write(None).await;
            }
            match refusal {
                Some(error) => Err(error),
                None => command.await,
            }
        };
        let ended = tokio::select! {
            ended = command => ended,
            never = write_again(metrics.as_ref()) => match never {},
            never = beside => match never {},
            never = done => match never {},
        };
        let status = ended.unwrap_or_else(|error| {
            let status = error.status;
            show(error);
            status
        });
        if let Some(metrics) = &metrics {
            metrics.write(Some(status.code())).await;
        }
        if pings.is_some() {
            let _told = ends.send(Some(status.code()));
            drop(ends);
            let mut interrupts = watched.take_interrupts().unwrap_or_else(stop_signals::listen);
            let has_told = tokio::select! {
                _in_time = timeout(LONGEST_END, telling.as_mut()) => true,
                Some(_interrupt) = interrupts.recv() => false,
            };
            if !has_told {
                let _in_time = timeout(LONGEST_AFTER_INTERRUPT, telling).await;
            }
        }
        status
    }
}

async fn write_again(metrics: Option<&Metrics>) -> Infallible {
    let Some(metrics) = metrics else { return std::future::pending().await };
    let mut pages = tokio::time::interval(PAGE_EVERY);
    pages.tick().await;
    loop {
        pages.tick().await;
        metrics.write(None).await;
    }
}

/// The service that is to be told of the command, if any; a rehearsal is nobody's business.
fn pings(
    subject: &Subject<'_>,
    certificates: Option<&PathBuf>,
    live_status: &LiveStatus,
    screen: &Screen,
) -> Result<Option<Pings>, CommandError> {
    if subject.is_sandbox {
        return Ok(None);
    }
    let file = subject.options.ping_url_file.as_deref();
    let address = ping_address(file, &|name| std::env::var_os(name)).map_err(about_pings)?;
    let Some(address) = address else { return Ok(None) };
    let client = PingClient::new(address, certificates.cloned()).map_err(ConfigError::from)?;
    let clock = SystemClock::new().map_err(|error| CommandError::new(ExitStatus::StorageFailed, error, None))?;
    Ok(Some(Pings {
        client,
        style: subject.options.ping_style,
        successes: subject.options.ping_success.clone(),
        command: subject.command,
        run: new_mark(fastrand::u128(..)),
        started: Instant::now(),
        clock: Arc::new(clock),
        live_status: live_status.clone(),
        screen: screen.clone(),
        has_warned: AtomicBool::default(),
    }))
}

/// The metrics of a command.
struct Metrics {
    file: Arc<MetricsFile>,
    path: PathBuf,
    live_status: LiveStatus,
    screen: Screen,
    pages: AtomicU64,
    has_warned: AtomicBool,
}

impl Metrics {
    /// `None` where what stands there cannot be read, so that nobody knows whose it is.
    async fn new(
        path: &Path,
        subject: &Subject<'_>,
        cli: &Cli,
        reserved: &Reserved,
        live_status: &LiveStatus,
        screen: &Screen,
    ) -> Result<Option<Self>, CommandError> {
        outputs::refuse_metrics(path, &outputs::with_results(reserved, &cli.command))?;
        let books = timeout(LONGEST_LOOK, Books::of(cli, subject.is_sandbox)).await.unwrap_or(Books(None));
        let about = books.about(&cli.command).await;
        let name = subject.options.job.clone().unwrap_or(about.job);
        let name = cli.general.settings.distinct("job", name);
        let name = if subject.is_sandbox { format!("{SANDBOX_JOB_PREFIX}{name}") } else { name };
        let file = MetricsFile::new(path, &name, clock::now())?;
        let warn = |error: &io::Error| warn(screen, path, &error);
        let Ok(mut file) = file.inspect_err(warn) else { return Ok(None) };
        if !file.knows_last_success()
            && let Some(time) = books.last_done(about.input_path.as_deref(), &cli.general.settings).await
        {
            file.note_last_success(time);
        }
        Ok(Some(Self {
            file: Arc::new(file),
            path: path.to_owned(),
            live_status: live_status.clone(),
            screen: screen.clone(),
            pages: AtomicU64::default(),
            has_warned: AtomicBool::default(),
        }))
    }

    /// Writes how the command stands; with its exit status once it has ended, or its work is done.
    async fn write(&self, exit_status: Option<u8>) {
        let exit_status = exit_status.or_else(|| *self.live_status.ended().borrow());
        let number = self.pages.fetch_add(1, Ordering::Relaxed);
        let standing = self.live_status.standing().await;
        let page = self.file.page(&standing, exit_status, clock::now());
        let file = Arc::clone(&self.file);
        let writing = tokio::task::spawn_blocking(move || file.write(&page, number));
        let written = match timeout(LONGEST_WRITING, writing).await {
            Ok(written) => written.map_err(io::Error::other).flatten(),
            Err(_elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer")),
        };
        if let Err(error) = written
            && !self.has_warned.swap(true, Ordering::Relaxed)
        {
            warn(&self.screen, &self.path, &error);
        }
    }
}

/// A command that panics, which is a bug, has ended, too.
struct EndOfPanics<'a>(&'a Metrics);

impl Drop for EndOfPanics<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Metrics { file, live_status, .. } = self.0;
            let page = file.page(&live_status.last_standing(), Some(ExitStatus::Bug.code()), clock::now());
            // The panic has been told; that this is told to nobody else changes nothing.
            let _unwritten = file.write(&page, u64::MAX);
        }
    }
}

fn warn(screen: &Screen, path: &Path, error: &dyn fmt::Display) {
    let (path, error) = (shown(path), shown(&error.to_string()));
    screen.warning(&format!("cannot write metrics into {path}: {error}; nothing else depends on them"));
}

/// What the state knows of earlier runs, where it can be read.
struct Books(Option<Reader>);

/// What a command is about.
struct About {
    job: String,
    /// The input, as the state has it.
    input_path: Option<String>,
}

impl Books {
    async fn of(cli: &Cli, is_sandbox: bool) -> Self {
        let state = state_place(&cli.general, is_sandbox, &|name| cli.general.settings.variable(name));
        // Whatever is wrong with it, the command itself will say.
        let Ok(state) = state else { return Self(None) };
        Self(state.read().await.ok().flatten())
    }

    async fn about(&self, command: &Command) -> About {
        let nobodys = |job: &str| About { job: job.to_owned(), input_path: None };
        match command {
            Command::Apply(options) => match input_path(&options.input) {
                // What is asked of a part of it, or by the command line, is a job of its own.
                Some(path) if says_more(&options.input) => nobodys(&file_name(path)),
                Some(path) => About { job: file_name(path), input_path: Some(input_name(path)) },
                None => nobodys(STANDARD_INPUT),
            },
            Command::Verify(options) => match input_path(&options.input) {
                Some(path) => About { job: file_name(path), input_path: None },
                None => nobodys(STANDARD_INPUT),
            },
            Command::Tags(options) => match &options.command {
                Some(command) => About { job: job_of(&command.typed()), input_path: Some(command.typed()) },
                None => nobodys(UNDO_JOB),
            },
            Command::Resume(options) => match self.run(options.run.as_deref()).await {
                Some((kind, _)) if kind == RunKind::Undo.as_str() => nobodys(UNDO_JOB),
                Some((_, input_path)) => About { job: job_of(&input_path), input_path: Some(input_path) },
                None => nobodys(RESUME_JOB),
            },
            _ => nobodys(UNDO_JOB),
        }
    }

    /// The run that is resumed: kind and input.
    async fn run(&self, run_id: Option<&str>) -> Option<(String, String)> {
        let reader = self.0.as_ref()?;
        if let Some(run_id) = run_id {
            let run = reader.run_by_id(run_id).await.ok()?.description;
            return Some((run.kind.as_str().to_owned(), run.input_path));
        }
        let runs = reader.runs().await.ok()?;
        let mut unfinished = runs.into_iter().filter(|run| run.condition == RunCondition::Unfinished);
        let only = unfinished.next().filter(|_| unfinished.next().is_none())?;
        Some((only.kind, only.input_path))
    }

    /// When the input was last done for the tenant that the settings name. Where they name none by its id, the books must be of
    /// one alone; of several profiles' jobs they do not tell which one it was.
    async fn last_done(&self, input_path: Option<&str>, settings: &Profile) -> Option<Timestamp> {
        let (tenant, app) = (settings.id("AZURE_TENANT_ID"), settings.id("AZURE_CLIENT_ID"));
        if tenant.is_none() && settings.name.is_some() {
            return None;
        }
        self.0.as_ref()?.last_done(input_path?, tenant, app).await.ok().flatten()
    }
}

/// The job of a run whose input the state calls so: the name of a file, or what was typed in place of one.
fn job_of(input_path: &str) -> String {
    let path = Path::new(input_path);
    if path.is_absolute() { file_name(path) } else { input_path.to_owned() }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(path: &Path) -> Metrics {
        let file = MetricsFile::new(path, "x.csv", Timestamp::UNIX_EPOCH).expect("nobody's").expect("readable");
        let screen = Screen::new(crate::report::ColorChoice::Never, true);
        let (pages, has_warned) = (AtomicU64::default(), AtomicBool::default());
        let (file, path, live_status) = (Arc::new(file), path.to_owned(), LiveStatus::default());
        Metrics { file, path, live_status, screen, pages, has_warned }
    }

    #[tokio::test(start_paused = true)]
    async fn metrics_are_written_every_minute_and_that_they_cannot_be_is_told_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("x.prom");
        let metrics = metrics(&path);
        for (seconds, written) in [(59, false), (61, true)] {
            let _endless = timeout(Duration::from_secs(seconds), write_again(Some(&metrics))).await;
            assert_eq!(path.exists(), written, "{seconds}");
        }
        let before = metrics.pages.load(Ordering::Relaxed);
        let _endless = timeout(Duration::from_secs(301), write_again(Some(&metrics))).await;
        assert_eq!(metrics.pages.load(Ordering::Relaxed) - before, 5);
        assert!(!metrics.has_warned.load(Ordering::Relaxed));
        std::fs::remove_file(&path).expect("a page");
        std::fs::create_dir(&path).expect("something else in its place");
        metrics.write(Some(0)).await;
        assert!(metrics.has_warned.load(Ordering::Relaxed));
    }

    #[test]
    fn a_command_that_panics_has_ended_with_a_bug() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("x.prom");
        let metrics = metrics(&path);
        drop(EndOfPanics(&metrics));
        assert!(!path.exists());
        let panics = std::thread::scope(|scope| {
            let bug = scope.spawn(|| {
                let _end = EndOfPanics(&metrics);
                // Without the hook that tells it: nobody has to see this one.
                std::panic::resume_unwind(Box::new("a bug"));
            });
            bug.join().is_err()
        });
        let page = std::fs::read_to_string(&path).expect("a page");
        assert!(panics && page.contains("tagfleet_run_last_exit_status{job=\"x.csv\"} 70\n"), "{page}");
        assert!(page.contains("tagfleet_run_in_progress{job=\"x.csv\"} 0\n"), "{page}");
    }
}
