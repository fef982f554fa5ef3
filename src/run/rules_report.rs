//! What is said where rules cannot be carried out.

use serde_json::json;

use crate::exit::{CommandError, ExitStatus};
use crate::report::Screen;
use crate::rules::{Declaration, Fault};
use crate::words::{counted, group_digits};

/// Refuses a file with faults; all of them are told.
pub(crate) fn refuse_faults(name: &str, faults: &[Fault], screen: &Screen) -> Result<(), CommandError> {
    if faults.is_empty() {
        return Ok(());
    }
    for fault in faults {
        screen.line(&format!("error: {name}: {fault}"));
    }
    let count = counted(faults.len() as u64, "fault", "faults");
    let message = format!("{name} has {count}, so nothing was planned");
    let mut error = CommandError::text(ExitStatus::InputRefused, message, None);
    error.findings = faults
        .iter()
        .map(|fault| {
            json!({"code": "rules", "row": null, "line": fault.line, "column": null, "message": fault.message,
                "hint": fault.hint, "accept": null, "rows": null, "places": []})
        })
        .collect();
    Err(error)
}

/// A list that is too short to be the whole tenant.
pub(super) fn refuse_short_list(machines: u64, before: u64, declaration: &Declaration) -> CommandError {
    let percent = declaration.guards.machines_percent;
    let message = format!(
        "the tenant's list has {}, and [guard] asks for {percent}% of the {} of the last finished run; nothing was planned",
        counted(machines, "machine", "machines"),
        group_digits(before)
    );
    let hint =
        "look whether the app sees all machine groups; if the fleet has shrunk, lower machines in [guard] for one run";
    CommandError::text(ExitStatus::InputRefused, message, Some(hint))
}
