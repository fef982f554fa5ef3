//! `tagfleet verify`: reads the tenant and says which rows hold; changes nothing.

use super::input::{Pending, input_order};
use super::rules::{self, is_rules};
use super::setup::{CommandSetup, rows_target};
use super::watching::Watched;
use crate::cli::{GeneralOptions, VerifyOptions};
use crate::exit::{CommandError, ExitStatus};
use crate::report::{Reserved, Screen};
use crate::run;

/// Reads file and tenant, and compares them.
pub(super) async fn verify(
    options: VerifyOptions,
    general: &GeneralOptions,
    reserved: &Reserved,
    watched: Option<&Watched>,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    if is_rules(&options.input.input) {
        return rules::verify(options, general, reserved, watched, screen).await;
    }
    let target = rows_target("the rows", options.output.as_deref(), general)?;
    let setup = CommandSetup::new(general, options.sandbox, &options.service, &options.quota, None)?.watched(watched);
    if let Some(target) = &target {
        target.check_for_verification(reserved)?;
    }
    let input = Pending::check(input_order(&options.input, &general.settings, true)?, options.sandbox, screen).await?;
    let connection = setup.connect_for(&input).await?;
    let skip = options.skip_missing_machines;
    setup
        .work(connection, general, screen, async |tenant, context| {
            let input = input.finish(tenant, context).await?;
            run::verify(tenant, input, target.as_ref(), skip, context).await
        })
        .await
}
