//! The tags that the tenant's machines have; changes nothing.

use super::RunContext;
use super::tenant::{MachinesRead, Tenant};
use crate::api::Transport;
use crate::exit::{CommandError, ExitStatus};
use crate::plan::tag_list::TagList;
use crate::report::{Ending, TagsReport, joined, reading_json};

/// Reads all machines, and says which tags they have.
pub(crate) async fn tags<T: Transport>(
    tenant: &Tenant<T>,
    context: &mut RunContext,
) -> Result<ExitStatus, CommandError> {
    tenant.refuse_unknown()?;
    let MachinesRead { inventory, progress, .. } = tenant.read_machines(context).await?;
    tenant.note_person(context);
    let list = TagList::of(&inventory);
    let report = TagsReport(&list);
    if context.json {
        let own = joined(reading_json(&progress, None), report.json());
        context.screen.object_with_list(
            own,
            ("tags", report.json_tags()),
            &Ending::finished(ExitStatus::Done.code()),
        )?;
    } else {
        let is_for_terminal = context.screen.is_on_terminal();
        context.screen.data_in_parts(|out| report.write(out, is_for_terminal))?;
    }
    Ok(ExitStatus::Done)
}
