//! Resuming an unfinished run that is named, or is the only one; needs no input.

use std::path::{Path, PathBuf};

use super::RunContext;
use super::carrying_out::RunOrder;
use super::ownership::refuse_owned_by_others;
use super::planning::PlanningOrder;
use super::resume_stored::{Resuming, named, nothing_left, resume_stored};
use super::tenant::Tenant;
use super::today::AskedWhen;
use crate::api::Transport;
use crate::exit::{CommandError, ExitStatus};
use crate::input::Excerpt;
use crate::report::{Reserved, ResultsTarget};
use crate::store::{RunState, StoreError, StoredRun, UnfinishedRun, taken_back_by};

/// What `resume` was asked to do.
pub(crate) struct ResumeOrder {
    /// The run; the only unfinished one if none is named.
    pub(crate) run_id: Option<String>,
    /// Where the results go; where they went at first, if no other place is named.
    pub(crate) target: Option<ResultsTarget>,
    /// What they must not be written into.
    pub(crate) reserved: Reserved,
    /// How what is left is planned.
    pub(crate) planning: PlanningOrder,
    /// How it is carried out.
    pub(crate) run: RunOrder,
}

/// Finds the run, takes it over, sends what is left, and answers every row.
pub(crate) async fn resume<T: Transport>(
    tenant: &Tenant<T>,
    order: ResumeOrder,
    context: &mut RunContext,
) -> Result<ExitStatus, CommandError> {
    tenant.refuse_unknown()?;
    tenant.refuse_loss()?;
    let found = match &order.run_id {
        Some(run_id) => Some(named(tenant, run_id).await?),
        None => only(&tenant.store.unfinished_runs(tenant.account, &tenant.host).await?)?,
    };
    let Some(stored) = found else {
        if let Some(loss) = tenant.store.nothing_but_loss().await? {
            return Err(loss.into());
        }
        let text = "There is no unfinished run of this tenant and app.";
        return nothing_left(None, text, ExitStatus::Done, context);
    };
    refuse_owned_by_others(tenant, &stored).await?;
    refuse_undo_of_a_run_that_went_on(tenant, &stored).await?;
    let target = order.target.clone().unwrap_or_else(|| first_target(&stored));
    let reserved = order.reserved.clone().with("the input", &stored.description.input_path);
    target.check(&reserved, &stored.description.header)?;
    let how = Resuming {
        target: &target,
        planning: order.planning,
        options: &order.run,
        asked: AskedWhen::Before,
        taken_back: None,
    };
    Box::pin(resume_stored(tenant, &stored, how, context)).await
}

/// Refuses an undo that does not know of all that its run has done: a process died between storing the undo and closing the run.
async fn refuse_undo_of_a_run_that_went_on<T: Transport>(
    tenant: &Tenant<T>,
    undo: &StoredRun,
) -> Result<(), CommandError> {
    let store = &tenant.store;
    let Some(run_id) = taken_back_by(&undo.description) else { return Ok(()) };
    let run = match store.run_by_id(run_id).await {
        Ok(run) => run.key,
        Err(StoreError::NoSuchRun(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let is_over = store.open_operations(run).await? == 0 && !store.has_called_since(run, undo.key).await?;
    if is_over || undo.state == RunState::Finished {
        return Ok(());
    }
    Err(CommandError::text(
        ExitStatus::InputRefused,
        format!(
            "run {run_id} may have made more changes after its undo {} was planned, so nothing was sent",
            undo.description.run_id
        ),
        Some(&format!("take it back with: tagfleet undo {run_id}")),
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

/// Where the results went at first.
fn first_target(run: &StoredRun) -> ResultsTarget {
    match &run.description.results_path {
        Some(path) if Path::new(path).parent().is_some_and(Path::is_dir) => ResultsTarget::file(PathBuf::from(path)),
        _ => ResultsTarget::file(PathBuf::from(format!("{}.results.csv", run.description.run_id))),
    }
}
