//! `tagfleet resume`: goes on with an unfinished run; needs no file.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use jiff::Zoned;

use super::claim::claim;
use super::confirm::ask;
use super::run::{Run, RunOptions};
use super::service::{Service, sandbox_with};
use super::tenant::{Tenant, system_clock};
use super::{CommandError, ExitStatus, stop_signals};
use crate::cli::{GeneralOptions, ResumeOptions};
use crate::config::{ServiceConfig, is_sandbox_run, sandbox_state_directory, state_directory, until_deadline};
use crate::report::{ResultsTarget, Screen, group_digits};
use crate::store::{Reader, StoreError, StoredRun, UnfinishedRun};

/// Finds the run, takes it over, sends what is left, and answers every row.
pub(super) async fn resume(
    options: ResumeOptions,
    general: &GeneralOptions,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    let environment = |name: &str| std::env::var_os(name);
    let sandbox = options.sandbox || options.run.as_deref().is_some_and(is_sandbox_run);
    let asks = !options.limits.yes && !sandbox;
    require_terminals(asks)?;
    if options.output.as_deref() == Some(Path::new("-")) && general.json {
        let message = "results and --json cannot both go to standard output";
        return Err(CommandError::text(ExitStatus::Usage, message, Some("name a file with -o")));
    }
    let mut directory = state_directory(general.state_dir.as_deref(), &environment)?;
    let clock = system_clock()?;
    let deadline =
        options.limits.deadline.map(|deadline| clock.boot_time().plus(until_deadline(deadline, &Zoned::now())));
    let service = if sandbox {
        directory = sandbox_state_directory(&directory);
        sandbox_of_run(&directory, options.run.as_deref(), &options.quota.quota).await?
    } else {
        Service::connect(&ServiceConfig::from_options(&options.service, &environment)?)?
    };
    let mut stop_requests = stop_signals::listen();
    let opening = Tenant::open(service, &directory, clock, &options.quota, deadline, &mut stop_requests);
    let (tenant, interrupted) = opening.await?;
    if interrupted {
        let message = "interrupted before anything was sent";
        return Err(CommandError::text(ExitStatus::StoppedEarly, message, None));
    }
    let unfinished = tenant.store.unfinished_runs(tenant.account, tenant.service.host()).await?;
    let run = match &options.run {
        Some(run_id) => Some(named(&tenant, run_id).await?),
        None => only(&unfinished)?,
    };
    let Some(run) = run else {
        screen.line("There is no unfinished run of this tenant and app.");
        return Ok(ExitStatus::Done);
    };
    let run_id = run.description.run_id.clone();
    let open = unfinished.iter().find(|one| one.run.key == run.key).map_or(0, |one| one.open);
    if asks && open > 0 {
        ask(screen, &describe(&run, open, &tenant)).await?;
    }
    let target = target(options.output, &run);
    target.check(None)?;
    let patience = tenant.patience(options.others.lock_wait, general.quiet);
    claim(&tenant.store, run.key, &patience, &mut stop_requests, screen).await?;
    tenant.store.take_over(run.key).await?;
    if !general.quiet {
        screen.line(&format!("Going on with run {run_id}: {} operations are left.", group_digits(u64::from(open))));
    }
    let run_options = RunOptions {
        target,
        json: general.json,
        quiet: general.quiet,
        sandbox,
        bulk: !options.no_bulk,
        maximum_errors: options.limits.max_errors,
        named_state_directory: general.state_dir.clone(),
    };
    let going = Run { tenant: &tenant, key: run.key, id: &run_id, options: &run_options, screen };
    let status = going.carry_out(None, &mut stop_requests).await;
    tenant.close().await;
    status
}

/// Without somebody to ask, nobody can say yes.
pub(super) fn require_terminals(asks: bool) -> Result<(), CommandError> {
    if asks && !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(CommandError::text(
            ExitStatus::Usage,
            "there is no terminal to ask on before the first call",
            Some("add --yes to go on without a question"),
        ));
    }
    Ok(())
}

/// The run of this name, if it is this tenant's.
pub(super) async fn named(tenant: &Tenant, run_id: &str) -> Result<StoredRun, CommandError> {
    let run = tenant.store.run_by_id(run_id).await?;
    if run.description.account == tenant.account && run.description.host == tenant.service.host() {
        return Ok(run);
    }
    Err(CommandError::text(
        ExitStatus::InputRefused,
        format!("run {run_id} belongs to another tenant, app or API host, so nothing was sent"),
        Some("look at it with: tagfleet runs RUN, and sign in to its tenant with its app"),
    ))
}

/// The only unfinished run; several are a question that only the user can answer.
fn only(unfinished: &[UnfinishedRun]) -> Result<Option<StoredRun>, CommandError> {
    if unfinished.len() <= 1 {
        return Ok(unfinished.first().map(|one| one.run.clone()));
    }
    let listed: Vec<String> = unfinished
        .iter()
        .map(|one| {
            let about = &one.run.description;
            let began = one.run.created_at.strftime("%Y-%m-%d %H:%M UTC");
            format!(
                "\n  {}  {began}  {} left  {}",
                about.run_id,
                one.open,
                crate::input::Excerpt::new(&about.input_path)
            )
        })
        .collect();
    Err(CommandError::text(
        ExitStatus::Usage,
        format!("there are {} unfinished runs:{}", unfinished.len(), listed.concat()),
        Some("name one: tagfleet resume RUN"),
    ))
}

fn describe(run: &StoredRun, open: u32, tenant: &Tenant) -> String {
    let about = &run.description;
    format!(
        "Run {} of {}, begun {}, on {}: {} operations are left.",
        about.run_id,
        crate::input::Excerpt::new(&about.input_path),
        run.created_at.strftime("%Y-%m-%d %H:%M UTC"),
        tenant.service.description(),
        group_digits(u64::from(open)),
    )
}

/// Where the results go: where they went at first, if nobody says otherwise.
fn target(output: Option<PathBuf>, run: &StoredRun) -> ResultsTarget {
    match output {
        Some(path) if path == Path::new("-") => ResultsTarget::StandardOutput,
        Some(path) => ResultsTarget::file(path),
        None => match &run.description.results_path {
            Some(path) if Path::new(path).parent().is_some_and(Path::is_dir) => {
                ResultsTarget::file(PathBuf::from(path))
            }
            _ => ResultsTarget::file(PathBuf::from(format!("{}.results.csv", run.description.run_id))),
        },
    }
}

/// A sandbox that holds the machines of a stored run.
async fn sandbox_of_run(
    directory: &Path,
    run_id: Option<&str>,
    quota: &crate::quota::Quota,
) -> Result<Service, CommandError> {
    let mut machines = std::collections::BTreeSet::new();
    if let (Some(reader), Some(run_id)) = (Reader::open(directory).await?, run_id) {
        let run = reader.run_by_id(run_id).await?;
        let mut last = None;
        loop {
            let known = reader.known_operations(run.key, last, 10_000).await?;
            let Some(end) = known.last() else { break };
            last = Some(end.id);
            machines.extend(known.into_iter().map(|known| known.operation.machine));
        }
    } else if let Some(run_id) = run_id {
        return Err(StoreError::NoSuchRun(run_id.to_owned()).into());
    }
    let machines: Vec<_> = machines.into_iter().map(crate::model::MachineReference::Id).collect();
    sandbox_with(&machines, quota).await
}
