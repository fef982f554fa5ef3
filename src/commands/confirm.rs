//! The question whether it may happen.

use async_trait::async_trait;

use crate::exit::{CommandError, ExitStatus};
use crate::report::Screen;
use crate::run::Consent;

/// Asks whoever sits at the terminal.
pub(super) struct Confirmation;

#[async_trait]
impl Consent for Confirmation {
    async fn ask(&self, screen: &Screen, description: &str) -> Result<(), CommandError> {
        screen.line(description.trim_end());
        let asked = screen.clone();
        let answer = tokio::task::spawn_blocking(move || asked.confirm("Go on?")).await;
        match answer.map_err(|error| CommandError::new(ExitStatus::Bug, error, None))? {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(CommandError::text(ExitStatus::InputRefused, "you did not say yes, so nothing was changed", None))
            }
            Err(error) => Err(CommandError::new(ExitStatus::Usage, error, Some("add --yes".to_owned()))),
        }
    }
}
