//! The calls of the API: method, path, body, bucket and time-out of each.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::model::{Bucket, Change, DeviceValue, MachineId, Operation, Tag, TagAction};

const MEBIBYTE: usize = 1024 * 1024;

/// One call of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiRequest {
    /// `POST /api/machines/{id}/tags`
    ChangeTag {
        machine: MachineId,
        /// Add or remove.
        action: TagAction,
        tag: Tag,
    },
    /// `POST /api/machines/AddOrRemoveTagForMultipleMachines`
    ChangeTagOnMachines {
        /// The machines, at most 500 of them.
        machines: Vec<MachineId>,
        /// Add or remove.
        action: TagAction,
        tag: Tag,
    },
    /// `POST /api/machines/{id}/setDeviceValue`
    SetDeviceValue {
        machine: MachineId,
        /// The value that it shall have.
        value: DeviceValue,
    },
    /// `GET /api/machines?$top=…&$skip=…`: a page of all machines.
    ListMachines {
        /// The most machines that the page may hold.
        top: u32,
        /// How many machines of the list come before the page.
        skip: u64,
    },
    /// `GET /api/machines/{id}`: one machine.
    GetMachine { machine: MachineId },
}

/// The HTTP methods of the API that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// For what changes nothing; sent without a body.
    Get,
    /// For what changes something; sent with a body.
    Post,
}

/// The most machines that a bulk call may hold (the API's page).
pub(crate) const BULK_MAXIMUM_MACHINES: usize = 500;

/// How many machines a call for a tag takes at most.
pub(crate) const fn most_machines(bulk: bool) -> usize {
    if bulk { BULK_MAXIMUM_MACHINES } else { 1 }
}

/// The kinds of call that summaries tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum CallKind {
    /// Reading a page of machines.
    List,
    /// Reading one machine.
    Get,
    /// One tag on many machines.
    Bulk,
    /// One tag on one machine.
    Tags,
    /// One device value.
    Value,
}

impl CallKind {
    /// Every kind, in the order of summaries.
    pub(crate) const ALL: [Self; 5] = [Self::List, Self::Get, Self::Bulk, Self::Tags, Self::Value];

    /// The name in JSON and in the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Get => "get",
            Self::Bulk => "bulk",
            Self::Tags => "tags",
            Self::Value => "value",
        }
    }

    /// Whether such calls change nothing.
    pub(crate) const fn is_read(self) -> bool {
        matches!(self, Self::List | Self::Get)
    }

    /// How long an answer is awaited.
    pub(crate) const fn time_out(self) -> Duration {
        match self {
            // Ten thousand machines take the service a while to gather and the network a while to carry.
            Self::List => Duration::from_mins(2),
            // The service works through hundreds of machines before it answers.
            Self::Bulk => Duration::from_mins(1),
            Self::Tags | Self::Value | Self::Get => Duration::from_secs(30),
        }
    }
}

/// The body of `/tags`; names and values are case-sensitive (the API's page).
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagBody<'a> {
    value: &'a str,
    action: &'static str,
}

/// The body of the bulk call.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BulkTagBody<'a> {
    value: &'a str,
    action: &'static str,
    machine_ids: Vec<String>,
}

/// The body of `/setDeviceValue`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DeviceValueBody {
    device_value: &'static str,
}

impl ApiRequest {
    /// The single call that carries out an operation.
    pub(crate) fn for_operation(operation: Operation) -> Self {
        match operation.change {
            Change::Tag(action, tag) => Self::ChangeTag { machine: operation.machine, action, tag },
            Change::DeviceValue(value) => Self::SetDeviceValue { machine: operation.machine, value },
        }
    }

    /// The machine that the call is about, if it is about a single one.
    pub(crate) const fn machine(&self) -> Option<&MachineId> {
        match self {
            Self::ChangeTag { machine, .. } | Self::SetDeviceValue { machine, .. } | Self::GetMachine { machine } => {
                Some(machine)
            }
            Self::ChangeTagOnMachines { .. } | Self::ListMachines { .. } => None,
        }
    }

    /// The HTTP method.
    pub(crate) const fn method(&self) -> Method {
        match self {
            Self::ChangeTag { .. } | Self::ChangeTagOnMachines { .. } | Self::SetDeviceValue { .. } => Method::Post,
            Self::ListMachines { .. } | Self::GetMachine { .. } => Method::Get,
        }
    }

    /// Whether the call changes nothing.
    pub(crate) const fn is_read(&self) -> bool {
        matches!(self.method(), Method::Get)
    }

    pub(crate) const fn kind(&self) -> CallKind {
        match self {
            Self::ChangeTag { .. } => CallKind::Tags,
            Self::ChangeTagOnMachines { .. } => CallKind::Bulk,
            Self::SetDeviceValue { .. } => CallKind::Value,
            Self::ListMachines { .. } => CallKind::List,
            Self::GetMachine { .. } => CallKind::Get,
        }
    }

    /// The bucket that it counts in, where bulk calls count apart.
    pub(crate) const fn counted_in(&self) -> Bucket {
        match self {
            Self::ChangeTagOnMachines { .. } => Bucket::BulkTags,
            _ => self.bucket(),
        }
    }

