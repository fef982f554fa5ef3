//! Whom errors are shown to: people on a screen, and a script that wants an object.

use std::ffi::OsString;

use super::input::input_name;
use crate::cli::{Mistyped, Origin, SettingInForce};
use crate::clock;
use crate::exit::{CommandError, ExitStatus};
use crate::outside::shown;
use crate::report::{ColorChoice, Invocation, Screen};

/// Where errors are shown, and whether a script wants an object.
pub(super) type Audience = (Screen, bool);

/// Shows an error to people, and to a script unless it has its object already.
pub(super) fn show_error(error: &CommandError, json: bool, screen: &Screen) {
    screen.problem(&error.problem);
    if json && !screen.has_written_data() {
        let (own, ending) = error.object();
        // The error has been shown; that nobody takes the object changes nothing about it.
        let _full = screen.object(own, &ending);
    }
}

/// The same error with where the setting is from that it is about, unless that was typed.
pub(super) fn with_origin(mut error: CommandError, in_force: &[SettingInForce]) -> CommandError {
    let is_from_elsewhere = |setting: &&SettingInForce| {
        error.setting.is_some_and(|about| about.key() == setting.key)
            && matches!(setting.origin, Origin::Variable(_) | Origin::File(_))
    };
    if let Some(setting) = in_force.iter().find(is_from_elsewhere) {
        let origin = format!("{} is from {}", setting.key, shown(&*setting.source()));
        error.setting = None;
        error.problem.hint =
            Some(error.problem.hint.map_or_else(|| origin.clone(), |hint| format!("{hint}; {origin}")));
    }
    error
}

/// The end of a command that was interrupted before it had the word.
pub(super) fn interrupted() -> CommandError {
    CommandError::text(ExitStatus::StoppedEarly, "interrupted; nothing was sent", None).ended("interrupted")
}

/// The end of a command that was interrupted again and again, and stands still after its work.
pub(super) fn cut_off() -> CommandError {
    let hint = "what became of the run says: tagfleet runs";
    let message = "interrupted before all that came of the work was written";
    CommandError::text(ExitStatus::StorageFailed, message, Some(hint)).ended("interrupted")
}

/// Whom errors are shown to, as far as that can be told from what was typed without making sense of it.
pub(super) fn audience_of_typed() -> Audience {
    audience(Mistyped::of(&typed()))
}

/// What was typed, the program's name first.
pub(super) fn typed() -> Vec<OsString> {
    std::env::args_os().collect()
}

/// Whom errors are shown to by what could be made out of what was typed.
pub(super) fn audience(Mistyped { json, log_format, input, .. }: Mistyped) -> Audience {
    let invocation = Invocation { started_at: clock::now(), input: input.as_deref().map(input_name) };
    (Screen::new(ColorChoice::Auto, false).with_line_format(log_format).with_invocation(invocation), json)
}
