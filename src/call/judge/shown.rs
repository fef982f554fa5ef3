//! What the machine in an answer shows of the change that was asked for.

use crate::api::ApiRequest;
use crate::model::MachineRecord;
use crate::model::TagAction;

/// What an answer shows of a change, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shown {
    AsAsked {
        /// Whether the tag, removed, stands there in another case.
        case_differs: bool,
    },
    /// A tag that was to be added stands there in another case only, which may be the same tag to the service.
    OtherCase,
    /// The answer leaves out what was to be changed.
    Nothing,
    Otherwise,
}

/// Compares the machine in an answer with what was asked for.
pub(super) fn shows(request: &ApiRequest, machine: &MachineRecord) -> Shown {
    match request {
        ApiRequest::ChangeTag { action, tag, .. } | ApiRequest::ChangeTagOnMachines { action, tag, .. } => {
            let Some(tags) = &machine.machine_tags else { return Shown::Nothing };
            let exactly = tags.iter().any(|shown| **shown == *tag.as_str());
            let case_differs = !exactly && tags.iter().any(|shown| tag.is_case_variant_of(shown));
            match action {
                TagAction::Add if exactly => Shown::AsAsked { case_differs: false },
                TagAction::Add if case_differs => Shown::OtherCase,
                TagAction::Remove if !exactly => Shown::AsAsked { case_differs },
                _ => Shown::Otherwise,
            }
        }
        ApiRequest::SetDeviceValue { value, .. } => match &machine.device_value {
            None => Shown::Nothing,
            Some(shown) if shown.eq_ignore_ascii_case(value.as_str()) => Shown::AsAsked { case_differs: false },
            Some(_) => Shown::Otherwise,
        },
        // Judged elsewhere; a read asks for no change.
        ApiRequest::ListMachines { .. } | ApiRequest::GetMachine { .. } => Shown::Nothing,
    }
}