    /// The API that it belongs to, by its bucket.
    pub(crate) const fn bucket(&self) -> Bucket {
        match self {
            Self::ChangeTag { .. } | Self::ChangeTagOnMachines { .. } => Bucket::Tags,
            Self::SetDeviceValue { .. } => Bucket::Value,
            Self::ListMachines { .. } | Self::GetMachine { .. } => Bucket::Machines,
        }
    }

    /// How long an answer is awaited.
    pub(crate) const fn time_out(&self) -> Duration {
        self.kind().time_out()
    }

    /// The longest answer that is read, in bytes: a machine has a kilobyte or two.
    pub(crate) const fn answer_maximum_bytes(&self) -> usize {
        match self {
            Self::ListMachines { .. } => 48 * MEBIBYTE,
            Self::ChangeTagOnMachines { .. } => 4 * MEBIBYTE,
            Self::ChangeTag { .. } | Self::SetDeviceValue { .. } | Self::GetMachine { .. } => MEBIBYTE,
        }
    }

    /// The path below the base URL, percent-encoded, with its query if it has one.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::ChangeTag { machine, .. } => format!("api/machines/{}/tags", encode_segment(machine)),
            Self::ChangeTagOnMachines { .. } => "api/machines/AddOrRemoveTagForMultipleMachines".to_owned(),
            Self::SetDeviceValue { machine, .. } => format!("api/machines/{}/setDeviceValue", encode_segment(machine)),
            Self::ListMachines { top, skip } => format!("api/machines?$top={top}&$skip={skip}"),
            Self::GetMachine { machine } => format!("api/machines/{}", encode_segment(machine)),
        }
    }

    /// The body as JSON; empty where there is none.
    pub(crate) fn body(&self) -> String {
        let body = match self {
            Self::ChangeTag { action, tag, .. } => {
                serde_json::to_string(&TagBody { value: tag.as_str(), action: action.as_str() })
            }
            Self::ChangeTagOnMachines { machines, action, tag } => serde_json::to_string(&BulkTagBody {
                value: tag.as_str(),
                action: action.as_str(),
                machine_ids: machines.iter().map(ToString::to_string).collect(),
            }),
            Self::SetDeviceValue { value, .. } => {
                serde_json::to_string(&DeviceValueBody { device_value: value.as_str() })
            }
            Self::ListMachines { .. } | Self::GetMachine { .. } => return String::new(),
        };
        // Text and constants always serialise.
        body.unwrap_or_default()
    }
}

/// An id as one path segment: what RFC 3986 does not reserve stays, everything else is percent-encoded.
fn encode_segment(machine: &MachineId) -> String {
    let text = machine.to_string();
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _written = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_look_as_the_pages_of_the_api_show_them() {
        let machine = MachineId::from_service("1E5BC9D7E413DDD7902C2932E418702B84D0CC07");
        let tag = Tag::new("test \"Tag\" 2").expect("a tag");
        let request =
            ApiRequest::for_operation(Operation { machine: machine.clone(), change: Change::Tag(TagAction::Add, tag) });
        assert_eq!(request.path(), "api/machines/1e5bc9d7e413ddd7902c2932e418702b84d0cc07/tags");
        assert_eq!(request.body(), r#"{"Value":"test \"Tag\" 2","Action":"Add"}"#);
        let request = ApiRequest::for_operation(Operation { machine, change: Change::DeviceValue(DeviceValue::High) });
        assert_eq!(request.path(), "api/machines/1e5bc9d7e413ddd7902c2932e418702b84d0cc07/setDeviceValue");
        assert_eq!(request.body(), r#"{"DeviceValue":"High"}"#);
        let machines = vec![MachineId::from_service("A"), MachineId::from_service("b")];
        let tag = Tag::new("t").expect("a tag");
        let request = ApiRequest::ChangeTagOnMachines { machines, action: TagAction::Remove, tag };
        assert_eq!(request.path(), "api/machines/AddOrRemoveTagForMultipleMachines");
        assert_eq!(request.body(), r#"{"Value":"t","Action":"Remove","MachineIds":["A","b"]}"#);
    }

    #[test]
    fn reads_carry_what_they_ask_for_in_their_address() {
        let request = ApiRequest::ListMachines { top: 10_000, skip: 20_000 };
        assert_eq!(request.path(), "api/machines?$top=10000&$skip=20000");
        assert_eq!((request.method(), request.body().as_str(), request.machine()), (Method::Get, "", None));
        let machine = MachineId::from_service("a/b");
        let request = ApiRequest::GetMachine { machine: machine.clone() };
        assert_eq!((request.path().as_str(), request.body().as_str()), ("api/machines/a%2Fb", ""));
        assert_eq!((request.bucket(), request.machine()), (Bucket::Machines, Some(&machine)));
    }

    #[test]
    fn an_odd_id_cannot_leave_its_place_in_the_path() {
        let machine = MachineId::from_service("../a b?c=d#é");
        let request = ApiRequest::SetDeviceValue { machine, value: DeviceValue::Low };
        assert_eq!(request.path(), "api/machines/..%2Fa%20b%3Fc%3Dd%23%C3%A9/setDeviceValue");
    }
}
