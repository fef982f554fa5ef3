//! Going on with an unfinished run; needs no input.

use std::path::{Path, PathBuf};

use super::Desk;
use super::carrying_out::{Run, RunOptions};
use super::claim::claim;
use super::join::send_again_what_was_overwritten;
use super::tenant::Tenant;
use crate::api::Transport;
use crate::exit::{CommandError, ExitStatus};
use crate::input::Excerpt;
use crate::report::{ResultsTarget, group_digits};
use crate::store::{StoredRun, UnfinishedRun};

/// What `resume` was asked to do.
pub(crate) struct ResumeOrder {
    /// The run; the only unfinished one if none is named.
    pub(crate) run_id: Option<String>,
    /// Where the results go; where they went at first, if nobody says otherwise.
    pub(crate) target: Option<ResultsTarget>,
    /// How it is carried out.
    pub(crate) run: RunOptions,
}

/// Finds the run, takes it over, sends what is left, and answers every row.
pub(crate) async fn resume<T: Transport>(
    tenant: &Tenant<T>,
    order: ResumeOrder,
    desk: &mut Desk,
) -> Result<ExitStatus, CommandError> {
    tenant.refuse_unknown()?;
    let unfinished = tenant.store.unfinished_runs(tenant.account, &tenant.host).await?;
    let run = match &order.run_id {
        Some(run_id) => Some(named(tenant, run_id).await?),
        None => only(&unfinished)?,
    };
    let Some(run) = run else {
        desk.screen.line("There is no unfinished run of this tenant and app.");
        return Ok(ExitStatus::Done);
    };
    let (key, id) = (run.key, &run.description.run_id);
    let open = unfinished.iter().find(|one| one.run.key == key).map_or(0, |one| one.open);
    if order.run.asks && open > 0 {
        desk.ask(tenant.clock.as_ref(), tenant.gate.deadline, &describe(&run, open, tenant)).await?;
    }
    let target = order.target.unwrap_or_else(|| first_target(&run));
    target.check(None)?;
    claim(&tenant.store, key, &tenant.patience(order.run.lock_wait), desk).await?;
    tenant.store.take_over(key).await?;
    send_again_what_was_overwritten(&tenant.store, key).await?;
    desk.say(&format!("Going on with run {id}: {} operations are left.", group_digits(u64::from(open))));
    Run { tenant, key, id, target: &target, options: &order.run }.carry_out(None, desk).await
}

/// The run of this name, if it is this tenant's.
pub(super) async fn named<T: Transport>(tenant: &Tenant<T>, run_id: &str) -> Result<StoredRun, CommandError> {
    let run = tenant.store.run_by_id(run_id).await?;
    if run.description.account == tenant.account && run.description.host == tenant.host {
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
            format!("\n  {}  {began}  {} left  {}", about.run_id, one.open, Excerpt::new(&about.input_path))
        })
        .collect();
    Err(CommandError::text(
        ExitStatus::Usage,
        format!("there are {} unfinished runs:{}", unfinished.len(), listed.concat()),
        Some("name one: tagfleet resume RUN"),
    ))
}

fn describe<T: Transport>(run: &StoredRun, open: u32, tenant: &Tenant<T>) -> String {
    let about = &run.description;
    format!(
        "Run {} of {}, begun {}, on {}: {} operations are left.",
        about.run_id,
        Excerpt::new(&about.input_path),
        run.created_at.strftime("%Y-%m-%d %H:%M UTC"),
        tenant.description,
        group_digits(u64::from(open)),
    )
}

/// Where the results went at first.
fn first_target(run: &StoredRun) -> ResultsTarget {
    match &run.description.results_path {
        Some(path) if Path::new(path).parent().is_some_and(Path::is_dir) => ResultsTarget::file(PathBuf::from(path)),
        _ => ResultsTarget::file(PathBuf::from(format!("{}.results.csv", run.description.run_id))),
    }
}
