//! `tagfleet sandbox`: serves the simulated API until somebody ends it.

use std::collections::BTreeMap;

use serde_json::json;

use super::stop_signals;
use crate::cli::GeneralOptions;
use crate::exit::{CommandError, ExitStatus};
use crate::report::{Ending, Problem, ProblemSource, Screen};
use crate::sandbox::Sandbox;
use crate::sandbox::arguments::SandboxArguments;

/// Serves, says where, and waits for an interrupt.
pub(super) async fn sandbox(
    arguments: &SandboxArguments,
    general: &GeneralOptions,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    let usage = |error: ProblemSource| CommandError::of(ExitStatus::Usage, Problem { error, hint: None });
    // A named pipe keeps whoever opens it until somebody writes, and an interrupt is heard meanwhile.
    let typed = arguments.clone();
    let reading = tokio::task::spawn_blocking(move || typed.settings());
    let settings = reading.await.map_err(|_stopped| CommandError::cancelled())?;
    let settings = settings.map_err(|error| usage(error.into()))?;
    let mut stop_requests = stop_signals::listen();
    let sandbox = Sandbox::start(settings, arguments.listen).await.map_err(|error| usage(error.into()))?;
    let (credential, url) = (sandbox.credential(), sandbox.base_url());
    let variables = [
        ("TAGFLEET_BASE_URL", url.as_str()),
        ("AZURE_AUTHORITY_HOST", &url),
        ("AZURE_TENANT_ID", &credential.tenant_id),
        ("AZURE_CLIENT_ID", &credential.client_id),
        ("AZURE_CLIENT_SECRET", credential.client_secret.expose()),
    ];
    if general.json {
        let ending = Ending { ended: "serving", ..Ending::finished(ExitStatus::Done.code()) };
        screen.object(json!({"variables": BTreeMap::from(variables)}), &ending)?;
    } else {
        let lines: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        screen.data(&lines.concat())?;
    }
    screen.line("The sandbox is serving; set the variables above to use it, and interrupt to end it.");
    let _request = stop_requests.recv().await;
    let counters = serde_json::to_string(&sandbox.counters()).unwrap_or_default();
    screen.line(&format!("The sandbox has ended; it counted {counters}"));
    sandbox.stop().await;
    Ok(ExitStatus::Done)
}
