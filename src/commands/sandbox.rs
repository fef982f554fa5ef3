//! `tagfleet sandbox`: serves the simulated API until somebody ends it.

use super::stop_signals;
use crate::exit::{CommandError, ExitStatus};
use crate::report::Screen;
use crate::sandbox::Sandbox;
use crate::sandbox::arguments::SandboxArguments;

/// Serves, says where, and waits for an interrupt.
pub(super) async fn sandbox(arguments: &SandboxArguments, screen: &Screen) -> Result<ExitStatus, CommandError> {
    let usage = |hint: Option<&str>| {
        let hint = hint.map(str::to_owned);
        move |error| CommandError {
            status: ExitStatus::Usage,
            problem: crate::report::Problem { error, hint },
            findings: Vec::new(),
            run_id: None,
        }
    };
    let settings = arguments.settings().map_err(Into::into).map_err(usage(None))?;
    let mut stop_requests = stop_signals::listen(screen);
    let sandbox = Sandbox::start(settings, arguments.listen).await.map_err(Into::into).map_err(usage(None))?;
    let credential = sandbox.credential();
    let written = screen.data(&format!(
        "TAGFLEET_BASE_URL={url}\nAZURE_AUTHORITY_HOST={url}\nAZURE_TENANT_ID={}\nAZURE_CLIENT_ID={}\nAZURE_CLIENT_SECRET={}\n",
        credential.tenant_id,
        credential.client_id,
        credential.client_secret.expose(),
        url = sandbox.base_url(),
    ));
    if let Err(error) = written {
        return Err(CommandError::new(ExitStatus::StorageFailed, error, None));
    }
    screen.line("The sandbox is serving; set the variables above to use it, and interrupt to end it.");
    let _request = stop_requests.recv().await;
    let counters = serde_json::to_string(&sandbox.counters()).unwrap_or_default();
    screen.line(&format!("The sandbox has ended; it counted {counters}"));
    sandbox.stop().await;
    Ok(ExitStatus::Done)
}
